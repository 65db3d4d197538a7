//! Handing batches out to provers, under leases.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tee_api::{LeaseId, TeeType};
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use crate::{
    ObjectStoreFault, Store,
    access::ProverName,
    inputs::{CorruptInput, InputForm, OpenInputError},
    random,
};

/// How often one who waits looks for what other servers and the time make ready.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many inputs that cannot be read one request passes over.
const MAX_UNREADABLE: u32 = 8;

/// A batch on its way to a prover.
pub(crate) struct HandedOut {
    pub(crate) lease: LeaseId,
    /// Its input, compressed with zstd.
    pub(crate) input: BoxStream<'static, io::Result<Bytes>>,
    pub(crate) input_bytes: u64,
}

/// Why no batch can be handed out.
#[derive(Debug, Error)]
pub(crate) enum HandOutError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    ObjectStore(#[from] ObjectStoreFault),
    /// As many inputs as one request looks at cannot be read. The next request goes on behind them.
    #[error("inputs are missing or damaged, one after another")]
    Unreadable,
}

impl Store {
    /// Hands out the lowest batch that is ready. If there is none, waits for one.
    pub(crate) async fn hand_out(
        &self,
        tee_type: TeeType,
        prover: &ProverName,
        form: InputForm,
        wait: Duration,
    ) -> Result<Option<HandedOut>, HandOutError> {
        let deadline = Instant::now() + wait;
        loop {
            let added = self.storage.jobs_added();
            let mut added = std::pin::pin!(added.notified());
            // From here on: what is added while the queue is looked through is not missed.
            added.as_mut().enable();
            if let Some(handed_out) = self.hand_out_now(tee_type, prover, form).await? {
                return Ok(Some(handed_out));
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            tokio::select! {
                () = added => {}
                () = self.stopping.cancelled() => return Ok(None),
                () = sleep_until(deadline.min(now + LOOK_INTERVAL)) => {}
            }
        }
    }

    async fn hand_out_now(
        &self,
        tee_type: TeeType,
        prover: &ProverName,
        form: InputForm,
    ) -> Result<Option<HandedOut>, HandOutError> {
        let mut unreadable = 0;
        // Every turn but the last takes a batch out of the queue that would block those behind it.
        loop {
            if unreadable == MAX_UNREADABLE {
                return Err(HandOutError::Unreadable);
            }
            let lease = LeaseId::from(random::<16>());
            let Some(claim) = self.storage.claim(tee_type, prover, &lease, self.clock.now_ms()).await? else {
                return Ok(None);
            };
            let number = claim.number;
            let input = match self.inputs.open_blob(&claim.batch, form).await {
                Ok(input) => input,
                Err(error @ (OpenInputError::Missing | OpenInputError::Size { .. })) => {
                    // A store that is empty as a whole says nothing of this input.
                    if let Err(fault) = self.check_object_store().await {
                        self.storage.give_back_lease(&lease, self.clock.now_ms()).await?;
                        return Err(fault.into());
                    }
                    self.set_aside(&lease, number, &error.to_string()).await?;
                    unreadable += 1;
                    continue;
                }
                Err(OpenInputError::Store(error)) => {
                    self.storage.give_back_lease(&lease, self.clock.now_ms()).await?;
                    return Err(ObjectStoreFault::Unavailable(error).into());
                }
            };
            // A corrupt input shows when most of it has been sent. The answer breaks off there, and the prover asks again.
            let (store, corrupt_lease) = (self.clone(), lease.clone());
            let input = input.or_else(move |error| {
                let (store, lease) = (store.clone(), corrupt_lease.clone());
                async move {
                    if error.get_ref().is_some_and(|inner| inner.is::<CorruptInput>()) {
                        let failed = store.set_aside(&lease, number, &error.to_string()).await;
                        failed.map_err(io::Error::other)?;
                    }
                    Err(error)
                }
            });
            let input_bytes = form.blob(&claim.batch).bytes;
            tracing::info!(batch = number, %tee_type, %prover, "batch handed out");
            return Ok(Some(HandedOut { lease, input: input.boxed(), input_bytes }));
        }
    }

    /// Puts a batch aside whose input cannot be read. That is no prover's fault, and costs no attempt.
    async fn set_aside(&self, lease: &LeaseId, batch: u32, error: &str) -> Result<(), sqlx::Error> {
        tracing::error!(batch, error, "the batch's input cannot be read: add the batch again to put it back");
        self.storage.set_aside(lease, error, self.clock.now_ms()).await.map(drop)
    }
}
