//! SIGSTRUCT: an enclave's signed description, which the processor compares with the enclave before it starts.
//!
//! Layout and rules: Intel SDM, volume 3D, "Enclave Signature Structure (SIGSTRUCT)" and "EINIT". All numbers are little-endian.

use std::fmt;

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::reader::{Reader, Truncated};

/// The size of a SIGSTRUCT, in bytes.
pub const SIGSTRUCT_BYTES: usize = 1808;

const HEADER: [u8; 16] = [6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
const HEADER2: [u8; 16] = [1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0];
const VENDORS: [u32; 2] = [0, 0x8086];
const EXPONENT: u32 = 3;
/// The size of the header. The signature covers the header and the body, but not the key and the signature between them.
const HEADER_BYTES: usize = 128;
const MODULUS_BYTES: usize = 384;
const BODY_BYTES: usize = 128;

/// Bit 1 of ATTRIBUTES.
const DEBUG: u8 = 1 << 1;

/// What an enclave's signer says about it. The signature was verified against the key in the structure, whoever owns that key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sigstruct {
    /// ENCLAVEHASH: the MRENCLAVE of enclaves that may start with this.
    pub mr_enclave: [u8; 32],
    /// The MRSIGNER of enclaves that may start with this: the SHA-256 of the modulus.
    pub mr_signer: [u8; 32],
    /// ATTRIBUTES: 8 bytes of flags, 8 bytes of XFRM. The bits in the mask must be those of the enclave.
    pub attributes: [u8; 16],
    /// ATTRIBUTEMASK.
    pub attribute_mask: [u8; 16],
    /// MISCSELECT. The bits in the mask must be those of the enclave.
    pub misc_select: u32,
    /// MISCMASK.
    pub misc_mask: u32,
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// ISVSVN.
    pub isv_svn: u16,
    /// VENDOR: 0x8086 for Intel's own enclaves, otherwise 0.
    pub vendor: u32,
    /// DATE, as its eight digits: year, month, day. Nobody checks it.
    pub date: u32,
}

/// Whether an enclave may start with debugging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debugging {
    /// It never starts with debugging.
    Refused,
    /// Whoever starts it decides.
    Allowed,
    /// It starts only with debugging.
    Required,
}

/// Why bytes are not a valid SIGSTRUCT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SigstructError {
    /// There are fewer bytes than [`SIGSTRUCT_BYTES`].
    #[error("the SIGSTRUCT is cut short")]
    Truncated,
    /// Bytes follow the structure.
    #[error("{bytes} unexpected bytes after the SIGSTRUCT")]
    TrailingBytes {
        /// Their number.
        bytes: usize,
    },
    /// A field has a value that the processor does not accept.
    #[error("{0} has a value that the processor does not accept")]
    Field(SigstructField),
    /// The signature is not that of its key: no processor starts an enclave with it.
    #[error("the signature is invalid")]
    Signature,
}

/// A field that accepts only certain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigstructField {
    /// HEADER.
    Header,
    /// VENDOR.
    Vendor,
    /// HEADER2.
    Header2,
    /// Bytes that must be zero.
    Reserved {
        /// The offset of the first one.
        at: usize,
    },
    /// EXPONENT.
    Exponent,
}

impl Sigstruct {
    /// Parses a SIGSTRUCT and verifies its signature. Q1 and Q2, which only save the processor two divisions, are not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, SigstructError> {
        let mut reader = Reader { rest: bytes };
        let header = Reader { rest: reader.rest }.take(HEADER_BYTES)?;
        ask(reader.array()? == HEADER, SigstructField::Header)?;
        let vendor = reader.u32()?;
        ask(VENDORS.contains(&vendor), SigstructField::Vendor)?;
        let date = reader.u32()?;
        ask(reader.array()? == HEADER2, SigstructField::Header2)?;
        reader.skip(4)?; // SWDEFINED
        zeros(&mut reader, 84, SigstructField::Reserved { at: 44 })?;

        let modulus: [u8; MODULUS_BYTES] = reader.array()?;
        ask(reader.u32()? == EXPONENT, SigstructField::Exponent)?;
        let signature = reader.array()?;

        let body = Reader { rest: reader.rest }.take(BODY_BYTES)?;
        let misc_select = reader.u32()?;
        let misc_mask = reader.u32()?;
        reader.skip(1 + 1)?; // CET_ATTRIBUTES and its mask
        zeros(&mut reader, 2, SigstructField::Reserved { at: 910 })?;
        reader.skip(16)?; // ISVFAMILYID
        let attributes = reader.array()?;
        let attribute_mask = reader.array()?;
        let mr_enclave = reader.array()?;
        zeros(&mut reader, 16, SigstructField::Reserved { at: 992 })?;
        reader.skip(16)?; // ISVEXTPRODID
        let isv_prod_id = reader.u16()?;
        let isv_svn = reader.u16()?;
        zeros(&mut reader, 12, SigstructField::Reserved { at: 1028 })?;
        reader.skip(2 * MODULUS_BYTES)?; // Q1, Q2
        if !reader.rest.is_empty() {
            return Err(SigstructError::TrailingBytes { bytes: reader.rest.len() });
        }

        verify(&[header, body].concat(), modulus, signature)?;
        let mr_signer = Sha256::digest(modulus).into();
        Ok(Self {
            mr_enclave,
            mr_signer,
            attributes,
            attribute_mask,
            misc_select,
            misc_mask,
            isv_prod_id,
            isv_svn,
            vendor,
            date,
        })
    }

    /// Whether an enclave may start with debugging.
    pub fn debugging(&self) -> Debugging {
        match (self.attribute_mask[0] & DEBUG != 0, self.attributes[0] & DEBUG != 0) {
            (true, false) => Debugging::Refused,
            (true, true) => Debugging::Required,
            (false, _) => Debugging::Allowed,
        }
    }
}

fn ask(holds: bool, field: SigstructField) -> Result<(), SigstructError> {
    if holds { Ok(()) } else { Err(SigstructError::Field(field)) }
}

fn zeros(reader: &mut Reader<'_>, bytes: usize, field: SigstructField) -> Result<(), SigstructError> {
    ask(reader.take(bytes)?.iter().all(|byte| *byte == 0), field)
}

/// Verifies the signature. Modulus and signature are in a SIGSTRUCT's byte order, the least significant byte first.
fn verify(
    signed: &[u8],
    mut modulus: [u8; MODULUS_BYTES],
    mut signature: [u8; MODULUS_BYTES],
) -> Result<(), SigstructError> {
    modulus.reverse();
    signature.reverse();
    // This also refuses a modulus that begins with zeros and so belongs to a shorter key.
    RsaPublicKeyComponents { n: &modulus[..], e: &[3] }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed, &signature)
        .map_err(|_| SigstructError::Signature)
}

impl From<Truncated> for SigstructError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl fmt::Display for SigstructField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("HEADER"),
            Self::Vendor => f.write_str("VENDOR"),
            Self::Header2 => f.write_str("HEADER2"),
            Self::Reserved { at } => write!(f, "the reserved field at byte {at}"),
            Self::Exponent => f.write_str("EXPONENT"),
        }
    }
}
