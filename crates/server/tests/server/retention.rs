//! Inputs that are no longer needed, and blobs that belong to no batch.

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_api::TeeType;
use tee_devnet::{Chain, Genesis, Load, SealedBatch};
use tee_server::{AddedBatch, Garbage, JobFilter, JobStatus, MirrorConfig, NewBatch};
use tee_verifier::{
    H256,
    input::{ExecuteTransactionCommon, Transaction},
};
use tokio::time::timeout;

use crate::{
    pages::{HTML, html},
    world::{Key, World, new_batch, root},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server that keeps inputs for two days, with these batches, the first of them proven by a key.
async fn world(batches: u32, proven: u32) -> (World, Key) {
    let world = World::start_with(|config| config.keep_finished_inputs_days = NonZeroU32::new(2)).await;
    let key = world.registered_key(1).await;
    for number in 1..=batches {
        world.add(number).await;
    }
    for number in 1..=proven {
        assert_eq!(world.claim("sgx").await.unwrap().0, number);
        world.submit(number, &key.proof(root(number)), None).await.assert_success();
    }
    (world, key)
}

/// Lets days pass, and waits until a restarted server has deleted this many inputs.
async fn after(world: World, days: u32, deleted: u32) -> World {
    world.clock.advance(DAY * days);
    let world = world.restart().await;
    let expected = format!("tee_server_inputs_retired_total {deleted}\n");
    let wait = async {
        while !String::from_utf8(world.get("/metrics").await.body).unwrap().contains(&expected) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), wait).await.expect("inputs are deleted");
    world
}

/// The batches whose inputs are available.
fn kept(world: &World) -> Vec<u32> {
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
    let mut numbers: Vec<u32> =
        world.input_files().iter().map(|file| name(file).split('-').next().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

async fn error_kind(world: &World, number: u32, tee_type: TeeType) -> (JobStatus, Option<String>) {
    let filter = JobFilter { number: Some(number), tee_type: Some(tee_type), status: None };
    let job = world.server.service().jobs(&filter, None, 1).await.unwrap().remove(0);
    (job.status, job.error_kind)
}

#[tokio::test]
async fn inputs_of_finished_batches_are_deleted_after_their_time_and_their_proofs_stay() {
    let (world, _) = world(5, 2).await;
    let (in_work, _) = world.claim("sgx").await.unwrap();
    assert_eq!(in_work, 3);
    assert_eq!(world.claim("none").await.unwrap().0, 1);
    let world = after(world, 3, 2).await;
    assert_eq!(kept(&world), [3, 4, 5]);
    for number in [1, 2] {
        let proofs = world.rpc_proofs(number).await;
        assert_eq!(proofs[0]["status"], "generated", "{proofs}");
        assert!(proofs[0]["attestation"].is_string(), "{proofs}");
        world.get(&format!("/tee/proof_inputs_no_lock/{number}")).await.assert_problem(410, "input_retired");
    }
    assert_eq!(world.get("/tee/present_batches").await.body, br#"{"oldest_batch":3,"latest_batch":5}"#);
    // The type that only tries provers out continues after them, and a type that comes later begins there.
    let ignored = (JobStatus::PermanentlyIgnored, Some("input_retired".to_owned()));
    assert_eq!(error_kind(&world, 2, TeeType::None).await, ignored);
    assert_eq!(world.claim("none").await.unwrap().0, 3);
    assert_eq!(world.claim("tdx").await.unwrap().0, 3);
    let of_tdx = JobFilter { tee_type: Some(TeeType::Tdx), ..JobFilter::default() };
    let made = world.server.service().jobs(&of_tdx, None, 10).await.unwrap();
    assert_eq!(made.iter().map(|job| job.number).collect::<Vec<_>>(), [3, 4, 5]);
}

#[tokio::test]
async fn a_transaction_leads_to_its_batch_as_long_as_the_input_is_kept() {
    let world = World::start_with(|config| config.keep_finished_inputs_days = NonZeroU32::new(2)).await;
    let key = world.registered_key(1).await;
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let load = Load { transactions: 3, cold_reads: 0, l1_transactions: 2 };
    let (first, second) = (chain.seal(load).unwrap(), chain.seal(load).unwrap());
    let add = async |world: &World, sealed: &SealedBatch| {
        let batch = NewBatch {
            input: sealed.input.clone(),
            expected_root: Some(sealed.root),
            sealed_at_ms: None,
            source: "devnet".to_owned(),
        };
        world.server.service().add_batch(batch).await.unwrap()
    };
    let number = |sealed: &SealedBatch| sealed.input.l1_batch_env.number.0;
    // As the node knows them, which computed the hashes itself.
    let hashes = |sealed: &SealedBatch| -> Vec<H256> {
        let transactions = sealed.input.l2_blocks_execution_data.iter().flat_map(|block| &block.txs);
        let hash = |transaction: &Transaction| match &transaction.common_data {
            ExecuteTransactionCommon::L1(common) => common.canonical_tx_hash,
            ExecuteTransactionCommon::ProtocolUpgrade(common) => common.canonical_tx_hash,
            ExecuteTransactionCommon::L2(common) => common.input.as_ref().unwrap().hash,
        };
        transactions.map(hash).collect()
    };
    let search = async |world: &World, hash: &H256| page_or_problem(world, &format!("/search?q={hash:?}")).await;
    assert_eq!(add(&world, &first).await, AddedBatch::New);
    assert_eq!(add(&world, &second).await, AddedBatch::New);
    for sealed in [&first, &second] {
        let hashes = hashes(sealed);
        assert!(hashes.len() >= 5, "{hashes:?}");
        for (position, hash) in (1..).zip(&hashes) {
            let (status, shown) = search(&world, hash).await;
            assert_eq!(status, StatusCode::OK);
            assert!(shown.contains(&format!("<h1>Batch {}</h1>", number(sealed))), "{shown}");
            assert!(shown.contains(&format!("<code>{hash:?}</code> is number {position} of this batch.")), "{shown}");
        }
    }
    // The index holds the front of a hash alone; what is found has all of it.
    let mut other = hashes(&first)[0];
    other.0[31] ^= 1;
    let (status, shown) = search(&world, &other).await;
    assert!(status == StatusCode::NOT_FOUND && shown.contains("as long as this server keeps the input"), "{shown}");
    let elsewhere = format!("/batches/{}?transaction={:?}", number(&second), hashes(&first)[0]);
    let (_, shown) = page_or_problem(&world, &elsewhere).await;
    assert!(shown.contains("is not in what this server keeps of this batch"), "{shown}");
    let (status, _) = page_or_problem(&world, &format!("/batches/{}?transaction=x", number(&first))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    world.claim("sgx").await.unwrap();
    world.submit(number(&first), &key.proof(first.root), None).await.assert_success();
    let world = after(world, 3, 1).await;
    for hash in hashes(&first) {
        assert_eq!(search(&world, &hash).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(search(&world, &hashes(&second)[0]).await.0, StatusCode::OK);
    assert_eq!(add(&world, &first).await, AddedBatch::Known);
    assert_eq!(search(&world, &hashes(&first)[1]).await.0, StatusCode::OK);
}

async fn page_or_problem(world: &World, path: &str) -> (StatusCode, String) {
    let answer = world.send(Method::GET, path, &[HTML], "").await;
    (answer.status, html(path, &answer))
}

#[tokio::test]
async fn what_somebody_must_look_into_keeps_its_input() {
    let (world, _) = world(3, 3).await;
    let other = world.registered_key(2).await;
    world.submit(1, &other.proof(H256::repeat_byte(7)), None).await.assert_problem(409, "disagreeing_root");
    let world = after(world, 3, 2).await;
    assert_eq!(kept(&world), [1]);
    let path = format!("/admin/disagreements/1/sgx/{}/resolve", other.public());
    world.post(&path, &json!({ "reason": "a forger" })).await.assert_success();
    assert_eq!(kept(&after(world, 0, 1).await), [0; 0]);
}

#[tokio::test]
async fn an_input_comes_back_when_its_batch_is_added_again_and_is_kept_as_long_again() {
    let (world, key) = world(3, 2).await;
    let world = after(world, 3, 2).await;
    world.post("/admin/jobs/1/sgx/requeue", &json!({})).await.assert_success();
    // Nobody gets it, and it is not offered again and again.
    assert_eq!(world.claim("sgx").await.unwrap().0, 3);
    let failed = (JobStatus::Failed, Some("input_retired".to_owned()));
    assert_eq!(error_kind(&world, 1, TeeType::Sgx).await, failed);
    world.clock.advance(DAY);
    assert_eq!(world.claim("sgx").await.unwrap().0, 3);

    assert_eq!(world.server.service().add_batch(new_batch(1, None)).await.unwrap(), AddedBatch::Known);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    world.submit(1, &key.proof(root(1)), None).await.assert_success();
    assert_eq!(world.server.service().add_batch(new_batch(2, None)).await.unwrap(), AddedBatch::Known);
    assert_eq!(kept(&world), [1, 2, 3]);
    // A third one to wait for: it is examined together with them.
    world.submit(3, &key.proof(root(3)), None).await.assert_success();
    world.execute("UPDATE tee_proof_generation_details SET updated_at = 0 WHERE l1_batch_number = 3").await;
    let world = after(world, 1, 1).await;
    assert_eq!(kept(&world), [1, 2]);
    assert_eq!(kept(&after(world, 2, 2).await), [0; 0]);
}

#[tokio::test]
async fn batches_of_a_revoked_key_whose_inputs_are_gone_are_not_handed_out() {
    let (world, key) = world(4, 3).await;
    let world = after(world, 3, 3).await;
    let revoked = world.post(&format!("/admin/attestations/{}/revoke", key.public()), &json!({"reason": "lost"})).await;
    assert_eq!(revoked.json()["requeued"], 3);
    for number in 1..=3 {
        let failed = (JobStatus::Failed, Some("input_retired".to_owned()));
        assert_eq!(error_kind(&world, number, TeeType::Sgx).await, failed);
    }
    assert_eq!(world.server.service().add_batch(new_batch(2, None)).await.unwrap(), AddedBatch::Known);
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
    assert_eq!(world.claim("sgx").await.unwrap().0, 4);
}

#[tokio::test]
async fn a_mirror_fetches_neither_what_it_deleted_nor_what_its_node_did() {
    let (node, _) = world(5, 2).await;
    let node = after(node, 3, 2).await;
    node.execute("UPDATE batches SET input_retired_at = 1 WHERE number = 4").await;
    let mirror = World::start_with(|config| {
        config.keep_finished_inputs_days = NonZeroU32::new(2);
        config.mirror = Some(MirrorConfig::new(node.url()));
    })
    .await;
    let next = async |mirror: &World| {
        let answer = mirror.post("/tee/proof_inputs?wait_secs=25", &json!({"tee_type": "sgx"})).await;
        tee_verifier::BatchInput::from_json(&answer.body).unwrap().l1_batch_env.number.0
    };
    let mut came = [next(&mirror).await, next(&mirror).await];
    came.sort_unstable();
    assert_eq!(came, [3, 5]);
    let key = mirror.registered_key(1).await;
    mirror.submit(3, &key.proof(root(3)), None).await.assert_success();
    let mirror = after(mirror, 3, 1).await;
    assert_eq!(kept(&mirror), [5]);
    node.add(6).await;
    let taken_over = async {
        while !kept(&mirror).contains(&6) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), taken_over).await.unwrap();
    assert_eq!(kept(&mirror), [5, 6]);
}

/// Makes a file's time of writing this long ago.
fn age(file: &Path, by: Duration) {
    fs::File::options().write(true).open(file).unwrap().set_modified(SystemTime::now() - by).unwrap();
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

#[tokio::test]
async fn a_blob_that_no_batch_knows_is_deleted_once_it_is_old_and_no_other_is() {
    let world = World::start().await;
    for number in 1..=3 {
        world.add(number).await;
    }
    let inputs = world.folder.path().join("objects/inputs");
    // As servers wrote them before keys contained the content's hash.
    for file in world.input_files().iter().filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("1-"))
    {
        let form = file.to_str().unwrap().rsplit('.').nth(1).unwrap();
        fs::rename(file, inputs.join(format!("1-0123456789abcdef.{form}.zst"))).unwrap();
    }
    world.execute("UPDATE batches SET input_key = 'inputs/1-0123456789abcdef' WHERE number = 1").await;
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    // A crash between the blob and the row.
    world.execute("DELETE FROM tee_proof_generation_details WHERE l1_batch_number = 2").await;
    world.execute("DELETE FROM batches WHERE number = 2").await;
    fs::write(inputs.join("1-fedcba9876543210.json.zst"), "old style").unwrap();
    fs::write(inputs.join("notes.txt"), "not ours").unwrap();
    let today = since_1970().as_secs() / DAY.as_secs();
    let of_today = inputs.join(format!("9-{today}-{}.json.zst", "0".repeat(32)));
    fs::write(&of_today, "on its way").unwrap();
    world.clock.advance(since_1970());

    let service = world.server.service();
    let young = Garbage { orphans: 0, orphan_bytes: 0, in_use: 4, young: 4, foreign: 1 };
    assert_eq!(service.collect_garbage(DAY, true).await.unwrap(), young);
    world.input_files().iter().for_each(|file| age(file, DAY * 2));
    let found = service.collect_garbage(DAY, false).await.unwrap();
    assert_eq!((found.orphans, found.in_use, found.young, found.foreign), (3, 4, 1, 1), "{found:?}");
    assert_eq!(world.input_files().len(), 9);
    assert_eq!(service.collect_garbage(DAY, true).await.unwrap(), found);
    assert_eq!(world.input_files().len(), 6);
    assert!(of_today.exists());
    let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
    for line in
        ["tee_server_gc_deleted_blobs 3".to_owned(), format!("tee_server_gc_deleted_bytes {}", found.orphan_bytes)]
    {
        assert!(metrics.contains(&format!("{line}\n")), "{line}: {metrics}");
    }
    assert!(metrics.contains("tee_server_gc_age_seconds "), "{metrics}");
    for number in [1, 3] {
        assert_eq!(world.claim("sgx").await.unwrap().0, number);
    }
}

#[tokio::test]
async fn a_file_that_a_crash_left_half_written_is_deleted_once_it_is_old() {
    let world = World::start().await;
    world.add(1).await;
    let inputs = world.folder.path().join("objects/inputs");
    let today = since_1970().as_secs() / DAY.as_secs();
    let file = |day: u64, end: &str| inputs.join(format!("1-{day}-{}.{end}", "0".repeat(32)));
    let (old, of_today) = (file(today - 3, "json.zst#1"), file(today, "cbor.zst#2"));
    let foreign = inputs.join("notes.txt#1");
    for file in [&old, &of_today, &foreign] {
        fs::write(file, "half").unwrap();
    }
    world.clock.advance(since_1970());
    let service = world.server.service();
    let young = Garbage { in_use: 2, young: 2, ..Garbage::default() };
    assert_eq!(service.collect_garbage(DAY, true).await.unwrap(), young);
    [&old, &of_today, &foreign].iter().for_each(|file| age(file, DAY * 2));
    let found = Garbage { orphans: 1, orphan_bytes: 4, in_use: 2, young: 1, foreign: 0 };
    assert_eq!(service.collect_garbage(DAY, false).await.unwrap(), found);
    assert!(old.exists());
    assert_eq!(service.collect_garbage(DAY, true).await.unwrap(), found);
    assert_eq!((old.exists(), of_today.exists(), foreign.exists()), (false, true, true));
}

#[tokio::test]
async fn who_tries_again_writes_over_what_the_first_try_left() {
    let world = World::start().await;
    world.add(1).await;
    let files = world.input_files();
    world.execute("DELETE FROM batches").await;
    world.add(1).await;
    assert_eq!(world.input_files(), files);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
}

#[tokio::test]
async fn an_empty_store_is_no_reason_to_delete_anything() {
    let (world, _) = world(2, 2).await;
    let (objects, away) = (world.folder.path().join("objects"), world.folder.path().join("away"));
    fs::rename(&objects, &away).unwrap();
    fs::create_dir(&objects).unwrap();
    assert!(world.server.service().collect_garbage(DAY, true).await.is_err());
    fs::remove_dir(&objects).unwrap();
    fs::rename(&away, &objects).unwrap();
    assert_eq!(kept(&world), [1, 2]);
}
