//! The pages: what was checked, and each batch.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{Stream, stream};
use serde::Deserialize;
use tee_checker::Verdict;
use tee_pages::{At, Short, answer};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};

use super::{Batch, Board, Check, verdicts};

/// How many batches are on a page.
const BATCHES: usize = 100;
/// After this long without a change, a comment shows that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct ListQuery {
    /// The highest batch on the page; the latest if not given.
    from: Option<u32>,
}

#[derive(Template)]
#[template(path = "batches.html")]
struct ListPage<'a> {
    check: &'a Check,
    counts: Vec<(u64, Verdict)>,
    batches: Vec<Arc<Batch>>,
    forgotten: u64,
    finished_at: Option<At>,
    older: Option<u32>,
    newer: Option<u32>,
}

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage<'a> {
    check: &'a Check,
    batch: &'a Batch,
    before: Option<u32>,
    after: Option<u32>,
}

#[derive(Template)]
#[template(path = "missing.html")]
struct MissingPage<'a> {
    check: &'a Check,
}

pub(super) fn routes() -> Router<Arc<Board>> {
    Router::new().route("/", get(list)).route("/batches/{batch}", get(batch)).route("/api/events", get(events))
}

async fn list(State(board): State<Arc<Board>>, Query(query): Query<ListQuery>) -> Response {
    let seen = board.seen();
    let highest = query.from.unwrap_or(u32::MAX);
    let mut batches: Vec<_> =
        seen.batches.range(..=highest).rev().take(BATCHES + 1).map(|(_, batch)| batch.clone()).collect();
    let older = batches.get(BATCHES).map(|batch| batch.number);
    batches.truncate(BATCHES);
    let above = highest.checked_add(1).map(|above| seen.batches.range(above..).take(BATCHES));
    shown(
        StatusCode::OK,
        &ListPage {
            check: &board.check,
            counts: seen.counts.into_iter().zip(Verdict::ALL).filter(|(count, _)| *count > 0).collect(),
            batches,
            forgotten: seen.forgotten,
            finished_at: seen.finished_at,
            older,
            newer: above.and_then(Iterator::last).map(|(number, _)| *number),
        },
    )
}

async fn batch(State(board): State<Arc<Board>>, Path(number): Path<String>) -> Response {
    let seen = board.seen();
    let found = number.parse().ok().and_then(|number: u32| seen.batches.get(&number));
    let Some(batch) = found else { return shown(StatusCode::NOT_FOUND, &MissingPage { check: &board.check }) };
    let page = BatchPage {
        check: &board.check,
        batch,
        before: seen.batches.range(..batch.number).next_back().map(|(number, _)| *number),
        after: seen.batches.range(batch.number..).nth(1).map(|(number, _)| *number),
    };
    shown(StatusCode::OK, &page)
}

pub(super) async fn missing(State(board): State<Arc<Board>>) -> Response {
    shown(StatusCode::NOT_FOUND, &MissingPage { check: &board.check })
}

/// Tells a page about changes, so that it reloads itself.
async fn events(State(board): State<Arc<Board>>) -> Response {
    let Ok(place) = board.followers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many follow the changes").into_response();
    };
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(pieces(board.changes.subscribe(), place))).into_response()
}

/// The first piece comes at once, so that the page knows that it is connected.
fn pieces(changes: watch::Receiver<u64>, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((changes, place, true), async |(mut changes, place, first)| {
        let piece = match first {
            true => ": connected\n\n",
            false => match timeout(KEEP_ALIVE, changes.changed()).await {
                Ok(Ok(())) => "event: job\ndata: {}\n\n",
                Ok(Err(_)) => return None,
                Err(_) => ": nothing new\n\n",
            },
        };
        Some((Ok(Bytes::from_static(piece.as_bytes())), (changes, place, false)))
    })
}

fn shown(status: StatusCode, page: &impl Template) -> Response {
    match answer(page) {
        Ok(answer) => (status, answer).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
