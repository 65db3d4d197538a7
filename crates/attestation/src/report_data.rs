//! The 64 bytes in a quote that name the signing key.

use std::fmt;

use secp256k1::PublicKey;
use thiserror::Error;

/// Length of a quote's report data, in bytes.
pub const REPORT_DATA_BYTES: usize = 64;

/// The name of a secp256k1 signing key. The last of the 64 bytes is the layout's version; the bytes between it and the name are
/// zero (teepot's `ReportData`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportData {
    /// Version 0: the compressed public key.
    V0 {
        /// SEC1 compressed public key, 33 bytes. If it was parsed from a quote, it is a point of the curve.
        public_key: [u8; 33],
    },
    /// Version 1: the key's Ethereum address. This project makes this version.
    V1 {
        /// The last 20 bytes of keccak256 of the uncompressed key without its first byte. If it was parsed from a quote, it is not zero.
        address: [u8; 20],
    },
}

/// Why 64 bytes are not report data that names a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReportDataError {
    /// The last byte names no known layout.
    #[error("the report data has the unknown version {version}")]
    UnknownVersion {
        /// The last byte.
        version: u8,
    },
    /// Bytes between the name and the version are not zero.
    #[error("the padding of the report data (version {version}) is not zero")]
    Padding {
        /// The last byte.
        version: u8,
    },
    /// The 33 bytes are not a key. Many foreign quotes have zeros or a hash here, with a last byte that says version 0.
    #[error("the report data (version 0) does not hold a secp256k1 public key")]
    NotAPublicKey,
    /// The address is zero, which no key has.
    #[error("the report data (version 1) holds the zero address, which belongs to no key")]
    ZeroAddress,
}

impl ReportData {
    /// Parses the 64 bytes of a quote.
    pub fn parse(bytes: &[u8; REPORT_DATA_BYTES]) -> Result<Self, ReportDataError> {
        let [.., version] = *bytes;
        match version {
            0 => {
                let public_key = name(bytes, version)?;
                PublicKey::from_slice(&public_key).map_err(|_| ReportDataError::NotAPublicKey)?;
                Ok(Self::V0 { public_key })
            }
            1 => match name(bytes, version)? {
                address if address == [0; 20] => Err(ReportDataError::ZeroAddress),
                address => Ok(Self::V1 { address }),
            },
            _ => Err(ReportDataError::UnknownVersion { version }),
        }
    }

    /// The 64 bytes to request a quote for.
    pub fn to_bytes(&self) -> [u8; REPORT_DATA_BYTES] {
        let (name, version): (&[u8], u8) = match self {
            Self::V0 { public_key } => (public_key, 0),
            Self::V1 { address } => (address, 1),
        };
        let mut bytes = [0; REPORT_DATA_BYTES];
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        let [.., last] = &mut bytes;
        *last = version;
        bytes
    }

    /// Whether this names the key with the given compressed form and Ethereum address.
    #[must_use]
    pub fn names(&self, public_key: &[u8; 33], address: &[u8; 20]) -> bool {
        match self {
            Self::V0 { public_key: named } => named == public_key,
            Self::V1 { address: named } => named == address,
        }
    }
}

/// Writes the key's name in hex. An address begins with `0x`.
impl fmt::Display for ReportData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V0 { public_key } => f.write_str(&hex::encode(public_key)),
            Self::V1 { address } => write!(f, "0x{}", hex::encode(address)),
        }
    }
}

/// The first `N` bytes. All bytes after them, except the last one, must be zero, so that each key has one name.
fn name<const N: usize>(bytes: &[u8; REPORT_DATA_BYTES], version: u8) -> Result<[u8; N], ReportDataError> {
    let error = ReportDataError::Padding { version };
    let [padded @ .., _] = bytes;
    let (name, padding) = padded.split_first_chunk().ok_or(error)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(error);
    }
    Ok(*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC_KEY: [u8; 33] = [2; 33];
    const ADDRESS: [u8; 20] = [7; 20];
    const V0: ReportData = ReportData::V0 { public_key: PUBLIC_KEY };
    const V1: ReportData = ReportData::V1 { address: ADDRESS };

    #[test]
    fn the_name_comes_first_and_the_version_last() {
        let bytes = V1.to_bytes();
        assert_eq!(bytes[..20], ADDRESS);
        assert_eq!(bytes[20..63], [0; 43]);
        assert_eq!(bytes[63], 1);
        let bytes = V0.to_bytes();
        assert_eq!(bytes[..33], PUBLIC_KEY);
        assert_eq!(bytes[33..], [0; 31]);
    }

    #[test]
    fn both_versions_are_read_back() {
        for data in [V0, V1] {
            assert_eq!(ReportData::parse(&data.to_bytes()), Ok(data));
        }
    }

    #[test]
    fn a_byte_set_in_the_padding_is_refused() {
        for (data, version, padding) in [(V0, 0, 33..63), (V1, 1, 20..63)] {
            for at in padding {
                let mut bytes = data.to_bytes();
                bytes[at] = 1;
                assert_eq!(ReportData::parse(&bytes), Err(ReportDataError::Padding { version }), "byte {at}");
            }
        }
    }

    /// Report data of other people's quotes: nothing, a SHA-256, a point of another curve's size. Each ends in a zero
    /// byte.
    #[test]
    fn what_is_no_key_is_refused() {
        let mut hash = [0; REPORT_DATA_BYTES];
        hash[..32].copy_from_slice(&[0x5a; 32]);
        let mut uncompressed = [0; REPORT_DATA_BYTES];
        uncompressed[0] = 4;
        // No point of the curve has 5 as x, and the field's prime is not a coordinate at all.
        let mut no_point = [0; REPORT_DATA_BYTES];
        (no_point[0], no_point[32]) = (2, 5);
        let mut too_large = [0; REPORT_DATA_BYTES];
        too_large[0] = 2;
        too_large[1..33].copy_from_slice(&[0xff; 32]);
        for bytes in [[0; REPORT_DATA_BYTES], hash, uncompressed, no_point, too_large] {
            assert_eq!(ReportData::parse(&bytes), Err(ReportDataError::NotAPublicKey), "{}", hex::encode(bytes));
        }
        let mut zero_address = [0; REPORT_DATA_BYTES];
        zero_address[63] = 1;
        assert_eq!(ReportData::parse(&zero_address), Err(ReportDataError::ZeroAddress));
    }

    #[test]
    fn an_unknown_version_is_refused() {
        for version in 2..=u8::MAX {
            let mut bytes = V1.to_bytes();
            bytes[63] = version;
            assert_eq!(ReportData::parse(&bytes), Err(ReportDataError::UnknownVersion { version }));
        }
    }

    #[test]
    fn only_the_named_key_matches() {
        assert!(V0.names(&PUBLIC_KEY, &[0; 20]));
        assert!(V1.names(&[0; 33], &ADDRESS));
        assert!(!V0.names(&[3; 33], &ADDRESS));
        assert!(!V1.names(&PUBLIC_KEY, &[8; 20]));
    }
}
