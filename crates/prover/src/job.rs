//! One batch in progress: verified, and handed over to be signed and delivered.

use crate::{
    budget::Reservation,
    delivery::Delivery,
    event::Event,
    identity::Identity,
    metrics::Stage,
    outcome::{Failure, Outcome, Unfinished},
    shared::Shared,
};
use std::{sync::Arc, time::Instant};
use tee_verifier::{BatchInput, L1BatchNumber, Options, Rejection, VerifiedBatch};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinError, JoinHandle},
    time::timeout,
};
use vise::GaugeGuard;

/// A batch that waits to be verified.
pub(crate) struct Job {
    pub(crate) delivery: Delivery,
    pub(crate) input: BatchInput,
    pub(crate) memory: Reservation,
    /// Limits the batches of this server that are in progress.
    pub(crate) in_hand: OwnedSemaphorePermit,
    pub(crate) queued: GaugeGuard,
    pub(crate) queued_at: Instant,
}

impl Job {
    pub(crate) fn batch(&self) -> L1BatchNumber {
        self.input.l1_batch_env.number
    }

    /// Verifies the batch and frees the worker; then signs and submits, or reports the failure.
    pub(crate) async fn prove(self, worker: OwnedSemaphorePermit) {
        let batch = self.batch();
        let Self { delivery, input, memory, in_hand, queued, queued_at } = self;
        let shared = delivery.shared.clone();
        drop(queued);
        shared.metrics.stage[&Stage::Queue].observe(queued_at.elapsed());
        (shared.observe)(Event::Started { batch });
        let started = Instant::now();
        let options = Options { pins: shared.config.pins.clone() };
        let verification = move || {
            let verdict = tee_verifier::verify(input, &options);
            drop(memory);
            verdict
        };
        let verdict = contained(&shared, verification).await;
        drop(worker);
        match verdict {
            Ok(verified) => {
                let elapsed = started.elapsed();
                shared.metrics.stage[&Stage::Verify].observe(elapsed);
                tracing::info!(root = ?verified.root(), transactions = verified.transactions(), ?elapsed, "verified");
                (shared.observe)(Event::Verified { batch, elapsed });
                match &shared.identity {
                    // The lease is not given back but left to expire: the same batch would come again at once.
                    Identity::None => shared.ended(Outcome::Verified),
                    Identity::Enclave(enclave) => delivery.submit(enclave, &verified).await,
                }
            }
            Err(Unfinished::Failed(failure)) => delivery.fail(Some(batch), failure).await,
            Err(Unfinished::Stopped) => delivery.give_back(Stage::Verify).await,
        }
        drop(in_hand);
    }
}

/// Runs a verification on a separate thread. A panic fails only that batch. A verification that takes too long is given
/// up. Its thread cannot be stopped, so it is counted until it ends; if it does not end, the prover stops.
async fn contained(
    shared: &Arc<Shared>,
    verification: impl FnOnce() -> Result<VerifiedBatch, Rejection> + Send + 'static,
) -> Result<VerifiedBatch, Unfinished> {
    let limit = shared.config.verification_timeout;
    let mut thread = tokio::task::spawn_blocking(verification);
    let _verifying = shared.metrics.verifying.inc_guard(1);
    let ended = tokio::select! {
        ended = timeout(limit, &mut thread) => ended,
        () = shared.hurry.cancelled() => return Err(Unfinished::Stopped),
    };
    match ended {
        Ok(verdict) => judged(verdict).map_err(Unfinished::Failed),
        Err(_) => {
            watch(shared, thread);
            Err(Unfinished::Failed(Failure { kind: "timeout", error: format!("not verified within {limit:?}") }))
        }
    }
}

fn judged(verdict: Result<Result<VerifiedBatch, Rejection>, JoinError>) -> Result<VerifiedBatch, Failure> {
    match verdict {
        Ok(verdict) => verdict.map_err(|rejection| Failure { kind: rejection.check(), error: rejection.to_string() }),
        Err(panic) => Err(Failure { kind: "panic", error: panic.to_string() }),
    }
}

fn watch<T: Send + 'static>(shared: &Arc<Shared>, thread: JoinHandle<T>) {
    let stuck = shared.metrics.stuck_verifications.inc_guard(1);
    let shared = shared.clone();
    let watch = async move {
        match timeout(shared.config.stuck_verification_timeout, thread).await {
            Ok(_) => tracing::warn!("a verification that ran out of time has ended"),
            Err(_) => {
                tracing::error!("a verification that ran out of time does not end: the prover stops");
                shared.stuck.cancel();
            }
        }
        drop(stuck);
    };
    // A stop does not wait for this task.
    tokio::spawn(watch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_verification_is_that_batchs_failure() {
        let verdict = tokio::task::spawn_blocking(|| panic!("out of order")).await;
        let failure = judged(verdict).unwrap_err();
        assert_eq!(failure.kind, "panic");
        assert!(failure.error.contains("out of order"), "{}", failure.error);
    }
}
