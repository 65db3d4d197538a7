//! Keys gain and lose their standing through their quotes.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::StatusCode;
use serde_json::json;
use tee_api::TeeType;
use tee_attestation::simulated::{self, Platform, Publication};
use tee_server::{AttestationConfig, Config, JobStatus, Server, StartError};

use super::world::{Key, PLATFORM, ROOT, World, config, root};

pub(crate) const POLICY: fn() -> String =
    || format!("sgx: {{mrenclaves: [{}]}}\n", hex::encode(simulated::mr_enclave()));

/// A list of builds that has the simulated enclave's.
const BUILDS: fn() -> String = || {
    let sgx = json!([{ "mrenclave": hex::encode(simulated::mr_enclave()) }]);
    let build = json!({ "version": "9.9.9", "commit": "abc", "rebuild": "", "files": {}, "sgx": sgx });
    json!({ "builds": [build] }).to_string()
};

/// Makes a server judge quotes of the simulated platform, with files in a folder.
fn judging(folder: &Path, machine: &Platform) -> impl FnOnce(&mut Config) + use<> {
    let at = |name: &str| folder.join(name);
    fs::write(at("policy.yaml"), POLICY()).unwrap();
    fs::write(at("builds.json"), BUILDS()).unwrap();
    fs::write(at("root.der"), machine.root_certificate().unwrap()).unwrap();
    fs::create_dir_all(at("collateral")).unwrap();
    publish(folder, machine, &Publication::default());
    let attestation = AttestationConfig {
        known_builds: Some(at("builds.json")),
        danger_root_certificate: Some(at("root.der")),
        ..AttestationConfig::new(at("policy.yaml"), at("collateral").display().to_string())
    };
    move |config: &mut Config| {
        config.danger_unjudged_quotes = false;
        config.attestation = Some(attestation);
    }
}

fn publish(folder: &Path, machine: &Platform, publication: &Publication) {
    let collateral = serde_json::to_vec(&machine.publish(publication).unwrap()).unwrap();
    fs::write(folder.join("collateral/sgx.json"), collateral).unwrap();
}

pub(crate) async fn world(folder: &Path) -> World {
    let world = World::start_with(judging(folder, &PLATFORM)).await;
    world.clock.advance(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    world
}

/// Waits until a key's verdict is the expected one: the policy's file is checked every second.
async fn until_verdict(world: &World, key: &Key, expected: &str) -> String {
    for _ in 0..200 {
        let keys = world.server.service().attestations(None, 100).await.unwrap();
        let entry = keys.into_iter().find(|entry| entry.pubkey == key.public()).unwrap();
        let verdict = entry.standing.verdict(entry.standing_reason.as_deref());
        if verdict.starts_with(expected) {
            return verdict;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the key's verdict never became {expected}");
}

#[tokio::test]
async fn a_server_without_a_policy_starts_only_when_told_to_judge_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { danger_unjudged_quotes: false, ..config(&folder) };
    assert!(matches!(Server::start(config).await, Err(StartError::Unjudged)));
}

#[tokio::test]
async fn an_accepted_quote_is_archived_with_its_collateral_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
    let keys = world.get("/api/attestations").await.json();
    let entry = &keys["items"][0];
    assert_eq!((&entry["verdict"], &entry["tcb_status"]), (&json!("accepted"), &json!("UpToDate")));
    assert!(entry["judged_at"].is_string());
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "unstable_getTeeProofs", "params": [1, null]});
    let proof = world.post("/", &call).await.json()["result"][0].clone();
    assert_eq!(proof["verdict"], "accepted");
    assert!(proof["judgedAt"].is_string() && proof["collateral"]["tcb_info"].is_string());
}

#[tokio::test]
async fn a_prover_learns_why_its_quote_is_refused_and_its_key_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    world.add(1).await;
    publish(folder.path(), &PLATFORM, &Publication { tcb_status: "OutOfDate", ..Publication::default() });
    let key = Key::new(1);
    let answer = world.post("/tee/register_attestation", &key.registration()).await;
    answer.assert_problem(422, "quote_refused");
    assert!(String::from_utf8_lossy(&answer.body).contains("tcb_status: OutOfDate"));
    world.submit(1, &key.proof(ROOT), None).await.assert_problem(403, "unknown_key");
    fs::remove_file(folder.path().join("collateral/sgx.json")).unwrap();
    let other = world.post("/tee/register_attestation", &Key::new(2).registration()).await;
    // The collateral that was fetched before is still valid.
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_key_that_a_new_policy_refuses_makes_no_new_proofs_keeps_its_batches_and_may_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    world.add(1).await;
    world.add(2).await;
    let key = world.registered_key(1).await;
    for number in [1, 2] {
        let (claimed, lease) = world.claim("sgx").await.unwrap();
        assert_eq!(claimed, number);
        world.submit(number, &key.proof(root(number)), Some(&lease)).await.assert_success();
    }
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated), (2, JobStatus::Generated)]);

    // An invalid policy changes nothing; one without this enclave does.
    fs::write(folder.path().join("policy.yaml"), "sgx: {typo: 1}").unwrap();
    fs::write(folder.path().join("policy.yaml"), format!("sgx: {{mrenclaves: ['{}']}}", "07".repeat(32))).unwrap();
    let verdict = until_verdict(&world, &key, "refused").await;
    assert!(verdict.contains("mrenclave"), "{verdict}");
    let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
    assert!(metrics.contains(r#"tee_server_reloads_total{file="policy",outcome="taken_over"} 1"#), "{metrics}");
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated), (2, JobStatus::Generated)]);
    world.submit(1, &key.proof(ROOT), None).await.assert_problem(403, "revoked_key");

    fs::write(folder.path().join("policy.yaml"), POLICY() + "# again\n").unwrap();
    until_verdict(&world, &key, "accepted").await;
    world.submit(1, &key.proof(root(1)), None).await.assert_success();
    assert_eq!(world.claim("sgx").await, None);

    // A person who confirms a refusal has the batches proven again.
    fs::write(folder.path().join("policy.yaml"), format!("sgx: {{mrenclaves: ['{}']}}", "07".repeat(32))).unwrap();
    until_verdict(&world, &key, "refused").await;
    let revoke = format!("/admin/attestations/{}/revoke", key.public());
    let revoked = world.post(&revoke, &json!({"reason": "it has a hole"})).await.json();
    assert_eq!(revoked, json!({"requeued": 2, "goes_on": false}));
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::ReadyToBeProven), (2, JobStatus::ReadyToBeProven)]);
}

/// A service that accepts connections and answers nothing, like a firewall that drops packets.
async fn silent_service() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn while_collateral_hangs_the_policy_is_enforced_and_a_stop_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let keys = [world.registered_key(1).await, world.registered_key(2).await];
    let (_listener, url) = silent_service().await;
    let World { server, clock, folder: files, mut config, database_url, .. } = world;
    server.stop().await;
    config.attestation.as_mut().unwrap().collateral = url;
    let world = World::start_on(files, config, clock, database_url).await;

    fs::write(folder.path().join("policy.yaml"), format!("sgx: {{mrenclaves: ['{}']}}", "07".repeat(32))).unwrap();
    for key in &keys {
        let verdict = until_verdict(&world, key, "refused").await;
        assert!(verdict.contains("mrenclave") && !verdict.contains("genuine"), "{verdict}");
    }
    // Unknown keys of other measurements are refused without collateral too.
    world.post("/tee/register_attestation", &Key::new(3).registration()).await.assert_problem(422, "quote_refused");
    fs::write(folder.path().join("policy.yaml"), POLICY()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), world.server.stop()).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_row_cannot_be_read_keeps_no_other_from_being_judged() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let keys = [world.registered_key(1).await, world.registered_key(2).await];
    let broken = world.bytes_literal(&keys[0].public().to_bytes());
    let nothing = world.bytes_literal(&[]);
    world.execute(&format!("UPDATE tee_attestations SET quote = {nothing} WHERE pubkey = {broken}")).await;
    fs::write(folder.path().join("policy.yaml"), format!("sgx: {{mrenclaves: ['{}']}}", "07".repeat(32))).unwrap();
    until_verdict(&world, &keys[1], "refused").await;
}

#[tokio::test]
async fn what_intel_finds_out_later_takes_keys_their_standing() {
    let folder = tempfile::tempdir().unwrap();
    let judging = judging(folder.path(), &PLATFORM);
    let world = World::start_with(|config| {
        judging(config);
        config.attestation.as_mut().unwrap().rejudge_interval_secs = 1;
    })
    .await;
    world.clock.advance(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let key = world.registered_key(1).await;
    publish(folder.path(), &PLATFORM, &Publication { tcb_status: "OutOfDate", ..Publication::default() });
    world.clock.advance(Duration::from_secs(1));
    let verdict = until_verdict(&world, &key, "refused").await;
    assert!(verdict.contains("OutOfDate"), "{verdict}");
    publish(folder.path(), &PLATFORM, &Publication::default());
    world.clock.advance(Duration::from_secs(1));
    until_verdict(&world, &key, "accepted").await;
}

#[tokio::test]
async fn batches_that_another_key_proved_too_stay_proven() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    world.add(1).await;
    let (first, second) = (world.registered_key(1).await, world.registered_key(2).await);
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &first.proof(ROOT), Some(&lease)).await.assert_success();
    world.submit(1, &second.proof(ROOT), None).await.assert_success();
    let revoke = format!("/admin/attestations/{}/revoke", first.public());
    let answer = world.post(&revoke, &json!({"reason": "stolen"})).await.json();
    assert_eq!(answer, json!({"requeued": 0, "goes_on": false}));
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated)]);

    let revoke = format!("/admin/attestations/{}/revoke", second.public());
    assert_eq!(
        world.post(&revoke, &json!({"reason": "stolen"})).await.json(),
        json!({"requeued": 1, "goes_on": false})
    );
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::ReadyToBeProven)]);
    // It stays revoked, whatever it sends.
    world.post("/tee/register_attestation", &second.registration()).await.assert_problem(403, "revoked_key");
    world
        .post(&format!("/admin/attestations/{}/revoke", Key::new(9).public()), &json!({"reason": ""}))
        .await
        .assert_problem(404, "unknown_key");
}

#[tokio::test]
async fn the_proof_of_a_revoked_key_contradicts_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    world.add(1).await;
    let (liar, honest) = (world.registered_key(1).await, world.registered_key(2).await);
    let other_root = tee_verifier::H256::repeat_byte(0x66);
    world.submit(1, &liar.proof(other_root), None).await.assert_success();
    world.submit(1, &honest.proof(ROOT), None).await.assert_problem(409, "disagreeing_root");
    let revoke = format!("/admin/attestations/{}/revoke", liar.public());
    world.post(&revoke, &json!({"reason": "lied"})).await.json();
    world.submit(1, &honest.proof(ROOT), None).await.assert_success();
}

#[tokio::test]
async fn collateral_that_is_not_good_takes_no_key_its_standing_and_registers_none() {
    let folder = tempfile::tempdir().unwrap();
    let judging = judging(folder.path(), &PLATFORM);
    let world = World::start_with(|config| {
        judging(config);
        let attestation = config.attestation.as_mut().unwrap();
        (attestation.rejudge_interval_secs, attestation.suspend_after_secs) = (1, 3600);
    })
    .await;
    world.clock.advance(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    for number in [1, 2] {
        world.add(number).await;
    }
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(root(1)), Some(&lease)).await.assert_success();

    // The collateral has ended, and so has what was good before: a clock is years ahead.
    world.clock.advance(Duration::from_secs(20 * 365 * 24 * 3600));
    world.post("/tee/register_attestation", &Key::new(2).registration()).await.assert_problem(503, "no_collateral");
    let proof = key.proof(root(2));
    // The key is suspended because it cannot be judged, and nothing else happens to it.
    for _ in 0..200 {
        let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
        if metrics.contains(r#"tee_server_keys{standing="suspended"} 1"#) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
    let sample = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default();
        line.split(' ').nth(1).and_then(|value| value.parse::<f64>().ok())
    };
    assert!(sample("tee_server_collateral_left_seconds").unwrap() < 0.0, "{metrics}");
    assert!(sample("tee_server_judgements_failed_total").unwrap() >= 1.0, "{metrics}");
    assert!(sample("tee_server_database_last_write_age_seconds").unwrap() < 60.0, "{metrics}");
    world.submit(2, &proof, None).await.assert_problem(503, "no_collateral");
    until_verdict(&world, &key, "accepted").await;
    assert_eq!(world.statuses(TeeType::Sgx).await[0], (1, JobStatus::Generated));
}

#[tokio::test]
async fn a_quote_is_kept_without_padding_and_a_registration_of_a_key_that_may_sign_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let (key, other) = (Key::new(1), Key::new(2));
    let padded = |key: &Key, padding: u8| {
        let bytes = [key.quote().as_bytes(), &vec![padding; 20_000]].concat();
        json!({ "attestation": hex::encode(bytes), "pubkey": key.public().to_string() })
    };
    let stored = async |key: &Key| {
        let keys = world.server.service().attestations(None, 9).await.unwrap();
        keys.into_iter().find(|entry| entry.pubkey == key.public()).unwrap()
    };
    world.post("/tee/register_attestation", &padded(&key, 7)).await.assert_success();
    let before = stored(&key).await;
    // Quotes of one key have a new signature each time, of the same length.
    assert_eq!(before.quote.len(), key.quote().as_bytes().len());
    world.clock.advance(Duration::from_secs(1));
    for registration in [padded(&key, 8), key.registration()] {
        world.post("/tee/register_attestation", &registration).await.assert_success();
        assert_eq!(stored(&key).await, before);
    }
    world.post("/tee/register_attestation", &other.registration()).await.assert_success();
    assert_eq!(stored(&other).await.registered_at_ms, before.registered_at_ms + 1000);
}

/// The same statement with the other signature that P-256 allows for each: somebody without the key can make it.
fn twin(quote: &[u8]) -> Vec<u8> {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order = hex::decode(ORDER).unwrap();
    let mut quote = quote.to_vec();
    // After header, report and length come r and s.
    let s = &mut quote[48 + 384 + 4 + 32..][..32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(s[at]) - borrow;
        (s[at], borrow) = (difference.rem_euclid(256) as u8, i16::from(difference < 0));
    }
    quote
}

#[tokio::test]
async fn a_suspended_keys_quote_does_not_change_when_the_same_statement_comes_under_another_signature() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let key = world.registered_key(1).await;
    let stored = async || world.server.service().attestations(None, 9).await.unwrap().remove(0).quote;
    let before = stored().await;
    let twin = twin(&before);
    let registration = json!({ "attestation": hex::encode(&twin), "pubkey": key.public().to_string() });
    world.execute("UPDATE tee_attestations SET standing = 'suspended', suspended_at = 1").await;
    world.post("/tee/register_attestation", &registration).await.assert_success();
    let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("tee_server_keys{standing=\"suspended\"} 0\n"), "{metrics}");
    assert!(stored().await == before);
    // A refused quote may be replaced by an accepted one.
    world.execute("UPDATE tee_attestations SET standing = 'refused', standing_reason = 'once', revoked_at = 1").await;
    world.post("/tee/register_attestation", &registration).await.assert_success();
    assert!(stored().await == twin);
}

#[tokio::test]
async fn a_key_that_was_suspended_and_then_revoked_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let key = world.registered_key(1).await;
    world.execute("UPDATE tee_attestations SET standing = 'suspended', suspended_at = 1").await;
    let revoke = format!("/admin/attestations/{}/revoke", key.public());
    world.post(&revoke, &json!({"reason": "stolen"})).await.json();
    world.post("/tee/register_attestation", &key.registration()).await.assert_problem(403, "revoked_key");
    let entry = world.get("/api/attestations").await.json()["items"][0].clone();
    let stands = [&entry["standing"], &entry["standing_reason"], &entry["verdict"]];
    assert_eq!(stands, [&json!("revoked"), &json!("stolen"), &json!("revoked: stolen")]);
}

#[tokio::test]
async fn the_last_good_collateral_is_there_after_a_restart_and_is_verified_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    world.registered_key(1).await;
    // From now on, only garbage is available.
    fs::write(folder.path().join("collateral/sgx.json"), "{}").unwrap();
    let world = world.restart().await;
    world.registered_key(2).await;
    let literal = world
        .bytes_literal(&serde_json::to_vec(&Platform::new(SystemTime::now()).unwrap().collateral().unwrap()).unwrap());
    world.execute(&format!("UPDATE good_collateral SET collateral = {literal}")).await;
    let world = world.restart().await;
    let answer = world.post("/tee/register_attestation", &Key::new(3).registration()).await;
    answer.assert_problem(503, "no_collateral");
}
