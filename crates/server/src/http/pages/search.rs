//! `GET /search`: finds a batch by its number, and a key.

use askama::Template;
use axum::{
    Extension,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tee_api::PublicKey;

use super::frame::{Frame, Page};
use crate::http::{Problem, authorize::Asking, request::QueryParameters};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct NothingFound {
    frame: Frame,
    /// What was looked for, as far as it is shown.
    wanted: String,
}

pub(super) async fn page(
    Extension(asking): Extension<Asking>,
    QueryParameters(SearchQuery { q }): QueryParameters<SearchQuery>,
) -> Result<Response, Problem> {
    let wanted = q.trim();
    if let Ok(number) = wanted.trim_start_matches('#').parse::<u32>() {
        return Ok(Redirect::to(&format!("/batches/{number}")).into_response());
    }
    let digits = wanted.strip_prefix("0x").unwrap_or(wanted);
    if let Ok(key) = digits.parse::<PublicKey>() {
        return Ok(Redirect::to(&format!("/keys/{key}")).into_response());
    }
    let page = NothingFound { frame: Frame::of(&asking), wanted: wanted.chars().take(200).collect() };
    Ok((StatusCode::NOT_FOUND, Page(page)).into_response())
}
