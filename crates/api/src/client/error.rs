//! The ways in which an exchange can fail, by who is at fault, which decides what to do next.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::http::{NetworkError, printable};

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The network failed, or the server cannot answer now: try again later.
    #[error("{error}")]
    Network {
        /// The cause.
        error: NetworkError,
        /// When to try again, as the server says.
        retry_after: Option<Duration>,
    },
    /// The server understood and refused: trying the same again is useless.
    #[error("the server refused the request with status {status}: {detail}")]
    Refused {
        /// The HTTP status, 4xx.
        status: u16,
        /// The problem's stable code, from servers that name one.
        code: Option<String>,
        /// The server's explanation, at most 1,024 bytes.
        detail: String,
    },
    /// The answer is malformed.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Malformed answers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// A status that is neither success nor error.
    #[error("the server answered with an unexpected status: {0}")]
    Status(u16),
    /// A content type other than JSON and CBOR.
    #[error("the server answered with a content type that was not requested")]
    ContentType,
    /// An encoding other than zstd.
    #[error("the server answered with a content encoding that was not requested")]
    ContentEncoding,
    /// Lease headers that do not make a lease.
    #[error("the server answered with a malformed lease")]
    Lease,
    /// A body that is not of the expected form or exceeds the limit.
    #[error("the server's answer cannot be read")]
    Body,
    /// A success whose body is not zksync-era's `"Success"`: whatever answered is not such a server.
    #[error("the server answered with status 200 but not with \"Success\"")]
    NotSuccess,
    /// A request body that cannot be written as JSON.
    #[error("the request cannot be written as JSON")]
    Unsendable,
}

impl From<NetworkError> for ClientError {
    fn from(error: NetworkError) -> Self {
        Self::Network { error, retry_after: None }
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        NetworkError::from(error).into()
    }
}

/// Sorts an error status. `body` is the server's problem (RFC 9457) or any text.
pub(super) fn refusal(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ClientError {
    #[derive(Default, Deserialize)]
    struct Problem {
        code: Option<String>,
        detail: Option<String>,
        title: Option<String>,
    }
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem.detail.or(problem.title).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let detail = printable(&detail);
    if matches!(status, 408 | 425 | 429 | 500..) {
        ClientError::Network { error: NetworkError::Unavailable { status, detail }, retry_after }
    } else {
        ClientError::Refused { status, code: problem.code.map(|code| printable(&code)), detail }
    }
}
