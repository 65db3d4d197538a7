//! A batch's input, for callers that ask for it without a lease.

use std::io;

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use tee_verifier::InputForm;
use thiserror::Error;

use super::{
    ObjectStoreFault,
    blobs::{self, OpenInputError},
};
use crate::service::Service;

/// An input, compressed with zstd.
pub(crate) struct StoredInput {
    pub(crate) stream: BoxStream<'static, io::Result<Bytes>>,
    pub(crate) bytes: u64,
}

/// Why there is no input to return.
#[derive(Debug, Error)]
pub(crate) enum NoStoredInput {
    #[error("the batch is unknown")]
    UnknownBatch,
    #[error("the batch's input was deleted after the batch was proven")]
    Retired,
    /// It is missing or damaged.
    #[error(transparent)]
    Unreadable(OpenInputError),
    #[error(transparent)]
    ObjectStore(#[from] ObjectStoreFault),
    #[error("database")]
    Database(#[from] sqlx::Error),
}

pub(super) async fn open(service: &Service, number: u32, form: InputForm) -> Result<StoredInput, NoStoredInput> {
    let batch = service.database.batch(number).await?.ok_or(NoStoredInput::UnknownBatch)?;
    if batch.input_is_retired {
        return Err(NoStoredInput::Retired);
    }
    match service.inputs.open_blob(&batch, form).await {
        Ok(stream) => Ok(StoredInput { stream: stream.boxed(), bytes: batch.blob(form).bytes }),
        Err(OpenInputError::Store(error)) => Err(ObjectStoreFault::Unavailable(error).into()),
        Err(error) => {
            // If the whole store is empty, a missing input says nothing about this batch.
            blobs::check(service).await?;
            Err(NoStoredInput::Unreadable(error))
        }
    }
}
