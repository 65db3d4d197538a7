//! `POST /admin/disagreements/{batch}/{tee_type}/{pubkey}/resolve`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use tee_api::{PublicKey, ResolveDisagreement, TeeType};

use super::reason;
use crate::{
    http::{
        Problem,
        request::{JsonBody, malformed_path},
        success,
    },
    service::Service,
};

/// Notes that a person has explained a disagreement, and how. It stays listed, but is no longer an alarm. Doing it
/// again changes nothing.
#[utoipa::path(
    post, path = "/admin/disagreements/{batch}/{tee_type}/{pubkey}/resolve", operation_id = "resolve_disagreement", tag = "admin",
    security(("admin" = [])), params(("batch" = u32, Path), ("tee_type" = TeeType, Path), ("pubkey" = String, Path)),
    request_body = ResolveDisagreement,
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 404, description = "the disagreement does not exist", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn resolve(
    State(service): State<Service>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    JsonBody(request): JsonBody<ResolveDisagreement>,
) -> Result<Json<&'static str>, Problem> {
    let Path((batch, tee_type, pubkey)) = path.map_err(malformed_path)?;
    let batch: u32 = batch.parse().map_err(malformed_path)?;
    let tee_type: TeeType = tee_type.parse().map_err(malformed_path)?;
    let pubkey: PublicKey = pubkey.parse().map_err(malformed_path)?;
    let reason = reason(&request.reason)?;
    if !service.resolve_disagreement(batch, tee_type, &pubkey, &reason).await? {
        let detail = "the disagreement does not exist";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_disagreement", detail));
    }
    tracing::warn!(batch, %tee_type, %pubkey, reason, "an operator resolved a disagreement");
    Ok(success())
}
