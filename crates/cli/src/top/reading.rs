//! One reading of a server's data.

use chrono::Utc;
use serde::Serialize;
use tee_api::{Client, ClientError, JobEntry, JobStatus, JobsRequest, ProverEntry};

use super::{
    alarms::{self, Alarm},
    queue::Queue,
    rates::Counters,
    samples::Samples,
};

/// The most provers, and the most failing jobs, that are fetched: more than a screen shows.
const MAX_PROVERS: u32 = 100;
const MAX_FAILING: u32 = 50;

/// The state of a server, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Reading {
    /// The server's version.
    pub(super) version: Option<String>,
    pub(super) alarms: Vec<Alarm>,
    pub(super) queue: Vec<Queue>,
    pub(super) counters: Counters,
    pub(super) keys: Keys,
    pub(super) provers: Vec<ProverEntry>,
    /// Whether there are more than these.
    pub(super) more_provers: bool,
    /// The lowest batches that failed.
    pub(super) failing: Vec<JobEntry>,
}

/// How many keys there are.
#[derive(Debug, Default, Serialize)]
pub(super) struct Keys {
    pub(super) in_force: u64,
    pub(super) suspended: u64,
    pub(super) revoked: u64,
}

impl Reading {
    pub(super) async fn read(client: &Client) -> Result<Self, ClientError> {
        let failed = JobsRequest { status: Some(JobStatus::Failed), limit: MAX_FAILING, ..JobsRequest::default() };
        let (metrics, provers, failing) =
            tokio::try_join!(client.metrics(), client.provers(None, MAX_PROVERS), client.jobs(&failed))?;
        Ok(Self::of(&Samples::parse(&metrics), provers.items, provers.next.is_some(), failing.items))
    }

    pub(super) fn of(
        samples: &Samples,
        mut provers: Vec<ProverEntry>,
        more_provers: bool,
        failing: Vec<JobEntry>,
    ) -> Self {
        // Those that were silent longest come last. The format of the times allows comparing them as text.
        provers.sort_by(|one, other| other.asked_at.cmp(&one.asked_at).then_with(|| one.prover.cmp(&other.prover)));
        let keys = |standing| {
            let keys = samples.of("tee_server_keys").find(|sample| sample.label("standing") == Some(standing));
            keys.map_or(0, |sample| sample.count())
        };
        let queue = Queue::all(samples);
        let version = samples.of("tee_server_build_info").find_map(|sample| sample.label("version"));
        Self {
            version: version.map(str::to_owned),
            alarms: alarms::of(samples, &queue, &provers, Utc::now()),
            queue,
            counters: Counters {
                handed_out: samples.total("tee_server_batches_handed_out_total"),
                accepted: samples.total("tee_server_proofs_accepted_total"),
                refused: samples.total("tee_server_proofs_refused_total"),
            },
            keys: Keys { in_force: keys("in_force"), suspended: keys("suspended"), revoked: keys("revoked") },
            provers,
            more_provers,
            failing,
        }
    }
}
