//! `GET /tee/proof_inputs_no_lock/{batch}`: a batch's input, without a lease.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::input_answer::{answer, wanted_form};
use crate::{
    batches::StoredInput,
    http::{Problem, request::PathParameter},
    service::Service,
};

/// A batch's input, in JSON or (Accept: application/cbor) in CBOR, without a lease.
#[utoipa::path(
    get, path = "/tee/proof_inputs_no_lock/{batch}", operation_id = "proof_inputs_no_lock", tag = "prover",
    security(("prover" = []), ("reader" = [])), params(("batch" = u32, Path)),
    responses(
        (status = 200, content((Object = "application/json"), (Vec<u8> = "application/cbor"))),
        (status = 404, description = "the batch is unknown", body = crate::http::problem::ProblemBody),
        (status = 410, description = "the input was deleted after the batch was proven", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    headers: HeaderMap,
    PathParameter(number): PathParameter<u32>,
) -> Result<Response, Problem> {
    let form = wanted_form(&headers);
    let StoredInput { stream, bytes } = service.stored_input(number, form).await?;
    Ok(answer(&headers, form, stream, bytes))
}
