//! `POST /admin/tee_types/{tee_type}/{action}`: retire, serve.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use tee_api::{TeeType, TeeTypeAction};

use crate::{
    http::{Problem, request::malformed_path, success},
    service::Service,
};

/// Changes which types of enclave have jobs: `retire` removes a type's jobs that have no proof, and no prover of the
/// type gets work; `serve` undoes that. Both continue in the background. Doing it again is a success.
#[utoipa::path(
    post, path = "/admin/tee_types/{tee_type}/{action}", operation_id = "change_tee_type", tag = "admin", security(("admin" = [])),
    params(("tee_type" = TeeType, Path), ("action" = TeeTypeAction, Path)),
    responses(
        (status = 200, body = String, example = "Success"), (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn change(
    State(service): State<Service>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<&'static str>, Problem> {
    let Path((tee_type, action)) = path.map_err(malformed_path)?;
    let tee_type: TeeType = tee_type.parse().map_err(malformed_path)?;
    let action: TeeTypeAction = action.parse().map_err(malformed_path)?;
    let changed = match action {
        TeeTypeAction::Retire => service.retire_tee_type(tee_type).await?,
        TeeTypeAction::Serve => service.serve_tee_type(tee_type).await?,
    };
    if changed {
        tracing::warn!(%tee_type, action = action.as_str(), "an operator changed a type of enclave");
    }
    Ok(success())
}
