//! A batch that a server has handed out, before its input has arrived.

use reqwest::{Response, header::CONTENT_LENGTH};
use tee_verifier::InputForm;

use super::{
    ClientError,
    input::{EncodedInput, Encoding, form},
    lease,
};
use crate::{
    Lease,
    http::{Pace, read_body},
};

/// A batch that a server hands out. Its input waits on the connection until it is [read](Self::read).
#[derive(Debug)]
pub struct Claim {
    response: Response,
    lease: Option<Lease>,
    form: InputForm,
    encoding: Encoding,
    limit: u64,
    pace: Pace,
}

impl Claim {
    pub(super) fn of(response: Response, limit: u64, pace: Pace) -> Result<Self, ClientError> {
        let headers = response.headers();
        let lease = lease(headers)?;
        let (form, encoding) = (form(headers)?, Encoding::of(headers)?);
        Ok(Self { response, lease, form, encoding, limit, pace })
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

    /// The form that it comes in.
    pub fn form(&self) -> InputForm {
        self.form
    }

    /// Reads the input as the server sends it. An input past the limit is not read: decoding says so.
    pub async fn read(self) -> Result<EncodedInput, ClientError> {
        let Self { response, form, encoding, limit, pace, .. } = self;
        let body = read_body(response, limit, pace).await?;
        Ok(EncodedInput { body, form, encoding, limit })
    }
}
