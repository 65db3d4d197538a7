//! Decoding of batch inputs as a server sends them.

use std::io::{self, Read};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use tee_verifier::{BatchInput, InputError, InputForm};
use thiserror::Error;

use super::AnswerError;

/// Why a batch input's bytes cannot be read.
#[derive(Debug, Error)]
pub enum UnreadableInput {
    /// Larger than allowed, before or after decompression.
    #[error("the batch input is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Not what zstd makes.
    #[error("the batch input cannot be decompressed")]
    Compression(#[source] io::Error),
    /// Not a batch input.
    #[error(transparent)]
    Input(InputError),
    /// Decoding panicked.
    #[error("decoding the batch input panicked")]
    Panicked,
}

/// A batch input that was read.
#[derive(Debug, PartialEq)]
pub struct DecodedInput {
    /// The input.
    pub input: BatchInput,
    /// How many bytes it was after decompression.
    pub bytes: u64,
}

/// A batch input as it arrived.
#[derive(Debug)]
pub struct EncodedInput {
    /// `None` when it is larger than the limit.
    pub(super) body: Option<Vec<u8>>,
    pub(super) form: InputForm,
    pub(super) encoding: Encoding,
    pub(super) limit: u64,
}

/// The compression of a body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Identity,
    Zstd,
}

impl EncodedInput {
    /// Its size as it arrived, in bytes; 0 for one that was too large to read.
    pub fn bytes(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.len() as u64)
    }

    /// Whether it came compressed.
    pub fn is_compressed(&self) -> bool {
        self.encoding.is_compressed()
    }

    /// Its form.
    pub fn form(&self) -> InputForm {
        self.form
    }

    /// Decodes it: a fraction of a second for a large one, so not for a thread that serves others. It is decompressed as it is
    /// read, and no further than to `limit_bytes`: a small body cannot unfold without bound.
    pub fn decode(&self, limit_bytes: u64) -> Result<DecodedInput, UnreadableInput> {
        let body = self.body.as_deref().ok_or(UnreadableInput::TooLarge { limit: self.limit })?;
        decode(body, self.form, self.encoding, limit_bytes.min(self.limit))
    }
}

/// The form of a body. zksync-era answers with `application/json`; no content type counts as that.
pub(super) fn form(headers: &HeaderMap) -> Result<InputForm, AnswerError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(InputForm::Json) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    InputForm::of_media_type(&essence.to_ascii_lowercase()).ok_or(AnswerError::ContentType)
}

impl Encoding {
    pub(super) fn is_compressed(self) -> bool {
        matches!(self, Self::Zstd)
    }

    pub(super) fn of(headers: &HeaderMap) -> Result<Self, AnswerError> {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Self::Identity) };
        match value.to_str().unwrap_or_default().to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::Identity),
            "zstd" => Ok(Self::Zstd),
            _ => Err(AnswerError::ContentEncoding),
        }
    }
}

fn decode(body: &[u8], form: InputForm, encoding: Encoding, limit: u64) -> Result<DecodedInput, UnreadableInput> {
    match encoding {
        Encoding::Identity => decode_plain(body, form, limit),
        Encoding::Zstd => {
            let plain = zstd::Decoder::with_buffer(body).map_err(UnreadableInput::Compression)?;
            decode_plain(plain, form, limit)
        }
    }
}

fn decode_plain(plain: impl Read, form: InputForm, limit: u64) -> Result<DecodedInput, UnreadableInput> {
    // Takes all, and counts it.
    let mut counted = plain.take(u64::MAX);
    match BatchInput::read(&mut counted, form, limit) {
        Err(InputError::TooLarge { limit }) => Err(UnreadableInput::TooLarge { limit }),
        Err(InputError::Read(error)) => Err(UnreadableInput::Compression(error)),
        Err(error) => Err(UnreadableInput::Input(error)),
        Ok(input) => Ok(DecodedInput { input, bytes: u64::MAX - counted.limit() }),
    }
}
