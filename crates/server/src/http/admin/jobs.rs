//! `POST /admin/jobs/{batch}/{tee_type}/{action}`: retry, ignore, requeue.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use tee_api::{JobAction, TeeType};

use crate::{
    database::JobChange,
    http::{Problem, request::malformed_path, success},
    service::Service,
};

/// Changes a job: `retry` makes a failed or given-up one ready again; `ignore` gives up one that has no proof;
/// `requeue` has a batch proven again whatever the job's status, and keeps its proofs.
#[utoipa::path(
    post, path = "/admin/jobs/{batch}/{tee_type}/{action}", operation_id = "change_job", tag = "admin", security(("admin" = [])),
    params(("batch" = u32, Path), ("tee_type" = TeeType, Path), ("action" = JobAction, Path)),
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 404, description = "the job does not exist", body = crate::http::problem::ProblemBody),
        (status = 409, description = "the job's status does not allow it", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn change(
    State(service): State<Service>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Json<&'static str>, Problem> {
    let Path((batch, tee_type, action)) = path.map_err(malformed_path)?;
    let batch: u32 = batch.parse().map_err(malformed_path)?;
    let tee_type: TeeType = tee_type.parse().map_err(malformed_path)?;
    let action: JobAction = action.parse().map_err(malformed_path)?;
    let change = match action {
        JobAction::Retry => service.retry_job(batch, tee_type).await?,
        JobAction::Ignore => service.ignore_job(batch, tee_type).await?,
        JobAction::Requeue => service.requeue_job(batch, tee_type).await?,
    };
    match change {
        JobChange::Made => {
            tracing::info!(batch, %tee_type, action = action.as_str(), "an operator changed a job");
            Ok(success())
        }
        JobChange::Unknown => Err(Problem::new(StatusCode::NOT_FOUND, "unknown_job", "the job does not exist")),
        JobChange::NotWhen(status) => {
            let detail = format!("cannot {} a job whose status is {status}", action.as_str());
            Err(Problem::new(StatusCode::CONFLICT, "wrong_status", detail))
        }
    }
}
