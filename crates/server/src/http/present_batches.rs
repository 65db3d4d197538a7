//! `GET /tee/present_batches`: which batches there are.

use axum::{Json, extract::State};
use tee_api::PresentBatches;

use crate::{Store, problem::Problem};

pub(super) async fn handle(State(store): State<Store>) -> Result<Json<PresentBatches>, Problem> {
    let (oldest_batch, latest_batch) = store.storage.present_batches().await?;
    Ok(Json(PresentBatches { oldest_batch, latest_batch }))
}
