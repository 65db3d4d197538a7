//! Bodies and headers of requests and answers.
//!
//! They are those of zksync-era 29.x (`zksync_prover_interface::api` and `zksync_tee_prover_interface`), byte for byte, and those of
//! the leases. Bytes travel as hex without `0x`. Unknown fields are ignored, so that either side can be the newer one.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use tee_verifier::H256;
use thiserror::Error;

use crate::{PublicKey, Signature, SignedStatement};

/// Header that names a lease, in the answer that hands out a batch and in the submission of its proof.
pub const LEASE_ID_HEADER: &str = "tee-lease-id";

/// Header that says after how many seconds a lease ends.
pub const LEASE_EXPIRES_IN_HEADER: &str = "tee-lease-expires-in";

/// The JSON body of an answer that reports nothing but success.
pub const SUCCESS: &str = "Success";

/// The largest quote. Real ones have 5 to 8 KB.
pub const MAX_QUOTE_BYTES: usize = 64 * 1024;

/// What kind of trusted enclave a prover runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TeeType {
    /// None: the prover verifies and does not submit.
    None,
    /// Intel SGX.
    Sgx,
    /// Intel TDX.
    Tdx,
}

/// Body of `POST /tee/proof_inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProofInputsRequest {
    /// The asking prover's type.
    pub tee_type: TeeType,
}

/// Body of `POST /tee/submit_proofs/{batch}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmitProof {
    /// Signature of `proof`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "65 or 64 bytes in hex"))]
    pub signature: Signature,
    /// The key that signed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "33 bytes in hex"))]
    pub pubkey: PublicKey,
    /// The signed bytes: the root hash after the batch.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "32 bytes in hex"))]
    #[serde(with = "plain_hex")]
    pub proof: H256,
    /// The prover's type.
    pub tee_type: TeeType,
    /// The statement, from provers that make one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::statement::WireStatement>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<SignedStatement>,
}

/// Body of `POST /tee/register_attestation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterAttestation {
    /// The quote whose report data names the key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "a quote in hex"))]
    pub attestation: Quote,
    /// The key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "33 bytes in hex"))]
    pub pubkey: PublicKey,
}

/// Answer of `GET /tee/present_batches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PresentBatches {
    /// The lowest batch whose input is available.
    pub oldest_batch: Option<u32>,
    /// The highest batch whose input is available.
    pub latest_batch: Option<u32>,
}

/// Body of `POST /tee/leases/{id}/fail`: why a batch cannot be proven. Longer texts are cut; no report is refused for
/// its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(from = "WireFailReport")]
pub struct FailReport {
    kind: String,
    error: String,
}

/// An attestation quote that has not been parsed: not empty, and at most [`MAX_QUOTE_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quote(Vec<u8>);

/// The name of a lease: 1 to 64 characters that need no escaping in a path (`A-Z a-z 0-9 - _`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseId(String);

/// The right to prove a batch for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// How much longer it lasted when the answer was sent, in whole seconds.
    pub expires_in: Duration,
}

/// The text is not a TEE type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("tee_type: must be none, sgx or tdx")]
pub struct TeeTypeError;

/// Why text is not a quote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// The text is not hexadecimal.
    #[error("attestation: not hexadecimal")]
    NotHex,
    /// The quote is empty or larger than [`MAX_QUOTE_BYTES`].
    #[error("attestation: {got} bytes, 1 to {limit} are allowed", limit = MAX_QUOTE_BYTES)]
    Size {
        /// The number of bytes.
        got: usize,
    },
}

/// The text is not a lease id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("lease id: must be 1 to 64 letters, digits, hyphens or underscores")]
pub struct LeaseIdError;

impl TeeType {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sgx => "sgx",
            Self::Tdx => "tdx",
        }
    }
}

impl fmt::Display for TeeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TeeType {
    type Err = TeeTypeError;

    fn from_str(text: &str) -> Result<Self, TeeTypeError> {
        [Self::None, Self::Sgx, Self::Tdx].into_iter().find(|tee_type| tee_type.as_str() == text).ok_or(TeeTypeError)
    }
}

impl FailReport {
    const MAX_KIND_BYTES: usize = 64;
    const MAX_ERROR_BYTES: usize = 4096;

    /// A report: `kind` names the check for machines, `error` describes the failure for people.
    pub fn new(kind: &str, error: &str) -> Self {
        let cut = |text: &str, limit| text[..text.floor_char_boundary(limit)].to_owned();
        Self { kind: cut(kind, Self::MAX_KIND_BYTES), error: cut(error, Self::MAX_ERROR_BYTES) }
    }

    /// The check that failed, for machines; at most 64 bytes.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The failure, for people; at most 4,096 bytes.
    pub fn error(&self) -> &str {
        &self.error
    }
}

#[derive(Deserialize)]
struct WireFailReport {
    kind: String,
    error: String,
}

impl From<WireFailReport> for FailReport {
    fn from(wire: WireFailReport) -> Self {
        Self::new(&wire.kind, &wire.error)
    }
}

impl Quote {
    /// Checks the size of a quote's bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, QuoteError> {
        if bytes.is_empty() || bytes.len() > MAX_QUOTE_BYTES {
            return Err(QuoteError::Size { got: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The quote's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for Quote {
    type Error = QuoteError;

    fn try_from(text: String) -> Result<Self, QuoteError> {
        Self::new(hex::decode(text).map_err(|_| QuoteError::NotHex)?)
    }
}

impl From<Quote> for String {
    fn from(quote: Quote) -> Self {
        hex::encode(quote.0)
    }
}

impl LeaseId {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<[u8; 16]> for LeaseId {
    /// A server's own lease. The bytes are random, so that nobody can guess another prover's lease.
    fn from(random: [u8; 16]) -> Self {
        Self(hex::encode(random))
    }
}

impl FromStr for LeaseId {
    type Err = LeaseIdError;

    fn from_str(text: &str) -> Result<Self, LeaseIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(LeaseIdError)
        }
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 32-byte hashes as hex without `0x`.
pub(crate) mod plain_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use tee_verifier::{Address, H256};

    pub(crate) fn serialize<S: Serializer>(hash: &H256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<H256, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    fn parse<E: Error>(text: &str) -> Result<H256, E> {
        let mut hash = H256::zero();
        hex::decode_to_slice(text, hash.as_bytes_mut())
            .map_err(|_| E::custom("root or hash: not 32 bytes in hexadecimal"))?;
        Ok(hash)
    }

    /// Addresses.
    pub(crate) mod address {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&hex::encode(address))
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
            let mut address = Address::zero();
            hex::decode_to_slice(String::deserialize(deserializer)?, address.as_bytes_mut())
                .map_err(|_| D::Error::custom("address: not 20 bytes in hexadecimal"))?;
            Ok(address)
        }
    }

    /// The same for optional values.
    pub(crate) mod option {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(hash: &Option<H256>, serializer: S) -> Result<S::Ok, S::Error> {
            match hash {
                Some(hash) => serializer.serialize_some(&hex::encode(hash)),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<H256>, D::Error> {
            Option::<String>::deserialize(deserializer)?.map(|text| parse(&text)).transpose()
        }
    }

    /// Any number of bytes.
    pub(crate) mod bytes {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&hex::encode(bytes))
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
            hex::decode(String::deserialize(deserializer)?).map_err(|_| D::Error::custom("bytes: not hexadecimal"))
        }
    }

    /// Any number of bytes, optional.
    pub(crate) mod optional_bytes {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
            match bytes {
                Some(bytes) => serializer.serialize_some(&hex::encode(bytes)),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| hex::decode(text).map_err(|_| D::Error::custom("bytes: not hexadecimal"))).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json, to_value};

    use super::*;

    #[test]
    fn tee_types_are_lower_case_only() {
        for (text, tee_type) in [("none", TeeType::None), ("sgx", TeeType::Sgx), ("tdx", TeeType::Tdx)] {
            assert_eq!(text.parse(), Ok(tee_type));
            assert_eq!(from_str::<TeeType>(&format!("\"{text}\"")).unwrap(), tee_type);
            assert_eq!(to_value(tee_type).unwrap(), text);
            assert!(text.to_uppercase().parse::<TeeType>().is_err());
            assert!(from_str::<TeeType>(&format!("\"{}\"", text.to_uppercase())).is_err());
        }
        assert!(from_str::<TeeType>("\"Sgx\"").is_err());
    }

    #[test]
    fn a_submission_is_zksync_eras_byte_for_byte() {
        let key = crate::SigningKey::from_hex(&"07".repeat(32)).unwrap().public_key();
        let submission = SubmitProof {
            signature: Signature::from_bytes(&[1; 64]).unwrap(),
            pubkey: key,
            proof: H256::repeat_byte(0xab),
            tee_type: TeeType::Sgx,
            statement: None,
        };
        let text = format!(
            r#"{{"signature":"{}","pubkey":"{key}","proof":"{}","tee_type":"sgx"}}"#,
            "01".repeat(64),
            "ab".repeat(32)
        );
        assert_eq!(serde_json::to_string(&submission).unwrap(), text);
        assert_eq!(from_str::<SubmitProof>(&text).unwrap(), submission);
        let extended = text.replace(r#""tee_type""#, r#""something_new":[1],"statement":null,"tee_type""#);
        assert_eq!(from_str::<SubmitProof>(&extended).unwrap(), submission);
        assert!(from_str::<SubmitProof>(&text.replace(&"ab".repeat(32), "ab")).is_err());
        assert!(from_str::<SubmitProof>(&text.replace(&"ab".repeat(32), &format!("0x{}", "ab".repeat(32)))).is_err());
    }

    #[test]
    fn the_other_bodies_are_zksync_eras_byte_for_byte() {
        let request = ProofInputsRequest { tee_type: TeeType::Sgx };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"tee_type":"sgx"}"#);
        let key = crate::SigningKey::from_hex(&"07".repeat(32)).unwrap().public_key();
        let registration = RegisterAttestation { attestation: Quote::new(vec![1, 0xfe]).unwrap(), pubkey: key };
        let text = format!(r#"{{"attestation":"01fe","pubkey":"{key}"}}"#);
        assert_eq!(serde_json::to_string(&registration).unwrap(), text);
        assert_eq!(from_str::<RegisterAttestation>(&text).unwrap(), registration);
        assert_eq!(
            to_value(PresentBatches { oldest_batch: None, latest_batch: Some(7) }).unwrap(),
            json!({"oldest_batch": null, "latest_batch": 7})
        );
    }

    #[test]
    fn quotes_are_bounded() {
        assert_eq!(Quote::new(vec![]), Err(QuoteError::Size { got: 0 }));
        assert_eq!(Quote::new(vec![0; MAX_QUOTE_BYTES + 1]), Err(QuoteError::Size { got: MAX_QUOTE_BYTES + 1 }));
        assert!(Quote::new(vec![0; MAX_QUOTE_BYTES]).is_ok());
    }

    #[test]
    fn long_reports_are_cut_at_a_character() {
        let report: FailReport =
            serde_json::from_value(json!({"kind": "ü".repeat(50), "error": "é".repeat(5000)})).unwrap();
        assert_eq!(report.kind(), "ü".repeat(32));
        assert_eq!(report.error().len(), 4096);
    }

    #[test]
    fn a_lease_id_can_stand_in_a_path() {
        assert!("0123abcXYZ-_".parse::<LeaseId>().is_ok());
        for text in ["", "a/b", "a b", "..", "é", &"a".repeat(65)] {
            assert_eq!(text.parse::<LeaseId>(), Err(LeaseIdError), "{text}");
        }
    }
}
