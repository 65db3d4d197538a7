//! `GET /overview`: whether proving keeps up with the chain, and if not, why. For operators.

mod alarms;

use std::sync::Arc;

use askama::Template;
use axum::{Extension, extract::State, response::IntoResponse};
use tee_api::{JobStatus, TeeType};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

pub(super) use self::alarms::Alarm;
use super::{
    frame::{Frame, Page},
    pace::{self, Pace},
    shown::{self, At, Short, Span, Tone},
};
use crate::{
    clock::Clock,
    database::{AttestationEntry, FailureCount, JobCount, ProverCount, ProverEntry, StateCounts},
    http::{App, Problem, authorize::Asking},
    keys::Trust,
    service::Service,
};

/// Readers within this time see the same data: however many there are, the database is queried as if there were one.
const KEPT: Duration = Duration::from_secs(1);

/// The most provers that are shown, and the most keys.
const MAX_SHOWN: u32 = 50;

/// The data that was read last, for all readers.
#[derive(Clone, Default)]
pub(in crate::http) struct Latest(Arc<Mutex<Option<Reading>>>);

struct Reading {
    at: Instant,
    seen: Arc<Seen>,
}

/// The state of the server.
pub(super) struct Seen {
    now_ms: i64,
    jobs: Vec<JobCount>,
    provers_at_work: Vec<ProverCount>,
    state: StateCounts,
    provers: Vec<ProverEntry>,
    keys: Vec<AttestationEntry>,
    failures: Vec<FailureCount>,
    pace: Pace,
    /// The lowest batch without a proof, and when it was added.
    oldest: Option<(u32, At)>,
    /// How far this machine's clock is ahead of the database's.
    skew_ms: i64,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    trust: Trust,
    alarms: Vec<Alarm>,
    tiles: [Tile; 4],
    seen: Arc<Seen>,
}

/// A number at the top.
struct Tile {
    name: &'static str,
    count: String,
    tone: Tone,
    detail: String,
}

pub(super) async fn page(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
) -> Result<impl IntoResponse, Problem> {
    let seen = app.overview.seen(&app.service).await?;
    Ok(Page(OverviewPage {
        frame: Frame::of(&asking),
        trust: app.service.trust(),
        alarms: alarms::of(&seen),
        tiles: seen.tiles(),
        seen,
    }))
}

/// The alarms, on a page that is not only for readers. Others are shown none.
pub(super) async fn alarms_for(frame: Frame, app: &App) -> Result<Vec<Alarm>, Problem> {
    if !frame.may_read {
        return Ok(vec![]);
    }
    Ok(alarms::of(&*app.overview.seen(&app.service).await?))
}

impl Latest {
    async fn seen(&self, service: &Service) -> Result<Arc<Seen>, sqlx::Error> {
        let mut latest = self.0.lock().await;
        if let Some(reading) = latest.as_ref().filter(|reading| reading.at.elapsed() < KEPT) {
            return Ok(reading.seen.clone());
        }
        let seen = Arc::new(Seen::read(service).await?);
        *latest = Some(Reading { at: Instant::now(), seen: seen.clone() });
        Ok(seen)
    }
}

impl Seen {
    async fn read(service: &Service) -> Result<Self, sqlx::Error> {
        let now_ms = service.clock.now_ms();
        let jobs = service.job_counts().await?;
        let waiting = jobs.iter().filter(|count| count.tee_type != TeeType::None && is_waiting(count.status));
        let oldest = match waiting.map(|count| count.lowest_batch).min() {
            None => None,
            Some(lowest) => {
                let batch = service.batches(lowest.checked_sub(1), 1).await?.into_iter().next();
                batch.map(|batch| (batch.number, At(batch.sealed_at_ms.unwrap_or(batch.created_at_ms))))
            }
        };
        let finished = service.finished_jobs(now_ms.saturating_sub(pace::WEEK_MS), pace::MAX_JOBS).await?;
        Ok(Self {
            now_ms,
            jobs,
            provers_at_work: service.prover_counts().await?,
            state: service.state_counts().await?,
            provers: service.provers(None, MAX_SHOWN).await?,
            keys: service.latest_attestations(MAX_SHOWN).await?,
            failures: service.failures_by_kind().await?,
            pace: Pace::of(&finished, now_ms),
            oldest,
            skew_ms: match &service.clock {
                Clock::Database(clock) => clock.skew_ms(),
                _ => 0,
            },
        })
    }

    fn jobs(&self, status: JobStatus) -> u64 {
        let counts = self.jobs.iter().filter(|count| count.status == status && count.tee_type != TeeType::None);
        counts.map(|count| count.jobs).sum()
    }

    fn ago(&self, at: &At) -> Span {
        Span(self.now_ms.saturating_sub(at.0))
    }

    fn collateral_left(&self) -> Option<Span> {
        self.state.first_collateral_end_ms.map(|end_ms| Span(end_ms.saturating_sub(self.now_ms)))
    }

    fn judged_ago(&self) -> Option<Span> {
        self.state.oldest_judgement_ms.map(|passed_ms| Span(self.now_ms.saturating_sub(passed_ms)))
    }

    fn tiles(&self) -> [Tile; 4] {
        let [hour, day, _] = &self.pace.windows;
        let (ready, picked) = (self.jobs(JobStatus::ReadyToBeProven), self.jobs(JobStatus::PickedByProver));
        let (failed, ignored) = (self.jobs(JobStatus::Failed), self.jobs(JobStatus::PermanentlyIgnored));
        let oldest = self.oldest.as_ref().map(|(number, at)| format!("oldest: batch {number}, {}", self.ago(at)));
        let tile = |name, count: String, tone, detail| Tile { name, count, tone, detail };
        [
            tile("proven, last hour", hour.proven.to_string(), Tone::Good, format!("{} in the last day", day.proven)),
            tile(
                "waiting",
                ready.to_string(),
                Tone::Plain,
                format!("{picked} being proven; {}", oldest.unwrap_or_else(|| "none waits".to_owned())),
            ),
            tile(
                "failing",
                failed.to_string(),
                if failed > 0 { Tone::Warning } else { Tone::Plain },
                "will be tried again".to_owned(),
            ),
            tile(
                "given up",
                ignored.to_string(),
                if ignored > 0 { Tone::Warning } else { Tone::Plain },
                "not tried again automatically".to_owned(),
            ),
        ]
    }
}

fn is_waiting(status: JobStatus) -> bool {
    matches!(status, JobStatus::ReadyToBeProven | JobStatus::PickedByProver | JobStatus::Failed)
}
