//! The vectors in the protocol's description for authors of other provers (`docs/vectors/proof.json`).

use serde_json::{Value, json};

use crate::{Quote, RegisterAttestation, SigningKey, SubmitProof, TeeType, statement::tests::example};

const SECRET: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn made() -> Value {
    let key = SigningKey::from_hex(SECRET).unwrap();
    let public = key.public_key();
    let report_data = |name: &[u8], version: u8| {
        let mut bytes = [0; 64];
        bytes[..name.len()].copy_from_slice(name);
        bytes[63] = version;
        hex::encode(bytes)
    };
    let statement = example();
    let digest = statement.digest();
    let (code_hash, system_logs_hash) = (statement.code_hash(), statement.system_logs_hash());
    let signed = key.sign_statement(statement, &[]);
    let proof = signed.statement.statement.root;
    json!({
        "secret_key": SECRET,
        "public_key": public,
        "address": hex::encode(public.address()),
        "report_data_v0": report_data(&public.to_bytes(), 0),
        "report_data_v1": report_data(public.address().as_bytes(), 1),
        "registration": RegisterAttestation { attestation: Quote::new(vec![1, 0xfe]).unwrap(), pubkey: public },
        "code_hash": hex::encode(code_hash),
        "system_logs_hash": hex::encode(system_logs_hash),
        "statement_digest": hex::encode(digest),
        "submission": SubmitProof {
            signature: signed.signature,
            pubkey: public,
            proof,
            tee_type: TeeType::Tdx,
            statement: Some(signed.statement),
        },
    })
}

/// The file came from another implementation (eth-keys, in Python).
#[test]
fn the_published_vectors_are_what_this_code_makes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors/proof.json");
    let published: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(made(), published);
    let submission: SubmitProof = serde_json::from_value(published["submission"].clone()).unwrap();
    submission.signature.verify(submission.proof, &submission.pubkey).unwrap();
    submission.statement.unwrap().verify(&submission.pubkey).unwrap();
}
