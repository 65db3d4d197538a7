//! What a prover counts. One struct, filled where things happen; label sets are bounded.

use crate::{
    endpoint::{Fault, ServerState},
    outcome::{Outcome, OutcomeLabel},
};
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tee_api::BUILD;
use vise::{
    Buckets, Counter, EncodeLabelSet, EncodeLabelValue, Format, Gauge, Histogram, Info, LabeledFamily, Metrics,
    Registry, Unit,
};

const SECONDS: Buckets = Buckets::values(&[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
]);

/// The text of each metric's comment is its help.
#[derive(Debug, Clone, Metrics)]
#[metrics(prefix = "tee_prover")]
pub(crate) struct ProverMetrics {
    /// Finished batches, by outcome: submitted, verified (by a prover of type none), failed, refused, lost (another
    /// prover has it), given_back, abandoned; and by the failure's kind (a rejection's check, unreadable, panic, timeout).
    #[metrics(labels = ["outcome", "kind"])]
    pub(crate) batches: LabeledFamily<(OutcomeLabel, &'static str), Counter, 2>,
    /// Seconds that a batch spent in a stage: fetch, decode, queue, verify, submit.
    #[metrics(labels = ["stage"], buckets = SECONDS, unit = Unit::Seconds)]
    pub(crate) stage: LabeledFamily<Stage, Histogram<Duration>>,
    /// Requests that failed and are sent again, by request (register, claim, read, submit, report, sign) and by the fault's kind.
    #[metrics(labels = ["request", "kind"])]
    pub(crate) retries: LabeledFamily<(Request, Fault), Counter, 2>,
    /// Lease renewals by outcome: renewed, failed, lost.
    #[metrics(labels = ["outcome"])]
    pub(crate) lease_renewals: LabeledFamily<Renewal, Counter>,
    /// Leases held.
    pub(crate) leases: Gauge<i64>,
    /// Batches that are being decoded or wait for a worker.
    pub(crate) queued: Gauge<i64>,
    /// Batches that are being verified.
    pub(crate) verifying: Gauge<i64>,
    /// Proofs and reports that no server has accepted yet.
    pub(crate) undelivered: Gauge<i64>,
    /// Threads that still run a verification that ran out of time.
    pub(crate) stuck_verifications: Gauge<i64>,
    /// Estimated memory of the batches being worked on.
    #[metrics(unit = Unit::Bytes)]
    pub(crate) memory_reserved: Gauge<u64>,
    /// Limit of the memory of the batches being worked on.
    #[metrics(unit = Unit::Bytes)]
    pub(crate) memory_budget: Gauge<u64>,
    /// Number of batches that can be verified at once.
    pub(crate) verification_workers: Gauge<u64>,
    /// Number of the batch whose proof was accepted last.
    pub(crate) last_batch: Gauge<u64>,
    /// When the last proof was accepted, in seconds since 1970.
    #[metrics(unit = Unit::Seconds)]
    pub(crate) last_submission_timestamp: Gauge<f64>,
    /// Servers by state: registered, unregistered, unreachable, refused, silent.
    #[metrics(labels = ["state"])]
    pub(crate) servers: LabeledFamily<ServerState, Gauge<u64>>,
    /// Age of the quote. Absent for a prover of type none.
    #[metrics(unit = Unit::Seconds)]
    pub(crate) attestation_age: Gauge<f64>,
    /// Whether the prover is ready to prove: 1 or 0.
    pub(crate) ready: Gauge<u64>,
    /// Seconds since the start.
    #[metrics(unit = Unit::Seconds)]
    pub(crate) uptime: Gauge<f64>,
    /// Version and build of this program.
    pub(crate) build: Info<Build>,
}

/// A part of a batch's way through the prover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[metrics(rename_all = "snake_case")]
pub(crate) enum Stage {
    Fetch,
    Decode,
    Queue,
    Verify,
    Submit,
}

/// What a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[metrics(format = "{}")]
pub(crate) enum Request {
    Register,
    Claim,
    Read,
    Submit,
    Report,
    Sign,
}

/// How an attempt at renewing a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[metrics(rename_all = "snake_case")]
pub(crate) enum Renewal {
    Renewed,
    Failed,
    Lost,
}

/// Version and build of this program.
#[derive(Debug, EncodeLabelSet)]
pub(crate) struct Build {
    version: &'static str,
    commit: &'static str,
    toolchain: &'static str,
    tee_type: &'static str,
    simulated: &'static str,
}

impl ProverMetrics {
    pub(crate) fn describe(&self, tee_type: &'static str, simulated: bool) {
        let simulated = if simulated { "true" } else { "false" };
        // Set once, at the start.
        let (commit, toolchain) = (BUILD.commit_label(), BUILD.toolchain_label());
        let _ = self.build.set(Build { version: BUILD.version, commit, toolchain, tee_type, simulated });
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.batches[&outcome.labels()].inc();
        if let Outcome::Submitted { batch } = outcome {
            self.last_batch.set(batch.0.into());
            self.last_submission_timestamp
                .set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        }
    }

    /// In the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut registry = Registry::empty();
        registry.register_metrics(self);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = registry.encode(&mut text, Format::OpenMetrics);
        text
    }
}

impl Request {
    /// Its name, in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Claim => "claim",
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Report => "report",
            Self::Sign => "sign",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules and dashboards name them, and a variant that is renamed would rename its label.
    #[test]
    fn labels_keep_their_names() {
        let metrics = ProverMetrics::default();
        let mut wanted = Vec::new();
        for (outcome, name) in [
            (OutcomeLabel::Submitted, "submitted"),
            (OutcomeLabel::Verified, "verified"),
            (OutcomeLabel::Failed, "failed"),
            (OutcomeLabel::Refused, "refused"),
            (OutcomeLabel::Lost, "lost"),
            (OutcomeLabel::GivenBack, "given_back"),
            (OutcomeLabel::Abandoned, "abandoned"),
        ] {
            metrics.batches[&(outcome, "")].inc();
            wanted.push(format!("tee_prover_batches_total{{outcome=\"{name}\",kind=\"\"}} 1"));
        }
        for (stage, name) in [
            (Stage::Fetch, "fetch"),
            (Stage::Decode, "decode"),
            (Stage::Queue, "queue"),
            (Stage::Verify, "verify"),
            (Stage::Submit, "submit"),
        ] {
            metrics.stage[&stage].observe(Duration::ZERO);
            wanted.push(format!("tee_prover_stage_seconds_count{{stage=\"{name}\"}} 1"));
        }
        let faults = [
            (Fault::Connect, "connect"),
            (Fault::Timeout, "timeout"),
            (Fault::Broken, "broken"),
            (Fault::Unavailable, "unavailable"),
            (Fault::Refused, "refused"),
            (Fault::Answer, "answer"),
        ];
        for (request, name) in [
            (Request::Register, "register"),
            (Request::Claim, "claim"),
            (Request::Read, "read"),
            (Request::Submit, "submit"),
            (Request::Report, "report"),
            (Request::Sign, "sign"),
        ] {
            for (fault, kind) in faults {
                metrics.retries[&(request, fault)].inc();
                wanted.push(format!("tee_prover_retries_total{{request=\"{name}\",kind=\"{kind}\"}} 1"));
            }
        }
        for (renewal, name) in [(Renewal::Renewed, "renewed"), (Renewal::Failed, "failed"), (Renewal::Lost, "lost")] {
            metrics.lease_renewals[&renewal].inc();
            wanted.push(format!("tee_prover_lease_renewals_total{{outcome=\"{name}\"}} 1"));
        }
        let states = ["registered", "unregistered", "unreachable", "refused", "silent"];
        for (state, name) in ServerState::ALL.into_iter().zip(states) {
            metrics.servers[&state].set(1);
            wanted.push(format!("tee_prover_servers{{state=\"{name}\"}} 1"));
        }
        let text = metrics.text();
        let lines: Vec<_> = text.lines().collect();
        for line in wanted {
            assert!(lines.contains(&&*line), "{line}\nin\n{text}");
        }
    }
}
