//! `POST /tee/register_attestation`: registers a key with the quote that names it.

use axum::{Json, extract::State, http::HeaderMap};
use tee_api::RegisterAttestation;

use crate::{
    http::{
        Problem,
        request::{JsonBody, user_agent},
        success,
    },
    service::Service,
};

/// Registers a key. Its quote must name it and be accepted by the server's policy; the answer says which rules it breaks. User-Agent
/// is kept with the key.
#[utoipa::path(
    post, path = "/tee/register_attestation", operation_id = "register_attestation", tag = "prover",
    security(("prover" = [])), request_body = RegisterAttestation,
    responses((status = 200, body = String, example = "Success"), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RegisterAttestation>,
) -> Result<Json<&'static str>, Problem> {
    service.register_key(&request, user_agent(&headers).as_ref()).await?;
    Ok(success())
}
