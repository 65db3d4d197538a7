//! `GET /tee/proof_inputs_no_lock/{batch}`: a batch's input, without a lease.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    input_answer::{answer, wanted_form},
    request::PathParameter,
};
use crate::{Store, problem::Problem};

pub(super) async fn handle(
    State(store): State<Store>,
    headers: HeaderMap,
    PathParameter(number): PathParameter<u32>,
) -> Result<Response, Problem> {
    let batch = store.storage.batch(number).await?.ok_or_else(Problem::unknown_batch)?;
    let form = wanted_form(&headers);
    let input = store.inputs.open_blob(&batch, form).await.map_err(Problem::internal)?;
    Ok(answer(&headers, form, input, form.blob(&batch).bytes))
}
