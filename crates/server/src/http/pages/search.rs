//! `GET /search`: finds a batch by its number or its root, and a key by itself or by its quote.

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tee_api::PublicKey;
use tee_verifier::H256;

use super::frame::{Frame, Page};
use crate::{
    http::{Problem, authorize::Asking, request::QueryParameters},
    service::Service,
};

/// The most batches that are shown for one root. Usually there is one; a batch that changes nothing has the same root as the one before.
const MAX_SHOWN: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    /// The search text, as far as it is shown.
    wanted: String,
    /// The batches with that root, if there are several.
    batches: Vec<u32>,
}

pub(super) async fn page(
    State(service): State<Service>,
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
    let mut root = H256::zero();
    let mut batches = vec![];
    if hex::decode_to_slice(digits, root.as_bytes_mut()).is_ok() {
        batches = service.batches_of_root(root, MAX_SHOWN).await?;
        if batches.is_empty()
            && let Some(key) = service.key_of_quote(root.as_fixed_bytes()).await?
        {
            return Ok(Redirect::to(&format!("/keys/{key}")).into_response());
        }
        if let [number] = batches[..] {
            return Ok(Redirect::to(&format!("/batches/{number}")).into_response());
        }
    }
    let status = if batches.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let page = SearchPage { frame: Frame::of(&asking), wanted: wanted.chars().take(200).collect(), batches };
    Ok((status, Page(page)).into_response())
}
