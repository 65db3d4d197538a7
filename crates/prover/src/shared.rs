//! What all parts of a prover share.

use crate::{config::Config, event::Event, identity::Identity, metrics::ProverMetrics, outcome::Outcome};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Receives each event.
pub(crate) type Observer = Box<dyn Fn(Event) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) metrics: ProverMetrics,
    /// The prover was told to stop: no new batches.
    pub(crate) stop: CancellationToken,
    /// A verification that was given up does not end, so the process must end.
    pub(crate) stuck: CancellationToken,
    /// The grace for stopping has passed: only last attempts are made.
    pub(crate) hurry: CancellationToken,
    /// Batches in progress.
    pub(crate) tasks: TaskTracker,
    pub(crate) observe: Observer,
}

impl Shared {
    /// Counts and logs the end of a batch, and reports it to the observer.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.metrics.ended(&outcome);
        outcome.log();
        if let Some(event) = outcome.into_event() {
            (self.observe)(event);
        }
    }
}
