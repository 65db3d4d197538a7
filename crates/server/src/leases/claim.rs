//! Hands out batches to provers, under leases.

use std::{io, task::Poll, time::Duration};

use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tee_api::{LeaseId, TeeType};
use tee_verifier::InputForm;
use thiserror::Error;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use crate::{
    batches::{CorruptInput, ObjectStoreFault, OpenInputError, check_object_store},
    crypto::random,
    database::{Claim, NoInput, Prover},
    service::Service,
};

/// How often a waiting request checks for jobs that other servers or the time made ready.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many unreadable inputs one request passes over.
const MAX_UNREADABLE: u32 = 8;

/// A batch that is being sent to a prover.
pub(crate) struct HandedOut {
    pub(crate) lease: UnsentLease,
    /// Its input, compressed with zstd.
    pub(crate) input: BoxStream<'static, io::Result<Bytes>>,
    pub(crate) input_bytes: u64,
}

/// A lease whose batch has not been sent completely. If it is dropped, for example because the client went away, the lease is given
/// back: an interrupted claim costs no attempt.
pub(crate) struct UnsentLease {
    pub(crate) lease: LeaseId,
    service: Option<Service>,
}

impl UnsentLease {
    /// Disarms the guard: the lease is the prover's from now on, or has ended otherwise.
    fn release(&mut self) {
        self.service = None;
    }

    async fn give_back(mut self) -> Result<(), sqlx::Error> {
        let Some(service) = self.service.take() else { return Ok(()) };
        service.database.give_back_lease(&self.lease, service.clock.now_ms()).await.map(drop)
    }

    /// A body that is sent under this lease. If its length is known, the sender may never poll for its end.
    pub(crate) fn until_sent<E>(
        mut self,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
        length: Option<u64>,
    ) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static {
        let mut left = length;
        let mut body = body;
        stream::poll_fn(move |context| {
            let polled = body.poll_next_unpin(context);
            match &polled {
                Poll::Ready(None) => self.release(),
                Poll::Ready(Some(Ok(piece))) => {
                    left = left.map(|left| left.saturating_sub(piece.len() as u64));
                    if left == Some(0) {
                        self.release();
                    }
                }
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
            polled
        })
    }
}

impl Drop for UnsentLease {
    fn drop(&mut self) {
        let Some(service) = self.service.take() else { return };
        let lease = self.lease.clone();
        // While the process ends, there is no runtime for the task. Then the lease expires instead.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            match service.database.give_back_lease(&lease, service.clock.now_ms()).await {
                Ok(given_back) => {
                    tracing::info!(given_back, "a claim was interrupted; its batch goes to the next prover")
                }
                Err(error) => tracing::warn!(%error, "a claim was interrupted, and its batch cannot be given back"),
            }
        });
    }
}

/// Why no batch can be handed out.
#[derive(Debug, Error)]
pub(crate) enum HandOutError {
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    ObjectStore(#[from] ObjectStoreFault),
    /// One request found as many unreadable inputs as it may pass over. The next request continues behind them.
    #[error("several inputs in a row are missing or damaged")]
    Unreadable,
}

/// Hands out the lowest ready batch. If there is none, waits for one.
pub(super) async fn hand_out(
    service: &Service,
    tee_type: TeeType,
    prover: &Prover,
    form: InputForm,
    wait: Duration,
) -> Result<Option<HandedOut>, HandOutError> {
    let deadline = Instant::now() + wait;
    loop {
        let added = service.database.jobs_added();
        let mut added = std::pin::pin!(added.notified());
        // From here on, a job that is added while the queue is searched is not missed.
        added.as_mut().enable();
        if let Some(handed_out) = hand_out_now(service, tee_type, prover, form).await? {
            return Ok(Some(handed_out));
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(None);
        }
        tokio::select! {
            () = added => {}
            () = service.stopping.cancelled() => return Ok(None),
            () = sleep_until(deadline.min(now + LOOK_INTERVAL)) => {}
        }
    }
}

async fn hand_out_now(
    service: &Service,
    tee_type: TeeType,
    prover: &Prover,
    form: InputForm,
) -> Result<Option<HandedOut>, HandOutError> {
    let mut unreadable = 0;
    // Every turn except the last takes a batch out of the queue that would block those behind it.
    loop {
        if unreadable == MAX_UNREADABLE {
            return Err(HandOutError::Unreadable);
        }
        let Some((mut claim, mut unsent)) = claim(service, tee_type, prover).await? else { return Ok(None) };
        let (number, lease) = (claim.number, unsent.lease.clone());
        if claim.batch.input_is_retired {
            unsent.release();
            tracing::error!(batch = number, "the batch's input was deleted: add the batch again to prove it again");
            service.database.set_aside(&lease, NoInput::Retired, service.clock.now_ms()).await?;
            unreadable += 1;
            continue;
        }
        let mut opened = service.inputs.open_blob(&claim.batch, form).await;
        // It may have been completed in between.
        if let Err(OpenInputError::Missing) = opened
            && let Some(current) = service.database.batch(number).await?
            && current.input_key != claim.batch.input_key
        {
            claim.batch = current;
            opened = service.inputs.open_blob(&claim.batch, form).await;
        }
        let input = match opened {
            Ok(input) => input,
            Err(error @ (OpenInputError::Missing | OpenInputError::Size { .. })) => {
                // If the whole store is empty, a missing input says nothing about this batch.
                if let Err(fault) = check_object_store(service).await {
                    unsent.give_back().await?;
                    return Err(fault.into());
                }
                unsent.release();
                set_aside(service, &lease, number, &error.to_string()).await?;
                unreadable += 1;
                continue;
            }
            Err(OpenInputError::Store(error)) => {
                unsent.give_back().await?;
                return Err(ObjectStoreFault::Unavailable(error).into());
            }
        };
        // A corrupt input is noticed when most of it has been sent. The answer breaks off there, and the prover asks again.
        let (service, corrupt_lease) = (service.clone(), lease.clone());
        let input = input.or_else(move |error| {
            let (service, lease) = (service.clone(), corrupt_lease.clone());
            async move {
                if error.get_ref().is_some_and(|inner| inner.is::<CorruptInput>()) {
                    let failed = set_aside(&service, &lease, number, &error.to_string()).await;
                    failed.map_err(io::Error::other)?;
                }
                Err(error)
            }
        });
        let input_bytes = claim.batch.blob(form).bytes;
        tracing::info!(batch = number, %tee_type, prover = %prover.name, "handed out a batch");
        return Ok(Some(HandedOut { lease: unsent, input: input.boxed(), input_bytes }));
    }
}

/// Claims in a separate task: if the client goes away meanwhile, the claim is completed nevertheless, and then undone.
async fn claim(
    service: &Service,
    tee_type: TeeType,
    prover: &Prover,
) -> Result<Option<(Claim, UnsentLease)>, sqlx::Error> {
    let (service, prover) = (service.clone(), prover.clone());
    let lease = LeaseId::from(random::<16>());
    let claiming = tokio::spawn(async move {
        let claim = service.database.claim(tee_type, &prover, &lease, service.clock.now_ms()).await?;
        Ok(claim.map(|claim| (claim, UnsentLease { lease, service: Some(service) })))
    });
    match claiming.await {
        Ok(claimed) => claimed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Sets a batch aside whose input cannot be read. That is no prover's fault and costs no attempt.
async fn set_aside(service: &Service, lease: &LeaseId, batch: u32, error: &str) -> Result<(), sqlx::Error> {
    tracing::error!(batch, error, "cannot read the batch's input: add the batch again to restore it");
    let reason = NoInput::Unreadable(error.to_owned());
    service.database.set_aside(lease, reason, service.clock.now_ms()).await.map(drop)
}
