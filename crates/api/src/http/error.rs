//! What can go wrong before there is an answer.

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

impl From<reqwest::Error> for NetworkError {
    /// Without the URL, which may hold a secret.
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

/// What a peer sends ends up in logs: short, and on one line.
pub(crate) fn printable(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_DETAIL_BYTES)].replace(char::is_control, " ")
}
