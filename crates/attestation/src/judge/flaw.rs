//! Why a quote is not genuine.

use serde::Serialize;

/// Why a quote is not genuine, as far as the library's error text tells. It explains a refusal and decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flaw {
    /// The library reads other values from it than we do.
    ReadDifferently,
    /// The trusted root's certificate is invalid.
    Root,
    /// The root's revocation list is unreadable, or not signed by the root.
    RootRevocationList,
    /// The revocation list of the platforms' issuing authority is unreadable.
    PckRevocationList,
    /// A revocation list has expired.
    RevocationListExpired,
    /// A certificate has no revocation list, or the list's signature is invalid.
    RevocationUnknown,
    /// A certificate is revoked.
    CertificateRevoked,
    /// A certificate has expired.
    CertificateExpired,
    /// A certificate is not valid yet.
    CertificateNotYetValid,
    /// The certificates do not lead to the trusted root, or one of their signatures is invalid.
    CertificateChain,
    /// The quote's layout or signature data is invalid.
    Layout,
    /// This kind of environment has no such version.
    Version,
    /// The quoting enclave is not Intel's.
    QeVendor,
    /// The attestation key is not ECDSA over P-256.
    AttestationKeyType,
    /// The TCB info is unreadable.
    TcbInfoUnreadable,
    /// The TCB info is not valid yet.
    TcbInfoNotYetValid,
    /// The TCB info has expired.
    TcbInfoExpired,
    /// The TCB info's signature is invalid.
    TcbInfoSignature,
    /// The TCB info is for the other kind of environment.
    TcbInfoKind,
    /// The TCB info is for other processors.
    Fmspc,
    /// The platform is below every level that the TCB info lists.
    NoTcbLevel,
    /// The QE identity is unreadable.
    QeIdentityUnreadable,
    /// The QE identity is not valid yet.
    QeIdentityNotYetValid,
    /// The QE identity has expired.
    QeIdentityExpired,
    /// The QE identity's signature is invalid.
    QeIdentitySignature,
    /// The QE identity is for the other kind of environment.
    QeIdentityKind,
    /// The certification data in the quote is invalid.
    CertificationData,
    /// The platform certificate lacks Intel's extension.
    PckExtension,
    /// The platform's signature of the quoting enclave's report is invalid.
    QeReportSignature,
    /// The quoting enclave vouches for another attestation key.
    AttestationKey,
    /// The quoting enclave has another signer.
    QeMrSigner,
    /// The quoting enclave is a debug enclave.
    QeDebug,
    /// The quoting enclave is another product.
    QeIsvProdId,
    /// The quoting enclave has another MISCSELECT.
    QeMiscSelect,
    /// The quoting enclave has other attributes.
    QeAttributes,
    /// The quoting enclave is below every level that its identity lists.
    QeIsvSvn,
    /// The attestation key's signature of the quote is invalid.
    QuoteSignature,
    /// The TCB info does not know the TDX module.
    TdxModule,
    /// The TDX module has another signer.
    TdxModuleSigner,
    /// The TDX module has other attributes.
    TdxModuleAttributes,
    /// The platform, its quoting enclave or its TDX module is revoked.
    Revoked,
    /// The environment can be debugged.
    Debug,
    /// The domain is profiled.
    Profiling,
    /// Bits of the TD's attributes are set that must be zero.
    ReservedTdAttributes,
    /// The domain can be moved to another machine.
    Migratable,
    /// A service domain is bound to it.
    ServiceTd,
    /// Missing pages are reported to the domain by exceptions, which the host can use to steer it.
    SeptVeDisable,
    /// Something else is wrong.
    Other,
}

/// Texts of `dcap-qvl` 0.7 and its `webpki`, the more specific ones first.
const WORDS: &[(&str, Flaw)] = &[
    ("Failed to load root ca", Flaw::Root),
    ("Failed to parse root CA CRL", Flaw::RootRevocationList),
    ("Failed to parse PCK CRL", Flaw::PckRevocationList),
    ("CrlExpired", Flaw::RevocationListExpired),
    ("CertRevoked", Flaw::CertificateRevoked),
    ("UnknownRevocationStatus", Flaw::RevocationUnknown),
    ("InvalidCrlSignature", Flaw::RevocationUnknown),
    ("CertExpired", Flaw::CertificateExpired),
    ("CertNotValidYet", Flaw::CertificateNotYetValid),
    ("Failed to decode quote", Flaw::Layout),
    ("must have version", Flaw::Version),
    ("Unsupported DCAP quote version", Flaw::Version),
    ("Unknown QE vendor ID", Flaw::QeVendor),
    ("Unsupported DCAP attestation key type", Flaw::AttestationKeyType),
    ("Failed to decode TcbInfo", Flaw::TcbInfoUnreadable),
    ("TCBInfo issue date is in the future", Flaw::TcbInfoNotYetValid),
    ("TCBInfo expired", Flaw::TcbInfoExpired),
    ("Failed to parse TCB Info issue date", Flaw::TcbInfoUnreadable),
    ("Failed to parse TCB Info next update", Flaw::TcbInfoUnreadable),
    ("Signature is invalid for tcb_info", Flaw::TcbInfoSignature),
    ("Failed to decode QeIdentity", Flaw::QeIdentityUnreadable),
    ("QE Identity issue date is in the future", Flaw::QeIdentityNotYetValid),
    ("QE Identity expired", Flaw::QeIdentityExpired),
    ("Failed to parse QE Identity issue date", Flaw::QeIdentityUnreadable),
    ("Failed to parse QE Identity next update", Flaw::QeIdentityUnreadable),
    ("Signature is invalid for qe_identity", Flaw::QeIdentitySignature),
    ("Unsupported QE Identity id/version", Flaw::QeIdentityKind),
    ("Unsupported DCAP PCK cert format", Flaw::CertificationData),
    ("Failed to extract PCK certificates", Flaw::CertificationData),
    ("Invalid QE auth data length", Flaw::Layout),
    ("Intel extension", Flaw::PckExtension),
    ("Signature is invalid for qe_report", Flaw::QeReportSignature),
    ("QE report hash mismatch", Flaw::AttestationKey),
    ("QE MRSIGNER mismatch", Flaw::QeMrSigner),
    ("QE report validation failed", Flaw::QeDebug),
    ("QE ISVPRODID mismatch", Flaw::QeIsvProdId),
    ("QE MISCSELECT mismatch", Flaw::QeMiscSelect),
    ("QE ATTRIBUTES mismatch", Flaw::QeAttributes),
    ("QE ISVSVN", Flaw::QeIsvSvn),
    ("ISV enclave report signature is invalid", Flaw::QuoteSignature),
    ("Fmspc mismatch", Flaw::Fmspc),
    ("quote with non-", Flaw::TcbInfoKind),
    ("No matching TCB level found", Flaw::NoTcbLevel),
    ("TDX module MRSIGNER mismatch", Flaw::TdxModuleSigner),
    ("SEAMATTRIBUTES", Flaw::TdxModuleAttributes),
    ("No TDX module identity", Flaw::TdxModule),
    ("TDX module ISVSVN", Flaw::TdxModule),
    ("Revoked", Flaw::Revoked),
    ("Debug mode is enabled", Flaw::Debug),
    ("TD profiling is enabled", Flaw::Profiling),
    ("Reserved bits in TD attributes", Flaw::ReservedTdAttributes),
    ("TD migration is enabled", Flaw::Migratable),
    ("SERVTD_EXT is enabled", Flaw::ServiceTd),
    ("Invalid MR service TD", Flaw::ServiceTd),
    ("SEPT_VE_DISABLE is not enabled", Flaw::SeptVeDisable),
    ("ertificate", Flaw::CertificateChain),
    ("UnknownIssuer", Flaw::CertificateChain),
];

impl Flaw {
    pub(super) fn of(error: &str) -> Self {
        WORDS.iter().find(|(words, _)| error.contains(words)).map_or(Self::Other, |(_, flaw)| *flaw)
    }

    /// The flaw in words.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::ReadDifferently => "two parsers read its fields differently",
            Self::Root => "the trusted root is not a certificate",
            Self::RootRevocationList => {
                "the root's revocation list cannot be read, or the trusted root did not sign it"
            }
            Self::PckRevocationList => "the PCK revocation list cannot be read",
            Self::RevocationListExpired => "a revocation list has expired",
            Self::RevocationUnknown => "a certificate has no revocation list, or the list's signature is invalid",
            Self::CertificateRevoked => "a certificate is revoked",
            Self::CertificateExpired => "a certificate has expired",
            Self::CertificateNotYetValid => "a certificate is not valid yet",
            Self::CertificateChain => {
                "the certificates do not lead to the trusted root, or one of their signatures is invalid"
            }
            Self::Layout => "the quote's layout or its signature data cannot be read",
            Self::Version => "the quote's version does not exist for this kind of environment",
            Self::QeVendor => "the quoting enclave is not Intel's",
            Self::AttestationKeyType => "the attestation key is not ECDSA over P-256",
            Self::TcbInfoUnreadable => "the TCB info cannot be read",
            Self::TcbInfoNotYetValid => "the TCB info is not valid yet",
            Self::TcbInfoExpired => "the TCB info has expired",
            Self::TcbInfoSignature => "the TCB info's signature is invalid",
            Self::TcbInfoKind => "the TCB info is for the other kind of environment",
            Self::Fmspc => "the TCB info is for other processors",
            Self::NoTcbLevel => "the platform is older than every level of the TCB info",
            Self::QeIdentityUnreadable => "the QE identity cannot be read",
            Self::QeIdentityNotYetValid => "the QE identity is not valid yet",
            Self::QeIdentityExpired => "the QE identity has expired",
            Self::QeIdentitySignature => "the QE identity's signature is invalid",
            Self::QeIdentityKind => "the QE identity is for the other kind of environment",
            Self::CertificationData => "neither the quote nor the collateral has platform certificates",
            Self::PckExtension => "the platform's certificate lacks the extension that Intel's have",
            Self::QeReportSignature => "the platform's signature of the quoting enclave's report is invalid",
            Self::AttestationKey => "the quoting enclave vouches for another attestation key",
            Self::QeMrSigner => "the quoting enclave is not signed by Intel",
            Self::QeDebug => "the quoting enclave is a debug enclave",
            Self::QeIsvProdId => "the quoting enclave has the wrong ISVPRODID",
            Self::QeMiscSelect => "the quoting enclave has the wrong MISCSELECT",
            Self::QeAttributes => "the quoting enclave has the wrong attributes",
            Self::QeIsvSvn => "the quoting enclave is older than every level of its identity",
            Self::QuoteSignature => "the attestation key's signature of the quote is invalid",
            Self::TdxModule => "the TCB info does not know the TDX module",
            Self::TdxModuleSigner => "the TDX module is not signed by Intel",
            Self::TdxModuleAttributes => "the TDX module's attributes differ from the TCB info's",
            Self::Revoked => "the status of the platform, its quoting enclave or its TDX module is Revoked",
            Self::Debug => "it can be debugged",
            Self::Profiling => "it can be profiled",
            Self::ReservedTdAttributes => "reserved TD attributes are set",
            Self::Migratable => "it can be moved to another machine",
            Self::ServiceTd => "a service domain is bound to it",
            Self::SeptVeDisable => "SEPT_VE_DISABLE is not set in the TD attributes",
            Self::Other => "another reason",
        }
    }

    /// Whether the flaw is about the platform, in a quote whose signatures are valid: the library compares the platform with the TCB info
    /// after it has checked all of them.
    pub(super) fn is_of_the_platform(self) -> bool {
        matches!(
            self,
            Self::NoTcbLevel | Self::TdxModule | Self::TdxModuleSigner | Self::TdxModuleAttributes | Self::Revoked
        )
    }

    /// Whether the flaw is about the domain's attributes, which the library checks last.
    pub(super) fn is_of_attributes(self) -> bool {
        matches!(
            self,
            Self::Debug
                | Self::Profiling
                | Self::ReservedTdAttributes
                | Self::Migratable
                | Self::ServiceTd
                | Self::SeptVeDisable
        )
    }
}
