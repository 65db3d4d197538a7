//! Files that judging needs.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    str::Utf8Error,
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
    /// It does not hold a valid policy.
    #[error("{}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: PolicyError,
    },
    /// It does not hold a certificate.
    #[error("{}: not a certificate", path.display())]
    NotACertificate {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a file of at most `limit` bytes.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| FileError::Read { path: path.to_owned(), error })?;
    if bytes.len() > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Reads a text of at most `limit` bytes.
pub fn read_text(path: &Path, limit: usize) -> Result<String, FileError> {
    // The error does not hold the bytes: they may be a secret.
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
