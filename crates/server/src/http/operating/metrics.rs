//! `GET /metrics`: for Prometheus. It is on the same listener as everything else, so that one certificate, one set of tokens and one
//! set of limits protect it; a scraper sends a reader's token.

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use crate::http::App;

/// Counters of this process and gauges of what stands in the database.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "operating", security(("reader" = [])),
    responses((status = 200, content_type = "application/openmetrics-text", body = String))
)]
pub(crate) async fn handle(State(app): State<App>) -> Response {
    let text = app.service.scrape().await;
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
