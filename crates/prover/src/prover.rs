//! The prover's loop.

use crate::{
    backoff::{Backoff, jittered},
    config::Config,
    event::Event,
    identity::{Enclave, Identity},
    lease::HeldLease,
};
use std::time::{Duration, Instant};
use tee_api::{
    Client, ClientError, ClientOptions, ClientSetupError, FailReport, RegisterAttestation, SubmitProof, Work,
};
use tee_verifier::{BatchInput, Options, Rejection, VerifiedBatch};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use zksync_types::L1BatchNumber;

/// How long a finished proof is still offered to a server that does not answer, once the prover is told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// How long giving back a lease may take on the way out.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a prover stops without being told to.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// The server's URL, or TLS.
    #[error("api_url: {0}")]
    Client(#[from] ClientSetupError),
    /// Simulated proofs would reach a server on another machine, where somebody may take them for real ones.
    #[error("a simulated prover submits only to this machine (--danger-simulated-proofs allows more)")]
    SimulatedProofs,
    /// Asking the server failed too many times in a row.
    #[error("gave up after {retries} retries: {error}")]
    GaveUp {
        /// The configured number.
        retries: u32,
        /// The last failure.
        error: ClientError,
    },
}

/// Proves batches until `stop` is cancelled. Then it finishes the batch in hand, if any, and returns.
///
/// For each batch: fetch, verify, sign, submit. A batch that cannot be proven is reported to the server, where there is a
/// lease to do so, and the next one is taken. A proof is offered until the server takes it or refuses it, or the lease
/// is over. A prover of type `none` stops short of signing.
pub async fn run(
    config: Config,
    identity: Identity,
    stop: CancellationToken,
    observe: impl Fn(Event) + Send + Sync,
) -> Result<(), RunError> {
    let client = Client::new(&config.api_url, ClientOptions::default())?;
    let simulated = matches!(&identity, Identity::Enclave(enclave) if enclave.simulated);
    if simulated && !client.is_loopback() && !config.danger_simulated_proofs {
        return Err(RunError::SimulatedProofs);
    }
    Prover { config, client, identity, stop, observe }.run().await
}

struct Prover<O> {
    config: Config,
    client: Client,
    identity: Identity,
    stop: CancellationToken,
    observe: O,
}

/// How to go on after a batch.
enum Next {
    /// At once.
    Batch,
    /// After a wait: the server may hand out the same batch again.
    Wait,
    /// After registering again, and a wait: the server may have forgotten the key.
    Register,
}

/// Why a batch cannot be proven.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    kind: &'static str,
    error: String,
}

/// What became of a message that the server must get.
enum Delivery {
    Accepted,
    Refused(ClientError),
    /// The lease is over, or the prover is to stop and its grace has passed.
    Abandoned,
}

impl<O: Fn(Event) + Send + Sync> Prover<O> {
    async fn run(self) -> Result<(), RunError> {
        let mut backoff = Backoff::new(&self.config);
        let mut faults = 0;
        let mut registered = false;
        while let Some(asked) = self.stop.run_until_cancelled(self.ask(&mut registered)).await {
            let wait = match asked {
                Ok(None) => {
                    faults = 0;
                    backoff.reset();
                    jittered(self.config.initial_retry_backoff)
                }
                Ok(Some(work)) => {
                    faults = 0;
                    match self.prove(work).await {
                        Next::Batch => {
                            backoff.reset();
                            continue;
                        }
                        Next::Wait => backoff.next(None),
                        Next::Register => {
                            registered = false;
                            backoff.next(None)
                        }
                    }
                }
                Err(error) => {
                    if let Some(retries) = self.config.max_retries.filter(|retries| faults >= *retries) {
                        return Err(RunError::GaveUp { retries, error });
                    }
                    faults = faults.saturating_add(1);
                    let wait = wait_after(&error, &mut backoff);
                    tracing::warn!(%error, ?wait, "the server gives no work");
                    wait
                }
            };
            self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        Ok(())
    }

    /// Registers the key unless that is done, and asks for a batch.
    async fn ask(&self, registered: &mut bool) -> Result<Option<Work>, ClientError> {
        if let (Identity::Enclave(enclave), false) = (&self.identity, *registered) {
            let registration =
                RegisterAttestation { attestation: enclave.quote.clone(), pubkey: enclave.key.public_key() };
            self.client.register_attestation(&registration).await?;
            tracing::info!(public_key = %registration.pubkey, tee_type = %enclave.tee_type, "registered");
            (self.observe)(Event::Registered);
            *registered = true;
        }
        self.client.proof_inputs(self.identity.tee_type()).await
    }

    async fn prove(&self, work: Work) -> Next {
        let lease = work.lease.map(|lease| HeldLease::hold(self.client.clone(), lease));
        match work.input {
            Ok(input) => {
                let batch = input.l1_batch_env.number;
                self.prove_batch(batch, input, lease).instrument(tracing::info_span!("batch", number = batch.0)).await
            }
            Err(error) => self.fail(None, Failure { kind: "unreadable", error: error.to_string() }, lease).await,
        }
    }

    async fn prove_batch(&self, batch: L1BatchNumber, input: BatchInput, lease: Option<HeldLease>) -> Next {
        (self.observe)(Event::Fetched { batch });
        let started = Instant::now();
        let options = Options { chain_id: self.config.chain_id };
        let verified = match contained(move || tee_verifier::verify(input, options)).await {
            Ok(verified) => verified,
            Err(failure) => return self.fail(Some(batch), failure, lease).await,
        };
        let elapsed = started.elapsed();
        tracing::info!(root = ?verified.root(), transactions = verified.transactions(), ?elapsed, "verified");
        (self.observe)(Event::Verified { batch, elapsed });
        match &self.identity {
            // The lease is left to end by itself: given back, the same batch would come again at once.
            Identity::None => Next::Batch,
            Identity::Enclave(enclave) => self.submit(enclave, &verified, lease).await,
        }
    }

    async fn submit(&self, enclave: &Enclave, verified: &VerifiedBatch, lease: Option<HeldLease>) -> Next {
        let batch = verified.number();
        let signed = enclave.key.sign(verified);
        let proof = SubmitProof {
            signature: signed.signature,
            pubkey: enclave.key.public_key(),
            proof: verified.root(),
            tee_type: enclave.tee_type,
            statement: Some(signed.statement),
        };
        let lease_id = lease.as_ref().map(HeldLease::id);
        match self.deliver(&lease, || self.client.submit_proof(batch, &proof, lease_id)).await {
            Delivery::Accepted => {
                tracing::info!("submitted");
                (self.observe)(Event::Submitted { batch });
                Next::Batch
            }
            Delivery::Refused(error) => {
                tracing::error!(%error, "the proof was refused");
                (self.observe)(Event::Refused { batch, error: error.to_string() });
                self.give_back(lease).await;
                Next::Register
            }
            Delivery::Abandoned => {
                tracing::warn!("the proof was not submitted");
                self.give_back(lease).await;
                Next::Batch
            }
        }
    }

    /// Reports a batch that cannot be proven.
    async fn fail(&self, batch: Option<L1BatchNumber>, failure: Failure, lease: Option<HeldLease>) -> Next {
        let Failure { kind, error } = failure;
        tracing::error!(kind, error, "the batch cannot be proven");
        (self.observe)(Event::Failed { batch, kind, error: error.clone() });
        let Some(id) = lease.as_ref().map(HeldLease::id) else { return Next::Wait };
        let report = FailReport::new(kind, &error);
        match self.deliver(&lease, || self.client.fail_lease(id, &report)).await {
            Delivery::Accepted | Delivery::Abandoned => Next::Batch,
            Delivery::Refused(error) => {
                tracing::warn!(%error, "the report was refused");
                Next::Wait
            }
        }
    }

    /// Sends until the server has taken it or refused it, or there is no point any more. Once the lease is lost there is
    /// one last attempt: a lease also ends when a proof was taken and only the answer got lost.
    async fn deliver<F: Future<Output = Result<(), ClientError>>>(
        &self,
        lease: &Option<HeldLease>,
        send: impl Fn() -> F,
    ) -> Delivery {
        let sending = async {
            let mut backoff = Backoff::new(&self.config);
            loop {
                let last = lease.as_ref().is_some_and(HeldLease::is_lost);
                match send().await {
                    Ok(()) => return Delivery::Accepted,
                    Err(error @ ClientError::Refused { .. }) => return Delivery::Refused(error),
                    Err(_) if last => return Delivery::Abandoned,
                    Err(error) => {
                        let wait = wait_after(&error, &mut backoff);
                        tracing::warn!(%error, ?wait, "not delivered yet");
                        let wait = tokio::time::sleep(wait);
                        match lease {
                            Some(lease) => lease.until_lost(wait).await,
                            None => wait.await,
                        }
                    }
                }
            }
        };
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            delivery = sending => delivery,
            () = stopped => Delivery::Abandoned,
        }
    }

    /// Lets another prover have the batch now rather than when the lease ends. Worth a try, no more.
    async fn give_back(&self, lease: Option<HeldLease>) {
        if let Some(lease) = lease {
            let _ = tokio::time::timeout(GIVE_BACK_TIMEOUT, self.client.give_back_lease(lease.id())).await;
        }
    }
}

/// Runs a verification on a thread of its own. A panic is that batch's failure and nobody else's.
async fn contained<T: Send + 'static>(
    verification: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(verification).await {
        Ok(verdict) => verdict.map_err(|rejection| Failure { kind: rejection.check(), error: rejection.to_string() }),
        Err(error) => Err(Failure { kind: "panic", error: error.to_string() }),
    }
}

/// What a server refuses now it will not take in a second.
fn wait_after(error: &ClientError, backoff: &mut Backoff) -> Duration {
    match error {
        ClientError::Network { retry_after, .. } => backoff.next(*retry_after),
        ClientError::Answer(_) => backoff.next(None),
        ClientError::Refused { .. } => backoff.longest(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_verification_is_that_batchs_failure() {
        let failure = contained::<()>(|| panic!("out of order")).await.unwrap_err();
        assert_eq!(failure.kind, "panic");
        assert!(failure.error.contains("out of order"), "{}", failure.error);
    }
}
