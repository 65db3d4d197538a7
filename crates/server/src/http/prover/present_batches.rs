//! `GET /tee/present_batches`: the batches whose input is available.

use axum::{Json, extract::State};
use tee_api::PresentBatches;

use crate::{http::Problem, service::Service};

/// The lowest and the highest batch whose input is available.
#[utoipa::path(
    get, path = "/tee/present_batches", operation_id = "present_batches", tag = "prover",
    security(("prover" = []), ("reader" = [])), responses((status = 200, body = PresentBatches))
)]
pub(crate) async fn handle(State(service): State<Service>) -> Result<Json<PresentBatches>, Problem> {
    let (oldest_batch, latest_batch) = service.present_inputs().await?;
    Ok(Json(PresentBatches { oldest_batch, latest_batch }))
}
