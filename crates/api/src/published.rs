//! Published proofs: the answer of `unstable_getTeeProofs`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{JobStatus, KeyStanding, OrOther, TeeType, wire::plain_hex};

/// The JSON-RPC method. Its parameters are a batch number and a TEE type or null, and its result is a list of [`TeeProof`].
pub const TEE_PROOFS_METHOD: &str = "unstable_getTeeProofs";

/// A proof, or a job that has none yet, as a publisher shows it (`zksync_types::api::TeeProof`). All of it is a claim:
/// the checker parses what is inside the bytes, so that one malformed proof does not hide the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TeeProof {
    /// The batch.
    pub l1_batch_number: u32,
    /// The proof's own type.
    pub tee_type: Option<TeeType>,
    /// The compressed public key, 33 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(with = "plain_hex::optional_bytes", default)]
    pub pubkey: Option<Vec<u8>>,
    /// The signature of `proof`, 64 or 65 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(with = "plain_hex::optional_bytes", default)]
    pub signature: Option<Vec<u8>>,
    /// What was signed: the root after the batch, 32 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(with = "plain_hex::optional_bytes", default)]
    pub proof: Option<Vec<u8>>,
    /// When the proof arrived, or its job last changed (RFC 3339).
    pub proved_at: String,
    /// The job's status.
    #[cfg_attr(feature = "openapi", schema(value_type = JobStatus))]
    pub status: OrOther<JobStatus>,
    /// The quote that vouches for the key.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(with = "plain_hex::optional_bytes", default)]
    pub attestation: Option<Vec<u8>>,
    /// Extension: the statement with its signature, as it was submitted ([`SignedStatement`](crate::SignedStatement)).
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Value>,
    /// Extension: whether the key may sign, as the publisher sees it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<KeyStanding>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<OrOther<KeyStanding>>,
    /// Extension: the standing, and why the key was refused or revoked, in one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Extension: the time that the quote was judged at (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<String>,
    /// Extension: the archived collateral that the quote was judged with.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collateral: Option<Value>,
    /// Extension: when the key was revoked (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// Extension: the proof was refused, because an accepted proof of the batch has this root.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(with = "plain_hex::optional_bytes", default, skip_serializing_if = "Option::is_none")]
    pub disagrees_with: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zksync_eras_answer_reads_and_writes_back_as_it_is() {
        let full = json!({
            "l1BatchNumber": 650_000, "teeType": "tdx", "pubkey": "02ab", "signature": "cd", "proof": "ef",
            "provedAt": "2025-04-03T08:13:30.123456Z", "status": "generated", "attestation": "0400"
        });
        let empty = json!({
            "l1BatchNumber": 1, "teeType": "sgx", "pubkey": null, "signature": null, "proof": null,
            "provedAt": "2025-04-03T08:13:30Z", "status": "permanently_ignored", "attestation": null
        });
        for json in [full, empty] {
            let proof: TeeProof = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(proof).unwrap(), json);
        }
    }

    #[test]
    fn what_is_not_hex_is_refused_and_unknown_fields_are_ignored() {
        let mut json = json!({
            "l1BatchNumber": 1, "teeType": null, "provedAt": "", "status": "", "new": 1,
            "statement": {"a": 1}, "disagreesWith": "ff"
        });
        let proof: TeeProof = serde_json::from_value(json.clone()).unwrap();
        assert_eq!((proof.pubkey, proof.disagrees_with), (None, Some(vec![0xff])));
        assert_eq!(proof.status, OrOther::Other(String::new()));
        json["pubkey"] = "0x02".into();
        assert!(serde_json::from_value::<TeeProof>(json).is_err());
    }
}
