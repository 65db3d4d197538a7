//! Provers that fail, hold on to batches, or disappear, and what happens to them and to the batches.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tee_api::{SubmitProof, TeeType};
use tee_server::JobStatus::{Failed, Generated, PermanentlyIgnored, PickedByProver, ReadyToBeProven};
use tee_verifier::BatchInput;

use crate::{
    pages::page,
    world::{Key, LEASE_SECS, World, http_from, root},
};

/// A prover with its own address.
struct Prover<'a> {
    world: &'a World,
    http: reqwest::Client,
}

impl<'a> Prover<'a> {
    fn new(world: &'a World, last_octet: u8) -> Self {
        Self { world, http: http_from([127, 0, 0, last_octet].into()) }
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.http.post(format!("{}{path}", self.world.url())).body(body.to_string()).send().await.unwrap()
    }

    async fn claim(&self) -> Option<(u32, String)> {
        let answer = self.post("/tee/proof_inputs", &json!({"tee_type": "sgx"})).await;
        if answer.status() == StatusCode::NO_CONTENT {
            return None;
        }
        assert_eq!(answer.status(), StatusCode::OK);
        let lease = answer.headers()["tee-lease-id"].to_str().unwrap().to_owned();
        let input = BatchInput::from_json(&answer.bytes().await.unwrap()).unwrap();
        Some((input.l1_batch_env.number.0, lease))
    }

    async fn fail(&self, lease: &str) {
        let answer = self.post(&format!("/tee/leases/{lease}/fail"), &json!({"kind": "chain_id", "error": "e"})).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }

    async fn submit(&self, number: u32, proof: &SubmitProof, lease: Option<&str>) -> StatusCode {
        let url = format!("{}/tee/submit_proofs/{number}", self.world.url());
        let mut request = self.http.post(url).body(serde_json::to_string(proof).unwrap());
        if let Some(lease) = lease {
            request = request.header("tee-lease-id", lease);
        }
        request.send().await.unwrap().status()
    }
}

async fn world(batches: u32) -> World {
    let world = World::start().await;
    for number in 1..=batches {
        world.add(number).await;
    }
    world
}

async fn entry(world: &World, name: &str) -> Value {
    let listed = world.get("/api/provers").await.json();
    listed["items"].as_array().unwrap().iter().find(|entry| entry["prover"] == name).unwrap().clone()
}

#[tokio::test]
async fn a_failed_batch_goes_to_another_prover_at_once_and_to_the_same_one_after_rests_that_grow() {
    let world = world(1).await;
    let (one, two) = (Prover::new(&world, 2), Prover::new(&world, 3));
    let (_, lease) = one.claim().await.unwrap();
    one.fail(&lease).await;
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Failed)]);
    assert_eq!(one.claim().await, None);
    let (number, lease) = two.claim().await.unwrap();
    assert_eq!(number, 1);
    two.fail(&lease).await;
    assert_eq!(two.claim().await, None);
    world.clock.advance(Duration::from_secs(LEASE_SECS));
    let (_, lease) = one.claim().await.unwrap();
    one.fail(&lease).await;
    world.clock.advance(Duration::from_secs(2 * LEASE_SECS - 1));
    assert_eq!(one.claim().await, None);
    world.clock.advance(Duration::from_secs(1));
    assert!(one.claim().await.is_some());
}

#[tokio::test]
async fn who_claims_and_fails_in_a_loop_gives_up_nothing_that_another_can_prove_and_is_paused_and_shown() {
    let world = World::start_with(|config| config.max_attempts = 2).await;
    for number in 1..=12 {
        world.add(number).await;
    }
    let (bad, good) = (Prover::new(&world, 2), Prover::new(&world, 3));
    // It works, and asked for work within the last day.
    let (_, lease) = good.claim().await.unwrap();
    world.send(reqwest::Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    for _ in 0..20 {
        // With the greatest possible patience, over days.
        for _ in 0..100 {
            let Some((_, lease)) = bad.claim().await else { break };
            bad.fail(&lease).await;
        }
        assert_eq!(bad.claim().await, None);
        world.clock.advance(Duration::from_secs(LEASE_SECS));
    }
    let statuses = world.statuses(TeeType::Sgx).await;
    assert!(statuses.iter().all(|(_, status)| *status != PermanentlyIgnored), "{statuses:?}");
    let shown = entry(&world, "address:127.0.0.2").await;
    assert_eq!((&shown["tee_type"], &shown["last_error_kind"]), (&json!("sgx"), &json!("chain_id")));
    assert!(shown["failures_in_a_row"].as_u64().unwrap() > 3, "{shown}");
    assert_eq!(entry(&world, "address:127.0.0.3").await["paused_until"], Value::Null);

    // The good one gets all of them.
    let key = world.registered_key(1).await;
    while let Some((number, lease)) = good.claim().await {
        assert_eq!(good.submit(number, &key.proof(root(number)), Some(&lease)).await, StatusCode::OK);
    }
    assert!(world.statuses(TeeType::Sgx).await.iter().all(|(_, status)| *status == Generated));
}

#[tokio::test]
async fn a_prover_that_only_fails_pauses_longer_each_time_until_a_proof_is_accepted() {
    let world = world(9).await;
    let prover = Prover::new(&world, 2);
    for _ in 0..3 {
        let (_, lease) = prover.claim().await.unwrap();
        prover.fail(&lease).await;
    }
    for pause_secs in [10, 20, 40] {
        assert_eq!(prover.claim().await, None);
        let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
        assert!(metrics.contains(r#"tee_server_provers{tee_type="sgx",state="paused"} 1"#), "{metrics}");
        // Others are not affected.
        let other = Prover::new(&world, 3);
        let (_, lease) = other.claim().await.unwrap();
        world.send(reqwest::Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
        world.clock.advance(Duration::from_secs(pause_secs - 1));
        assert_eq!(prover.claim().await, None);
        world.clock.advance(Duration::from_secs(1));
        let (_, lease) = prover.claim().await.unwrap();
        prover.fail(&lease).await;
    }
    let key = world.registered_key(1).await;
    assert_eq!(prover.submit(9, &key.proof(root(9)), None).await, StatusCode::OK);
    assert_eq!(entry(&world, "address:127.0.0.2").await["failures_in_a_row"], 0);
    assert!(prover.claim().await.is_some());
}

#[tokio::test]
async fn bad_batches_pause_no_prover_for_which_another_one_vouches() {
    let world = world(10).await;
    let provers = [Prover::new(&world, 2), Prover::new(&world, 3)];
    // Nine bad ones before a good one, without any time passing.
    for bad in 1..=9 {
        for prover in &provers {
            let (number, lease) = prover.claim().await.unwrap();
            assert_eq!(number, bad);
            prover.fail(&lease).await;
        }
    }
    assert_eq!(provers[0].claim().await.unwrap().0, 10);
    for last_octet in [2, 3] {
        let shown = entry(&world, &format!("address:127.0.0.{last_octet}")).await;
        assert_eq!((&shown["failures_in_a_row"], &shown["last_error_kind"]), (&json!(0), &json!("chain_id")));
    }
}

#[tokio::test]
async fn failures_before_an_accepted_proof_give_no_batch_up_that_needs_another() {
    let world = World::start_with(|config| {
        config.required_proofs.sgx = Some(2);
        config.max_attempts = 2;
    })
    .await;
    world.add(1).await;
    let (one, two) = (Prover::new(&world, 2), Prover::new(&world, 3));
    let (_, lease) = one.claim().await.unwrap();
    one.fail(&lease).await;
    let key = world.registered_key(1).await;
    assert_eq!(two.submit(1, &key.proof(root(1)), None).await, StatusCode::OK);
    // As many provers have failed it as there are attempts, and only one of them since.
    let (_, lease) = two.claim().await.unwrap();
    two.fail(&lease).await;
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Failed)]);
}

#[tokio::test]
async fn a_prover_beside_which_nobody_works_pauses_briefly_only() {
    let world = world(9).await;
    let prover = Prover::new(&world, 2);
    for failure in 1..=9 {
        let (number, lease) = prover.claim().await.unwrap();
        assert_eq!(number, failure);
        prover.fail(&lease).await;
        if failure >= 3 {
            assert_eq!(prover.claim().await, None);
            world.clock.advance(Duration::from_secs(10));
        }
    }
}

#[tokio::test]
async fn the_same_batch_failed_again_is_no_new_sign_against_a_prover() {
    let world = world(1).await;
    let prover = Prover::new(&world, 2);
    for failure in 0..5 {
        let (_, lease) = prover.claim().await.unwrap();
        prover.fail(&lease).await;
        assert_eq!(entry(&world, "address:127.0.0.2").await["failures_in_a_row"], 1);
        world.clock.advance(Duration::from_secs(LEASE_SECS << failure));
    }
}

#[tokio::test]
async fn a_prover_without_leases_whose_proofs_are_all_refused_is_paused_too() {
    let world = world(5).await;
    let prover = Prover::new(&world, 2);
    let key = crate::world::Key::new(9);
    for _ in 0..3 {
        let (number, _) = prover.claim().await.unwrap();
        assert_eq!(prover.submit(number, &key.proof(root(number)), None).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(prover.claim().await, None);
    assert_eq!(entry(&world, "address:127.0.0.2").await["last_error_kind"], "unknown_key");
}

#[tokio::test]
async fn a_prover_holds_so_many_leases_and_no_more() {
    let world = World::start_with(|config| config.max_leases_per_prover = 2).await;
    for number in 1..=5 {
        world.add(number).await;
    }
    let (greedy, other) = (Prover::new(&world, 2), Prover::new(&world, 3));
    for _ in 0..2 {
        greedy.claim().await.unwrap();
    }
    assert_eq!(greedy.claim().await, None);
    assert_eq!(entry(&world, "address:127.0.0.2").await["leases"], 2);
    assert_eq!(other.claim().await.unwrap().0, 3);
    // A lease that has expired no longer counts, and neither does one that was given back.
    world.clock.advance(Duration::from_secs(LEASE_SECS));
    assert_eq!(greedy.claim().await.unwrap().0, 1);
    let (number, lease) = greedy.claim().await.unwrap();
    assert_eq!(number, 2);
    assert_eq!(greedy.claim().await, None);
    world.send(reqwest::Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    // What the other prover did not finish comes before what was given back.
    assert_eq!(greedy.claim().await.unwrap().0, 3);
}

#[tokio::test]
async fn a_batch_that_nobody_can_prove_is_given_up_once_all_have_failed_it() {
    let world = World::start_with(|config| config.max_attempts = 3).await;
    world.add(1).await;
    let provers = [Prover::new(&world, 2), Prover::new(&world, 3)];
    for attempt in 0..4 {
        for prover in &provers {
            if let Some((_, lease)) = prover.claim().await {
                prover.fail(&lease).await;
            }
        }
        if attempt == 0 {
            assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Failed)]);
        }
        world.clock.advance(Duration::from_secs(4 * LEASE_SECS));
    }
    let row = &world.overview().await[0];
    assert_eq!((row.status, row.attempts), (PermanentlyIgnored, 3));
    world.post("/admin/jobs/1/sgx/retry", &json!({})).await.assert_success();
    // Failures before that are forgotten.
    let (_, lease) = provers[0].claim().await.unwrap();
    provers[0].fail(&lease).await;
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Failed)]);
}

#[tokio::test]
async fn as_many_provers_as_there_are_attempts_give_a_batch_up() {
    let world = World::start_with(|config| config.max_attempts = 3).await;
    world.add(1).await;
    // A prover that is busy elsewhere.
    let busy = Prover::new(&world, 9);
    let (_, lease) = busy.claim().await.unwrap();
    world.send(reqwest::Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    for last_octet in 2..=4 {
        assert_ne!(world.statuses(TeeType::Sgx).await, [(1, PermanentlyIgnored)]);
        let prover = Prover::new(&world, last_octet);
        let (_, lease) = prover.claim().await.unwrap();
        prover.fail(&lease).await;
    }
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PermanentlyIgnored)]);
}

#[tokio::test]
async fn who_takes_a_batch_and_never_returns_gives_it_up_for_nobody_else() {
    let world = World::start_with(|config| config.max_attempts = 2).await;
    world.add(1).await;
    let (gone, good) = (Prover::new(&world, 2), Prover::new(&world, 3));
    let (_, lease) = good.claim().await.unwrap();
    world.send(reqwest::Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    for _ in 0..2 {
        assert_eq!(gone.claim().await.unwrap().0, 1);
        world.clock.advance(Duration::from_secs(LEASE_SECS));
    }
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver)]);
    assert_eq!(good.claim().await.unwrap().0, 1);
}

#[tokio::test]
async fn a_proof_that_is_wanted_is_taken_whoever_has_the_batch() {
    let world = world(1).await;
    let (slow, quick) = (Prover::new(&world, 2), Prover::new(&world, 3));
    let key = world.registered_key(1).await;
    let (_, late) = slow.claim().await.unwrap();
    world.clock.advance(Duration::from_secs(LEASE_SECS));
    let (_, current) = quick.claim().await.unwrap();
    assert_eq!(slow.submit(1, &key.proof(root(1)), Some(&late)).await, StatusCode::OK);
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Generated)]);
    // The other proof is no longer needed, but is accepted nevertheless.
    let other = world.registered_key(2).await;
    let renewed = quick.post(&format!("/tee/leases/{current}/renew"), &json!({})).await;
    assert_eq!(renewed.status(), StatusCode::CONFLICT);
    assert_eq!(quick.submit(1, &other.proof(root(1)), Some(&current)).await, StatusCode::OK);
    assert_ne!(world.statuses(TeeType::Sgx).await, [(1, ReadyToBeProven)]);
}

#[tokio::test]
async fn provers_are_listed_page_by_page() {
    let world = world(3).await;
    for last_octet in 2..=4 {
        Prover::new(&world, last_octet).claim().await.unwrap();
    }
    let (mut names, mut after) = (vec![], String::new());
    loop {
        let page = world.get(&format!("/api/provers?limit=2{after}")).await.json();
        names
            .extend(page["items"].as_array().unwrap().iter().map(|entry| entry["prover"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(names, ["address:127.0.0.2", "address:127.0.0.3", "address:127.0.0.4"]);
    world.get("/api/provers?after=x").await.assert_problem(400, "malformed_query");
}

#[tokio::test]
async fn what_a_prover_says_of_its_program_is_kept_with_its_key_and_shown_as_its_word() {
    const FIRST: &str = "tee-prover-gateway/0.2.0 (commit 5b1f1d4c0e1d0b6f7f7e2c1b0a9988776655aabb; rustc 1.95.0)";
    const SECOND: &str = "tee-prover-gateway/0.3.0 (not a build of deploy/release)";
    let world = world(1).await;
    let key = Key::new(1);
    let says = async |path: &str, body: Value, said: &str| {
        world.send(Method::POST, path, &[("user-agent", said)], body.to_string()).await.status
    };
    let key_said = async || world.get("/api/attestations").await.json()["items"][0]["user_agent"].clone();
    let claim = json!({ "tee_type": "sgx" });
    assert_eq!(says("/tee/register_attestation", key.registration(), FIRST).await, 200);
    assert_eq!(says("/tee/proof_inputs", claim.clone(), FIRST).await, 200);
    assert_eq!(
        (key_said().await, &entry(&world, "address:127.0.0.1").await["user_agent"]),
        (json!(FIRST), &json!(FIRST))
    );
    let shown = page(&world, &format!("/keys/{}", key.public())).await;
    assert!(
        shown.contains(&format!("<code>{FIRST}</code>, says the prover of itself. Nothing attests that.")),
        "{shown}"
    );

    // Whoever has seen the quote of a key that may sign changes nothing about it. A prover's newer word counts.
    assert_eq!(says("/tee/register_attestation", key.registration(), SECOND).await, 200);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(says("/tee/proof_inputs", claim.clone(), SECOND).await, 204);
    assert_eq!(
        (key_said().await, &entry(&world, "address:127.0.0.1").await["user_agent"]),
        (json!(FIRST), &json!(SECOND))
    );
    let shown = page(&world, "/overview").await;
    assert!(shown.contains("Says of itself, not attested") && shown.contains(SECOND), "{shown}");

    // What cannot be kept is no reason to refuse work.
    for said in ["tab\there", "größer", &"x".repeat(257)] {
        world.clock.advance(Duration::from_secs(61));
        assert_eq!(says("/tee/proof_inputs", claim.clone(), said).await, 204);
        assert_eq!(entry(&world, "address:127.0.0.1").await["user_agent"], Value::Null, "{said}");
    }
}
