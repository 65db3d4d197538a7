//! `GET /health`: whether the server can do its work.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::{Store, problem::Problem};

pub(super) async fn handle(State(store): State<Store>) -> Result<Json<Value>, Problem> {
    store.storage.ping().await.map_err(|error| {
        tracing::error!(%error, "database does not answer");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", "the database does not answer")
    })?;
    Ok(Json(json!({ "status": "ok" })))
}
