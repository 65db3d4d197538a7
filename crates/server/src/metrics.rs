//! What the server counts, and how things stand in the database when it is asked.

use std::time::Duration;

use tee_api::{BUILD, JobStatus, TeeType};
use tokio::time::timeout;
use vise::{
    Buckets, Counter, EncodeLabelSet, Family, Format, Gauge, Histogram, Info, Metrics as Group, Registry, Unit,
};

use crate::{clock::Clock, database::Database, watched::Reload};

/// How long the state may take to be read: a scraper waits 10 s as a rule.
const PATIENCE: Duration = Duration::from_secs(6);

/// What this process counts.
#[derive(Debug, Clone, Group)]
#[metrics(prefix = "tee_server")]
pub(crate) struct Metrics {
    /// Requests answered, by endpoint and status.
    requests: Family<Answered, Counter>,
    /// Time from a request's header to its answer's, by endpoint.
    #[metrics(unit = Unit::Seconds, buckets = Buckets::LATENCIES)]
    request_duration: Family<Route, Histogram<Duration>>,
    /// Batches handed out, by type of enclave.
    pub(crate) batches_handed_out: Family<OfTeeType, Counter>,
    /// Accepted proofs, including repeated submissions, by type of enclave.
    pub(crate) proofs_accepted: Family<OfTeeType, Counter>,
    /// Proofs refused, by the problem's code.
    proofs_refused: Family<Refused, Counter>,
    /// ALARM when not 0: proofs that contradict an accepted proof of their batch, or the next batch.
    pub(crate) disagreements_seen: Counter,
    /// Judgements of registered keys that failed because collateral was missing.
    pub(crate) judgements_failed: Counter,
    /// Changes of the tokens file, the certificate, the policy and the known builds while the server runs, by outcome:
    /// taken_over or refused.
    reloads: Family<ReloadLabels, Counter>,
    /// Batches that the mirrored node has and this server does not.
    pub(crate) mirror_lag_batches: Gauge<u64>,
    /// Batches of the mirrored node that could not be fetched and are tried again later.
    pub(crate) mirror_put_off_batches: Gauge<usize>,
    /// Attempts to complete inputs that lack paths, by outcome.
    pub(crate) completions: Family<CompletionOutcome, Counter>,
    /// Inputs of finished batches that were deleted because of `keep_finished_inputs`.
    pub(crate) inputs_retired: Counter,
    /// Size of these inputs in the object store, in bytes.
    pub(crate) input_bytes_retired: Counter,
    /// Open connections.
    pub(crate) open_connections: Gauge<usize>,
    /// Clients that are following the events.
    pub(crate) event_streams: Gauge<usize>,
    /// Version and build of this program.
    build: Info<BuildLabels>,
}

#[derive(Debug, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    commit: &'static str,
    toolchain: &'static str,
}

/// Whether the database could be asked.
#[derive(Debug, Group)]
#[metrics(prefix = "tee_server")]
struct DatabaseHealth {
    /// Whether the database accepts writes: 1 or 0. Gauges of state are present when it can be read.
    database_up: Gauge<u64>,
    /// How long ago the last test write to the database succeeded.
    #[metrics(unit = Unit::Seconds)]
    database_last_write_age: Gauge<Duration>,
}

/// What the database says at the time of a scrape, whichever server did it.
#[derive(Debug, Group)]
#[metrics(prefix = "tee_server")]
struct State {
    /// Unfinished jobs, by type of enclave and status; counted up to 100,000.
    jobs: Family<JobLabels, Gauge<u64>>,
    /// Lowest batch with an unfinished job, by type of enclave and status.
    jobs_lowest_batch: Family<JobLabels, Gauge<u64>>,
    /// ALARM when not 0: stored proofs that contradict an accepted or known root, and that nobody has explained yet.
    disagreements: Gauge<u64>,
    /// Batches whose input lacks paths and has yet to be completed.
    incomplete_inputs: Gauge<u64>,
    /// Registered keys: `in_force`; `revoked`, which includes the keys that the policy refuses; and `suspended`, which
    /// `in_force` includes.
    keys: Family<Standing, Gauge<u64>>,
    /// Provers that asked for work within the last day, by type of enclave and state: working, or paused because they
    /// only fail.
    provers: Family<ProverLabels, Gauge<u64>>,
    /// Age of the oldest judgement among the keys in force. If it exceeds the interval of judging again, collateral is
    /// missing.
    #[metrics(unit = Unit::Seconds)]
    oldest_judgement_age: Gauge<Duration>,
    /// Time until the first collateral of a key in force expires; negative once it has expired.
    #[metrics(unit = Unit::Seconds)]
    collateral_left: Gauge<f64>,
    /// Blobs deleted by all runs of `gc`.
    gc_deleted_blobs: Gauge<u64>,
    /// Size of the blobs deleted by all runs of `gc`, in bytes.
    gc_deleted_bytes: Gauge<u64>,
}

/// Where `gc` ever came to its end.
#[derive(Debug, Group)]
#[metrics(prefix = "tee_server")]
struct GcRun {
    /// How long ago the last run of `gc` finished.
    #[metrics(unit = Unit::Seconds)]
    gc_age: Gauge<Duration>,
}

/// Where the time is the database's.
#[derive(Debug, Group)]
#[metrics(prefix = "tee_server")]
struct Time {
    /// How far this machine's clock is ahead of the database's, which decides about leases; negative if it is behind.
    #[metrics(unit = Unit::Seconds)]
    clock_skew: Gauge<f64>,
}

/// The batches that are there, if any.
#[derive(Debug, Group)]
#[metrics(prefix = "tee_server")]
struct Batches {
    /// Lowest batch that the server has.
    oldest_batch: Gauge<u64>,
    /// Highest batch that the server has.
    latest_batch: Gauge<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// The label of a TEE type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfTeeType {
    tee_type: &'static str,
}

/// What became of an attempt to complete an input: `completed`, `failed` to be tried again, `given_up`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CompletionOutcome {
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    tee_type: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    standing: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    file: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProverLabels {
    tee_type: &'static str,
    state: &'static str,
}

impl From<TeeType> for OfTeeType {
    fn from(tee_type: TeeType) -> Self {
        Self { tee_type: tee_type.as_str() }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self::default();
        let (commit, toolchain) = (BUILD.commit_label(), BUILD.toolchain_label());
        // Set once, just here.
        let _ = metrics.build.set(BuildLabels { version: BUILD.version, commit, toolchain });
        metrics
    }

    /// Counts an answer. `route` is a path with its parameters' names, so that there are not more labels than endpoints.
    pub(crate) fn answered(&self, route: Option<&str>, status: u16, after: Duration) {
        let route = route.unwrap_or("none").to_owned();
        self.request_duration[&Route { route: route.clone() }].observe(after);
        self.requests[&Answered { route, status }].inc();
    }

    /// Counts a change of a file that was taken over or not, if there was one.
    pub(crate) fn reloaded(&self, file: &'static str, reload: Option<Reload>) {
        let outcome = match reload {
            None => return,
            Some(Reload::TakenOver) => "taken_over",
            Some(Reload::Refused) => "refused",
        };
        self.reloads[&ReloadLabels { file, outcome }].inc();
    }

    /// Counts a refused proof.
    pub(crate) fn refused(&self, code: &'static str) {
        self.proofs_refused[&Refused { reason: code }].inc();
    }

    /// All of it in the OpenMetrics text format.
    pub(crate) async fn scrape(&self, database: &Database, clock: &Clock) -> String {
        let mut registry = Registry::empty();
        registry.register_metrics(self);
        let health = DatabaseHealth::default();
        registry.register_metrics(&health);
        let time = Time::default();
        if let Clock::Database(clock) = clock {
            time.clock_skew.set(clock.skew_ms() as f64 / 1000.0);
            registry.register_metrics(&time);
        }
        let read = timeout(PATIENCE, read_state(database, clock));
        let (written, state) = tokio::join!(database.ping(clock.now_ms()), read);
        if let Some(age) = database.last_write_age().await {
            health.database_last_write_age.set(age);
        }
        let state = state.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        match written {
            Ok(()) => {
                health.database_up.set(1);
            }
            Err(error) => tracing::error!(%error, "the database does not accept writes"),
        }
        match state {
            Ok((state, batches, gc)) => {
                registry.register_metrics(&state);
                gc.iter().for_each(|gc| registry.register_metrics(gc));
                batches.iter().for_each(|batches| registry.register_metrics(batches));
            }
            Err(error) => tracing::error!(%error, "cannot read the state for metrics"),
        }
        let mut text = String::new();
        registry.encode(&mut text, Format::OpenMetrics).expect("a string takes all");
        text
    }
}

async fn read_state(
    database: &Database,
    clock: &Clock,
) -> Result<(State, Option<Batches>, Option<GcRun>), sqlx::Error> {
    let state = State::default();
    for count in database.job_counts().await? {
        let labels = JobLabels { tee_type: count.tee_type.as_str(), status: JobStatus::as_str(count.status) };
        state.jobs[&labels].set(count.jobs);
        state.jobs_lowest_batch[&labels].set(count.lowest_batch.into());
    }
    for count in database.prover_counts(clock.now_ms()).await? {
        let labels = |state| ProverLabels { tee_type: count.tee_type.as_str(), state };
        state.provers[&labels("working")].set(count.active.saturating_sub(count.paused));
        state.provers[&labels("paused")].set(count.paused);
    }
    let counts = database.state_counts().await?;
    state.disagreements.set(counts.disagreements);
    state.incomplete_inputs.set(counts.incomplete_inputs);
    state.keys[&Standing { standing: "in_force" }].set(counts.keys_in_force);
    state.keys[&Standing { standing: "revoked" }].set(counts.keys_revoked);
    state.keys[&Standing { standing: "suspended" }].set(counts.keys_suspended);
    let age_ms = counts.oldest_judgement_ms.map_or(0, |passed_ms| clock.now_ms().saturating_sub(passed_ms));
    state.oldest_judgement_age.set(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)));
    if let Some(valid_until_ms) = counts.first_collateral_end_ms {
        state.collateral_left.set(valid_until_ms.saturating_sub(clock.now_ms()) as f64 / 1000.0);
    }
    let totals = database.gc_totals().await?;
    state.gc_deleted_blobs.set(totals.deleted_blobs);
    state.gc_deleted_bytes.set(totals.deleted_bytes);
    let gc = totals.ended_at_ms.map(|ended_at_ms| {
        let age_ms = clock.now_ms().saturating_sub(ended_at_ms);
        let gc = GcRun::default();
        gc.gc_age.set(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)));
        gc
    });
    let batches = match database.present_batches().await? {
        (Some(oldest), Some(latest)) => {
            let batches = Batches::default();
            batches.oldest_batch.set(oldest.into());
            batches.latest_batch.set(latest.into());
            Some(batches)
        }
        _ => None,
    };
    Ok((state, batches, gc))
}
