//! The protocol's bodies, and the texts in them: keys, signatures, leases.

use std::{fmt, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tee_api::{
    FailReport, LeaseId, PresentBatches, ProofInputsRequest, PublicKey, RegisterAttestation, Signature,
    SignedStatement, SigningKey, SubmitProof, TeeType,
};
use tee_verifier::H256;

/// Every body, read as each kind. What is accepted reads back the same.
pub fn wire(data: &[u8]) {
    read_back::<ProofInputsRequest>(data);
    read_back::<RegisterAttestation>(data);
    read_back::<PresentBatches>(data);
    read_back::<FailReport>(data);
    if let Some(proof) = read_back::<SubmitProof>(data)
        && let Some(statement) = proof.statement
    {
        check_statement(&statement, &proof.pubkey);
    }
    if let Some(statement) = read_back::<SignedStatement>(data) {
        check_statement(&statement, &key());
    }
}

fn read_back<T: DeserializeOwned + Serialize + PartialEq + fmt::Debug>(json: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(json).ok()?;
    let again = serde_json::to_vec(&value).expect("what was decoded can be encoded");
    assert_eq!(serde_json::from_slice::<T>(&again).ok().as_ref(), Some(&value));
    Some(value)
}

fn check_statement(signed: &SignedStatement, key: &PublicKey) {
    let _ = signed.verify(key);
    assert!(!signed.statement.chains_to(&signed.statement), "a statement does not follow itself");
}

/// Keys, signatures and names, from bytes and from text.
pub fn keys(data: &[u8]) {
    if let Ok(signature) = Signature::from_bytes(data) {
        assert_eq!(signature.to_bytes(), data);
        // Nobody signs this hash. Under `fuzzing` the secp256k1 crate fakes its results and accepts made-up signatures.
        assert!(cfg!(fuzzing) || signature.verify(H256::zero(), &key()).is_err());
    }
    if let Ok(key) = PublicKey::from_bytes(data) {
        assert_eq!(key.to_bytes(), data);
        let _ = key.address();
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    print_back::<Signature>(text);
    print_back::<PublicKey>(text);
    print_back::<TeeType>(text);
    print_back::<LeaseId>(text);
    if let Ok(key) = SigningKey::from_hex(text) {
        assert!(key.expose_hex().eq_ignore_ascii_case(text));
        assert!(PublicKey::from_bytes(&key.public_key().to_bytes()).is_ok());
    }
}

fn print_back<T: FromStr + fmt::Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().eq_ignore_ascii_case(text));
    }
}

fn key() -> PublicKey {
    SigningKey::from_hex(&"07".repeat(32)).expect("a key").public_key()
}

/// A signature with r and s in range and s low, of no known message.
fn signature(v: &str) -> String {
    format!("{}{v}", "01".repeat(64))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let hash = "ab".repeat(32);
    let statement = json!({
        "chain_id": 300, "batch_number": 14034, "protocol_version": 29, "previous_root": hash, "previous_index": 54, "root": hash,
        "index": 61, "bootloader_hash": hash, "default_account_hash": hash, "evm_emulator_hash": hash,
        "system_logs": "00".repeat(88), "signature": signature("1b"),
    });
    let proof = json!({
        "signature": signature(""), "pubkey": key(), "proof": hash, "tee_type": "sgx", "statement": statement,
    });
    let bodies = [
        statement,
        proof,
        json!({"tee_type": "tdx"}),
        json!({"attestation": "01fe", "pubkey": key()}),
        json!({"oldest_batch": 1, "latest_batch": null}),
        json!({"kind": "previous_root", "error": "the paths lead to another root"}),
    ];
    bodies.iter().map(|body| body.to_string().into_bytes()).collect()
}

pub(crate) fn key_seeds() -> Vec<Vec<u8>> {
    let texts =
        [signature("1b"), signature(""), key().to_string(), "07".repeat(32), "sgx".to_owned(), "0f-_Z".to_owned()];
    let bytes = [key().to_bytes().to_vec(), [[1; 64].as_slice(), &[28]].concat(), vec![1; 64]];
    texts.map(String::into_bytes).into_iter().chain(bytes).collect()
}
