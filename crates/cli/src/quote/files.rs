//! Files that judging a quote needs.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use tee_attestation::{MAX_POLICY_BYTES, MAX_QUOTE_BYTES, Policy, TrustedRoot};

const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// A quote: bytes, hex or base64, in one line or several.
pub(crate) fn read_quote(path: &Path) -> Result<Vec<u8>> {
    // Hex in lines.
    let bytes = read(path, 3 * MAX_QUOTE_BYTES)?;
    // A quote begins with its version in 16 bits, whose second byte is zero and no letter of any text.
    if bytes.is_empty() || !bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return Ok(bytes);
    }
    let text: Vec<_> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let text = text.strip_prefix(b"0x").unwrap_or(&text);
    let decoded = hex::decode(text).ok();
    let decoded = decoded.or_else(|| BASE64_STANDARD.decode(text).ok()).or_else(|| BASE64_URL_SAFE.decode(text).ok());
    decoded.ok_or_else(|| anyhow!("{}: text, but neither hex nor base64", path.display()))
}

pub(crate) fn read_policy(path: &Path) -> Result<Policy> {
    let yaml = String::from_utf8(read(path, MAX_POLICY_BYTES)?).with_context(|| path.display().to_string())?;
    Policy::from_yaml(&yaml).with_context(|| path.display().to_string())
}

/// A certificate to trust instead of Intel's root, in DER or PEM; Intel's where there is none.
pub(crate) fn read_root(path: Option<&Path>) -> Result<TrustedRoot> {
    let Some(path) = path else { return Ok(TrustedRoot::intel()) };
    let bytes = read(path, MAX_CERTIFICATE_BYTES)?;
    TrustedRoot::danger_from_bytes(&bytes).ok_or_else(|| anyhow!("{}: not a certificate", path.display()))
}

/// A file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| path.display().to_string())?;
    if bytes.len() > limit {
        bail!("{}: larger than {limit} bytes", path.display());
    }
    Ok(bytes)
}
