//! `POST /tee/registration_signatures`: stores what a key signed to be registered with a contract.

use axum::{Json, extract::State};
use tee_api::RegistrationSignature;

use crate::{
    http::{Problem, request::JsonBody, success},
    service::Service,
};

/// Stores a key's signature for a registration, if a current signing request asks for it.
#[utoipa::path(
    post, path = "/tee/registration_signatures", operation_id = "submit_registration_signature", tag = "prover",
    security(("prover" = [])), request_body = RegistrationSignature,
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 409, description = "nobody requests this signature (any more)", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    JsonBody(signed): JsonBody<RegistrationSignature>,
) -> Result<Json<&'static str>, Problem> {
    service.take_registration_signature(signed).await?;
    Ok(success())
}
