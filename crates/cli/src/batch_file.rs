//! Batch inputs in files: `.json` and `.cbor`, each also `.zst`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use tee_verifier::{BatchInput, InputError, InputForm, MAX_INPUT_BYTES};
use thiserror::Error;

/// Why a file is not a batch input.
#[derive(Debug, Error)]
pub(crate) enum BatchFileError {
    #[error("the name ends in none of .json, .cbor, .json.zst, .cbor.zst")]
    Name,
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Input(#[from] InputError),
}

/// A file's bytes in memory.
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    form: InputForm,
    compressed: bool,
}

/// Reads a batch input; the file's name tells the format.
pub(crate) fn read(path: &Path) -> Result<BatchInput, BatchFileError> {
    let (file, form, compressed) = open(path)?;
    decode(BufReader::new(file), form, compressed)
}

/// Reads a file's bytes without looking into them.
pub(crate) fn load(path: &Path) -> Result<Encoded, BatchFileError> {
    let (mut file, form, compressed) = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Encoded { bytes, form, compressed })
}

impl Encoded {
    /// A batch input, compressed as the server compresses it.
    pub(crate) fn compress(input: &BatchInput, form: InputForm) -> io::Result<Self> {
        let mut plain = Vec::new();
        input.write(&mut plain, form)?;
        let bytes = zstd::encode_all(&plain[..], zstd::DEFAULT_COMPRESSION_LEVEL)?;
        Ok(Self { bytes, form, compressed: true })
    }

    pub(crate) fn decode(&self) -> Result<BatchInput, BatchFileError> {
        decode(&self.bytes[..], self.form, self.compressed)
    }

    /// The bytes of the form itself.
    pub(crate) fn decompress(&self) -> io::Result<Vec<u8>> {
        if self.compressed { zstd::decode_all(&self.bytes[..]) } else { Ok(self.bytes.clone()) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A name for a file of these bytes.
    pub(crate) fn file_name(&self) -> String {
        format!("batch.{}{}", self.form.extension(), if self.compressed { ".zst" } else { "" })
    }
}

fn open(path: &Path) -> Result<(File, InputForm, bool), BatchFileError> {
    let (form, compressed) = form(path)?;
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES }.into());
    }
    Ok((file, form, compressed))
}

fn decode(bytes: impl BufRead, form: InputForm, compressed: bool) -> Result<BatchInput, BatchFileError> {
    if compressed {
        Ok(BatchInput::read(zstd::Decoder::with_buffer(bytes)?, form, MAX_INPUT_BYTES)?)
    } else {
        Ok(BatchInput::read(bytes, form, MAX_INPUT_BYTES)?)
    }
}

/// Writes a batch input in the format that the file's name tells.
pub(crate) fn write(path: &Path, input: &BatchInput) -> Result<(), BatchFileError> {
    let (form, compressed) = form(path)?;
    let mut file = BufWriter::new(File::create(path)?);
    if compressed {
        let mut encoder = zstd::Encoder::new(&mut file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        let mut plain = BufWriter::new(&mut encoder);
        input.write(&mut plain, form)?;
        plain.flush()?;
        drop(plain);
        encoder.finish()?;
    } else {
        input.write(&mut file, form)?;
    }
    file.flush()?;
    Ok(file.get_ref().sync_all()?)
}

/// The form that a file's name says, and whether it says that it is compressed with zstd.
pub(crate) fn form(path: &Path) -> Result<(InputForm, bool), BatchFileError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (stem, compressed) = match name.strip_suffix(".zst") {
        Some(stem) => (stem, true),
        None => (name.as_str(), false),
    };
    let extension = stem.rsplit_once('.').map(|(_, extension)| extension);
    let forms = [InputForm::Json, InputForm::Cbor];
    let form = forms.into_iter().find(|form| extension == Some(form.extension())).ok_or(BatchFileError::Name)?;
    Ok((form, compressed))
}
