//! One batch in work: verified, signed, and handed in.

use crate::{
    backoff::Backoff,
    budget::Reservation,
    endpoint::{Endpoint, fault},
    event::Event,
    identity::{Enclave, Identity},
    lease::HeldLease,
    prover::Shared,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tee_api::{ClientError, FailReport, SubmitProof};
use tee_verifier::{BatchInput, L1BatchNumber, Options, Rejection, VerifiedBatch};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinError, JoinHandle},
    time::{sleep, timeout},
};
use vise::GaugeGuard;

/// Our server's code for a lease that is over.
const STALE_LEASE: &str = "stale_lease";

/// How long the last attempt at handing in a proof may take, once the grace for stopping has passed.
const LAST_ATTEMPT: Duration = Duration::from_secs(1);

/// A batch that waits to be verified.
pub(crate) struct Job {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) input: BatchInput,
    pub(crate) lease: Option<HeldLease>,
    pub(crate) memory: Reservation,
    /// Bounds the batches of this server that are in work.
    pub(crate) in_hand: OwnedSemaphorePermit,
    pub(crate) queued: GaugeGuard,
    pub(crate) queued_at: Instant,
}

/// Why a batch cannot be proven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A short stable name.
    pub(crate) kind: &'static str,
    pub(crate) error: String,
}

/// Why there is no verdict.
enum Unfinished {
    /// The batch's fault.
    Failed(Failure),
    /// The prover's grace for stopping has passed.
    Stopped,
}

/// What became of a message that the server must get.
enum Delivery {
    Accepted,
    Refused(ClientError),
    /// The lease is over, or the prover's grace for stopping has passed.
    Abandoned,
}

impl Job {
    pub(crate) fn batch(&self) -> L1BatchNumber {
        self.input.l1_batch_env.number
    }

    /// Verifies, and frees the worker; then signs and submits, or reports the failure.
    pub(crate) async fn prove(self, shared: Arc<Shared>, worker: OwnedSemaphorePermit) {
        let batch = self.batch();
        let Self { endpoint, input, lease, memory, in_hand, queued, queued_at } = self;
        drop(queued);
        shared.metrics.stage[&"queue"].observe(queued_at.elapsed());
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
                shared.metrics.stage[&"verify"].observe(elapsed);
                tracing::info!(root = ?verified.root(), transactions = verified.transactions(), ?elapsed, "verified");
                (shared.observe)(Event::Verified { batch, elapsed });
                match &shared.identity {
                    // The lease is left to end by itself: given back, the same batch would come again at once.
                    Identity::None => shared.metrics.ended("verified", ""),
                    Identity::Enclave(enclave) => submit(&shared, &endpoint, enclave, &verified, lease).await,
                }
            }
            Err(Unfinished::Failed(failure)) => fail(&shared, &endpoint, Some(batch), failure, lease).await,
            Err(Unfinished::Stopped) => {
                tracing::warn!("stopped before the batch was verified");
                give_back(&shared, lease, "given_back").await;
            }
        }
        drop(in_hand);
    }

    /// Lets the batch go before any work on it.
    pub(crate) async fn give_back(self, shared: &Shared) {
        give_back(shared, self.lease, "given_back").await;
    }
}

/// Runs a verification on a thread of its own. A panic is that batch's failure and nobody else's. A verification that takes
/// too long is given up; its thread cannot be stopped, so it is counted until it ends, and one that does not end ends the prover.
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
            Ok(_) => tracing::warn!("a verification that was given up has ended"),
            Err(_) => {
                tracing::error!("a verification that was given up does not end: the prover stops");
                shared.stuck.cancel();
            }
        }
        drop(stuck);
    };
    // Not among the tasks that a stop waits for.
    tokio::spawn(watch);
}

/// The proof is kept and offered until the server takes it or refuses it for good, or the lease is gone.
async fn submit(
    shared: &Shared,
    endpoint: &Arc<Endpoint>,
    enclave: &Enclave,
    verified: &VerifiedBatch,
    lease: Option<HeldLease>,
) {
    let batch = verified.number();
    let signed = enclave.key.sign(verified);
    let proof = SubmitProof {
        signature: signed.signature,
        pubkey: enclave.key.public_key(),
        proof: verified.root(),
        tee_type: enclave.tee_type,
        statement: Some(signed.statement),
    };
    let started = Instant::now();
    let lease_id = lease.as_ref().map(HeldLease::id);
    let send = || endpoint.client.submit_proof(batch, &proof, lease_id);
    let mut delivery = deliver(shared, endpoint, &lease, "submit", send).await;
    // The server may have forgotten the key. If it takes it again, the proof is offered once more.
    if let Delivery::Refused(ClientError::Refused { status: 401 | 403, .. }) = &delivery {
        let registered = deliver(shared, endpoint, &lease, "register", || endpoint.register(&shared.identity)).await;
        if let Delivery::Accepted = registered {
            (shared.observe)(Event::Registered);
            delivery = deliver(shared, endpoint, &lease, "submit", send).await;
        }
    }
    match delivery {
        Delivery::Accepted => {
            shared.metrics.stage[&"submit"].observe(started.elapsed());
            shared.metrics.submitted(batch.0);
            endpoint.success();
            tracing::info!("submitted");
            (shared.observe)(Event::Submitted { batch });
        }
        Delivery::Refused(ClientError::Refused { code: Some(code), .. }) if code == STALE_LEASE => {
            tracing::warn!("the proof came too late: the batch is another prover's now");
            shared.metrics.ended("lost", "");
            (shared.observe)(Event::Lost { batch });
        }
        Delivery::Refused(error) => {
            tracing::error!(%error, "the proof was refused");
            shared.metrics.ended("refused", "");
            (shared.observe)(Event::Refused { batch, error: error.to_string() });
            endpoint.trouble(&error);
            if let ClientError::Refused { status: 401 | 403, .. } = error {
                endpoint.register_again();
                endpoint.setback();
                end(lease).await;
            } else {
                // Given back, the same batch would come again at once, and again.
                report(shared, endpoint, lease, FailReport::new("refused", &error.to_string())).await;
            }
        }
        Delivery::Abandoned => {
            tracing::warn!("the proof was not submitted");
            give_back(shared, lease, "abandoned").await;
        }
    }
}

/// Reports a batch that cannot be proven.
pub(crate) async fn fail(
    shared: &Shared,
    endpoint: &Arc<Endpoint>,
    batch: Option<L1BatchNumber>,
    failure: Failure,
    lease: Option<HeldLease>,
) {
    let Failure { kind, error } = failure;
    tracing::error!(kind, error, "the batch cannot be proven");
    shared.metrics.ended("failed", kind);
    (shared.observe)(Event::Failed { batch, kind, error: error.clone() });
    report(shared, endpoint, lease, FailReport::new(kind, &error)).await;
}

async fn report(shared: &Shared, endpoint: &Arc<Endpoint>, lease: Option<HeldLease>, report: FailReport) {
    let Some(id) = lease.as_ref().map(HeldLease::id) else { return endpoint.setback() };
    let send = || endpoint.client.fail_lease(id, &report);
    match deliver(shared, endpoint, &lease, "report", send).await {
        Delivery::Accepted | Delivery::Abandoned => {}
        Delivery::Refused(error) => {
            tracing::warn!(%error, "the report was refused");
            endpoint.setback();
        }
    }
}

/// Sends until the server has taken it or refused it, or there is no point any more: once the lease is lost, or the grace for
/// stopping has passed, there is one last attempt. A lease also ends when a proof was taken and only the answer got lost.
async fn deliver<F: Future<Output = Result<(), ClientError>>>(
    shared: &Shared,
    endpoint: &Endpoint,
    lease: &Option<HeldLease>,
    request: &'static str,
    send: impl Fn() -> F,
) -> Delivery {
    let _undelivered = shared.metrics.undelivered.inc_guard(1);
    let mut backoff = Backoff::delivery(&shared.config);
    loop {
        let last = shared.hurry.is_cancelled() || lease.as_ref().is_some_and(HeldLease::is_lost);
        let stopping = shared.stop.is_cancelled();
        // What answers while we fail counts.
        let contact = endpoint.next_contact();
        let out_of_time = async {
            shared.hurry.cancelled().await;
            sleep(LAST_ATTEMPT).await;
        };
        let sent = tokio::select! {
            sent = send() => sent,
            () = out_of_time => return Delivery::Abandoned,
        };
        let error = match sent {
            Ok(()) => return Delivery::Accepted,
            Err(error @ ClientError::Refused { .. }) => return Delivery::Refused(error),
            Err(_) if last => return Delivery::Abandoned,
            Err(error) => error,
        };
        endpoint.trouble(&error);
        shared.metrics.retries[&(request, fault(&error))].inc();
        let wait = backoff.after(&error);
        tracing::warn!(%error, ?wait, request, "not delivered yet");
        let woken = async {
            // A server that gives work and takes no proofs is not asked at the pace of its work.
            sleep(shared.config.initial_retry_backoff).await;
            contact.await;
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = woken => {}
            () = shared.stop.cancelled(), if !stopping => {}
            () = shared.hurry.cancelled() => {}
            () = lost(lease) => {}
        }
    }
}

/// Completes when the lease is lost.
async fn lost(lease: &Option<HeldLease>) {
    match lease {
        Some(lease) => lease.lost().await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn give_back(shared: &Shared, lease: Option<HeldLease>, outcome: &'static str) {
    shared.metrics.ended(outcome, "");
    end(lease).await;
}

async fn end(lease: Option<HeldLease>) {
    if let Some(lease) = lease {
        lease.give_back().await;
    }
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
