//! `/health/live` and `/health/ready`: whether the process runs, and whether it can do its work.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::http::{App, Problem};

/// How long the database and the object store have to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// All is well.
#[derive(Serialize, ToSchema)]
pub(crate) struct Healthy {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Healthy = Healthy { status: "ok" };

/// Whether the process runs.
#[utoipa::path(get, path = "/health/live", tag = "operating", responses((status = 200, body = Healthy)))]
pub(crate) async fn live() -> Json<Healthy> {
    Json(OK)
}

/// Whether the server can do its work: the database takes a write, the object store answers, and it is not stopping.
#[utoipa::path(
    get, path = "/health/ready", tag = "operating",
    responses((status = 200, body = Healthy), (status = 503, body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Healthy>, Problem> {
    let unavailable = |code, detail| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail));
    if app.service.stopping.is_cancelled() {
        return unavailable("stopping", "the server is stopping");
    }
    let (database, inputs) = tokio::join!(
        timeout(PATIENCE, app.service.check_database()),
        timeout(PATIENCE, app.service.check_object_store())
    );
    match database {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "the database does not answer");
            return unavailable("database_unavailable", "the database does not answer");
        }
        Err(_) => return unavailable("database_unavailable", "the database does not answer in time"),
    }
    match inputs {
        Ok(Ok(())) => Ok(Json(OK)),
        Ok(Err(fault)) => Err(fault.into()),
        Err(_) => unavailable("object_store_unavailable", "the object store does not answer in time"),
    }
}
