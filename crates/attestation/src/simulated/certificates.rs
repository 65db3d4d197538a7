//! Keys with X.509 certificates (RFC 5280), and the revocation lists of their issuers.

use super::{CPU_SVN, FMSPC, PCE_ID, PCE_SVN};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    elliptic_curve::rand_core::OsRng,
};
use std::str::FromStr;
use thiserror::Error;
use x509_cert::{
    Certificate, Version,
    attr::AttributeTypeAndValue,
    builder::{self, Builder, CertificateBuilder, Profile},
    crl::{CertificateList, RevokedCert, TbsCertList},
    der::{
        self, Any, Encode, EncodePem, Length, Tag, Writer,
        asn1::{BitString, ObjectIdentifier, OctetString, Uint},
        oid::AssociatedOid,
        pem::LineEnding,
        referenced::OwnedToRef,
    },
    ext::{
        AsExtension, Extension,
        pkix::{AuthorityKeyIdentifier, CrlNumber},
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{DynSignatureAlgorithmIdentifier, SubjectPublicKeyInfoOwned},
    time::Validity,
};

/// Simulated certificates could not be made: the clock is outside the range of X.509.
#[derive(Debug, Error)]
#[error("simulated certificates")]
pub struct SimulationError(#[from] builder::Error);

impl From<der::Error> for SimulationError {
    fn from(error: der::Error) -> Self {
        Self(error.into())
    }
}

/// A key and the certificate that names it.
pub(super) struct Identity {
    pub(super) key: SigningKey,
    certificate: Certificate,
}

impl Identity {
    /// A self-signed root.
    pub(super) fn root(name: &str, valid: Validity) -> Result<Self, SimulationError> {
        let key = SigningKey::random(&mut OsRng);
        let certificate = builder(Profile::Root, name, 1, valid, &key, &key)?.build::<DerSignature>()?;
        Ok(Self { key, certificate })
    }

    /// Issues an authority for platforms' certificates.
    pub(super) fn issue_authority(&self, name: &str, serial: u8, valid: Validity) -> Result<Self, SimulationError> {
        let profile = Profile::SubCA { issuer: self.name(), path_len_constraint: Some(0) };
        let key = SigningKey::random(&mut OsRng);
        let certificate = builder(profile, name, serial, valid, &key, &self.key)?.build::<DerSignature>()?;
        Ok(Self { key, certificate })
    }

    /// Issues a signer of collateral.
    pub(super) fn issue_signer(&self, name: &str, serial: u8, valid: Validity) -> Result<Self, SimulationError> {
        let key = SigningKey::random(&mut OsRng);
        let certificate = builder(self.leaf(), name, serial, valid, &key, &self.key)?.build::<DerSignature>()?;
        Ok(Self { key, certificate })
    }

    /// Issues a platform's provisioning certification key (PCK). Its certificate describes the platform.
    pub(super) fn issue_platform(&self, name: &str, serial: u8, valid: Validity) -> Result<Self, SimulationError> {
        let key = SigningKey::random(&mut OsRng);
        let mut builder = builder(self.leaf(), name, serial, valid, &key, &self.key)?;
        builder.add_extension(&SgxExtension::of_the_platform()?)?;
        Ok(Self { certificate: builder.build::<DerSignature>()?, key })
    }

    /// The list of the serial numbers that it has revoked, in DER.
    pub(super) fn revocation_list(&self, valid: Validity, revoked: &[u8]) -> Result<Vec<u8>, SimulationError> {
        let public_key =
            SubjectPublicKeyInfoOwned::from_key(*self.key.verifying_key()).map_err(builder::Error::from)?;
        let key_identifier = AuthorityKeyIdentifier::try_from(public_key.owned_to_ref())?;
        let issuer = self.name();
        let algorithm = self.key.signature_algorithm_identifier().map_err(builder::Error::from)?;
        let extensions =
            vec![key_identifier.to_extension(&issuer, &[])?, CrlNumber(Uint::new(&[1])?).to_extension(&issuer, &[])?];
        let entry = |serial: &u8| RevokedCert {
            serial_number: SerialNumber::from(*serial),
            revocation_date: valid.not_before,
            crl_entry_extensions: None,
        };
        let revoked: Vec<_> = revoked.iter().map(entry).collect();
        let tbs_cert_list = TbsCertList {
            version: Version::V2,
            signature: algorithm.clone(),
            issuer,
            this_update: valid.not_before,
            next_update: Some(valid.not_after),
            // RFC 5280 requires an empty list to be absent.
            revoked_certificates: Some(revoked).filter(|revoked| !revoked.is_empty()),
            crl_extensions: Some(extensions),
        };
        let signature: DerSignature = self.key.sign(&tbs_cert_list.to_der()?);
        let signature = BitString::from_bytes(signature.as_bytes())?;
        Ok(CertificateList { tbs_cert_list, signature_algorithm: algorithm, signature }.to_der()?)
    }

    pub(super) fn certificate_der(&self) -> Result<Vec<u8>, SimulationError> {
        Ok(self.certificate.to_der()?)
    }

    fn name(&self) -> Name {
        self.certificate.tbs_certificate.subject.clone()
    }

    fn leaf(&self) -> Profile {
        Profile::Leaf { issuer: self.name(), enable_key_agreement: false, enable_key_encipherment: false }
    }
}

/// The certificates in PEM, in the order given.
pub(super) fn pem_chain<const N: usize>(chain: [&Identity; N]) -> Result<String, SimulationError> {
    let mut pem = String::new();
    for identity in chain {
        pem.push_str(&identity.certificate.to_pem(LineEnding::LF)?);
    }
    Ok(pem)
}

fn builder<'a>(
    profile: Profile,
    name: &str,
    serial: u8,
    valid: Validity,
    subject: &SigningKey,
    issuer: &'a SigningKey,
) -> Result<CertificateBuilder<'a, SigningKey>, SimulationError> {
    let name = Name::from_str(&format!("CN={name}"))?;
    let public_key = SubjectPublicKeyInfoOwned::from_key(*subject.verifying_key()).map_err(builder::Error::from)?;
    Ok(CertificateBuilder::new(profile, SerialNumber::from(serial), valid, name, public_key, issuer)?)
}

/// What a PCK certificate says about its platform (Intel, "SGX PCK Certificate and Certificate Revocation List Profile
/// Specification", section 1.3.5).
struct SgxExtension(Vec<AttributeTypeAndValue>);

impl SgxExtension {
    fn of_the_platform() -> Result<Self, der::Error> {
        let mut tcb = Vec::new();
        for (component, svn) in (1..).zip(CPU_SVN) {
            tcb.push(entry(&[2, component], integer(&[svn])?)?);
        }
        tcb.push(entry(&[2, 17], integer(&PCE_SVN.to_be_bytes())?)?);
        tcb.push(entry(&[2, 18], octets(&CPU_SVN)?)?);
        Ok(Self(vec![
            entry(&[1], octets(&[0; 16])?)?, // PPID
            entry(&[2], Any::encode_from(&tcb)?)?,
            entry(&[3], octets(&PCE_ID)?)?,
            entry(&[4], octets(&FMSPC)?)?,
            entry(&[5], Any::new(Tag::Enumerated, [0])?)?, // SGX type: standard
        ]))
    }
}

/// One fact: `arcs` below the extension's own id, and a value.
fn entry(arcs: &[u32], value: Any) -> Result<AttributeTypeAndValue, der::Error> {
    let mut oid = SgxExtension::OID;
    for arc in arcs {
        oid = oid.push_arc(*arc)?;
    }
    Ok(AttributeTypeAndValue { oid, value })
}

impl AssociatedOid for SgxExtension {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
}

impl AsExtension for SgxExtension {
    fn critical(&self, _subject: &Name, _extensions: &[Extension]) -> bool {
        false
    }
}

impl Encode for SgxExtension {
    fn encoded_len(&self) -> der::Result<Length> {
        self.0.encoded_len()
    }

    fn encode(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.encode(writer)
    }
}

fn integer(big_endian: &[u8]) -> Result<Any, der::Error> {
    Any::encode_from(&Uint::new(big_endian)?)
}

fn octets(bytes: &[u8]) -> Result<Any, der::Error> {
    Any::encode_from(&OctetString::new(bytes)?)
}
