//! Batch inputs in files: `.json` and `.cbor`, each also `.zst`.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use serde::Serialize;
use tee_verifier::{BatchInput, InputError, MAX_INPUT_BYTES};
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

/// The two forms of a batch input.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Cbor,
}

/// A file's bytes in memory.
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    format: Format,
    compressed: bool,
}

/// Reads a batch input; the file's name tells the format.
pub(crate) fn read(path: &Path) -> Result<BatchInput, BatchFileError> {
    let (file, format, compressed) = open(path)?;
    decode(BufReader::new(file), format, compressed)
}

/// Reads a file's bytes without looking into them.
pub(crate) fn load(path: &Path) -> Result<Encoded, BatchFileError> {
    let (mut file, format, compressed) = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Encoded { bytes, format, compressed })
}

impl Encoded {
    /// A batch input, compressed as the server compresses it.
    pub(crate) fn compress(input: &BatchInput, format: Format) -> io::Result<Self> {
        let mut plain = Vec::new();
        match format {
            Format::Json => input.to_json(&mut plain)?,
            Format::Cbor => input.to_cbor(&mut plain)?,
        }
        let bytes = zstd::encode_all(&plain[..], zstd::DEFAULT_COMPRESSION_LEVEL)?;
        Ok(Self { bytes, format, compressed: true })
    }

    pub(crate) fn decode(&self) -> Result<BatchInput, BatchFileError> {
        decode(&self.bytes[..], self.format, self.compressed)
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
        format!("batch.{}{}", self.format, if self.compressed { ".zst" } else { "" })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Cbor => "cbor",
        })
    }
}

fn open(path: &Path) -> Result<(File, Format, bool), BatchFileError> {
    let (format, compressed) = format(path)?;
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES }.into());
    }
    Ok((file, format, compressed))
}

fn decode(bytes: impl BufRead, format: Format, compressed: bool) -> Result<BatchInput, BatchFileError> {
    if compressed {
        decode_plain(BufReader::new(zstd::Decoder::with_buffer(bytes)?), format)
    } else {
        decode_plain(bytes, format)
    }
}

fn decode_plain(bytes: impl Read, format: Format) -> Result<BatchInput, BatchFileError> {
    match format {
        Format::Cbor => Ok(BatchInput::from_cbor(bytes)?),
        Format::Json => {
            let mut json = Vec::new();
            bytes.take(MAX_INPUT_BYTES + 1).read_to_end(&mut json)?;
            if json.len() as u64 > MAX_INPUT_BYTES {
                return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES }.into());
            }
            Ok(BatchInput::from_json(&json)?)
        }
    }
}

/// Writes a batch input in the format that the file's name tells.
pub(crate) fn write(path: &Path, input: &BatchInput) -> Result<(), BatchFileError> {
    let (format, compressed) = format(path)?;
    let write_plain = |to: &mut dyn Write| match format {
        Format::Json => input.to_json(to),
        Format::Cbor => input.to_cbor(to),
    };
    let mut file = BufWriter::new(File::create(path)?);
    if compressed {
        let mut encoder = zstd::Encoder::new(&mut file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        let mut plain = BufWriter::new(&mut encoder);
        write_plain(&mut plain)?;
        plain.flush()?;
        drop(plain);
        encoder.finish()?;
    } else {
        write_plain(&mut file)?;
    }
    file.flush()?;
    Ok(file.get_ref().sync_all()?)
}

/// Whether a file's name says CBOR rather than JSON, and whether it says that it is compressed with zstd.
pub(crate) fn form(path: &Path) -> Result<(bool, bool), BatchFileError> {
    let (format, compressed) = format(path)?;
    Ok((matches!(format, Format::Cbor), compressed))
}

fn format(path: &Path) -> Result<(Format, bool), BatchFileError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (stem, compressed) = match name.strip_suffix(".zst") {
        Some(stem) => (stem, true),
        None => (name.as_str(), false),
    };
    if stem.ends_with(".json") {
        Ok((Format::Json, compressed))
    } else if stem.ends_with(".cbor") {
        Ok((Format::Cbor, compressed))
    } else {
        Err(BatchFileError::Name)
    }
}
