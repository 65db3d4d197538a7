//! What can go wrong in an exchange, by who is at fault: it decides what to do next.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::chain;

/// The most characters kept of what a server says about an error.
const MAX_DETAIL_BYTES: usize = 1024;

/// Why a client cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientSetupError {
    /// Not an http or https URL with a host.
    #[error("not an http:// or https:// URL with a host")]
    Url,
    /// TLS cannot be set up, for instance because the system has no certificates.
    #[error("TLS: {0}")]
    Tls(String),
    /// The token cannot stand in a header.
    #[error("the bearer token cannot stand in a header")]
    Token,
    /// The HTTP client cannot be set up.
    #[error("HTTP client: {0}")]
    Http(String),
}

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The network, or a server that cannot answer now: try again later.
    #[error("{error}")]
    Network {
        /// What happened.
        error: NetworkError,
        /// The server's word on when to try again.
        retry_after: Option<Duration>,
    },
    /// The server understood and refused: trying the same again is of no use.
    #[error("the server refused with status {status}: {detail}")]
    Refused {
        /// The HTTP status, 4xx.
        status: u16,
        /// The problem's stable code, from servers that name one.
        code: Option<String>,
        /// The server's words, at most 1,024 bytes.
        detail: String,
    },
    /// The answer makes no sense.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Faults that pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Too slow.
    #[error("the server took too long")]
    TimeOut,
    /// An answer that trickles.
    #[error("the server sent its answer slower than {least_bytes_per_sec} bytes per second")]
    Slow {
        /// The least that was expected.
        least_bytes_per_sec: u64,
    },
    /// The connection broke: reset, or a body cut short.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// 408, 425, 429 or 5xx.
    #[error("the server answered with status {status}: {detail}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// The server's words, at most 1,024 bytes.
        detail: String,
    },
}

/// Answers that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// A status that is neither success nor error.
    #[error("the server answered with the unexpected status {0}")]
    Status(u16),
    /// A content type other than JSON and CBOR.
    #[error("the server answered with a content type that was not asked for")]
    ContentType,
    /// An encoding other than zstd.
    #[error("the server answered with a content encoding that was not asked for")]
    ContentEncoding,
    /// Lease headers that do not make a lease.
    #[error("the server answered with a malformed lease")]
    Lease,
    /// A body that is not what was asked for, or is larger than it can be.
    #[error("the server's answer cannot be read")]
    Body,
    /// A success whose body is not zksync-era's `"Success"`: whoever answered is no such server.
    #[error("the server answered with status 200 but not with \"Success\"")]
    NotSuccess,
    /// A body that cannot be written as JSON.
    #[error("the request cannot be written as JSON")]
    Unsendable,
}

/// Sorts what went wrong below HTTP.
pub(super) fn network(error: reqwest::Error) -> ClientError {
    let error = if error.is_timeout() {
        NetworkError::TimeOut
    } else if error.is_connect() {
        NetworkError::Connect(printable(&chain(&error.without_url())))
    } else {
        NetworkError::Broken(printable(&chain(&error.without_url())))
    };
    ClientError::Network { error, retry_after: None }
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

/// What a peer sends ends up in logs: short, and on one line.
fn printable(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_DETAIL_BYTES)].replace(char::is_control, " ")
}
