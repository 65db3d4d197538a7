//! Batch inputs in files: `.json` and `.cbor`, each also `.zst`.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

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

#[derive(Clone, Copy)]
enum Format {
    Json,
    Cbor,
}

/// Reads a batch input; the file's name tells the format.
pub(crate) fn read(path: &Path) -> Result<BatchInput, BatchFileError> {
    let (format, compressed) = format(path)?;
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES }.into());
    }
    let file = BufReader::new(file);
    if compressed { decode(BufReader::new(zstd::Decoder::with_buffer(file)?), format) } else { decode(file, format) }
}

fn decode(bytes: impl Read, format: Format) -> Result<BatchInput, BatchFileError> {
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

/// Writes a batch input as compressed JSON.
pub(crate) fn write_json_zst(path: &Path, input: &BatchInput) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(File::create(path)?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    let mut json = BufWriter::new(&mut encoder);
    input.to_json(&mut json)?;
    json.flush()?;
    drop(json);
    encoder.finish()?.sync_all()
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
