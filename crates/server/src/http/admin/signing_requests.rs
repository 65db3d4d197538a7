//! `POST /admin/signing_requests`.

use axum::{Json, extract::State, http::StatusCode};
use tee_api::{MAX_CONTRACTS, SigningRequest};

use crate::{
    http::{Problem, request::JsonBody, success},
    service::Service,
};

/// Asks provers to sign statements for a contract, and a recent block for the registration of their keys. The request
/// replaces the earlier one for the same contract, and is valid for seven days: a relayer asks again with a newer
/// block.
#[utoipa::path(
    post, path = "/admin/signing_requests", operation_id = "request_signatures", tag = "admin", security(("admin" = [])),
    request_body = SigningRequest,
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 409, description = "provers already sign for as many contracts as they can", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn request(
    State(service): State<Service>,
    JsonBody(request): JsonBody<SigningRequest>,
) -> Result<Json<&'static str>, Problem> {
    if !service.request_signatures(&request).await? {
        let detail = format!(
            "provers already sign for {MAX_CONTRACTS} other contracts, the most they can; a request that is not \
             repeated ends after 7 days"
        );
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_contracts", detail));
    }
    tracing::debug!(contract = %request.contract(), block = request.block_number, "signatures requested");
    Ok(success())
}
