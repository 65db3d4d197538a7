//! Batch inputs in files: `.json` and `.cbor`, each also `.zst`.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read},
    path::Path,
};

use tee_api::{Compression, InputEncoding, UnreadableInput};
use tee_verifier::{BatchInput, InputForm, MAX_INPUT_BYTES};
use thiserror::Error;

/// Why a file is not a batch input.
#[derive(Debug, Error)]
pub(crate) enum BatchFileError {
    #[error("the name ends in none of .json, .cbor, .json.zst, .cbor.zst")]
    Name,
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Input(#[from] UnreadableInput),
}

/// A file's bytes in memory.
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    encoding: InputEncoding,
}

/// Reads a batch input. The file's name tells its encoding.
pub(crate) fn read(path: &Path) -> Result<BatchInput, BatchFileError> {
    let (file, encoding) = open(path)?;
    Ok(encoding.decode(BufReader::new(file), MAX_INPUT_BYTES)?.input)
}

/// Reads a file's bytes without decoding them.
pub(crate) fn load(path: &Path) -> Result<Encoded, BatchFileError> {
    let (mut file, encoding) = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Encoded { bytes, encoding })
}

impl Encoded {
    /// A batch input, compressed as the server compresses it.
    pub(crate) fn compress(input: &BatchInput, form: InputForm) -> io::Result<Self> {
        let encoding = InputEncoding::zstd(form);
        let mut bytes = Vec::new();
        encoding.encode(input, &mut bytes)?;
        Ok(Self { bytes, encoding })
    }

    pub(crate) fn decode(&self) -> Result<BatchInput, BatchFileError> {
        Ok(self.encoding.decode(&self.bytes[..], MAX_INPUT_BYTES)?.input)
    }

    /// The bytes of the form itself.
    pub(crate) fn decompress(&self) -> io::Result<Vec<u8>> {
        match self.encoding.compression {
            Compression::None => Ok(self.bytes.clone()),
            Compression::Zstd => zstd::decode_all(&self.bytes[..]),
            Compression::Gzip => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A name for a file of these bytes.
    pub(crate) fn file_name(&self) -> String {
        format!("batch{}", self.encoding.file_ending())
    }
}

fn open(path: &Path) -> Result<(File, InputEncoding), BatchFileError> {
    let encoding = encoding(path)?;
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_INPUT_BYTES {
        return Err(UnreadableInput::TooLarge { limit: MAX_INPUT_BYTES }.into());
    }
    Ok((file, encoding))
}

/// Writes a batch input in the encoding that the file's name tells.
pub(crate) fn write(path: &Path, input: &BatchInput) -> Result<(), BatchFileError> {
    let encoding = encoding(path)?;
    let mut file = BufWriter::new(File::create(path)?);
    encoding.encode(input, &mut file)?;
    Ok(file.get_ref().sync_all()?)
}

/// The encoding that a file's name tells.
pub(crate) fn encoding(path: &Path) -> Result<InputEncoding, BatchFileError> {
    InputEncoding::of_file_name(path).ok_or(BatchFileError::Name)
}
