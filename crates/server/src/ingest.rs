//! Taking batches in.

use std::{
    io::{self, Read},
    pin::Pin,
};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use object_store::Error as ObjectStoreError;
use tee_verifier::{BatchInput, InputError, MAX_INPUT_BYTES};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::OwnedSemaphorePermit,
    task,
};
use tokio_util::io::{StreamReader, SyncIoBridge};
use zksync_types::H256;

use crate::{
    Store,
    inputs::{EncodedInput, InputForm},
    random,
    storage::{Batch, BlobInfo, InsertedBatch, NewBatchRow},
};

/// A batch to prove. Its number and the root before it stand in its input.
#[derive(Debug)]
pub struct NewBatch {
    /// The input.
    pub input: BatchInput,
    /// The root after the batch, where it is known.
    pub expected_root: Option<H256>,
    /// When the chain sealed the batch, in milliseconds since 1970.
    pub sealed_at_ms: Option<i64>,
    /// Where the batch comes from, for people.
    pub source: String,
}

/// A batch to prove, as it comes from a file or a peer.
#[derive(Debug)]
pub struct EncodedBatch<S> {
    /// The input's bytes, as they arrive.
    pub body: S,
    /// The input's form.
    pub form: InputForm,
    /// How the bytes are compressed.
    pub compression: Compression,
    /// The number that the input must have, where one was asked for.
    pub number: Option<u32>,
    /// The root after the batch, where it is known.
    pub expected_root: Option<H256>,
    /// When the chain sealed the batch, in milliseconds since 1970.
    pub sealed_at_ms: Option<i64>,
    /// Where the batch comes from, for people.
    pub source: String,
}

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    None,
    /// `gzip`.
    Gzip,
    /// `zstd`.
    Zstd,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedBatch {
    /// It is there now.
    New,
    /// It was there.
    Known,
}

/// Why a batch was not taken in.
#[derive(Debug, Error)]
pub enum AddBatchError {
    /// The number is taken by a batch with another input or expected root.
    #[error("batch {number} is known with another input or expected root")]
    Changed {
        /// The batch's number.
        number: u32,
    },
    /// The bytes did not arrive, or are not compressed as they should be.
    #[error("cannot read the input: {0}")]
    Read(#[source] io::Error),
    /// The bytes are not a batch input, are too many for one, or ended early.
    #[error(transparent)]
    Input(InputError),
    /// The input is another batch's.
    #[error("asked for batch {asked}, got batch {got}")]
    Number {
        /// The number asked for.
        asked: u32,
        /// The input's.
        got: u32,
    },
    /// The input cannot be encoded.
    #[error("cannot encode the input: {0}")]
    Encode(#[source] io::Error),
    /// The input that is known cannot be compared with this one.
    #[error("cannot read the input that is known: {0}")]
    KnownInput(String),
    /// The object store's fault.
    #[error("object store: {0}")]
    ObjectStore(#[from] ObjectStoreError),
    /// The database's fault.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl Store {
    /// Takes a batch in. Adding the same again does nothing.
    pub async fn add_batch(&self, new: NewBatch) -> Result<AddedBatch, AddBatchError> {
        let _permit = self.decoding_permit().await;
        self.add_decoded(new).await
    }

    /// Decodes a batch as it arrives, and takes it in. Two at a time: the others' bytes wait where they come from.
    pub async fn add_encoded<S>(&self, new: EncodedBatch<S>) -> Result<AddedBatch, AddBatchError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let _permit = self.decoding_permit().await;
        let input = decode(new.body, new.form, new.compression).await?;
        let got = input.l1_batch_env.number.0;
        if let Some(asked) = new.number.filter(|asked| *asked != got) {
            return Err(AddBatchError::Number { asked, got });
        }
        let EncodedBatch { expected_root, sealed_at_ms, source, .. } = new;
        self.add_decoded(NewBatch { input, expected_root, sealed_at_ms, source }).await
    }

    async fn decoding_permit(&self) -> OwnedSemaphorePermit {
        self.decoding.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    async fn add_decoded(&self, new: NewBatch) -> Result<AddedBatch, AddBatchError> {
        let number = new.input.l1_batch_env.number.0;
        if let Some(known) = self.storage.batch(number).await? {
            return self.compare(number, known, new.expected_root, new.input).await;
        }
        let (input, encoded) = blocking(move || {
            let encoded = EncodedInput::of(&new.input)?;
            Ok::<_, io::Error>((new.input, encoded))
        })
        .await
        .map_err(AddBatchError::Encode)?;
        let row = NewBatchRow {
            number,
            batch: Batch {
                // Random, so that of two that add the same number at a time neither writes over the other's.
                input_key: format!("inputs/{number}-{}", hex::encode(random::<8>())),
                json: BlobInfo::of(&encoded.json),
                cbor: BlobInfo::of(&encoded.cbor),
                previous_root: input.l1_batch_env.previous_batch_hash,
                expected_root: new.expected_root,
            },
            sealed_at_ms: new.sealed_at_ms,
            source: new.source,
        };
        // The input first: a batch in the database has one.
        let input_key = row.batch.input_key.clone();
        self.inputs.put(&input_key, &encoded).await?;
        match self.storage.insert_batch(row, self.clock.now_ms()).await? {
            InsertedBatch::New => Ok(AddedBatch::New),
            InsertedBatch::Known(known) => {
                self.inputs.delete(&input_key).await?;
                self.compare(number, known, new.expected_root, input).await
            }
        }
    }

    /// Inputs are compared as values: one value has many encodings.
    async fn compare(
        &self,
        number: u32,
        known: Batch,
        expected_root: Option<H256>,
        input: BatchInput,
    ) -> Result<AddedBatch, AddBatchError> {
        if let (Some(known), Some(new)) = (known.expected_root, expected_root)
            && known != new
        {
            return Err(AddBatchError::Changed { number });
        }
        let unreadable = |error: String| AddBatchError::KnownInput(error);
        let blob =
            self.inputs.open_blob(&known, InputForm::Cbor).await.map_err(|error| unreadable(error.to_string()))?;
        let blob = read_all(blob).await.map_err(|error| unreadable(error.to_string()))?;
        let same = blocking(move || {
            let plain = io::BufReader::new(zstd::Decoder::with_buffer(&*blob).map_err(|error| error.to_string())?);
            BatchInput::from_cbor(plain).map_err(|error: InputError| error.to_string()).map(|known| known == input)
        })
        .await
        .map_err(unreadable)?;
        if same { Ok(AddedBatch::Known) } else { Err(AddBatchError::Changed { number }) }
    }
}

/// Decodes as the bytes arrive, and no more of them than an input may have.
async fn decode<S>(body: S, form: InputForm, compression: Compression) -> Result<BatchInput, AddBatchError>
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let compressed = StreamReader::new(body);
    let plain: Pin<Box<dyn AsyncRead + Send>> = match compression {
        Compression::None => Box::pin(compressed),
        Compression::Gzip => Box::pin(GzipDecoder::new(compressed)),
        Compression::Zstd => Box::pin(ZstdDecoder::new(compressed)),
    };
    let mut plain = SyncIoBridge::new(plain.take(MAX_INPUT_BYTES + 1));
    blocking(move || match form {
        InputForm::Cbor => BatchInput::from_cbor(plain).map_err(AddBatchError::Input),
        InputForm::Json => {
            let mut json = Vec::new();
            plain.read_to_end(&mut json).map_err(AddBatchError::Read)?;
            BatchInput::from_json(&json).map_err(AddBatchError::Input)
        }
    })
    .await
}

async fn read_all(blob: impl Stream<Item = io::Result<Bytes>>) -> io::Result<Vec<u8>> {
    blob.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

/// Runs what takes long off the threads that serve. A panic there goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
