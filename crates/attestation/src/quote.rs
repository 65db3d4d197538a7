//! Parses quotes.
//!
//! Layouts: Intel, "SGX ECDSA QuoteLibReference DCAP API", appendix A.4 (version 3), and Intel, "TDX DCAP Quoting Library
//! API", appendix A.3 (versions 4 and 5); the TDX 1.5 extended body is `sgx_report2_body_v1_5_ex_t` of `sgx_quote_5.h`
//! in Intel's DCAP sources. All numbers are little-endian.

mod canonical;

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::{
    reader::{Reader, Truncated},
    report_data::{REPORT_DATA_BYTES, ReportData, ReportDataError},
};

const TEE_TYPE_SGX: u32 = 0;
const TEE_TYPE_TDX: u32 = 0x81;

/// Bit 1 of an enclave's attributes (Intel SDM, volume 3D, "ATTRIBUTES").
const SGX_DEBUG: u8 = 1 << 1;
/// Bits 0 to 7 of a TD's attributes, "TD under debug" (Intel, "TDX Module ABI", TD_ATTRIBUTES).
const TD_UNDER_DEBUG: u8 = 0xff;

/// Bit 4 of an enclave's attributes: it may have the provisioning key.
const SGX_PROVISION_KEY: u8 = 1 << 4;
/// Bit 5 of an enclave's attributes: it may have the EINITTOKEN key, with which a launch enclave lets others start.
const SGX_EINITTOKEN_KEY: u8 = 1 << 5;
/// Bit 29 of a TD's attributes: bit 5 of the fourth byte.
const TD_MIGRATABLE: u8 = 1 << 5;
/// Bit 28. Without it the host can have missing pages reported to the domain as exceptions, and steer it with them.
const TD_SEPT_VE_DISABLE: u8 = 1 << 4;
/// Bit 17: the report also holds a hash of bound service domains.
const TD_SERVTD_EXT: u8 = 1 << 1;
/// Bits that must be zero (Intel, "TDX Module ABI" 348551-008US, table 3.23): 1 to 3, 7 to 15, 23 to 26, 32 to 61.
const TD_RESERVED: [u8; 8] = [0x8e, 0xff, 0x80, 0x07, 0xff, 0xff, 0xff, 0x3f];

/// The kind of trusted environment that a quote comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tee {
    /// An Intel SGX enclave.
    Sgx,
    /// An Intel TDX trust domain.
    Tdx,
}

impl Tee {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sgx => "sgx",
            Self::Tdx => "tdx",
        }
    }
}

impl fmt::Display for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The content of a quote. Nothing is verified: anyone can write such bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    version: u16,
    report: Report,
    /// The length of header and report, which are at the front.
    signed_bytes: usize,
    padding_bytes: usize,
}

/// The signed statement inside a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The report of an SGX enclave.
    Sgx(EnclaveReport),
    /// The report of a TDX trust domain.
    Tdx(Box<TdReport>),
}

/// The processor's report about an SGX enclave (`sgx_report_body_t`, 384 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclaveReport {
    /// ATTRIBUTES: 8 bytes of flags, 8 bytes of XFRM.
    pub attributes: [u8; 16],
    /// MRENCLAVE: what runs in the enclave.
    pub mr_enclave: [u8; 32],
    /// MRSIGNER: who signed the enclave.
    pub mr_signer: [u8; 32],
    /// ISVPRODID: which of the signer's programs it is.
    pub isv_prod_id: u16,
    /// ISVSVN: the program's security version.
    pub isv_svn: u16,
    /// The 64 bytes that the enclave asked for.
    pub report_data: [u8; REPORT_DATA_BYTES],
}

/// The processor's report about a trust domain (`sgx_report2_body_t`, 584 bytes; later bodies begin with the same fields).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdReport {
    /// MRSEAM: the TDX module that runs the domain.
    pub mr_seam: [u8; 48],
    /// TDATTRIBUTES: 8 bytes of flags.
    pub td_attributes: [u8; 8],
    /// XFAM: which of the processor's extended features the domain may use.
    pub xfam: [u8; 8],
    /// MRTD: what the domain was built from.
    pub mr_td: [u8; 48],
    /// MRCONFIGID: the configuration, as the owner set it.
    pub mr_config_id: [u8; 48],
    /// MROWNER: the owner's id, as the owner set it.
    pub mr_owner: [u8; 48],
    /// MROWNERCONFIG: the owner's configuration, as the owner set it.
    pub mr_owner_config: [u8; 48],
    /// RTMR0 to RTMR3: what was loaded after the start.
    pub rtmrs: [[u8; 48]; 4],
    /// The 64 bytes that the domain asked for.
    pub report_data: [u8; REPORT_DATA_BYTES],
    /// MRSERVICETD: which service domains were bound to it, zeros for none. Only bodies of TDX 1.5 have it.
    pub mr_service_td: Option<[u8; 48]>,
}

/// Why bytes are not a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// The bytes end inside a field.
    #[error("the quote is cut short")]
    Truncated,
    /// The version is not 3, 4 or 5.
    #[error("quote version {version} is not supported")]
    UnknownVersion {
        /// The header's version.
        version: u16,
    },
    /// The TEE type is neither SGX nor TDX, or is not possible in this version.
    #[error("TEE type {tee_type:#x} is not supported in quotes of version {version}")]
    UnknownTeeType {
        /// The header's version.
        version: u16,
        /// The header's TEE type.
        tee_type: u32,
    },
    /// The type of a version 5 body is unknown, or belongs to another TEE than the header's.
    #[error("body type {body_type} is not supported for TEE type {tee_type:#x}")]
    UnknownBodyType {
        /// The header's TEE type.
        tee_type: u32,
        /// The body descriptor's type.
        body_type: u16,
    },
    /// A version 5 body does not have the size of its type.
    #[error("a body of type {body_type} has {expected} bytes, but the quote says {got}")]
    BodySize {
        /// The body descriptor's type.
        body_type: u16,
        /// The size in the quote, in bytes.
        got: u32,
        /// The size of the type, in bytes.
        expected: u32,
    },
}

impl Quote {
    /// Parses header and report, and checks that the signature data is complete. Bytes after it are allowed: TDX returns quotes with
    /// padding.
    pub fn parse(bytes: &[u8]) -> Result<Self, QuoteError> {
        let mut reader = Reader { rest: bytes };
        let version = reader.u16()?;
        reader.skip(2)?; // attestation key type
        let tee_type = reader.u32()?;
        reader.skip(2 + 2 + 16 + 20)?; // QE and PCE security versions, QE vendor, user data
        let report = match (version, tee_type) {
            (3 | 4, TEE_TYPE_SGX) => Report::Sgx(EnclaveReport::read(&mut reader)?),
            (4, TEE_TYPE_TDX) => Report::Tdx(Box::new(TdReport::read(&mut reader)?)),
            (5, TEE_TYPE_SGX | TEE_TYPE_TDX) => described_body(&mut reader, tee_type)?,
            (3..=5, _) => return Err(QuoteError::UnknownTeeType { version, tee_type }),
            _ => return Err(QuoteError::UnknownVersion { version }),
        };
        let signed_bytes = bytes.len().saturating_sub(reader.rest.len());
        let signature_bytes = reader.u32()?;
        reader.skip(usize::try_from(signature_bytes).map_err(|_| QuoteError::Truncated)?)?;
        Ok(Self { version, report, signed_bytes, padding_bytes: reader.rest.len() })
    }

    /// The version of the quote's format: 3, 4 or 5.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The length of the signed statement at the front: header and report.
    pub fn signed_bytes(&self) -> usize {
        self.signed_bytes
    }

    /// How many bytes follow the quote. They are not signed.
    pub fn padding_bytes(&self) -> usize {
        self.padding_bytes
    }

    /// The kind of trusted environment.
    pub fn tee(&self) -> Tee {
        match self.report {
            Report::Sgx(_) => Tee::Sgx,
            Report::Tdx(_) => Tee::Tdx,
        }
    }

    /// The signed statement, with the measurements.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The key that the quote names.
    pub fn report_data(&self) -> Result<ReportData, ReportDataError> {
        ReportData::parse(self.report_data_bytes())
    }

    /// The 64 bytes that the enclave or the domain asked for.
    pub fn report_data_bytes(&self) -> &[u8; REPORT_DATA_BYTES] {
        match &self.report {
            Report::Sgx(report) => &report.report_data,
            Report::Tdx(report) => &report.report_data,
        }
    }

    /// Whether the enclave or the domain can be debugged. Then its key is not secret.
    pub fn is_debug(&self) -> bool {
        match &self.report {
            Report::Sgx(report) => report.attributes[0] & SGX_DEBUG != 0,
            Report::Tdx(report) => report.td_attributes[0] & TD_UNDER_DEBUG != 0,
        }
    }
}

impl EnclaveReport {
    /// Whether the enclave may have the key that identifies the platform to Intel.
    pub fn has_provision_key(&self) -> bool {
        self.attributes[0] & SGX_PROVISION_KEY != 0
    }

    /// Whether the enclave may decide which other enclaves start.
    pub fn has_einittoken_key(&self) -> bool {
        self.attributes[0] & SGX_EINITTOKEN_KEY != 0
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        reader.skip(16 + 4 + 28)?; // CPUSVN, MISCSELECT, reserved
        let attributes = reader.array()?;
        let mr_enclave = reader.array()?;
        reader.skip(32)?;
        let mr_signer = reader.array()?;
        reader.skip(96)?;
        let isv_prod_id = reader.u16()?;
        let isv_svn = reader.u16()?;
        reader.skip(60)?;
        let report_data = reader.array()?;
        Ok(Self { attributes, mr_enclave, mr_signer, isv_prod_id, isv_svn, report_data })
    }
}

impl TdReport {
    /// Whether the domain, and its key with it, can be moved to another machine.
    pub fn is_migratable(&self) -> bool {
        self.td_attributes[3] & TD_MIGRATABLE != 0
    }

    /// Whether the host can steer the domain with exceptions.
    pub fn is_steerable(&self) -> bool {
        self.td_attributes[3] & TD_SEPT_VE_DISABLE == 0
    }

    /// Whether another domain is bound to this one and can see into it.
    pub fn has_service_td(&self) -> bool {
        self.td_attributes[2] & TD_SERVTD_EXT != 0 || self.mr_service_td.is_some_and(|mr| mr != [0; 48])
    }

    /// Whether bits of the attributes are set that have no meaning yet.
    pub fn has_reserved_attributes(&self) -> bool {
        self.td_attributes.iter().zip(TD_RESERVED).any(|(bits, reserved)| bits & reserved != 0)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        reader.skip(16)?; // TEE_TCB_SVN
        let mr_seam = reader.array()?;
        reader.skip(48 + 8)?; // MRSIGNERSEAM, SEAMATTRIBUTES
        let td_attributes = reader.array()?;
        let xfam = reader.array()?;
        let mr_td = reader.array()?;
        let [mr_config_id, mr_owner, mr_owner_config] = [reader.array()?, reader.array()?, reader.array()?];
        let rtmrs = [reader.array()?, reader.array()?, reader.array()?, reader.array()?];
        let report_data = reader.array()?;
        Ok(Self {
            mr_seam,
            td_attributes,
            xfam,
            mr_td,
            mr_config_id,
            mr_owner,
            mr_owner_config,
            rtmrs,
            report_data,
            mr_service_td: None,
        })
    }
}

/// Parses the body of a version 5 quote, which begins with its type and size.
fn described_body(reader: &mut Reader<'_>, tee_type: u32) -> Result<Report, QuoteError> {
    let body_type = reader.u16()?;
    let got = reader.u32()?;
    // The bodies of TDX 1.5 and its extension append to the one of TDX 1.0.
    let (expected, appended): (u32, usize) = match (tee_type, body_type) {
        (TEE_TYPE_SGX, 1) => (384, 0),
        (TEE_TYPE_TDX, 2) => (584, 0),
        (TEE_TYPE_TDX, 3) => (648, 64),
        (TEE_TYPE_TDX, 4) => (885, 301),
        _ => {
            return Err(QuoteError::UnknownBodyType { tee_type, body_type });
        }
    };
    if got != expected {
        return Err(QuoteError::BodySize { body_type, got, expected });
    }
    if tee_type == TEE_TYPE_SGX {
        return Ok(Report::Sgx(EnclaveReport::read(reader)?));
    }
    let mut report = TdReport::read(reader)?;
    if let Some(beyond) = appended.checked_sub(16 + 48) {
        reader.skip(16)?; // TEE_TCB_SVN2
        report.mr_service_td = Some(reader.array()?);
        reader.skip(beyond)?;
    }
    Ok(Report::Tdx(Box::new(report)))
}

impl From<Truncated> for QuoteError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}
