//! `GET /tee/signing_requests`: what relayers want signed for contracts.

use axum::{Json, extract::State};
use tee_api::SigningRequest;

use crate::{http::Problem, service::Service};

/// What is to be signed for contracts: each statement, and a recent block, by which a key shows that it is there to be registered.
#[utoipa::path(
    get, path = "/tee/signing_requests", operation_id = "signing_requests", tag = "prover", security(("prover" = [])),
    responses((status = 200, body = Vec<SigningRequest>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn handle(State(service): State<Service>) -> Result<Json<Vec<SigningRequest>>, Problem> {
    Ok(Json(service.signing_requests().await?))
}
