//! A batch that a server has handed out, before its input has arrived.

use reqwest::{Response, header::CONTENT_LENGTH};

use super::{
    ClientError, Pace,
    input::{EncodedInput, Encoding, Format},
    lease, read_body,
};
use crate::Lease;

/// A batch that a server hands out. Its input waits on the connection until it is [read](Self::read).
#[derive(Debug)]
pub struct Claim {
    response: Response,
    lease: Option<Lease>,
    format: Format,
    encoding: Encoding,
    limit: u64,
    pace: Pace,
}

impl Claim {
    pub(super) fn of(response: Response, limit: u64, pace: Pace) -> Result<Self, ClientError> {
        let headers = response.headers();
        let lease = lease(headers)?;
        let (format, encoding) = (Format::of(headers)?, Encoding::of(headers)?);
        Ok(Self { response, lease, format, encoding, limit, pace })
    }

    /// The lease, from servers that have them.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// How many bytes the server says that it will send, where it says so.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Whether it comes compressed.
    pub fn is_compressed(&self) -> bool {
        self.encoding.is_compressed()
    }

    /// Whether it comes in CBOR, which says the same in fewer bytes than JSON.
    pub fn is_cbor(&self) -> bool {
        matches!(self.format, Format::Cbor)
    }

    /// Reads the input as the server sends it. An input past the limit is not read: decoding says so.
    pub async fn read(self) -> Result<EncodedInput, ClientError> {
        let Self { response, format, encoding, limit, pace, .. } = self;
        let body = read_body(response, limit, pace).await?;
        Ok(EncodedInput { body, format, encoding, limit })
    }
}
