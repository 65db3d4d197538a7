//! What all parts of a prover share.

use crate::{config::Config, event::Event, identity::Identity, metrics::ProverMetrics, outcome::Outcome};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Is told of each step.
pub(crate) type Observer = Box<dyn Fn(Event) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) metrics: ProverMetrics,
    /// Told to stop: no new batches.
    pub(crate) stop: CancellationToken,
    /// A verification that was given up does not end: the process has to.
    pub(crate) stuck: CancellationToken,
    /// The grace for stopping has passed: last attempts alone.
    pub(crate) hurry: CancellationToken,
    /// Batches in work.
    pub(crate) tasks: TaskTracker,
    pub(crate) observe: Observer,
}

impl Shared {
    /// A batch has come to its end: counts it, logs it, and tells the observer.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.metrics.ended(&outcome);
        outcome.log();
        if let Some(event) = outcome.into_event() {
            (self.observe)(event);
        }
    }
}
