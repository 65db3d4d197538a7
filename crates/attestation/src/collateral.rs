//! What Intel publishes about a platform: everything that is needed besides a quote to judge it.

use serde::{Deserialize, Serialize};

/// Everything that is needed besides a quote to judge it. The fields are those of Intel's `sgx_ql_qve_collateral_t`; the JSON form
/// is that of `dcap-qvl`, with bytes in hex. Nothing in it is verified: code that judges a quote with it checks its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collateral {
    /// Issuers of the PCK revocation list, PEM.
    pub pck_crl_issuer_chain: String,
    /// Revocation list of the root, DER.
    #[serde(with = "hex::serde")]
    pub root_ca_crl: Vec<u8>,
    /// Revocation list of the authority that issues platforms' certificates, DER.
    #[serde(with = "hex::serde")]
    pub pck_crl: Vec<u8>,
    /// Issuers of the TCB info, PEM.
    pub tcb_info_issuer_chain: String,
    /// Which security versions of the platform have which status, JSON.
    pub tcb_info: String,
    /// The signature of the TCB info's bytes: r ‖ s.
    #[serde(with = "hex::serde")]
    pub tcb_info_signature: Vec<u8>,
    /// Issuers of the quoting enclave's identity, PEM.
    pub qe_identity_issuer_chain: String,
    /// What the quoting enclave must be, JSON.
    pub qe_identity: String,
    /// The signature of the identity's bytes: r ‖ s.
    #[serde(with = "hex::serde")]
    pub qe_identity_signature: Vec<u8>,
    /// The platform's certificate and its issuers, PEM, for quotes that hold an encrypted id of the platform instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pck_certificate_chain: Option<String>,
}

/// The largest collateral in JSON, in bytes. Real ones have 14 to 40 KB, most of it the revocation list.
pub const MAX_COLLATERAL_BYTES: usize = 2 * 1024 * 1024;

#[cfg(feature = "judge")]
mod reading {
    use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
    use serde::Deserialize;
    use serde_json::value::RawValue;
    use thiserror::Error;

    use super::{Collateral, MAX_COLLATERAL_BYTES};

    /// Why bytes are not collateral.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    pub enum CollateralError {
        /// It is larger than [`MAX_COLLATERAL_BYTES`].
        #[error("collateral: {got} bytes, at most {limit} are allowed", limit = MAX_COLLATERAL_BYTES)]
        TooLarge {
            /// The number of bytes.
            got: usize,
        },
        /// It is not the JSON of collateral.
        #[error("collateral: {0}")]
        Json(String),
        /// A document from Intel's service is not `{"<name>": {…}, "signature": hex}`.
        #[error("collateral: not a signed {name}: {error}")]
        Signed {
            /// Which document.
            name: &'static str,
            /// What is wrong with it.
            error: String,
        },
        /// The TCB info is older than November 2022.
        #[error(
            "collateral: the TCB info has version {version}, must be 3: Intel's service has it under \
             /sgx/certification/v4"
        )]
        OldTcbInfo {
            /// Its version.
            version: u64,
        },
        /// A TCB info or a QE identity lacks a required field.
        #[error("collateral: {name}: {error}")]
        Content {
            /// Which document.
            name: &'static str,
            /// What is wrong with it.
            error: String,
        },
    }

    /// The parts of collateral, as Intel's service returns them (Intel, "PCS API", version 4).
    #[derive(Debug, Clone)]
    pub struct PcsAnswers<'a> {
        /// Body of `/tcb`: `{"tcbInfo": {…}, "signature": hex}`.
        pub tcb_info: &'a [u8],
        /// Its header `TCB-Info-Issuer-Chain`, decoded, PEM.
        pub tcb_info_issuer_chain: String,
        /// Body of `/qe/identity`: `{"enclaveIdentity": {…}, "signature": hex}`.
        pub qe_identity: &'a [u8],
        /// Its header `SGX-Enclave-Identity-Issuer-Chain`, decoded, PEM.
        pub qe_identity_issuer_chain: String,
        /// Body of `/pckcrl`, DER.
        pub pck_crl: Vec<u8>,
        /// Its header `SGX-PCK-CRL-Issuer-Chain`, decoded, PEM.
        pub pck_crl_issuer_chain: String,
        /// The root's revocation list, DER.
        pub root_ca_crl: Vec<u8>,
    }

    /// The head of a TCB info, not verified.
    #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct TcbInfoHead {
        /// `SGX` or `TDX`.
        pub id: String,
        /// The family of processors, 12 hex digits.
        pub fmspc: String,
        /// When it was issued, RFC 3339.
        pub issue_date: String,
        /// When it is due to be replaced, RFC 3339.
        pub next_update: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct QeIdentityHead {
        issue_date: String,
        next_update: String,
    }

    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }

    #[derive(Deserialize)]
    struct SignedTcbInfo<'a> {
        #[serde(rename = "tcbInfo", borrow)]
        content: &'a RawValue,
        signature: String,
    }

    #[derive(Deserialize)]
    struct SignedQeIdentity<'a> {
        #[serde(rename = "enclaveIdentity", borrow)]
        content: &'a RawValue,
        signature: String,
    }

    impl Collateral {
        /// Reads the JSON form.
        pub fn from_json(json: &[u8]) -> Result<Self, CollateralError> {
            if json.len() > MAX_COLLATERAL_BYTES {
                return Err(CollateralError::TooLarge { got: json.len() });
            }
            let read: Self = serde_json::from_slice(json).map_err(|error| CollateralError::Json(error.to_string()))?;
            Ok(read.normal())
        }

        /// Normalises collateral. Intel's C structure has NUL-terminated text and, in its first version, revocation lists in hex; the
        /// signed
        /// bytes have neither. PEM is accepted too.
        fn normal(self) -> Self {
            let text = |text: String| match text.trim_end_matches('\0') {
                trimmed if trimmed.len() == text.len() => text,
                trimmed => trimmed.to_owned(),
            };
            Self {
                pck_crl_issuer_chain: text(self.pck_crl_issuer_chain),
                root_ca_crl: der(self.root_ca_crl),
                pck_crl: der(self.pck_crl),
                tcb_info_issuer_chain: text(self.tcb_info_issuer_chain),
                tcb_info: text(self.tcb_info),
                qe_identity_issuer_chain: text(self.qe_identity_issuer_chain),
                qe_identity: text(self.qe_identity),
                pck_certificate_chain: self.pck_certificate_chain.map(text),
                ..self
            }
        }

        /// Combines the answers of Intel's service. The signed documents are kept byte for byte.
        pub fn from_pcs(answers: PcsAnswers<'_>) -> Result<Self, CollateralError> {
            let unreadable = |name| move |error: String| CollateralError::Signed { name, error };
            let signed: SignedTcbInfo<'_> =
                serde_json::from_slice(answers.tcb_info).map_err(|error| unreadable("TCB info")(error.to_string()))?;
            let (tcb_info, tcb_info_signature) = (signed.content.get(), signed.signature);
            let signed: SignedQeIdentity<'_> = serde_json::from_slice(answers.qe_identity)
                .map_err(|error| unreadable("QE identity")(error.to_string()))?;
            let (qe_identity, qe_identity_signature) = (signed.content.get(), signed.signature);
            let signature =
                |name, text: &str| hex::decode(text).map_err(|error| unreadable(name)(format!("signature: {error}")));
            Ok(Self {
                pck_crl_issuer_chain: answers.pck_crl_issuer_chain,
                root_ca_crl: answers.root_ca_crl,
                pck_crl: answers.pck_crl,
                tcb_info_issuer_chain: answers.tcb_info_issuer_chain,
                tcb_info: tcb_info.to_owned(),
                tcb_info_signature: signature("TCB info", &tcb_info_signature)?,
                qe_identity_issuer_chain: answers.qe_identity_issuer_chain,
                qe_identity: qe_identity.to_owned(),
                qe_identity_signature: signature("QE identity", &qe_identity_signature)?,
                pck_certificate_chain: None,
            }
            .normal())
        }

        /// The head of the TCB info.
        pub fn tcb_info_head(&self) -> Result<TcbInfoHead, CollateralError> {
            let Version { version } = head(&self.tcb_info, "TCB info")?;
            if version < 3 {
                return Err(CollateralError::OldTcbInfo { version });
            }
            head(&self.tcb_info, "TCB info")
        }

        /// When the older of TCB info and QE identity was issued, in Unix seconds.
        pub fn issued_at_secs(&self) -> Result<u64, CollateralError> {
            Ok(self.tcb_info_window_secs()?.0.min(self.qe_identity_window_secs()?.0))
        }

        /// When the newer of TCB info and QE identity was issued, in Unix seconds: before that time they are not both valid.
        pub(crate) fn valid_from_secs(&self) -> Result<u64, CollateralError> {
            Ok(self.tcb_info_window_secs()?.0.max(self.qe_identity_window_secs()?.0))
        }

        /// When the TCB info was issued and is due to be replaced, in Unix seconds.
        pub(crate) fn tcb_info_window_secs(&self) -> Result<(u64, u64), CollateralError> {
            let head = self.tcb_info_head()?;
            Ok((seconds(&head.issue_date, "TCB info")?, seconds(&head.next_update, "TCB info")?))
        }

        /// When the QE identity was issued and is due to be replaced, in Unix seconds.
        pub(crate) fn qe_identity_window_secs(&self) -> Result<(u64, u64), CollateralError> {
            let identity: QeIdentityHead = head(&self.qe_identity, "QE identity")?;
            Ok((seconds(&identity.issue_date, "QE identity")?, seconds(&identity.next_update, "QE identity")?))
        }

        /// When the first of TCB info and QE identity is due to be replaced, in Unix seconds. The revocation lists and certificates may end
        /// even earlier; a verdict says when the first of all these ends.
        pub fn next_update_secs(&self) -> Result<u64, CollateralError> {
            Ok(self.tcb_info_window_secs()?.1.min(self.qe_identity_window_secs()?.1))
        }
    }

    /// Extracts a revocation list in DER from hex, PEM or DER.
    fn der(bytes: Vec<u8>) -> Vec<u8> {
        const PEM: (&str, &str) = ("-----BEGIN X509 CRL-----", "-----END X509 CRL-----");
        let trimmed = match bytes.as_slice() {
            // Hex and PEM are text, which may end with C's NUL.
            text if text.is_ascii() => text.strip_suffix(&[0]).unwrap_or(text).trim_ascii(),
            [der @ .., 0] if der_length(&bytes) == Some(der.len()) => der,
            der => der,
        };
        if let Ok(der) = hex::decode(trimmed) {
            return der;
        }
        let pem = std::str::from_utf8(trimmed).ok().and_then(|text| text.split_once(PEM.0)?.1.split_once(PEM.1));
        let base64 = pem.map(|(base64, _)| base64.split_ascii_whitespace().collect::<String>());
        base64.and_then(|base64| STANDARD.decode(base64).ok()).unwrap_or_else(|| trimmed.to_vec())
    }

    /// The length of a DER sequence of 256 to 65,535 bytes, including its header. Revocation lists have no other length.
    fn der_length(bytes: &[u8]) -> Option<usize> {
        match bytes {
            [0x30, 0x82, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])).checked_add(4),
            _ => None,
        }
    }

    fn head<'a, T: Deserialize<'a>>(json: &'a str, name: &'static str) -> Result<T, CollateralError> {
        serde_json::from_str(json).map_err(|error| CollateralError::Content { name, error: error.to_string() })
    }

    fn seconds(rfc3339: &str, name: &'static str) -> Result<u64, CollateralError> {
        chrono::DateTime::parse_from_rfc3339(rfc3339)
            .ok()
            .and_then(|time| u64::try_from(time.timestamp()).ok())
            .ok_or_else(|| CollateralError::Content { name, error: format!("{rfc3339:?} is not a date") })
    }
}

#[cfg(feature = "judge")]
pub use reading::{CollateralError, PcsAnswers, TcbInfoHead};
