//! `GET /tee/proof_inputs_no_lock/{batch}`: a batch's input, without a lease.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::input_answer::{answer, wanted_form};
use crate::{
    batches::OpenInputError,
    http::{Problem, request::PathParameter},
    service::Service,
};

/// A batch's input, in JSON or (Accept: application/cbor) in CBOR, without a lease.
#[utoipa::path(
    get, path = "/tee/proof_inputs_no_lock/{batch}", operation_id = "proof_inputs_no_lock", tag = "prover",
    security(("prover" = []), ("reader" = [])), params(("batch" = u32, Path)),
    responses(
        (status = 200, content((Object = "application/json"), (Vec<u8> = "application/cbor"))),
        (status = 404, description = "the batch is not known", body = crate::http::problem::ProblemBody),
        (status = 410, description = "its input was deleted once it was proven", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    headers: HeaderMap,
    PathParameter(number): PathParameter<u32>,
) -> Result<Response, Problem> {
    let batch = service.database.batch(number).await?.ok_or_else(Problem::unknown_batch)?;
    if batch.input_is_retired {
        let detail = "the batch's input was deleted once it was proven";
        return Err(Problem::new(StatusCode::GONE, "input_retired", detail));
    }
    let form = wanted_form(&headers);
    let input = match service.inputs.open_blob(&batch, form).await {
        Ok(input) => input,
        Err(OpenInputError::Store(error)) => return Err(error.into()),
        Err(error) => {
            service.check_object_store().await?;
            return Err(Problem::internal(error));
        }
    };
    Ok(answer(&headers, form, input, batch.blob(form).bytes))
}
