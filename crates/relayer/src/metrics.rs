//! What a relayer counts.

use std::time::{SystemTime, UNIX_EPOCH};

use tee_api::{BUILD, listener::Monitored};
use vise::{Counter, EncodeLabelSet, Format, Gauge, Info, LabeledFamily, Metrics, Registry, Unit};

/// A relayer that has not been through its work for so long is not ready, in seconds.
const READY_WITHIN_SECS: f64 = 20.0 * 60.0;

/// The text of each metric's comment is its help.
#[derive(Debug, Clone, Metrics)]
#[metrics(prefix = "tee_relayer")]
pub(crate) struct RelayerMetrics {
    /// Finished rounds, by outcome: done or failed.
    #[metrics(labels = ["outcome"])]
    pub(crate) rounds: LabeledFamily<&'static str, Counter>,
    /// When the last round was done, in seconds since 1970.
    #[metrics(unit = Unit::Seconds)]
    pub(crate) last_done: Gauge<f64>,
    /// The last batch that is proven on the contract.
    pub(crate) proven_batch: Gauge<u64>,
    /// Batches after it for which the server has valid proofs.
    pub(crate) batches_to_prove: Gauge<u64>,
    /// Whether the ProofVerifier is paused: 1 or 0. While it is, nothing is proven or approved until its owner resumes
    /// it.
    pub(crate) verifier_paused: Gauge<u64>,
    /// Keys that provers have shown to be in use and that are not registered yet.
    pub(crate) keys_to_register: Gauge<u64>,
    /// Batches whose proofs the relayer's own check refused when it last looked.
    pub(crate) batches_refused: Gauge<u64>,
    /// Transactions sent, including replacements.
    pub(crate) transactions_sent: Counter,
    /// Gas used by transactions.
    pub(crate) gas_used: Counter,
    /// Balance of the account, in ether.
    pub(crate) balance_ether: Gauge<f64>,
    /// Version and build of this program.
    pub(crate) build: Info<Build>,
}

/// What runs.
#[derive(Debug, EncodeLabelSet)]
pub(crate) struct Build {
    version: &'static str,
    commit: &'static str,
    toolchain: &'static str,
}

impl RelayerMetrics {
    pub(crate) fn new() -> Self {
        let metrics = Self::default();
        // Set once, at the start.
        let (commit, toolchain) = (BUILD.commit_label(), BUILD.toolchain_label());
        let _ = metrics.build.set(Build { version: BUILD.version, commit, toolchain });
        metrics
    }

    /// A round has ended.
    pub(crate) fn ended(&self, is_done: bool) {
        self.rounds[&if is_done { "done" } else { "failed" }].inc();
        if is_done {
            self.last_done.set(now_secs());
        }
    }
}

impl Monitored for RelayerMetrics {
    fn metrics(&self) -> String {
        let mut registry = Registry::empty();
        registry.register_metrics(self);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = registry.encode(&mut text, Format::OpenMetrics);
        text
    }

    fn not_ready(&self) -> Vec<String> {
        let is_ready = now_secs() - self.last_done.get() < READY_WITHIN_SECS;
        if is_ready { vec![] } else { vec!["no round succeeded within 20 minutes".to_owned()] }
    }
}

fn now_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
