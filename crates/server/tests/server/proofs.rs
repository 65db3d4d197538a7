//! Submission of proofs, and registration.

use serde_json::{Value, json};
use tee_api::{Signature, SubmitProof, TeeType};
use tee_server::{
    Config, JobStatus,
    JobStatus::{Generated, PickedByProver},
    KeyStanding, OverviewProof, Server, StartError,
};
use tee_verifier::{ChainPins, CodePin, H256};

use crate::world::{CODE, Key, PREVIOUS_ROOT, ROOT, World, config};

async fn proofs(world: &World) -> Vec<OverviewProof> {
    world.overview().await.into_iter().filter_map(|row| row.proof).collect()
}

#[tokio::test]
async fn a_proof_is_stored_as_it_came_with_65_and_with_64_bytes() {
    let world = World::start().await;
    world.add_expecting(1, Some(ROOT)).await;
    world.add_expecting(2, Some(ROOT)).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();

    // As an older prover does it: no lease, no recovery id.
    world.claim("sgx").await.unwrap();
    let long = key.proof(ROOT);
    let short =
        SubmitProof { signature: Signature::from_bytes(&long.signature.to_bytes()[..64]).unwrap(), ..long.clone() };
    world.submit(2, &short, None).await.assert_success();

    let stored = proofs(&world).await;
    assert_eq!(stored.iter().map(|proof| proof.signature).collect::<Vec<_>>(), [long.signature, short.signature]);
    for proof in stored {
        assert_eq!((proof.pubkey, proof.root), (key.public(), ROOT));
        assert_eq!(proof.key_standing, KeyStanding::Unjudged);
    }
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated), (2, JobStatus::Generated)]);
}

#[tokio::test]
async fn the_same_proof_twice_is_a_success_and_stored_once() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    for lease in [Some(&*lease), Some(&*lease), None, Some("another")] {
        world.submit(1, &key.proof(ROOT), lease).await.assert_success();
    }
    assert_eq!(proofs(&world).await.len(), 1);
}

#[tokio::test]
async fn several_keys_may_prove_one_batch() {
    let world = World::start().await;
    world.add(1).await;
    for seed in [1, 2] {
        let key = world.registered_key(seed).await;
        world.submit(1, &key.proof(ROOT), None).await.assert_success();
    }
    assert_eq!(proofs(&world).await.len(), 2);
}

#[tokio::test]
async fn every_wrong_proof_has_its_own_code_and_nothing_is_stored() {
    let world = World::start().await;
    world.add_expecting(1, Some(ROOT)).await;
    let key = world.registered_key(1).await;
    let stranger = Key::new(2);
    let other_root = H256::repeat_byte(0xcc);
    let good = key.proof(ROOT);

    world.submit(1, &stranger.proof(ROOT), None).await.assert_problem(403, "unknown_key");
    world.submit(9, &good, None).await.assert_problem(404, "unknown_batch");
    let by_stranger = SubmitProof { signature: stranger.sign(ROOT), ..good.clone() };
    world.submit(1, &by_stranger, None).await.assert_problem(422, "wrong_signature");
    let of_another = SubmitProof { proof: other_root, ..good.clone() };
    world.submit(1, &of_another, None).await.assert_problem(422, "wrong_signature");
    world.submit(1, &key.proof(other_root), None).await.assert_problem(422, "wrong_root");
    for tee_type in [TeeType::Tdx, TeeType::None] {
        let wrong_type = SubmitProof { tee_type, ..good.clone() };
        world.submit(1, &wrong_type, None).await.assert_problem(422, "wrong_tee_type");
    }
    world.submit(1, &good, Some("a/b")).await.assert_problem(400, "malformed_lease");

    assert_eq!(proofs(&world).await, []);
    assert_eq!(world.server.service().disagreements().await.unwrap(), []);
    assert_eq!(world.overview().await[0].tee_type, None);
    world.submit(1, &good, None).await.assert_success();
}

#[tokio::test]
async fn a_revoked_key_proves_nothing_more_and_registering_it_again_does_not_help() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.server.service().revoke_key(&key.public(), "stolen", true).await.unwrap();
    world.submit(1, &key.proof(ROOT), None).await.assert_problem(403, "revoked_key");
    world.post("/tee/register_attestation", &key.registration()).await.assert_problem(403, "revoked_key");
    world.submit(1, &key.proof(ROOT), None).await.assert_problem(403, "revoked_key");
    assert_eq!(proofs(&world).await, []);
}

#[tokio::test]
async fn a_proof_under_the_lease_of_another_batch_is_taken_and_ends_no_other_job() {
    let world = World::start().await;
    world.add(1).await;
    world.add(2).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(2, &key.proof(ROOT), Some(&lease)).await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver), (2, Generated)]);
    world.submit(1, &key.proof(crate::world::root(1)), Some("never-given")).await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Generated), (2, Generated)]);
}

#[tokio::test]
async fn malformed_submissions_are_refused_with_nothing_stored() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let good = serde_json::to_value(key.proof(ROOT)).unwrap();
    let mut high_s = key.sign(ROOT).to_bytes();
    high_s[32..64].fill(0xff);
    for (field, value) in [
        ("signature", json!("zz")),
        ("signature", json!("")),
        ("signature", json!("00".repeat(65))),
        ("signature", json!(hex::encode(high_s))),
        ("signature", json!(format!("0x{}", good["signature"].as_str().unwrap()))),
        ("signature", json!([1, 2])),
        ("pubkey", json!("02")),
        ("pubkey", json!("05".repeat(33))),
        ("proof", json!("ab")),
        ("proof", json!("ab".repeat(33))),
        ("tee_type", json!("SGX")),
        ("tee_type", json!("Sgx")),
        ("tee_type", json!("")),
        ("tee_type", Value::Null),
        ("statement", json!({})),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        world.post("/tee/submit_proofs/1", &bad).await.assert_problem(400, "malformed_body");
    }
    world.post("/tee/submit_proofs/x", &good).await.assert_problem(400, "malformed_path");
    world.post("/tee/submit_proofs/-1", &good).await.assert_problem(400, "malformed_path");
    world.post("/tee/submit_proofs/4294967296", &good).await.assert_problem(400, "malformed_path");
    assert_eq!(proofs(&world).await, []);
}

#[tokio::test]
async fn two_roots_for_one_batch_are_kept_and_shown_and_the_first_stands() {
    let world = World::start().await;
    world.add(1).await;
    let (honest, forger) = (world.registered_key(1).await, world.registered_key(2).await);
    let forged = H256::repeat_byte(0xcc);
    world.submit(1, &honest.proof(ROOT), None).await.assert_success();
    for _ in 0..2 {
        world.submit(1, &forger.proof(forged), None).await.assert_problem(409, "disagreeing_root");
    }
    // Even the same key may not change its claim.
    world.submit(1, &honest.proof(forged), None).await.assert_problem(409, "disagreeing_root");

    assert_eq!(proofs(&world).await.iter().map(|proof| proof.root).collect::<Vec<_>>(), [ROOT]);
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated)]);
    let mut kept = world.server.service().disagreements().await.unwrap();
    kept.sort_by_key(|kept| kept.pubkey != forger.public());
    assert_eq!(kept.iter().map(|kept| kept.pubkey).collect::<Vec<_>>(), [forger.public(), honest.public()]);
    assert!(kept.iter().all(|kept| (kept.number, kept.root, kept.accepted_root) == (1, forged, ROOT)));
    assert_eq!(kept[0].signature, forger.sign(forged));
}

#[tokio::test]
async fn a_statement_must_fit_its_submission() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let with = |statement| SubmitProof { statement: Some(statement), ..key.proof(ROOT) };
    for wrong in [
        key.statement(|statement| statement.batch_number = 2),
        key.statement(|statement| statement.root = H256::zero()),
        key.statement(|statement| statement.previous_root = H256::zero()),
        Key::new(2).statement(|_| ()),
        {
            let mut changed = key.statement(|_| ());
            changed.statement.system_logs[0] ^= 1;
            changed
        },
    ] {
        world.submit(1, &with(wrong), None).await.assert_problem(422, "wrong_statement");
    }
    assert_eq!(proofs(&world).await, []);

    let right = key.statement(|_| ());
    assert_eq!(right.statement.previous_root, PREVIOUS_ROOT);
    world.submit(1, &with(right.clone()), None).await.assert_success();
    let stored = proofs(&world).await.remove(0).statement.unwrap();
    assert_eq!(serde_json::from_str::<tee_api::SignedStatement>(&stored).unwrap(), right);
}

/// A batch of the operator's own bootloader verifies like any other, and an honest enclave without pins signs it.
#[tokio::test]
async fn a_statement_of_another_chain_version_or_code_than_pinned_is_refused() {
    let pins = ChainPins::new(270, vec![CodePin::new(29, CODE)]).unwrap();
    let world = World::start_with(|config| (config.chain, config.danger_any_code) = (Some(pins), false)).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let with = |statement| SubmitProof { statement: Some(statement), ..key.proof(ROOT) };
    for (wrong, code) in [
        (key.statement(|statement| statement.chain_id = 271), "wrong_chain"),
        (key.statement(|statement| statement.protocol_version = 28), "protocol_version_not_pinned"),
        (key.statement(|statement| statement.code_hashes.bootloader = H256::zero()), "code_not_pinned"),
        (key.statement(|statement| statement.code_hashes.default_account = H256::zero()), "code_not_pinned"),
        (key.statement(|statement| statement.code_hashes.evm_emulator = None), "code_not_pinned"),
    ] {
        world.submit(1, &with(wrong), None).await.assert_problem(422, code);
    }
    assert_eq!(proofs(&world).await, []);
    world.submit(1, &with(key.statement(|_| ())), None).await.assert_success();
}

#[tokio::test]
async fn a_bare_root_names_no_code_to_judge() {
    let pins = ChainPins::new(270, vec![CodePin::new(29, CODE)]).unwrap();
    let world = World::start_with(|config| (config.chain, config.danger_any_code) = (Some(pins), false)).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
    assert_eq!(proofs(&world).await[0].statement, None);
}

#[tokio::test]
async fn a_server_without_pins_starts_only_when_told_to_take_any_code_and_never_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let chain = ChainPins::new(270, vec![CodePin::new(29, CODE)]).unwrap();
    for (chain, danger_any_code) in [(None, false), (Some(chain), true)] {
        let config = Config { chain, danger_any_code, ..config(&folder) };
        assert!(matches!(Server::start(config).await, Err(StartError::AnyCode)));
    }
}

#[tokio::test]
async fn a_quote_must_name_its_key() {
    let world = World::start().await;
    let key = Key::new(1);
    let mut of_another = key.registration();
    of_another["pubkey"] = Key::new(2).public().to_string().into();
    world.post("/tee/register_attestation", &of_another).await.assert_problem(422, "quote_of_another_key");
    for garbage in ["00", &"ff".repeat(5000)] {
        let registration = json!({ "attestation": garbage, "pubkey": key.public().to_string() });
        world.post("/tee/register_attestation", &registration).await.assert_problem(422, "malformed_quote");
    }
    for (attestation, pubkey) in
        [("", key.public().to_string()), ("xx", key.public().to_string()), ("00", String::new())]
    {
        let registration = json!({ "attestation": attestation, "pubkey": pubkey });
        world.post("/tee/register_attestation", &registration).await.assert_problem(400, "malformed_body");
    }
    world.add(1).await;
    world.submit(1, &key.proof(ROOT), None).await.assert_problem(403, "unknown_key");

    for _ in 0..2 {
        world.post("/tee/register_attestation", &key.registration()).await.assert_success();
    }
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
}
