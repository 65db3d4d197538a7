//! Quotes in files.

use std::path::Path;

use anyhow::{Result, anyhow};
use tee_attestation::MAX_QUOTE_BYTES;
use tee_checker::{quote_of_text, read};

/// A quote: bytes, hex or base64, in one line or several.
pub(crate) fn read_quote(path: &Path) -> Result<Vec<u8>> {
    // Enough for hex with line breaks.
    let bytes = read(path, 3 * MAX_QUOTE_BYTES)?;
    // A quote begins with a 16-bit version, whose second byte is zero. No text has such a byte.
    if bytes.is_empty() || !bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return Ok(bytes);
    }
    quote_of_text(&bytes).ok_or_else(|| anyhow!("{}: the text is neither hex nor base64", path.display()))
}
