//! `GET /policy.yaml`: which quotes this server accepts.

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::frame::file;
use crate::{http::Problem, service::Service};

/// The policy in force, as its file had it.
pub(super) async fn download(State(service): State<Service>) -> Result<impl IntoResponse, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "no_policy", "this server does not judge quotes");
    Ok((file("application/yaml", "policy.yaml"), service.policy().ok_or_else(missing)?))
}
