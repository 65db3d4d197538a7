//! A batch that a server has handed out, before its input arrives.

use reqwest::{Response, header::CONTENT_LENGTH};
use tee_verifier::InputForm;

use super::{AnswerError, ClientError, lease};
use crate::{
    Compression, DecodedInput, EncodingError, InputEncoding, Lease, UnreadableInput,
    http::{Pace, read_body},
};

/// A batch that a server hands out. The connection holds its input until it is [read](Self::read).
#[derive(Debug)]
pub struct Claim {
    response: Response,
    lease: Option<Lease>,
    encoding: InputEncoding,
    limit: u64,
    pace: Pace,
}

impl Claim {
    pub(super) fn of(response: Response, limit: u64, pace: Pace) -> Result<Self, ClientError> {
        let headers = response.headers();
        let lease = lease(headers)?;
        // zksync-era answers with `application/json`; a missing content type counts as the same.
        let encoding = match InputEncoding::of_headers(headers, Some(InputForm::Json)) {
            Ok(InputEncoding { compression: Compression::Gzip, .. }) | Err(EncodingError::Compression) => {
                return Err(AnswerError::ContentEncoding.into());
            }
            Err(EncodingError::Form) => return Err(AnswerError::ContentType.into()),
            Ok(encoding) => encoding,
        };
        Ok(Self { response, lease, encoding, limit, pace })
    }

    /// The lease, from servers that have them.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The size of the input in bytes, if the server announces it.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The encoding of the input.
    pub fn encoding(&self) -> InputEncoding {
        self.encoding
    }

    /// Reads the input as the server sends it. An input beyond the limit is not read; decoding reports that.
    pub async fn read(self) -> Result<EncodedInput, ClientError> {
        let Self { response, encoding, limit, pace, .. } = self;
        let body = read_body(response, limit, pace).await?;
        Ok(EncodedInput { body, encoding, limit })
    }
}

/// A batch input as it arrived.
#[derive(Debug)]
pub struct EncodedInput {
    /// `None` if it exceeds the limit.
    pub(super) body: Option<Vec<u8>>,
    pub(super) encoding: InputEncoding,
    pub(super) limit: u64,
}

impl EncodedInput {
    /// Its size as it arrived, in bytes; 0 if it was too large to be read.
    pub fn bytes(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.len() as u64)
    }

    /// Its encoding.
    pub fn encoding(&self) -> InputEncoding {
        self.encoding
    }

    /// Decodes the input with [`InputEncoding::decode`].
    pub fn decode(&self, limit_bytes: u64) -> Result<DecodedInput, UnreadableInput> {
        let body = self.body.as_deref().ok_or(UnreadableInput::TooLarge { limit: self.limit })?;
        self.encoding.decode(body, limit_bytes.min(self.limit))
    }
}
