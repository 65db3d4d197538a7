//! Adding batches.

use std::io;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use object_store::Error as ObjectStoreError;
use tee_api::{InputEncoding, UnreadableInput};
use tee_verifier::{BatchInput, H256, InputError, InputForm, MAX_INPUT_BYTES, completes};
use thiserror::Error;
use tokio::{sync::OwnedSemaphorePermit, task};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    blobs::{self, CorruptInput, EncodedInput, ObjectStoreFault, OpenInputError, input_key},
    transactions,
};
use crate::{
    database::{Batch, BlobInfo, InsertedBatch, NewBatchRow, TransactionRow},
    service::Service,
};

/// The largest input that is accepted, after decompression: twice the JSON of the largest known batch. Two are decoded at a time, and
/// a few kilobytes can decompress to this.
const MAX_UNFOLDED_BYTES: u64 = 512 << 20;

/// A batch to prove. The input holds its number and the root before it.
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

/// A batch to prove, as it arrives from a file or a peer.
#[derive(Debug)]
pub struct EncodedBatch<S> {
    /// The input's bytes, as they arrive.
    pub body: S,
    /// The encoding of the input.
    pub encoding: InputEncoding,
    /// The number that the input must have, if one was asked for.
    pub number: Option<u32>,
    /// The root after the batch, where it is known.
    pub expected_root: Option<H256>,
    /// When the chain sealed the batch, in milliseconds since 1970.
    pub sealed_at_ms: Option<i64>,
    /// Where the batch comes from, for people.
    pub source: String,
}

/// The outcome of adding a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedBatch {
    /// The batch was added.
    New,
    /// The batch was there already.
    Known,
}

/// Why a batch was not added.
#[derive(Debug, Error)]
pub enum AddBatchError {
    /// The number belongs to a batch with another input or expected root.
    #[error("batch {number} already exists with another input or expected root")]
    Changed {
        /// The batch's number.
        number: u32,
    },
    /// The bytes did not arrive, or their compression is invalid.
    #[error("cannot read the input")]
    Read(#[source] io::Error),
    /// The bytes are not a batch input, exceed the limit for one, or ended early.
    #[error(transparent)]
    Input(UnreadableInput),
    /// The input belongs to another batch.
    #[error("asked for batch {asked}, but got batch {got}")]
    Number {
        /// The number asked for.
        asked: u32,
        /// The input's number.
        got: u32,
    },
    /// The input cannot be encoded.
    #[error("cannot encode the input")]
    Encode(#[source] io::Error),
    /// The stored input cannot be compared with this one.
    #[error("cannot read the stored input: {0}")]
    KnownInput(String),
    /// The object store failed.
    #[error("object store")]
    ObjectStore(#[from] ObjectStoreError),
    /// The object store is not the right one.
    #[error(transparent)]
    ObjectStoreFault(#[from] ObjectStoreFault),
    /// The database failed.
    #[error("database")]
    Database(#[from] sqlx::Error),
}

/// Adds a batch. Adding the same one again does nothing.
pub(super) async fn add(service: &Service, new: NewBatch) -> Result<AddedBatch, AddBatchError> {
    let _permit = decoding_permit(service).await;
    add_decoded(service, new).await
}

/// Adds a batch that is arriving. Two are decoded at a time, and only after their bytes have arrived: a slow one does
/// not keep others from it. If there is no room for the bytes, they are left with the sender until there is.
pub(super) async fn add_encoded<S>(service: &Service, new: EncodedBatch<S>) -> Result<AddedBatch, AddBatchError>
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let received = service.receiving.receive(new.body).await?;
    let _permit = decoding_permit(service).await;
    let input = decode(received.body, new.encoding).await?;
    drop(received.room);
    let got = input.l1_batch_env.number.0;
    if let Some(asked) = new.number.filter(|asked| *asked != got) {
        return Err(AddBatchError::Number { asked, got });
    }
    let EncodedBatch { expected_root, sealed_at_ms, source, .. } = new;
    add_decoded(service, NewBatch { input, expected_root, sealed_at_ms, source }).await
}

async fn decoding_permit(service: &Service) -> OwnedSemaphorePermit {
    service.decoding.clone().acquire_owned().await.expect("the semaphore is never closed")
}

async fn add_decoded(service: &Service, new: NewBatch) -> Result<AddedBatch, AddBatchError> {
    let number = new.input.l1_batch_env.number.0;
    if let Some(known) = service.database.batch(number).await? {
        return compare(service, number, known, new.expected_root, new.input).await;
    }
    // If a disk is not mounted, the object store is an empty folder, and what is written there is lost when the disk comes back.
    blobs::check(service).await?;
    let Stored { input, batch, transactions } = put(service, number, new.input, new.expected_root).await?;
    let row = NewBatchRow { number, batch, sealed_at_ms: new.sealed_at_ms, source: new.source, transactions };
    match service.database.insert_batch(row, service.clock.now_ms()).await? {
        InsertedBatch::New => Ok(AddedBatch::New),
        // The blobs just written may belong to the known batch, now or soon, so they stay. If they do not, `gc` deletes them.
        InsertedBatch::Known(known) => compare(service, number, known, new.expected_root, input).await,
    }
}

/// An input in the object store that the database does not know yet.
struct Stored {
    input: BatchInput,
    batch: Batch,
    transactions: Vec<TransactionRow>,
}

/// Stores an input before the database knows of it: every batch in the database has an input.
async fn put(
    service: &Service,
    number: u32,
    input: BatchInput,
    expected_root: Option<H256>,
) -> Result<Stored, AddBatchError> {
    let (input, encoded, transactions) = blocking(move || {
        let encoded = EncodedInput::of(&input)?;
        let transactions = transactions::of(&input);
        Ok::<_, io::Error>((input, encoded, transactions))
    })
    .await
    .map_err(AddBatchError::Encode)?;
    let (json, cbor) = (BlobInfo::of(&encoded.json), BlobInfo::of(&encoded.cbor));
    let batch = Batch {
        input_key: input_key(number, &json, &cbor, service.clock.now_ms()),
        json,
        cbor,
        previous_root: input.l1_batch_env.previous_batch_hash,
        expected_root,
        input_is_retired: false,
    };
    service.inputs.put(&batch.input_key, &encoded).await?;
    Ok(Stored { input, batch, transactions })
}

/// Compares inputs as values: one value has many encodings.
async fn compare(
    service: &Service,
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
    match known_input(service, number, &known, &input).await? {
        KnownInput::Same => {}
        KnownInput::Lost(lost) => {
            tracing::warn!(batch = number, lost, "restoring the batch's input");
            put_back(service, number, known.clone(), input).await?;
        }
        KnownInput::Incomplete => {
            tracing::info!(batch = number, "adding paths to the batch's input");
            replace_by_completion(service, number, known.clone(), input).await?;
        }
    }
    if let Some(root) = expected_root.filter(|_| known.expected_root.is_none()) {
        service.database.fill_expected_root(number, root, service.clock.now_ms()).await?;
    }
    Ok(AddedBatch::Known)
}

/// Compares an input with both forms of the stored one. Fails if a readable form holds another input.
async fn known_input(
    service: &Service,
    number: u32,
    known: &Batch,
    input: &BatchInput,
) -> Result<KnownInput, AddBatchError> {
    if known.previous_root != input.l1_batch_env.previous_batch_hash {
        return Err(AddBatchError::Changed { number });
    }
    if known.input_is_retired {
        return Ok(KnownInput::Lost("it was deleted once its batch was proven".to_owned()));
    }
    let mut found = KnownInput::Same;
    for form in [InputForm::Cbor, InputForm::Json] {
        match read_known(service, known, form).await? {
            // An input that was completed here may come again from elsewhere without the added paths.
            Ok(read) if read == *input || completes(&read, input) => {}
            Ok(read) if completes(input, &read) => found = KnownInput::Incomplete,
            Ok(_) => return Err(AddBatchError::Changed { number }),
            Err(error) => found = KnownInput::Lost(error),
        }
    }
    if let KnownInput::Lost(_) = found {
        // If the whole store is empty, a missing input says nothing about this batch.
        blobs::check(service).await?;
    }
    Ok(found)
}

/// Reads a stored input. The inner error says why it cannot be read although the store answers.
pub(super) async fn read_known(
    service: &Service,
    known: &Batch,
    form: InputForm,
) -> Result<Result<BatchInput, String>, AddBatchError> {
    let blob = match service.inputs.open_blob(known, form).await {
        Ok(blob) => blob,
        Err(OpenInputError::Store(error)) => return Err(error.into()),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let blob = match read_all(blob).await {
        Ok(blob) => blob,
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<CorruptInput>()) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(AddBatchError::KnownInput(error.to_string())),
    };
    let decoded = blocking(move || InputEncoding::zstd(form).decode(&*blob, MAX_INPUT_BYTES)).await;
    Ok(decoded.map(|decoded| decoded.input).map_err(|error| tee_api::chain(&error)))
}

async fn put_back(service: &Service, number: u32, lost: Batch, input: BatchInput) -> Result<(), AddBatchError> {
    let Stored { batch: new, transactions, .. } = put(service, number, input, None).await?;
    let keys = (lost.input_key.clone(), new.input_key.clone());
    let replaced = service.database.replace_input(number, lost, new, transactions, service.clock.now_ms()).await?;
    delete_unwanted(service, replaced, keys).await;
    Ok(())
}

/// Replaces an input with the same one with more paths. False if the input was replaced meanwhile.
pub(super) async fn replace_by_completion(
    service: &Service,
    number: u32,
    incomplete: Batch,
    input: BatchInput,
) -> Result<bool, AddBatchError> {
    blobs::check(service).await?;
    // Only paths are added: the transactions are the same.
    let Stored { batch: new, .. } = put(service, number, input, None).await?;
    let keys = (incomplete.input_key.clone(), new.input_key.clone());
    let replaced = service.database.complete_input(number, incomplete, new, service.clock.now_ms()).await?;
    delete_unwanted(service, replaced, keys).await;
    Ok(replaced)
}

/// Deletes the remains of the old input. If another caller replaced it first, the new blobs may be that caller's too, so they stay.
/// A missing form is no error.
async fn delete_unwanted(service: &Service, replaced: bool, (old_key, new_key): (String, String)) {
    if replaced
        && old_key != new_key
        && let Err(error) = service.inputs.delete_all([old_key]).await
    {
        tracing::debug!(%error, "cannot delete the rest of a replaced input");
    }
}

/// How a stored input compares with an arriving one.
enum KnownInput {
    /// It is the same, or the same with more paths.
    Same,
    /// It cannot be read; holds the reason.
    Lost(String),
    /// The arriving one has more paths.
    Incomplete,
}

/// Decodes the bytes as they arrive, up to the size that an input may have.
async fn decode<S>(body: S, encoding: InputEncoding) -> Result<BatchInput, AddBatchError>
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let body = SyncIoBridge::new(StreamReader::new(body));
    match blocking(move || encoding.decode(body, MAX_UNFOLDED_BYTES)).await {
        Ok(decoded) => Ok(decoded.input),
        Err(UnreadableInput::Compression(error) | UnreadableInput::Input(InputError::Read(error))) => {
            Err(AddBatchError::Read(error))
        }
        Err(error) => Err(AddBatchError::Input(error)),
    }
}

async fn read_all(blob: impl Stream<Item = io::Result<Bytes>>) -> io::Result<Vec<u8>> {
    blob.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

/// Runs long work outside the threads that serve requests. A panic there continues here.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
