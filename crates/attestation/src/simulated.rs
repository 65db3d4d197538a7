//! Simulated SGX and TDX platforms for demos and tests: everything that Intel's services and a processor would provide,
//! made on the spot under a simulated root certificate. The quotes pass the same checks as real ones, but only for
//! somebody who chooses to trust that root, and they protect nothing.

mod bodies;
mod certificates;
mod publication;

use std::time::{Duration, SystemTime};

use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::rand_core::OsRng,
};
use sha2::{Digest, Sha256};
use x509_cert::{
    der::{self, asn1::UtcTime},
    time::{Time, Validity},
};

use self::certificates::Identity;
pub use self::{
    bodies::{Domain, Enclave, Format},
    certificates::SimulationError,
    publication::{Publication, Revoked},
};
pub use crate::collateral::Collateral;
use crate::{
    quote::Tee,
    report_data::{REPORT_DATA_BYTES, ReportData},
};

/// Intel's vendor id in quoting enclaves, which quote verifiers require.
const QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// ECDSA over P-256.
const ATTESTATION_KEY_TYPE: u16 = 2;
/// A PEM chain, the platform's certificate first.
const PCK_CHAIN: u16 = 5;
/// The quoting enclave's report, its signature, and more certification data inside.
const QE_REPORT: u16 = 6;
/// The platform's security versions. Its collateral lists exactly these.
const CPU_SVN: [u8; 16] = [1; 16];
const PCE_SVN: u16 = 1;
/// The only model of simulated processor.
const FMSPC: [u8; 6] = *b"simula";
const PCE_ID: [u8; 2] = [0; 2];
const PCK_SERIAL: u8 = 3;
const PCK_CA_SERIAL: u8 = 2;
const TCB_SIGNER_SERIAL: u8 = 4;
/// Hashed together with the attestation key into the QE report. The quoting enclave may choose it freely.
const QE_AUTH_DATA: [u8; 32] = [0; 32];
const VALID_BEFORE: Duration = Duration::from_secs(60 * 60);
const VALID_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A simulated machine and its certificate authorities.
pub struct Platform {
    valid: Validity,
    root: Identity,
    pck_ca: Identity,
    pck: Identity,
    tcb_signer: Identity,
    attestation_key: SigningKey,
    quoting_enclave: Enclave,
}

impl Platform {
    /// Makes all keys and certificates. They are valid from an hour before `now` to a year after it.
    pub fn new(now: SystemTime) -> Result<Self, SimulationError> {
        Self::valid_between(now - VALID_BEFORE, now + VALID_AFTER)
    }

    /// The same, with another period of validity for the certificates.
    pub fn valid_between(from: SystemTime, until: SystemTime) -> Result<Self, SimulationError> {
        let valid = Validity { not_before: time(from)?, not_after: time(until)? };
        let root = Identity::root("Simulated SGX Root CA", valid)?;
        let pck_ca = root.issue_authority("Simulated SGX PCK Processor CA", PCK_CA_SERIAL, valid)?;
        let pck = pck_ca.issue_platform("Simulated SGX PCK Certificate", PCK_SERIAL, valid)?;
        let tcb_signer = root.issue_signer("Simulated SGX TCB Signing", TCB_SIGNER_SERIAL, valid)?;
        let attestation_key = SigningKey::random(&mut OsRng);
        Ok(Self { valid, root, pck_ca, pck, tcb_signer, attestation_key, quoting_enclave: Enclave::quoting() })
    }

    /// The same machine with a different quoting enclave.
    #[must_use]
    pub fn with_quoting_enclave(self, quoting_enclave: Enclave) -> Self {
        Self { quoting_enclave, ..self }
    }

    /// The certificate that a verifier would have to trust, in DER.
    pub fn root_certificate(&self) -> Result<Vec<u8>, SimulationError> {
        self.root.certificate_der()
    }

    /// Quotes the report data for the simulated prover's enclave, as an SGX quote of version 3.
    pub fn quote(&self, report_data: &ReportData) -> Result<Vec<u8>, SimulationError> {
        self.sgx_quote(&Enclave::default(), &report_data.to_bytes())
    }

    /// Quotes any report data for any enclave, as an SGX quote of version 3 (Intel, "SGX ECDSA QuoteLibReference DCAP
    /// API", appendix A.4).
    pub fn sgx_quote(
        &self,
        enclave: &Enclave,
        report_data: &[u8; REPORT_DATA_BYTES],
    ) -> Result<Vec<u8>, SimulationError> {
        let mut quote = header(3, Tee::Sgx);
        quote.extend(enclave.report(report_data));
        let certified = self.certified_attestation_key()?;
        self.sign(quote, &certified)
    }

    /// Quotes any report data for any domain (Intel, "TDX DCAP Quoting Library API", appendix A.3).
    pub fn tdx_quote(
        &self,
        format: Format,
        domain: &Domain,
        report_data: &[u8; REPORT_DATA_BYTES],
    ) -> Result<Vec<u8>, SimulationError> {
        let mut quote = header(format.version(), Tee::Tdx);
        quote.extend(domain.report(format, report_data));
        let certified = self.certified_attestation_key()?;
        let mut wrapped = Vec::new();
        wrapped.extend(QE_REPORT.to_le_bytes());
        wrapped.extend((certified.len() as u32).to_le_bytes());
        wrapped.extend(certified);
        self.sign(quote, &wrapped)
    }

    /// What Intel's services would publish about this platform: its SGX is up to date.
    pub fn collateral(&self) -> Result<Collateral, SimulationError> {
        self.publish(&Publication::default())
    }

    /// What Intel's services would publish about this platform in other circumstances.
    pub fn publish(&self, publication: &Publication) -> Result<Collateral, SimulationError> {
        publication.collateral(self)
    }

    fn sign(&self, mut quote: Vec<u8>, certification: &[u8]) -> Result<Vec<u8>, SimulationError> {
        let signature: Signature = self.attestation_key.sign(&quote);
        let mut authentication = signature.to_vec();
        authentication.extend(self.attestation_public_key());
        authentication.extend(certification);
        quote.extend((authentication.len() as u32).to_le_bytes());
        quote.extend(authentication);
        Ok(quote)
    }

    /// Makes the quoting enclave's report, in which the platform vouches for the attestation key.
    fn certified_attestation_key(&self) -> Result<Vec<u8>, SimulationError> {
        let mut report_data = [0; REPORT_DATA_BYTES];
        let bound = Sha256::new().chain_update(self.attestation_public_key()).chain_update(QE_AUTH_DATA).finalize();
        report_data[..bound.len()].copy_from_slice(&bound);
        let report = self.quoting_enclave.report(&report_data);
        let signature: Signature = self.pck.key.sign(&report);
        let chain = certificates::pem_chain([&self.pck, &self.pck_ca, &self.root])?;

        let mut certified = report;
        certified.extend(signature.to_bytes());
        certified.extend((QE_AUTH_DATA.len() as u16).to_le_bytes());
        certified.extend(QE_AUTH_DATA);
        certified.extend(PCK_CHAIN.to_le_bytes());
        certified.extend((chain.len() as u32).to_le_bytes());
        certified.extend(chain.as_bytes());
        Ok(certified)
    }

    /// The uncompressed key, without the prefix byte.
    fn attestation_public_key(&self) -> Vec<u8> {
        let point = self.attestation_key.verifying_key().to_encoded_point(false);
        point.as_bytes().split_first().map_or_else(Vec::new, |(_, key)| key.to_vec())
    }
}

/// MRENCLAVE of every simulated prover.
pub fn mr_enclave() -> [u8; 32] {
    Sha256::digest("tee-prover-gateway/simulated-enclave").into()
}

/// MRSIGNER of every simulated enclave.
pub fn mr_signer() -> [u8; 32] {
    Sha256::digest("tee-prover-gateway/simulated-signer").into()
}

fn header(version: u16, tee: Tee) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(version.to_le_bytes());
    header.extend(ATTESTATION_KEY_TYPE.to_le_bytes());
    header.extend(match tee {
        Tee::Sgx => 0_u32.to_le_bytes(),
        Tee::Tdx => 0x81_u32.to_le_bytes(),
    });
    header.extend(Enclave::quoting().isv_svn.to_le_bytes());
    header.extend(PCE_SVN.to_le_bytes());
    header.extend(QE_VENDOR_ID);
    header.extend([0; 20]); // user data
    header
}

/// RFC 5280 requires the short form for dates before 2050.
fn time(at: SystemTime) -> Result<Time, der::Error> {
    Ok(Time::UtcTime(UtcTime::from_system_time(at)?))
}
