//! One root for several batches, several roots for one batch, and roots that become known later.

use std::time::Duration;

use serde_json::{Value, json};
use tee_api::{SubmitProof, TeeType};
use tee_server::{AddedBatch, JobFilter, JobStatus, NewBatch, ProofFilter};
use tee_verifier::H256;

use crate::world::{Key, ROOT, World, new_batch, root};

/// A batch that states the root from which it starts.
fn starting_from(number: u32, previous: H256) -> NewBatch {
    let mut batch = new_batch(number, None);
    batch.input.l1_batch_env.previous_batch_hash = Some(previous);
    batch
}

fn stating(key: &Key, number: u32, root: H256) -> SubmitProof {
    let statement = key.statement(|statement| {
        statement.batch_number = number;
        statement.root = root;
    });
    SubmitProof { statement: Some(statement), ..key.proof(root) }
}

async fn accepted_roots(world: &World) -> Vec<(u32, H256)> {
    let rows = world.overview().await.into_iter();
    rows.filter_map(|row| Some((row.number, row.proof?.root))).collect()
}

#[tokio::test]
async fn a_bare_root_proves_one_batch_and_no_other() {
    let world = World::start().await;
    for number in 1..=45 {
        world.add(number).await;
    }
    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
    for number in 2..=45 {
        world.submit(number, &key.proof(ROOT), None).await.assert_problem(422, "reused_root");
    }
    assert_eq!(accepted_roots(&world).await, [(1, ROOT)]);
    world.submit(1, &key.proof(ROOT), None).await.assert_success();

    // A proof that is tied to its batch, by a statement or by a known root, counts.
    world.submit(3, &stating(&key, 3, ROOT), None).await.assert_success();
    world.add_expecting(46, Some(ROOT)).await;
    world.submit(46, &key.proof(ROOT), None).await.assert_success();
}

#[tokio::test]
async fn one_bare_root_sent_for_many_batches_at_once_proves_one() {
    let world = World::start().await;
    for number in 1..=8 {
        world.add(number).await;
    }
    let key = world.registered_key(1).await;
    let proof = key.proof(ROOT);
    let sent = (1..=8).map(|number| world.submit(number, &proof, None));
    let answers = futures::future::join_all(sent).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(accepted_roots(&world).await.len(), 1);
}

#[tokio::test]
async fn without_a_known_root_a_statement_is_required() {
    let world = World::start_with(|config| config.danger_bare_roots = false).await;
    let service = world.server.service();
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(root(1)), None).await.assert_problem(422, "statement_required");
    // The next batch says which root this one has.
    service.add_batch(starting_from(2, root(1))).await.unwrap();
    world.submit(1, &key.proof(root(9)), None).await.assert_problem(422, "wrong_root");
    world.submit(1, &key.proof(root(1)), None).await.assert_success();
    assert_eq!(service.disagreements().await.unwrap(), []);
    world.submit(2, &key.proof(root(2)), None).await.assert_problem(422, "statement_required");
    world.submit(2, &stating(&key, 2, root(2)), None).await.assert_problem(422, "wrong_statement");
    let statement = key.statement(|statement| {
        (statement.batch_number, statement.previous_root, statement.root) = (2, root(1), root(2));
    });
    let proof = SubmitProof { statement: Some(statement), ..key.proof(root(2)) };
    world.submit(2, &proof, None).await.assert_success();
}

#[tokio::test]
async fn a_root_said_with_the_batch_counts_before_the_next_batchs() {
    let world = World::start().await;
    let service = world.server.service();
    let key = world.registered_key(1).await;
    world.add_expecting(1, Some(ROOT)).await;
    service.add_batch(starting_from(2, root(9))).await.unwrap();
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
    assert_eq!(service.disagreements().await.unwrap(), []);
}

#[tokio::test]
async fn a_next_batch_that_starts_elsewhere_exposes_an_accepted_root_and_the_batch_is_proven_again() {
    let world = World::start().await;
    let service = world.server.service();
    world.add(1).await;
    let (forger, honest) = (world.registered_key(1).await, world.registered_key(2).await);
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &forger.proof(root(9)), Some(&lease)).await.assert_success();
    world.submit(1, &honest.proof(root(1)), None).await.assert_problem(409, "disagreeing_root");
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated)]);

    service.add_batch(starting_from(2, root(1))).await.unwrap();
    assert_eq!(accepted_roots(&world).await, []);
    let kept = service.disagreements().await.unwrap();
    let exposed = kept.iter().find(|kept| kept.pubkey == forger.public()).unwrap();
    assert_eq!((exposed.number, exposed.root, exposed.accepted_root), (1, root(9), root(1)));

    let (number, lease) = world.claim("sgx").await.unwrap();
    assert_eq!(number, 1);
    world.submit(1, &honest.proof(root(1)), Some(&lease)).await.assert_success();
    assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
}

#[tokio::test]
async fn a_next_batch_that_starts_elsewhere_refuses_no_statement_and_raises_an_alarm_whichever_comes_first() {
    for next_comes_first in [true, false] {
        let world = World::start().await;
        let service = world.server.service();
        world.add(1).await;
        let key = world.registered_key(1).await;
        let (_, lease) = world.claim("sgx").await.unwrap();
        let add_next = async || service.add_batch(starting_from(2, root(9))).await.unwrap();
        if next_comes_first {
            add_next().await;
        }
        world.submit(1, &stating(&key, 1, root(1)), Some(&lease)).await.assert_success();
        if !next_comes_first {
            add_next().await;
        }
        assert_eq!(world.statuses(TeeType::Sgx).await[0], (1, JobStatus::Generated));
        assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
        world.submit(1, &stating(&key, 1, root(1)), None).await.assert_success();
        assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
        let listed = world.get("/api/disagreements").await.json();
        let expected = (hex::encode(root(1)), hex::encode(root(9)), true);
        let listed = &listed["items"].as_array().unwrap()[..];
        let entry = &listed[0];
        assert_eq!(
            (listed.len(), &entry["root"], &entry["accepted_root"]),
            (1, &json!(expected.0), &json!(expected.1))
        );
        assert_eq!(entry["is_accepted"], expected.2);
        let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
        assert!(metrics.contains("tee_server_disagreements 1"), "{metrics}");
        // It is published once, as the proof that it is.
        let published = world.rpc_proofs(1).await;
        let published = published.as_array().unwrap();
        assert_eq!((published.len(), &published[0]["disagreesWith"]), (1, &Value::Null));
    }
}

#[tokio::test]
async fn a_root_said_with_the_batch_refuses_statements_too() {
    let world = World::start().await;
    world.add_expecting(1, Some(root(1))).await;
    let key = world.registered_key(1).await;
    world.submit(1, &stating(&key, 1, root(2)), None).await.assert_problem(422, "wrong_root");
    // It displaces earlier proofs.
    world.add(2).await;
    let statement = key.statement(|statement| {
        (statement.batch_number, statement.previous_root, statement.root) = (2, root(1), root(3));
    });
    let proof = SubmitProof { statement: Some(statement), ..key.proof(root(3)) };
    world.submit(2, &proof, None).await.assert_success();
    world.server.service().add_batch(new_batch(2, Some(root(2)))).await.unwrap();
    assert_eq!(accepted_roots(&world).await, []);
    let published = world.rpc_proofs(2).await;
    let exposed = published.as_array().unwrap().iter().find(|entry| entry["disagreesWith"].is_string());
    assert!(exposed.unwrap()["statement"].is_object(), "{published}");
}

#[tokio::test]
async fn an_expected_root_that_comes_later_is_filled_in_and_held_against_the_proofs() {
    let world = World::start().await;
    let service = world.server.service();
    for number in [1, 2, 3] {
        world.add(number).await;
    }
    let key = world.registered_key(1).await;
    for number in [1, 2] {
        let (_, lease) = world.claim("sgx").await.unwrap();
        world.submit(number, &key.proof(root(number)), Some(&lease)).await.assert_success();
    }
    for (number, expected) in [(1, root(1)), (2, root(9)), (3, root(3))] {
        assert_eq!(service.add_batch(new_batch(number, Some(expected))).await.unwrap(), AddedBatch::Known);
    }
    assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
    assert_eq!(service.disagreements().await.unwrap().len(), 1);
    let statuses = world.statuses(TeeType::Sgx).await;
    assert_eq!(statuses[..2], [(1, JobStatus::Generated), (2, JobStatus::ReadyToBeProven)]);
    world.submit(3, &key.proof(root(8)), None).await.assert_problem(422, "wrong_root");
    world.submit(2, &key.proof(root(9)), None).await.assert_success();
    // A root other than the one that is known by now is refused, as always.
    assert!(service.add_batch(new_batch(3, Some(root(7)))).await.is_err());
}

#[tokio::test]
async fn a_batch_that_was_given_up_for_a_wrong_root_is_proven_once_the_right_one_is_known() {
    let world = World::start_with(|config| config.max_attempts = 1).await;
    world.add(1).await;
    let (forger, honest) = (world.registered_key(1).await, world.registered_key(2).await);
    world.submit(1, &forger.proof(root(9)), None).await.assert_success();
    world.post("/admin/jobs/1/sgx/requeue", &json!({})).await.assert_success();
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &honest.proof(root(1)), Some(&lease)).await.assert_problem(409, "disagreeing_root");
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::PermanentlyIgnored)]);

    assert_eq!(world.server.service().add_batch(new_batch(1, Some(root(1)))).await.unwrap(), AddedBatch::Known);
    // The failure is forgotten: the prover that was refused gets the batch again at once.
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &honest.proof(root(1)), Some(&lease)).await.assert_success();
    assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
}

#[tokio::test]
async fn the_right_proof_of_a_revoked_key_does_not_count_once_the_wrong_one_has_gone() {
    let world = World::start().await;
    world.add(1).await;
    let (revoked, forger) = (world.registered_key(1).await, world.registered_key(2).await);
    world.submit(1, &revoked.proof(root(1)), None).await.assert_success();
    let path = format!("/admin/attestations/{}/revoke", revoked.public());
    assert_eq!(world.post(&path, &json!({"reason": "sold"})).await.json()["requeued"], 1);
    world.submit(1, &forger.proof(root(9)), None).await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::Generated)]);
    assert_eq!(world.server.service().add_batch(new_batch(1, Some(root(1)))).await.unwrap(), AddedBatch::Known);
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::ReadyToBeProven)]);
    assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
}

#[tokio::test]
async fn a_wrong_proof_is_not_lost_where_its_key_has_another_disagreement_on_the_batch() {
    let world = World::start().await;
    world.add(1).await;
    let (first, second) = (world.registered_key(1).await, world.registered_key(2).await);
    for key in [&first, &second] {
        world.submit(1, &key.proof(root(9)), None).await.assert_success();
    }
    world.submit(1, &first.proof(root(8)), None).await.assert_problem(409, "disagreeing_root");
    assert_eq!(world.server.service().add_batch(new_batch(1, Some(root(1)))).await.unwrap(), AddedBatch::Known);
    let kept = world.server.service().proofs(&ProofFilter::default(), None, 9).await.unwrap();
    assert_eq!(kept.iter().map(|proof| (proof.pubkey, proof.root)).collect::<Vec<_>>(), [(first.public(), root(9))]);
    let noted = world.server.service().disagreements().await.unwrap();
    let mut noted: Vec<_> = noted.iter().map(|noted| (noted.pubkey, noted.root)).collect();
    noted.sort_by_key(|(_, root)| *root);
    assert_eq!(noted, [(first.public(), root(8)), (second.public(), root(9))]);
}

#[tokio::test]
async fn the_proof_of_a_key_that_is_refused_now_still_contradicts_others() {
    let world = World::start().await;
    world.add(1).await;
    let (first, second) = (world.registered_key(1).await, world.registered_key(2).await);
    world.submit(1, &first.proof(root(1)), None).await.assert_success();
    // As a judgement that refuses the key's quote does it.
    world
        .execute(&format!(
            "UPDATE tee_attestations SET standing = 'refused', standing_reason = 'tcb', revoked_at = 1 WHERE pubkey = {}",
            world.bytes_literal(&first.public().to_bytes())
        ))
        .await;
    world.submit(1, &second.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
    let found = world.server.service().disagreements().await.unwrap();
    let found: Vec<_> = found.iter().map(|found| (found.pubkey, found.root, found.accepted_root)).collect();
    assert_eq!(found, [(second.public(), root(9), root(1))]);
    assert_eq!(accepted_roots(&world).await, [(1, root(1))]);
}

#[tokio::test]
async fn once_a_forger_is_revoked_all_that_it_touched_is_proven_again() {
    let world = World::start_with(|config| config.max_attempts = 1).await;
    for number in 1..=6 {
        world.add(number).await;
    }
    world.server.service().serve_tee_type(TeeType::Sgx).await.unwrap();
    let (forger, honest) = (world.registered_key(1).await, world.registered_key(2).await);
    // The honest proof was refused, and its batch given up; in one case a person gave the batch up.
    for number in 1..=4 {
        world.submit(number, &forger.proof(root(100 + number)), None).await.assert_success();
        if number == 2 {
            world.post("/admin/jobs/2/sgx/requeue", &json!({})).await.assert_success();
            let (_, lease) = world.claim("sgx").await.unwrap();
            let refused = world.submit(2, &honest.proof(root(2)), Some(&lease)).await;
            refused.assert_problem(409, "disagreeing_root");
        }
        if number == 3 {
            world.post("/admin/jobs/3/sgx/requeue", &json!({})).await.assert_success();
            world.post("/admin/jobs/3/sgx/ignore", &json!({})).await.assert_success();
        }
    }
    // For this batch the right proof came first, and the forger's was refused.
    world.submit(5, &honest.proof(root(5)), None).await.assert_success();
    world.submit(5, &forger.proof(root(105)), None).await.assert_problem(409, "disagreeing_root");
    let statuses: Vec<_> = world.statuses(TeeType::Sgx).await.into_iter().map(|(_, status)| status).collect();
    use JobStatus::*;
    assert_eq!(statuses, [Generated, PermanentlyIgnored, PermanentlyIgnored, Generated, Generated, ReadyToBeProven]);

    let revoke = format!("/admin/attestations/{}/revoke", forger.public());
    let revoked = world.post(&revoke, &json!({"reason": "forged"})).await.json();
    assert_eq!(revoked["requeued"], 4);
    for number in 1..=4 {
        let (claimed, lease) = world.claim("sgx").await.unwrap();
        assert_eq!(claimed, number);
        world.submit(number, &honest.proof(root(number)), Some(&lease)).await.assert_success();
    }
    let statuses: Vec<_> = world.statuses(TeeType::Sgx).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, [Generated, Generated, Generated, Generated, Generated, ReadyToBeProven]);
}

#[tokio::test]
async fn a_revocation_goes_on_in_chunks_from_the_highest_batch_and_after_a_restart() {
    let world = World::start().await;
    for number in [1, 2, 3] {
        world.add(number).await;
    }
    let key = world.registered_key(1).await;
    for number in [1, 2, 3] {
        world.submit(number, &key.proof(root(number)), None).await.assert_success();
    }
    // As a server leaves it that was stopped after the chunk with batch 3.
    let pubkey = world.bytes_literal(&key.public().to_bytes());
    world
        .execute(&format!(
            "UPDATE tee_attestations SET standing = 'revoked', standing_reason = 'sold', revoked_at = 1, requeue_below = 3 WHERE pubkey = {pubkey}"
        ))
        .await;
    for _ in 0..400 {
        if world.statuses(TeeType::Sgx).await[0].1 == JobStatus::ReadyToBeProven {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    use JobStatus::*;
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, ReadyToBeProven), (2, ReadyToBeProven), (3, Generated)]);
}

#[tokio::test]
async fn a_revocation_looks_at_a_thousand_batches_at_a_time_whether_the_key_proved_or_contradicted() {
    const BATCHES: u32 = 1500;
    for (table, roots) in [("tee_proofs", "proof"), ("tee_proof_disagreements", "proof, accepted_proof")] {
        let world = World::start().await;
        let key = world.registered_key(1).await;
        assert_eq!(world.claim("sgx").await, None);
        let (pubkey, root) = (world.bytes_literal(&key.public().to_bytes()), world.bytes_literal(&[7; 32]));
        let rows = |row: &dyn Fn(u32) -> String| (1..=BATCHES).map(row).collect::<Vec<_>>().join(",");
        let of_roots = vec![root.as_str(); roots.split(',').count()].join(",");
        world.insert_batches(1, BATCHES).await;
        world
            .execute(&format!(
                "INSERT INTO tee_proof_generation_details
                     (l1_batch_number, tee_type, status, created_at, updated_at) VALUES {};
                 INSERT INTO {table} (l1_batch_number, tee_type, pubkey, signature, {roots}, received_at) VALUES {}",
                rows(&|number| format!("({number}, 'sgx', 'permanently_ignored', 0, 0)")),
                rows(&|number| format!("({number}, 'sgx', {pubkey}, {root}, {of_roots}, 0)")),
            ))
            .await;
        let revoked =
            world.post(&format!("/admin/attestations/{}/revoke", key.public()), &json!({"reason": "x"})).await;
        assert_eq!(revoked.json(), json!({"requeued": 1000, "goes_on": true}), "{table}");
        let ready = JobFilter {
            tee_type: Some(TeeType::Sgx),
            status: Some(JobStatus::ReadyToBeProven),
            ..JobFilter::default()
        };
        for _ in 0..400 {
            if world.server.service().jobs(&ready, None, BATCHES).await.unwrap().len() == BATCHES as usize {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(
            world.server.service().jobs(&ready, None, BATCHES).await.unwrap().len(),
            BATCHES as usize,
            "{table}"
        );
    }
}

#[tokio::test]
async fn a_disagreement_that_is_explained_is_kept_and_is_no_alarm_any_more() {
    let world = World::start().await;
    world.add(1).await;
    let (first, second) = (world.registered_key(1).await, world.registered_key(2).await);
    world.submit(1, &first.proof(root(1)), None).await.assert_success();
    world.submit(1, &second.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
    let open = async |expected: u32| {
        let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
        assert!(metrics.contains(&format!("tee_server_disagreements {expected}\n")), "{metrics}");
    };
    open(1).await;
    let path = |key: &Key| format!("/admin/disagreements/1/sgx/{}/resolve", key.public());
    world.post(&path(&second), &json!({"reason": " "})).await.assert_problem(400, "malformed_body");
    world.post(&path(&first), &json!({"reason": "x"})).await.assert_problem(404, "unknown_disagreement");
    world.post(&path(&second), &json!({"reason": "memory was bad"})).await.assert_success();
    world.post(&path(&second), &json!({"reason": "another story"})).await.assert_success();
    open(0).await;
    let listed = world.get("/api/disagreements").await.json();
    assert_eq!(listed["items"][0]["resolution"], "memory was bad");
    assert!(listed["items"][0]["resolved_at"].is_string());
    // The same proof again is explained already; a different one is an alarm.
    world.submit(1, &second.proof(root(9)), None).await.assert_problem(409, "disagreeing_root");
    open(0).await;
    world.submit(1, &second.proof(root(8)), None).await.assert_problem(409, "disagreeing_root");
    open(1).await;
}
