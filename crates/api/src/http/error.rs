//! Failures that can happen before there is an answer.

use thiserror::Error;

use crate::chain;

/// The most bytes that are kept of a server's explanation of an error.
const MAX_DETAIL_BYTES: usize = 1024;

/// Why a client cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientSetupError {
    /// The text is not an http or https URL with a host.
    #[error("not an http:// or https:// URL with a host")]
    Url,
    /// TLS cannot be set up, for instance because the system has no certificates.
    #[error("TLS: {0}")]
    Tls(String),
    /// The token has characters that a header cannot hold.
    #[error("the bearer token contains characters that a header cannot hold")]
    Token,
    /// The HTTP client cannot be set up.
    #[error("HTTP client: {0}")]
    Http(String),
}

/// Temporary faults.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The connection could not be made.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server took too long.
    #[error("the server did not answer in time")]
    TimeOut,
    /// The answer came too slowly.
    #[error("the server sent its answer at less than {least_bytes_per_sec} bytes per second")]
    Slow {
        /// The minimum rate.
        least_bytes_per_sec: u64,
    },
    /// The connection broke: it was reset, or a body was cut short.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Status 408, 425, 429 or 5xx.
    #[error("the server answered with status {status}: {detail}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// The server's explanation, at most 1,024 bytes.
        detail: String,
    },
}

impl From<reqwest::Error> for NetworkError {
    /// Drops the URL, which may hold a secret.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let what = || printable(&chain(&error));
        if error.is_timeout() {
            Self::TimeOut
        } else if error.is_connect() {
            Self::Connect(what())
        } else {
            Self::Broken(what())
        }
    }
}

/// Shortens a peer's text to one line, since it ends up in logs.
pub(crate) fn printable(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_DETAIL_BYTES)].replace(char::is_control, " ")
}
