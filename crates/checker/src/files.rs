//! Files that judging needs.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    str::Utf8Error,
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use tee_attestation::{MAX_POLICY_BYTES, Policy, PolicyError, TrustedRoot};
use thiserror::Error;

/// The largest certificate, in bytes.
const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// It is larger than allowed.
    #[error("{}: larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size.
        limit: usize,
    },
    /// It is not text.
    #[error("{}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where the text is invalid.
        #[source]
        error: Utf8Error,
    },
    /// It is not a valid policy.
    #[error("{}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: PolicyError,
    },
    /// It is not a certificate.
    #[error("{}: not a certificate", path.display())]
    NotACertificate {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a file of at most `limit` bytes. `-` is the standard input.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| FileError::Read { path: path.to_owned(), error })?;
    if bytes.len() > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") { Ok(Box::new(io::stdin())) } else { Ok(Box::new(File::open(path)?)) }
}

/// A text of at most `limit` bytes.
pub fn read_text(path: &Path, limit: usize) -> Result<String, FileError> {
    // The error does not show the bytes: they may be a secret.
    String::from_utf8(read(path, limit)?)
        .map_err(|error| FileError::NotText { path: path.to_owned(), error: error.utf8_error() })
}

/// Reads a policy.
pub fn read_policy(path: &Path) -> Result<Policy, FileError> {
    let yaml = read_text(path, MAX_POLICY_BYTES)?;
    Policy::from_yaml(&yaml).map_err(|error| FileError::Policy { path: path.to_owned(), error })
}

/// Reads a certificate to trust instead of Intel's root, in DER or PEM. Without a path, Intel's root is used.
pub fn read_root(path: Option<&Path>) -> Result<TrustedRoot, FileError> {
    let Some(path) = path else { return Ok(TrustedRoot::intel()) };
    let bytes = read(path, MAX_CERTIFICATE_BYTES)?;
    TrustedRoot::danger_from_bytes(&bytes).ok_or_else(|| FileError::NotACertificate { path: path.to_owned() })
}

/// The bytes of a quote that is written in hex or base64, in one line or several.
pub fn quote_of_text(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<_> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let text = text.strip_prefix(b"0x").unwrap_or(&text);
    let decoded = hex::decode(text).ok();
    decoded.or_else(|| BASE64_STANDARD.decode(text).ok()).or_else(|| BASE64_URL_SAFE.decode(text).ok())
}
