//! `GET /api/events`: changes of jobs as they happen, as server-sent events.
//!
//! The changes are read from the database, so that those made by other servers show too.

use std::{
    convert::Infallible,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::{Stream, stream};
use tee_api::TeeType;
use tokio::{sync::OwnedSemaphorePermit, time::sleep};
use vise::GaugeGuard;

use super::jobs;
use crate::{
    database::{Job, JobCursor},
    http::{App, Problem, request::malformed_query},
    service::Service,
};

/// Header with which a client continues after an interruption.
const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// How often the database is queried.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// After this long without an event, a comment shows that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream ends after this long. The client reconnects by itself, and its token is checked again.
const MAX_DURATION: Duration = Duration::from_secs(15 * 60);

/// The most events that are read from the database at once.
const MAX_EVENTS: u32 = 500;

/// Changes of jobs as server-sent events named `job`. Each shows the job's present state: several quick changes may
/// arrive as one. With `Last-Event-ID` it continues after that event, otherwise it starts now.
#[utoipa::path(
    get, path = "/api/events", operation_id = "follow_events", tag = "reads", security(("reader" = [])),
    params(("last-event-id" = Option<String>, Header, description = "The id of the last event that was seen")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "`data:` is a JobEntry in JSON"),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn follow(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let start = JobCursor { updated_at_ms: app.service.clock.now_ms(), number: 0, tee_type: TeeType::None };
    let cursor = match headers.get(LAST_EVENT_ID_HEADER) {
        None => start,
        Some(id) => EventId::from_str(id.to_str().unwrap_or_default()).map_err(malformed_query)?.0,
    };
    let place = Arc::clone(&app.event_streams).try_acquire_owned().map_err(|_| {
        let detail = "too many clients are following the events";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail).retry_after(KEEP_ALIVE)
    })?;
    let follower = Follower {
        _open: app.service.metrics.event_streams.inc_guard(1),
        service: app.service,
        cursor,
        ends: Instant::now() + MAX_DURATION,
        spoke: Instant::now(),
        _place: place,
    };
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(follower.events())).into_response())
}

struct Follower {
    service: Service,
    cursor: JobCursor,
    ends: Instant,
    /// When something was last sent.
    spoke: Instant,
    _open: GaugeGuard<usize>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The first piece is sent at once, so that the client knows that it is connected.
    fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        stream::unfold((self, true), |(mut follower, first)| async move {
            if first {
                return Some((Ok(Bytes::from_static(b": connected\n\n")), (follower, false)));
            }
            let piece = follower.next().await?;
            follower.spoke = Instant::now();
            Some((Ok(piece), (follower, false)))
        })
    }

    /// Waits for events. `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if Instant::now() >= self.ends {
                return None;
            }
            let changes = match self.service.job_changes(self.cursor, MAX_EVENTS).await {
                Ok(changes) => changes,
                Err(error) => {
                    tracing::error!(%error, "cannot read changes of jobs");
                    return None;
                }
            };
            if let Some(last) = changes.last() {
                self.cursor = last.cursor();
                return Some(changes.into_iter().map(event).collect::<String>().into());
            }
            if self.spoke.elapsed() >= KEEP_ALIVE {
                return Some(Bytes::from_static(b":\n\n"));
            }
            self.service.stopping.run_until_cancelled(sleep(POLL_INTERVAL)).await?;
        }
    }
}

fn event(job: Job) -> String {
    let id = EventId(job.cursor());
    let entry = serde_json::to_string(&jobs::entry(job)).unwrap_or_default();
    format!("event: job\nid: {id}\ndata: {entry}\n\n")
}

/// The position of a change among all changes.
struct EventId(JobCursor);

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let JobCursor { updated_at_ms, number, tee_type } = self.0;
        write!(f, "{updated_at_ms}-{number}-{tee_type}")
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or("last-event-id: must be an event's id");
        let (at, number, tee_type) = (part()?, part()?, part()?);
        let cursor = at.parse().ok().zip(number.parse().ok()).zip(tee_type.parse().ok());
        let ((updated_at_ms, number), tee_type) = cursor.ok_or("last-event-id: must be an event's id")?;
        Ok(Self(JobCursor { updated_at_ms, number, tee_type }))
    }
}
