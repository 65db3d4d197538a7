//! Batch inputs in files: `.json` and `.cbor`, each also `.zst` or `.gz`; and `-`, which is the standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use tee_api::{Compression, InputEncoding, UnreadableInput};
use tee_verifier::{BatchInput, InputForm, MAX_INPUT_BYTES};
use thiserror::Error;

/// The first bytes of Zstandard's frames and of gzip's members.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a file is not a batch input.
#[derive(Debug, Error)]
pub(crate) enum BatchFileError {
    #[error("the name must end in .json or .cbor, which .zst or .gz may follow")]
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

/// Reads a batch input. The file's name determines its encoding.
pub(crate) fn read(path: &Path) -> Result<BatchInput, BatchFileError> {
    let (file, encoding) = open(path)?;
    Ok(encoding.decode(file, MAX_INPUT_BYTES)?.input)
}

/// Reads a file's bytes without decoding them.
pub(crate) fn load(path: &Path) -> Result<Encoded, BatchFileError> {
    let (file, encoding) = open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(UnreadableInput::TooLarge { limit: MAX_INPUT_BYTES }.into());
    }
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
            Compression::Gzip => {
                let mut plain = Vec::new();
                MultiGzDecoder::new(&self.bytes[..]).read_to_end(&mut plain)?;
                Ok(plain)
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_parts(self) -> (Vec<u8>, InputEncoding) {
        (self.bytes, self.encoding)
    }

    /// A name for a file of these bytes.
    pub(crate) fn file_name(&self) -> String {
        format!("batch{}", self.encoding.file_ending())
    }
}

fn open(path: &Path) -> Result<(Box<dyn BufRead>, InputEncoding), BatchFileError> {
    if path == Path::new("-") {
        return standard_input();
    }
    let encoding = encoding(path)?;
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_INPUT_BYTES {
        return Err(UnreadableInput::TooLarge { limit: MAX_INPUT_BYTES }.into());
    }
    Ok((Box::new(BufReader::new(file)), encoding))
}

/// The standard input has no name, so its first bytes show how it is compressed and, once decompressed, which form it
/// has.
fn standard_input() -> Result<(Box<dyn BufRead>, InputEncoding), BatchFileError> {
    let mut start = Vec::new();
    io::stdin().take(ZSTD.len() as u64).read_to_end(&mut start)?;
    let compression = match &start {
        start if start.starts_with(&ZSTD) => Compression::Zstd,
        start if start.starts_with(&GZIP) => Compression::Gzip,
        _ => Compression::None,
    };
    let all = BufReader::new(io::Cursor::new(start).chain(io::stdin()));
    let mut plain: Box<dyn BufRead> = match compression {
        Compression::Zstd => Box::new(BufReader::new(zstd::Decoder::with_buffer(all)?)),
        Compression::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(all))),
        Compression::None => Box::new(all),
    };
    // No input in CBOR begins like JSON: it is a map, whose first byte is above all of ASCII.
    let is_json = plain.fill_buf()?.first().is_none_or(u8::is_ascii);
    let form = if is_json { InputForm::Json } else { InputForm::Cbor };
    Ok((plain, InputEncoding { form, compression: Compression::None }))
}

/// Writes a batch input in the encoding that the file's name determines.
pub(crate) fn write(path: &Path, input: &BatchInput) -> Result<(), BatchFileError> {
    let encoding = encoding(path)?;
    let mut file = BufWriter::new(File::create(path)?);
    encoding.encode(input, &mut file)?;
    Ok(file.get_ref().sync_all()?)
}

/// The encoding that a file's name determines.
pub(crate) fn encoding(path: &Path) -> Result<InputEncoding, BatchFileError> {
    InputEncoding::of_file_name(path).ok_or(BatchFileError::Name)
}
