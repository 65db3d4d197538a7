//! What a server must get for a batch: its proof or its failure, or the batch itself back.

use crate::{
    backoff::Backoff,
    endpoint::{Endpoint, Fault},
    event::Event,
    identity::Enclave,
    lease::HeldLease,
    metrics::{Request, Stage},
    outcome::{Failure, Outcome},
    shared::Shared,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tee_api::{ClientError, FailReport, SubmitProof};
use tee_verifier::{L1BatchNumber, VerifiedBatch};
use tokio::time::sleep;

/// Our server's code for a lease that has ended.
const STALE_LEASE: &str = "stale_lease";

/// How long the last attempt to submit a proof may take after the grace for stopping has passed.
const LAST_ATTEMPT: Duration = Duration::from_secs(1);

/// The prover's debt to the server that handed out a batch. It exists from the batch's arrival on and holds the lease. Its methods
/// that take it by value end the batch.
pub(crate) struct Delivery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoint: Arc<Endpoint>,
    /// `None` for servers of zksync-era, which have no leases.
    lease: Option<HeldLease>,
}

/// The outcome of a message to the server.
enum Offered {
    Accepted,
    Refused(ClientError),
    /// The lease has ended, or the prover's grace for stopping has passed.
    Abandoned,
}

impl Delivery {
    pub(crate) fn new(shared: Arc<Shared>, endpoint: Arc<Endpoint>, lease: Option<HeldLease>) -> Self {
        Self { shared, endpoint, lease }
    }

    pub(crate) fn has_lease(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether the server said that the batch now belongs to another prover.
    pub(crate) fn is_lost(&self) -> bool {
        self.lease.as_ref().is_some_and(HeldLease::is_lost)
    }

    /// Keeps the proof and offers it until the server accepts it or finally refuses it, or the lease is lost.
    pub(crate) async fn submit(self, enclave: &Enclave, verified: &VerifiedBatch) {
        let batch = verified.number();
        let signed = enclave.key.sign(verified, &self.endpoint.signing_requests.contracts());
        let proof = SubmitProof {
            signature: signed.signature,
            pubkey: enclave.key.public_key(),
            proof: verified.root(),
            tee_type: enclave.tee_type,
            statement: Some(signed.statement),
        };
        let started = Instant::now();
        let lease_id = self.lease.as_ref().map(HeldLease::id);
        let send = || self.endpoint.client.submit_proof(batch, &proof, lease_id);
        let mut offered = self.offer(Request::Submit, send).await;
        // The server may have forgotten the key. If registering succeeds again, the proof is offered once more.
        if let Offered::Refused(ClientError::Refused { status: 401 | 403, .. }) = &offered {
            let register = || self.endpoint.register(&self.shared.identity);
            if let Offered::Accepted = self.offer(Request::Register, register).await {
                (self.shared.observe)(Event::Registered);
                offered = self.offer(Request::Submit, send).await;
            }
        }
        match offered {
            Offered::Accepted => {
                self.shared.metrics.stage[&Stage::Submit].observe(started.elapsed());
                self.endpoint.success();
                self.shared.ended(Outcome::Submitted { batch });
            }
            Offered::Refused(ClientError::Refused { code: Some(code), .. }) if code == STALE_LEASE => {
                self.shared.ended(Outcome::Lost { batch, during: Stage::Submit });
            }
            Offered::Refused(error) => self.refused(batch, error).await,
            Offered::Abandoned => {
                self.shared.ended(Outcome::Abandoned);
                self.end_lease().await;
            }
        }
    }

    async fn refused(self, batch: L1BatchNumber, error: ClientError) {
        self.endpoint.trouble(&error);
        let report = FailReport::new("refused", &error.to_string());
        let unknown_key = matches!(error, ClientError::Refused { status: 401 | 403, .. });
        self.shared.ended(Outcome::Refused { batch, error });
        if unknown_key {
            self.endpoint.register_again();
            self.endpoint.setback();
            self.end_lease().await;
        } else {
            // The lease is not given back: the same batch would come again at once, over and over.
            self.report(report).await;
        }
    }

    /// Reports a batch that cannot be proven. An unreadable input has no number.
    pub(crate) async fn fail(self, batch: Option<L1BatchNumber>, failure: Failure) {
        let report = FailReport::new(failure.kind, &failure.error);
        self.shared.ended(Outcome::Failed { batch, failure });
        self.report(report).await;
    }

    /// Lets another prover have the batch.
    pub(crate) async fn give_back(self, during: Stage) {
        self.shared.ended(Outcome::GivenBack { during });
        self.end_lease().await;
    }

    async fn report(self, report: FailReport) {
        let Some(id) = self.lease.as_ref().map(HeldLease::id) else { return self.endpoint.setback() };
        match self.offer(Request::Report, || self.endpoint.client.fail_lease(id, &report)).await {
            Offered::Accepted | Offered::Abandoned => {}
            Offered::Refused(error) => {
                tracing::warn!(%error, "the report was refused");
                self.endpoint.setback();
            }
        }
    }

    /// Sends until the server accepts or finally refuses, or there is no point any more: when the lease is lost or the
    /// grace for stopping has passed, there is one last attempt. A lease also ends when a proof was accepted and only
    /// the answer got lost.
    async fn offer<F: Future<Output = Result<(), ClientError>>>(
        &self,
        request: Request,
        send: impl Fn() -> F,
    ) -> Offered {
        let Self { shared, endpoint, .. } = self;
        let _undelivered = shared.metrics.undelivered.inc_guard(1);
        let mut backoff = Backoff::delivery(&shared.config);
        loop {
            let last = shared.hurry.is_cancelled() || self.is_lost();
            let stopping = shared.stop.is_cancelled();
            // Subscribes before sending: an answer to somebody else counts, even if it comes while this attempt fails.
            let contact = endpoint.next_contact();
            let out_of_time = async {
                shared.hurry.cancelled().await;
                sleep(LAST_ATTEMPT).await;
            };
            let sent = tokio::select! {
                sent = send() => sent,
                () = out_of_time => return Offered::Abandoned,
            };
            let error = match sent {
                Ok(()) => return Offered::Accepted,
                Err(error @ ClientError::Refused { .. }) => return Offered::Refused(error),
                Err(_) if last => return Offered::Abandoned,
                Err(error) => error,
            };
            endpoint.trouble(&error);
            shared.metrics.retries[&(request, Fault::of(&error))].inc();
            let wait = backoff.after(&error);
            tracing::warn!(%error, ?wait, request = request.as_str(), "cannot deliver to the server yet");
            let woken = async {
                // A server that hands out work but accepts no proofs is not retried as fast as its work arrives.
                sleep(shared.config.initial_retry_backoff).await;
                contact.await;
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = woken => {}
                () = shared.stop.cancelled(), if !stopping => {}
                () = shared.hurry.cancelled() => {}
                () = self.lost() => {}
            }
        }
    }

    /// Completes when the lease is lost.
    async fn lost(&self) {
        match &self.lease {
            Some(lease) => lease.lost().await,
            None => std::future::pending().await,
        }
    }

    async fn end_lease(self) {
        if let Some(lease) = self.lease {
            lease.give_back().await;
        }
    }
}
