//! Removes from a quote what anybody may add to it.
//!
//! The format has room that no signature covers: after the quote, after the parts of the signature data, and around the certificates,
//! which are text. Real quotes have nothing there, except padding at the end.

use super::{Quote, QuoteError};
use crate::reader::Reader;

/// The type that encloses the quoting enclave's own data in quotes of versions 4 and 5.
const QE_REPORT_CERTIFICATION: u16 = 6;
/// The certificates of the platform, in PEM.
const PCK_CHAIN: u16 = 5;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl Quote {
    /// The same quote, with nothing in the room that no signature covers. Real quotes stay as they are, except for padding. A malformed
    /// part stays as it is: no judge accepts such a quote.
    pub fn canonical(bytes: &[u8]) -> Result<Vec<u8>, QuoteError> {
        let quote = Self::parse(bytes)?;
        let (signed, rest) = bytes.split_at_checked(quote.signed_bytes).ok_or(QuoteError::Truncated)?;
        let mut reader = Reader { rest };
        let announced = usize::try_from(reader.u32()?).map_err(|_| QuoteError::Truncated)?;
        let data = reader.take(announced)?;
        let canonical = signature_data(quote.version, data).unwrap_or_else(|_| data.to_vec());
        let length = u32::try_from(canonical.len()).map_err(|_| QuoteError::Truncated)?;
        Ok([signed, &length.to_le_bytes(), &canonical].concat())
    }
}

fn signature_data(version: u16, data: &[u8]) -> Result<Vec<u8>, QuoteError> {
    let mut reader = Reader { rest: data };
    let signature_and_key = reader.take(64 + 64)?;
    if version == 3 {
        return Ok([signature_and_key, &quoting_enclave(&mut reader)?].concat());
    }
    let (kind, enclosed) = certification(&mut reader)?;
    if kind != QE_REPORT_CERTIFICATION {
        return Err(QuoteError::Truncated);
    }
    let enclosed = quoting_enclave(&mut Reader { rest: enclosed })?;
    Ok([signature_and_key, &certification_of(kind, &enclosed)?].concat())
}

/// Copies the quoting enclave's report, its signature, its authentication data, and the certificates.
fn quoting_enclave(reader: &mut Reader<'_>) -> Result<Vec<u8>, QuoteError> {
    let report_and_signature = reader.take(384 + 64)?;
    let length = reader.u16()?;
    let authenticated = reader.take(length.into())?;
    let (kind, certificates) = certification(reader)?;
    let certificates = if kind == PCK_CHAIN { chain_alone(certificates) } else { certificates.to_vec() };
    let certificates = certification_of(kind, &certificates)?;
    Ok([report_and_signature, &length.to_le_bytes(), authenticated, &certificates].concat())
}

fn certification<'a>(reader: &mut Reader<'a>) -> Result<(u16, &'a [u8]), QuoteError> {
    let kind = reader.u16()?;
    let length = usize::try_from(reader.u32()?).map_err(|_| QuoteError::Truncated)?;
    Ok((kind, reader.take(length)?))
}

fn certification_of(kind: u16, data: &[u8]) -> Result<Vec<u8>, QuoteError> {
    let length = u32::try_from(data.len()).map_err(|_| QuoteError::Truncated)?;
    Ok([&kind.to_le_bytes(), &length.to_le_bytes()[..], data].concat())
}

/// The certificates without surrounding text, each with its line end. Some of Intel's quoting libraries end them with C's NUL and
/// others do not, so a NUL at the very end is kept.
fn chain_alone(data: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(data) else { return data.to_vec() };
    let mut alone = String::new();
    let mut rest = text;
    while let Some((certificate, behind)) = rest.split_once(BEGIN).and_then(|(_, begun)| begun.split_once(END)) {
        alone.extend([BEGIN, certificate, END, "\n"]);
        rest = behind;
    }
    if text.ends_with('\0') {
        alone.push('\0');
    }
    alone.into_bytes()
}
