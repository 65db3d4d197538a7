//! The encodings of a batch input, and reading an input as it arrives.

use std::{
    io::{self, BufRead, Read, Write},
    path::Path,
};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use tee_verifier::{BatchInput, InputError, InputForm};
use thiserror::Error;

/// The encoding of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputEncoding {
    /// Its form.
    pub form: InputForm,
    /// How the form's bytes are compressed.
    pub compression: Compression,
}

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// They are not compressed.
    None,
    /// `gzip`, which provers do not read and do not ask for.
    Gzip,
    /// `zstd`.
    Zstd,
}

/// Why headers do not name a known encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodingError {
    /// The content type is missing or unknown.
    #[error("Content-Type: must be application/json or application/cbor")]
    Form,
    /// The content coding is unknown.
    #[error("Content-Encoding: must be identity, zstd or gzip")]
    Compression,
}

/// A decoded input.
#[derive(Debug, PartialEq)]
pub struct DecodedInput {
    /// The input.
    pub input: BatchInput,
    /// Its size after decompression, in bytes.
    pub bytes: u64,
}

/// Why a batch input's bytes cannot be read.
#[derive(Debug, Error)]
pub enum UnreadableInput {
    /// It exceeds the limit, before or after decompression.
    #[error("the batch input is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The bytes do not arrive or cannot be decompressed.
    #[error("the batch input cannot be decompressed")]
    Compression(#[source] io::Error),
    /// The bytes are not a batch input.
    #[error(transparent)]
    Input(InputError),
    /// Decoding panicked.
    #[error("decoding the batch input panicked")]
    Panicked,
}

impl InputEncoding {
    /// A form compressed with zstd, as inputs are stored and sent.
    pub fn zstd(form: InputForm) -> Self {
        Self { form, compression: Compression::Zstd }
    }

    /// The encoding that HTTP headers name. `untyped` is the form of a body without a content type, if such a body is accepted.
    pub fn of_headers(headers: &HeaderMap, untyped: Option<InputForm>) -> Result<Self, EncodingError> {
        let form = match header(headers, CONTENT_TYPE) {
            None => untyped,
            Some(value) => InputForm::of_media_type(value.split(';').next().unwrap_or_default().trim()),
        };
        let compression = Compression::of_headers(headers)?;
        Ok(Self { form: form.ok_or(EncodingError::Form)?, compression })
    }

    /// The encoding that a file name names: it ends in `.json` or `.cbor`, followed by `.zst` or `.gz` if it is compressed.
    pub fn of_file_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        let compressed = [(".zst", Compression::Zstd), (".gz", Compression::Gzip)];
        let compressed = compressed.into_iter().find_map(|(end, by)| name.strip_suffix(end).map(|stem| (stem, by)));
        let (stem, compression) = compressed.unwrap_or((&*name, Compression::None));
        let (_, extension) = stem.rsplit_once('.')?;
        let form = [InputForm::Json, InputForm::Cbor].into_iter().find(|form| form.extension() == extension)?;
        Some(Self { form, compression })
    }

    /// The ending of names of files in this encoding.
    pub fn file_ending(self) -> String {
        let compression = match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        format!(".{}{compression}", self.form.extension())
    }

    /// The name of the compression in HTTP's `Content-Encoding`, if there is one.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self.compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }

    /// Reads an input, decompressing it as it arrives. It stops at `limit_bytes`, so that a small body cannot expand
    /// without bound. A large input takes a fraction of a second: threads that serve others should not call this.
    pub fn decode(self, mut from: impl BufRead, limit_bytes: u64) -> Result<DecodedInput, UnreadableInput> {
        self.decode_from(&mut from, limit_bytes)
    }

    fn decode_from(self, from: &mut dyn BufRead, limit_bytes: u64) -> Result<DecodedInput, UnreadableInput> {
        match self.compression {
            Compression::None => {
                read(from, self.form, limit_bytes, |error| UnreadableInput::Input(InputError::Read(error)))
            }
            #[cfg(feature = "gzip")]
            Compression::Gzip => {
                // Reads all members: what follows the first one is not ignored.
                let plain = flate2::bufread::MultiGzDecoder::new(from);
                read(plain, self.form, limit_bytes, UnreadableInput::Compression)
            }
            #[cfg(not(feature = "gzip"))]
            Compression::Gzip => Err(UnreadableInput::Compression(io::ErrorKind::Unsupported.into())),
            Compression::Zstd => {
                let plain = zstd::Decoder::with_buffer(from).map_err(UnreadableInput::Compression)?;
                read(plain, self.form, limit_bytes, UnreadableInput::Compression)
            }
        }
    }

    /// Writes an input.
    pub fn encode(self, input: &BatchInput, mut to: impl Write) -> io::Result<()> {
        match self.compression {
            Compression::None => input.write(&mut to, self.form)?,
            #[cfg(feature = "gzip")]
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut to, flate2::Compression::default());
                input.write(&mut encoder, self.form)?;
                encoder.finish()?;
            }
            #[cfg(not(feature = "gzip"))]
            Compression::Gzip => return Err(io::ErrorKind::Unsupported.into()),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(&mut to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                input.write(&mut encoder, self.form)?;
                encoder.finish()?;
            }
        }
        to.flush()
    }
}

impl Compression {
    /// The compression that HTTP headers name.
    pub fn of_headers(headers: &HeaderMap) -> Result<Self, EncodingError> {
        match header(headers, CONTENT_ENCODING).as_deref() {
            None | Some("" | "identity") => Ok(Self::None),
            Some("gzip") => Ok(Self::Gzip),
            Some("zstd") => Ok(Self::Zstd),
            Some(_) => Err(EncodingError::Compression),
        }
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    // A value that is not text is not a known name.
    Some(value.to_str().unwrap_or("?").trim().to_ascii_lowercase())
}

/// `fault` builds the error for bytes that cannot be read.
fn read(
    plain: impl Read,
    form: InputForm,
    limit: u64,
    fault: impl FnOnce(io::Error) -> UnreadableInput,
) -> Result<DecodedInput, UnreadableInput> {
    // Reads everything, and counts it.
    let mut counted = plain.take(u64::MAX);
    match BatchInput::read(&mut counted, form, limit) {
        Err(InputError::TooLarge { limit }) => Err(UnreadableInput::TooLarge { limit }),
        Err(InputError::Read(error)) => Err(fault(error)),
        Err(error) => Err(UnreadableInput::Input(error)),
        Ok(input) => Ok(DecodedInput { input, bytes: u64::MAX - counted.limit() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_an_input_is_written_down() {
        let read = |content_type: Option<&'static str>, coding: Option<&'static str>, untyped| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, coding)] {
                value.into_iter().for_each(|value| _ = headers.insert(&name, value.parse().unwrap()));
            }
            InputEncoding::of_headers(&headers, untyped)
        };
        let encoding = |form, compression| Ok(InputEncoding { form, compression });
        for (content_type, coding, expected) in [
            (Some("application/json"), None, encoding(InputForm::Json, Compression::None)),
            (Some("Application/JSON; charset=utf-8"), Some("gzip"), encoding(InputForm::Json, Compression::Gzip)),
            (Some("application/cbor"), Some("ZSTD"), encoding(InputForm::Cbor, Compression::Zstd)),
            (Some("application/cbor"), Some("identity"), encoding(InputForm::Cbor, Compression::None)),
            (Some("text/html"), None, Err(EncodingError::Form)),
            (Some(""), None, Err(EncodingError::Form)),
            (None, None, Err(EncodingError::Form)),
            (Some("application/json"), Some("br"), Err(EncodingError::Compression)),
            (Some("application/json"), Some("zstd, gzip"), Err(EncodingError::Compression)),
        ] {
            assert_eq!(read(content_type, coding, None), expected, "{content_type:?} {coding:?}");
        }
        assert_eq!(read(None, None, Some(InputForm::Json)), encoding(InputForm::Json, Compression::None));
        assert_eq!(read(Some("text/html"), None, Some(InputForm::Json)), Err(EncodingError::Form));
    }

    #[test]
    fn a_files_name_says_it_too() {
        for form in [InputForm::Json, InputForm::Cbor] {
            for compression in [Compression::None, Compression::Zstd, Compression::Gzip] {
                let encoding = InputEncoding { form, compression };
                let name = format!("folder.zst/batch-7{}", encoding.file_ending());
                assert_eq!(InputEncoding::of_file_name(Path::new(&name)), Some(encoding));
            }
        }
        for name in ["batch", "batch.zst", "json", "batch.json.gz.zst", "batch.cbor.zst.zst", "batch.JSON", ".."] {
            assert_eq!(InputEncoding::of_file_name(Path::new(name)), None, "{name}");
        }
    }
}
