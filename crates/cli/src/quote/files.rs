//! Quotes in files.

use std::path::Path;

use anyhow::{Result, anyhow};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use tee_attestation::MAX_QUOTE_BYTES;
use tee_checker::read;

/// A quote: bytes, hex or base64, in one line or several.
pub(crate) fn read_quote(path: &Path) -> Result<Vec<u8>> {
    // Enough for hex with line breaks.
    let bytes = read(path, 3 * MAX_QUOTE_BYTES)?;
    // A quote begins with a 16-bit version, whose second byte is zero. No text has such a byte.
    if bytes.is_empty() || !bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return Ok(bytes);
    }
    let text: Vec<_> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let text = text.strip_prefix(b"0x").unwrap_or(&text);
    let decoded = hex::decode(text).ok();
    let decoded = decoded.or_else(|| BASE64_STANDARD.decode(text).ok()).or_else(|| BASE64_URL_SAFE.decode(text).ok());
    decoded.ok_or_else(|| anyhow!("{}: text, but neither hex nor base64", path.display()))
}
