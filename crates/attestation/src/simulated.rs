//! A pretended SGX platform, for demos and tests: everything that Intel's services and a processor would provide, made on
//! the spot under a root certificate of its own. Its quotes pass the same checks as real ones, but only for someone who
//! chooses to trust that root, and they protect nothing.

mod certificates;
mod collateral;

use self::certificates::Identity;
pub use self::certificates::SimulationError;
pub use crate::collateral::Collateral;
use crate::report_data::{REPORT_DATA_BYTES, ReportData};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::rand_core::OsRng,
};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};
use x509_cert::{
    der::{self, asn1::UtcTime},
    time::{Time, Validity},
};

/// Intel's id as the vendor of quoting enclaves, which quote verifiers insist on.
const QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// ECDSA over P-256.
const ATTESTATION_KEY_TYPE: u16 = 2;
/// A PEM chain, the platform's certificate first.
const CERTIFICATION_DATA_TYPE: u16 = 5;
/// The platform's security versions; the collateral calls exactly these up to date.
const CPU_SVN: [u8; 16] = [1; 16];
const PCE_SVN: u16 = 1;
/// The one model of simulated processor.
const FMSPC: [u8; 6] = *b"simula";
const PCE_ID: [u8; 2] = [0; 2];
/// INIT and MODE64BIT; XFRM with x87 and SSE. Not DEBUG: simulated quotes have to pass the policy that real ones pass.
const ATTRIBUTES: [u8; 16] = [5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
const ISV_PROD_ID: u16 = 1;
const ISV_SVN: u16 = 1;
/// Stands between the attestation key and the QE report's hash; free for the quoting enclave to fill.
const QE_AUTH_DATA: [u8; 32] = [0; 32];
const VALID_BEFORE: Duration = Duration::from_secs(60 * 60);
const VALID_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A pretended SGX machine with the authorities above it.
pub struct Platform {
    valid: Validity,
    root: Identity,
    pck_ca: Identity,
    pck: Identity,
    tcb_signer: Identity,
    attestation_key: SigningKey,
}

impl Platform {
    /// Makes all keys and certificates. They are valid from an hour before `now` to a year after it.
    pub fn new(now: SystemTime) -> Result<Self, SimulationError> {
        let valid = Validity { not_before: time(now - VALID_BEFORE)?, not_after: time(now + VALID_AFTER)? };
        let root = Identity::root("Simulated SGX Root CA", valid)?;
        let pck_ca = root.issue_authority("Simulated SGX PCK Processor CA", 2, valid)?;
        let pck = pck_ca.issue_platform("Simulated SGX PCK Certificate", 3, valid)?;
        let tcb_signer = root.issue_signer("Simulated SGX TCB Signing", 4, valid)?;
        Ok(Self { valid, root, pck_ca, pck, tcb_signer, attestation_key: SigningKey::random(&mut OsRng) })
    }

    /// The certificate that a verifier would have to trust, in DER.
    pub fn root_certificate(&self) -> Result<Vec<u8>, SimulationError> {
        self.root.certificate_der()
    }

    /// Quotes the report data, as an SGX quote of version 3 (Intel, "SGX ECDSA QuoteLibReference DCAP API", appendix A.4).
    pub fn quote(&self, report_data: &ReportData) -> Result<Vec<u8>, SimulationError> {
        let mut quote = Vec::new();
        quote.extend(3_u16.to_le_bytes());
        quote.extend(ATTESTATION_KEY_TYPE.to_le_bytes());
        quote.extend([0; 4]); // TEE type: SGX
        quote.extend(ISV_SVN.to_le_bytes()); // of the quoting enclave
        quote.extend(PCE_SVN.to_le_bytes());
        quote.extend(QE_VENDOR_ID);
        quote.extend([0; 20]); // user data
        quote.extend(enclave_report(&mr_enclave(), report_data.to_bytes()));
        let signature: Signature = self.attestation_key.sign(&quote);

        let attestation_key = self.attestation_key.verifying_key().to_encoded_point(false);
        let attestation_key = attestation_key.as_bytes().split_first().map_or(&[][..], |(_, key)| key);
        let mut qe_report_data = [0; REPORT_DATA_BYTES];
        let bound = Sha256::new().chain_update(attestation_key).chain_update(QE_AUTH_DATA).finalize();
        qe_report_data[..bound.len()].copy_from_slice(&bound);
        let qe_report = enclave_report(&[0; 32], qe_report_data);
        let qe_signature: Signature = self.pck.key.sign(&qe_report);
        let chain = certificates::pem_chain([&self.pck, &self.pck_ca, &self.root])?;

        let mut authentication = Vec::new();
        authentication.extend(signature.to_bytes());
        authentication.extend(attestation_key);
        authentication.extend(qe_report);
        authentication.extend(qe_signature.to_bytes());
        authentication.extend((QE_AUTH_DATA.len() as u16).to_le_bytes());
        authentication.extend(QE_AUTH_DATA);
        authentication.extend(CERTIFICATION_DATA_TYPE.to_le_bytes());
        authentication.extend((chain.len() as u32).to_le_bytes());
        authentication.extend(chain.as_bytes());

        quote.extend((authentication.len() as u32).to_le_bytes());
        quote.extend(authentication);
        Ok(quote)
    }

    /// What Intel's services would publish about this platform: it is up to date.
    pub fn collateral(&self) -> Result<Collateral, SimulationError> {
        Collateral::of(self)
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

/// `sgx_report_body_t`, 384 bytes.
fn enclave_report(mr_enclave: &[u8; 32], report_data: [u8; REPORT_DATA_BYTES]) -> Vec<u8> {
    let mut report = Vec::with_capacity(384);
    report.extend(CPU_SVN);
    report.extend([0; 4]); // MISCSELECT
    report.extend([0; 28]);
    report.extend(ATTRIBUTES);
    report.extend(mr_enclave);
    report.extend([0; 32]);
    report.extend(mr_signer());
    report.extend([0; 96]);
    report.extend(ISV_PROD_ID.to_le_bytes());
    report.extend(ISV_SVN.to_le_bytes());
    report.extend([0; 60]);
    report.extend(report_data);
    report
}

/// RFC 5280 wants the short form of dates before 2050.
fn time(at: SystemTime) -> Result<Time, der::Error> {
    Ok(Time::UtcTime(UtcTime::from_system_time(at)?))
}
