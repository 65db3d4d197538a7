//! Batch inputs in the object store, as JSON and as CBOR, both compressed with zstd, so that an answer can be sent as it is
//! stored.

mod marker;
mod url;

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use sha2::{Digest, Sha256};
use tee_api::InputEncoding;
use tee_verifier::{BatchInput, InputForm};
use thiserror::Error;
use tokio_util::io::ReaderStream;

pub(crate) use self::marker::{check, marker};
pub use self::{
    marker::ObjectStoreFault,
    url::{ObjectStoreUrl, ObjectStoreUrlError},
};
use crate::database::{Batch, BlobInfo};

/// How many bytes of the content's hash a key has.
const KEY_HASH_BYTES: usize = 16;

/// How much of a file is read at a time. Each request holds a few of these, however large its input is.
const FILE_PIECE_BYTES: usize = 256 * 1024;

/// The object that tells this store from others and from an empty one.
pub(crate) const STORE_MARKER: &str = "tee-proof-server-store";

/// The folder of all inputs.
const FOLDER: &str = "inputs";

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An upper limit for the size of a marker.
const MAX_MARKER_BYTES: u64 = 256;

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    objects: Arc<dyn ObjectStore>,
    /// The folder, if the store is one.
    folder: Option<PathBuf>,
    in_memory: bool,
}

/// A file whose writing was begun and not finished, because of a crash or because it is still being written.
#[derive(Debug)]
pub(crate) struct HalfWritten {
    pub(crate) path: PathBuf,
    /// The blob that the file was to become.
    pub(crate) name: BlobName,
    pub(crate) bytes: u64,
    pub(crate) last_modified: DateTime<Utc>,
}

/// An input that is ready to be stored: the facts for the database, and the blobs.
#[derive(Debug)]
pub(crate) struct EncodedInput {
    pub(crate) json: Bytes,
    pub(crate) cbor: Bytes,
}

/// Why an input cannot be read.
#[derive(Debug, Error)]
pub(crate) enum OpenInputError {
    #[error("the input is missing in the object store")]
    Missing,
    #[error("the input has {got} bytes, but {expected} were stored")]
    Size { expected: u64, got: u64 },
    /// A fault that does not concern only this input.
    #[error("object store")]
    Store(#[source] object_store::Error),
}

/// The bytes that were read differ from those that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the input's checksum is wrong")]
pub(crate) struct CorruptInput;

/// The parts of a blob's path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BlobName {
    pub(crate) number: u32,
    /// The key in the batch's row.
    pub(crate) key: String,
    /// When it was written, in days since 1970; `None` for old keys, which contain no day.
    pub(crate) day: Option<i64>,
}

/// The path of one form of an input.
fn path(key: &str, form: InputForm) -> ObjectPath {
    ObjectPath::from(format!("{key}{}", ending(form)))
}

fn ending(form: InputForm) -> String {
    InputEncoding::zstd(form).file_ending()
}

/// The key of an input that is written now. Two callers that add the same input at the same time write the same blobs, and a second
/// attempt overwrites what the first one left. The day is for deleting: see [`super::retention`].
pub(crate) fn input_key(number: u32, json: &BlobInfo, cbor: &BlobInfo, now_ms: i64) -> String {
    let content = Sha256::new().chain_update(json.sha256).chain_update(cbor.sha256).finalize();
    let content: String = hex::encode(content).chars().take(2 * KEY_HASH_BYTES).collect();
    format!("{FOLDER}/{number}-{}-{content}", now_ms.div_euclid(DAY_MS))
}

impl BlobName {
    /// `None` if the path is not one that a server writes.
    pub(crate) fn of(path: &ObjectPath) -> Option<Self> {
        let path = path.as_ref();
        let key = [InputForm::Json, InputForm::Cbor].into_iter().find_map(|form| path.strip_suffix(&ending(form)))?;
        let parts: Vec<_> = key.strip_prefix(FOLDER)?.strip_prefix('/')?.split('-').collect();
        let is_hash = |text: &str, bytes: usize| text.len() == 2 * bytes && hex::decode(text).is_ok();
        let (number, day) = match *parts {
            [number, random] if is_hash(random, 8) => (number, None),
            [number, day, content] if is_hash(content, KEY_HASH_BYTES) => (number, Some(day.parse().ok()?)),
            _ => return None,
        };
        Some(Self { number: number.parse().ok()?, key: key.to_owned(), day })
    }
}

impl EncodedInput {
    /// Encodes in both forms. This takes a while and belongs on a blocking thread.
    pub(crate) fn of(input: &BatchInput) -> io::Result<Self> {
        Ok(Self { json: compressed(input, InputForm::Json)?, cbor: compressed(input, InputForm::Cbor)? })
    }
}

fn compressed(input: &BatchInput, form: InputForm) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    InputEncoding::zstd(form).encode(input, &mut bytes)?;
    Ok(bytes.into())
}

impl BlobInfo {
    pub(crate) fn of(blob: &Bytes) -> Self {
        Self { bytes: blob.len() as u64, sha256: Sha256::digest(blob).into() }
    }
}

impl Inputs {
    /// Opens the store that holds the inputs.
    pub(crate) fn open(url: &ObjectStoreUrl) -> Result<Self, object_store::Error> {
        Ok(Self { objects: url.open()?, folder: url.as_folder().map(Into::into), in_memory: url.is_memory() })
    }

    /// Whether the inputs are gone when the process ends.
    pub(crate) fn are_in_memory(&self) -> bool {
        self.in_memory
    }

    /// The content of the store's marker, if there is one.
    pub(crate) async fn marker(&self) -> Result<Option<String>, object_store::Error> {
        let found = match self.objects.get(&ObjectPath::from(STORE_MARKER)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.meta.size > MAX_MARKER_BYTES {
            return Ok(Some(format!("{} bytes", found.meta.size)));
        }
        Ok(Some(String::from_utf8_lossy(&found.bytes().await?).trim().to_owned()))
    }

    /// Writes the store's marker.
    pub(crate) async fn put_marker(&self, content: &str) -> Result<(), object_store::Error> {
        self.objects.put(&ObjectPath::from(STORE_MARKER), content.to_owned().into()).await.map(drop)
    }

    /// Stores both forms under a key.
    pub(crate) async fn put(&self, key: &str, input: &EncodedInput) -> Result<(), object_store::Error> {
        self.objects.put(&path(key, InputForm::Json), input.json.clone().into()).await?;
        self.objects.put(&path(key, InputForm::Cbor), input.cbor.clone().into()).await?;
        Ok(())
    }

    /// Removes what [`put`](Self::put) stored under these keys. If one removal fails, the others are still tried; the last error is
    /// returned.
    pub(crate) async fn delete_all(&self, keys: impl IntoIterator<Item = String>) -> Result<(), object_store::Error> {
        let forms = [InputForm::Json, InputForm::Cbor];
        self.delete_blobs(keys.into_iter().flat_map(|key| forms.map(|form| path(&key, form))).collect()).await
    }

    /// The same by paths. A missing blob is no error.
    pub(crate) async fn delete_blobs(&self, paths: Vec<ObjectPath>) -> Result<(), object_store::Error> {
        let mut deleted = self.objects.delete_stream(stream::iter(paths).map(Ok).boxed());
        let mut outcome = Ok(());
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Lists everything in the inputs' folder, except half-written files.
    pub(crate) fn list(&self) -> BoxStream<'static, Result<ObjectMeta, object_store::Error>> {
        self.objects.list(Some(&ObjectPath::from(FOLDER)))
    }

    /// Lists the half-written files. Until a file in a folder is complete, its name ends in `#` and a number, and the object store
    /// library hides it. A bucket hides unfinished uploads by itself.
    pub(crate) async fn half_written(&self) -> io::Result<Vec<HalfWritten>> {
        let Some(folder) = &self.folder else { return Ok(vec![]) };
        let mut found = vec![];
        let mut files = match tokio::fs::read_dir(folder.join(FOLDER)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            files => files?,
        };
        while let Some(file) = files.next_entry().await? {
            let file_name = file.file_name();
            let whole = file_name.to_str().and_then(|name| name.rsplit_once('#')).map(|(whole, _)| whole);
            let path = whole.map(|whole| ObjectPath::from(format!("{FOLDER}/{whole}")));
            let Some(name) = path.as_ref().and_then(BlobName::of) else { continue };
            // It may be complete by now.
            let Ok(metadata) = file.metadata().await else { continue };
            let last_modified = metadata.modified()?.into();
            found.push(HalfWritten { path: file.path(), name, bytes: metadata.len(), last_modified });
        }
        Ok(found)
    }

    /// Opens a stored input, compressed. If the checksum is wrong, the stream ends with [`CorruptInput`] and lacks its last piece, so
    /// that its output cannot be taken for the whole.
    pub(crate) async fn open_blob(
        &self,
        batch: &Batch,
        form: InputForm,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, OpenInputError> {
        let expected = batch.blob(form).clone();
        let found = self.objects.get(&path(&batch.input_key, form)).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => OpenInputError::Missing,
            error => OpenInputError::Store(error),
        })?;
        if found.meta.size != expected.bytes {
            return Err(OpenInputError::Size { expected: expected.bytes, got: found.meta.size });
        }
        Ok(checked(pieces(found), expected.sha256))
    }
}

/// Reads larger pieces than the object store library, whose own stream of a file has pieces of 8 KiB, each read on another thread.
fn pieces(found: GetResult) -> BoxStream<'static, io::Result<Bytes>> {
    match found.payload {
        GetResultPayload::File(file, _) => {
            ReaderStream::with_capacity(tokio::fs::File::from_std(file), FILE_PIECE_BYTES).boxed()
        }
        GetResultPayload::Stream(stream) => stream.map_err(io::Error::other).boxed(),
    }
}

/// Yields each piece when the next one is there, and the last one when the checksum is right.
fn checked(
    pieces: BoxStream<'static, io::Result<Bytes>>,
    sha256: [u8; 32],
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(Some((pieces, Sha256::new(), None)), move |state| async move {
        let Some((mut pieces, mut hasher, mut held)) = state else { return Ok(None) };
        while let Some(piece) = pieces.try_next().await? {
            hasher.update(&piece);
            if let Some(ready) = held.replace(piece) {
                return Ok(Some((ready, Some((pieces, hasher, held)))));
            }
        }
        if <[u8; 32]>::from(hasher.finalize()) != sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, CorruptInput));
        }
        Ok(held.map(|last| (last, None)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blobs_path_says_what_it_is_of() {
        let blob = |content: &'static [u8]| BlobInfo::of(&Bytes::from_static(content));
        let key = input_key(7, &blob(b"json"), &blob(b"cbor"), 3 * DAY_MS + 1);
        assert_eq!(key, input_key(7, &blob(b"json"), &blob(b"cbor"), 4 * DAY_MS - 1), "who tries again writes over it");
        assert_ne!(key, input_key(7, &blob(b"json"), &blob(b"CBOR"), 3 * DAY_MS + 1));
        assert_ne!(key, input_key(7, &blob(b"json"), &blob(b"cbor"), 4 * DAY_MS));
        for form in [InputForm::Json, InputForm::Cbor] {
            let name = BlobName::of(&path(&key, form)).unwrap();
            assert_eq!(name, BlobName { number: 7, key: key.clone(), day: Some(3) });
            let old = "inputs/7-0123456789abcdef";
            assert_eq!(BlobName::of(&path(old, form)), Some(BlobName { number: 7, key: old.to_owned(), day: None }));
        }
        for foreign in [
            "tee-proof-server-store",
            "inputs/7-0123456789abcdef",
            "inputs/7-0123456789abcde.json.zst",
            "inputs/x-0123456789abcdef.json.zst",
            "inputs/7-x-00000000000000000000000000000000.json.zst",
            "others/7-0123456789abcdef.json.zst",
            "inputs/a/7-0123456789abcdef.json.zst",
        ] {
            assert_eq!(BlobName::of(&ObjectPath::from(foreign)), None, "{foreign}");
        }
    }

    async fn read(pieces: &[&'static str], sha256_of: &str) -> (String, bool) {
        let pieces: Vec<io::Result<Bytes>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        let mut checked = Box::pin(checked(stream::iter(pieces).boxed(), Sha256::digest(sha256_of).into()));
        let mut text = String::new();
        loop {
            match checked.try_next().await {
                Ok(Some(piece)) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Ok(None) => return (text, true),
                Err(error) => {
                    assert!(error.get_ref().unwrap().is::<CorruptInput>());
                    return (text, false);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_has_the_right_checksum_comes_out_whole() {
        assert_eq!(read(&[], "").await, (String::new(), true));
        assert_eq!(read(&["one"], "one").await, ("one".to_owned(), true));
        assert_eq!(read(&["one", "two", "three"], "onetwothree").await, ("onetwothree".to_owned(), true));
    }

    #[tokio::test]
    async fn what_has_a_wrong_checksum_lacks_its_end() {
        assert_eq!(read(&["one"], "two").await, (String::new(), false));
        assert_eq!(read(&["one", "two", "three"], "onetwofour").await, ("onetwo".to_owned(), false));
    }
}
