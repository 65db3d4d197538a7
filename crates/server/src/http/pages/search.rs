//! `GET /search`: finds a batch by its number, its root or a transaction, and a key by itself or by its quote.

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tee_api::PublicKey;

use super::{
    frame::{Frame, Page},
    overview::{Alarm, alarms_for},
};
use crate::{
    http::{
        App, Problem,
        authorize::Asking,
        request::{QueryParameters, parsed_hash},
    },
    keys::Trust,
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
    /// The batches that were found, if there are several.
    batches: Vec<u32>,
    /// Whether they were found by a transaction, and not by a root.
    have_transaction: bool,
    alarms: Vec<Alarm>,
    trust: Trust,
}

pub(super) async fn page(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
    QueryParameters(SearchQuery { q }): QueryParameters<SearchQuery>,
) -> Result<Response, Problem> {
    let service = &app.service;
    let wanted = q.trim();
    if let Ok(number) = wanted.trim_start_matches('#').parse::<u32>() {
        return Ok(Redirect::to(&format!("/batches/{number}")).into_response());
    }
    let digits = wanted.strip_prefix("0x").unwrap_or(wanted);
    if let Ok(key) = digits.parse::<PublicKey>() {
        return Ok(Redirect::to(&format!("/keys/{key}")).into_response());
    }
    let mut batches = vec![];
    let mut have_transaction = false;
    if let Ok(hash) = parsed_hash("q", wanted) {
        batches = service.batches_of_root(hash, MAX_SHOWN).await?;
        if batches.is_empty()
            && let Some(key) = service.key_of_quote(hash.as_fixed_bytes()).await?
        {
            return Ok(Redirect::to(&format!("/keys/{key}")).into_response());
        }
        if batches.is_empty() {
            let places = service.places_of_transaction(hash, MAX_SHOWN).await?;
            batches = places.iter().map(|place| place.number).collect();
            batches.dedup();
            have_transaction = !batches.is_empty();
        }
        if let [number] = batches[..] {
            let transaction = if have_transaction { format!("?transaction={hash:?}") } else { String::new() };
            return Ok(Redirect::to(&format!("/batches/{number}{transaction}")).into_response());
        }
    }
    let status = if batches.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let frame = Frame::of(&asking);
    let page = SearchPage {
        frame,
        wanted: wanted.chars().take(200).collect(),
        batches,
        have_transaction,
        alarms: alarms_for(frame, &app).await?,
        trust: service.trust(),
    };
    Ok((status, Page(page)).into_response())
}
