//! The rules that decide who gets which batch, and when one is given up.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_api::TeeType;
use tee_server::{JobChange, JobCursor, JobFilter, JobStatus, JobStatus::*, ProofFilter, RequiredProofs};

use crate::world::{LEASE_SECS, ROOT, World, root};

async fn fail(world: &World, lease: &str) {
    let report = json!({"kind": "k", "error": "e"});
    world.post(&format!("/tee/leases/{lease}/fail"), &report).await.assert_success();
}

async fn status(world: &World, number: u32) -> JobStatus {
    world.statuses(TeeType::Sgx).await.into_iter().find(|(job, _)| *job == number).unwrap().1
}

#[tokio::test]
async fn batches_below_the_first_processed_one_are_not_handed_out() {
    let world = World::start_with(|config| config.first_processed_batch = 3).await;
    for number in [2, 3, 4] {
        world.add(number).await;
    }
    assert_eq!(world.claim("sgx").await.unwrap().0, 3);
    assert_eq!(world.claim("sgx").await.unwrap().0, 4);
    assert_eq!(world.claim("sgx").await, None);
}

#[tokio::test]
async fn a_failed_batch_rests_and_is_tried_again_until_its_attempts_are_used_up() {
    let world = World::start_with(|config| config.max_attempts = 2).await;
    world.add(1).await;
    world.add(2).await;
    let (number, lease) = world.claim("sgx").await.unwrap();
    assert_eq!(number, 1);
    fail(&world, &lease).await;
    assert_eq!(status(&world, 1).await, Failed);
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
    world.clock.advance(Duration::from_secs(LEASE_SECS));
    let (number, lease) = world.claim("sgx").await.unwrap();
    assert_eq!(number, 1);
    fail(&world, &lease).await;
    assert_eq!(status(&world, 1).await, PermanentlyIgnored);
    world.clock.advance(Duration::from_secs(10 * LEASE_SECS));
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
    assert_eq!(world.claim("sgx").await, None);
}

#[tokio::test]
async fn a_batch_whose_provers_die_is_given_up_and_blocks_nothing() {
    let world = World::start_with(|config| config.max_attempts = 2).await;
    world.add(1).await;
    world.add(2).await;
    for _ in 0..2 {
        assert_eq!(world.claim("sgx").await.unwrap().0, 1);
        world.clock.advance(Duration::from_secs(LEASE_SECS));
    }
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
    let row = &world.overview().await[0];
    let found = (row.status, row.attempts, row.error_kind.as_deref());
    assert_eq!(found, (PermanentlyIgnored, 2, Some("attempts_exhausted")));
}

#[tokio::test]
async fn giving_back_uses_up_no_attempt() {
    let world = World::start_with(|config| config.max_attempts = 1).await;
    world.add(1).await;
    for _ in 0..5 {
        let (_, lease) = world.claim("sgx").await.unwrap();
        world.send(Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    }
    assert_eq!(status(&world, 1).await, ReadyToBeProven);
}

#[tokio::test]
async fn an_old_batch_that_fails_is_given_up_at_once() {
    let world = World::start().await;
    world.add(1).await;
    assert_eq!(world.claim("none").await.unwrap().0, 1);
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.clock.advance(Duration::from_secs(240 * 3600));
    fail(&world, &lease).await;
    assert_eq!(status(&world, 1).await, PermanentlyIgnored);
}

#[tokio::test]
async fn as_many_keys_as_required_must_prove_a_batch() {
    let required_proofs = RequiredProofs { sgx: Some(2), tdx: Some(0) };
    let world = World::start_with(|config| config.required_proofs = required_proofs).await;
    world.add(1).await;
    // The configuration requires the type: the job exists before its first prover does.
    assert_eq!(status(&world, 1).await, ReadyToBeProven);
    assert_eq!(world.claim("tdx").await, None);
    let (one, two) = (world.registered_key(1).await, world.registered_key(2).await);
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &one.proof(ROOT), Some(&lease)).await.assert_success();
    assert_eq!(status(&world, 1).await, ReadyToBeProven);
    // The same key gains nothing, and leaves the batch to others.
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &one.proof(ROOT), Some(&lease)).await.assert_success();
    assert_eq!(status(&world, 1).await, ReadyToBeProven);
    assert_eq!(world.claim("sgx").await, None);
    world.clock.advance(Duration::from_secs(10));
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &two.proof(ROOT), Some(&lease)).await.assert_success();
    assert_eq!(status(&world, 1).await, Generated);
    assert_eq!(world.claim("sgx").await, None);
}

#[tokio::test]
async fn attempts_that_succeed_and_proofs_that_repeat_give_no_batch_up() {
    let world = World::start_with(|config| {
        config.required_proofs = RequiredProofs { sgx: Some(4), tdx: None };
        config.max_attempts = 1;
    })
    .await;
    world.add(1).await;
    for seed in 1..=4 {
        let key = world.registered_key(seed).await;
        for _ in 0..3 {
            let (number, lease) = world.claim("sgx").await.unwrap();
            assert_eq!(number, 1);
            world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
            if status(&world, 1).await == Generated {
                break;
            }
            assert_eq!(world.overview().await[0].attempts, 0);
            world.clock.advance(Duration::from_secs(10));
        }
    }
    assert_eq!(status(&world, 1).await, Generated);
}

#[tokio::test]
async fn who_waits_gets_a_batch_as_soon_as_there_is_one() {
    let world = Arc::new(World::start().await);
    let body = json!({"tee_type": "sgx"});
    let start = std::time::Instant::now();
    let nothing = world.post("/tee/proof_inputs?wait_secs=1", &body).await;
    assert_eq!(nothing.status, StatusCode::NO_CONTENT);
    assert!(start.elapsed() >= Duration::from_secs(1));

    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let (world, body) = (world.clone(), body.clone());
            tokio::spawn(async move { world.post("/tee/proof_inputs?wait_secs=25", &body).await })
        })
        .collect();
    for number in 1..=3 {
        world.add(number).await;
    }
    // The fourth arrives through another server, of which this process learns nothing.
    world.beside().await.add(4).await;
    let mut leases = vec![];
    for answer in waiting {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        leases.push(answer.headers["tee-lease-id"].clone());
    }
    leases.sort_by_key(|lease| lease.as_bytes().to_vec());
    leases.dedup();
    assert_eq!(leases.len(), 4);
    assert!(start.elapsed() < Duration::from_secs(20));
    // A stop keeps nobody waiting.
    let waiting = tokio::spawn({
        let (http, url) = (crate::world::http(), format!("{}/tee/proof_inputs?wait_secs=25", world.url()));
        http.post(url).body(body.to_string()).send()
    });
    for query in ["wait_secs=", "wait_secs=-1", "wait_secs=x", "a=b&wait_secs=1s"] {
        world.post(&format!("/tee/proof_inputs?{query}"), &body).await.assert_problem(400, "malformed_query");
    }
    let World { server, .. } = Arc::into_inner(world).unwrap();
    server.stop().await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn jobs_are_retried_ignored_and_requeued_by_hand() {
    let world = World::start().await;
    let service = world.server.service().clone();
    world.add(1).await;
    assert_eq!(service.retry_job(1, TeeType::Sgx).await.unwrap(), JobChange::Unknown);
    let (_, lease) = world.claim("sgx").await.unwrap();
    assert_eq!(service.retry_job(1, TeeType::Sgx).await.unwrap(), JobChange::NotWhen(PickedByProver));

    assert_eq!(service.ignore_job(1, TeeType::Sgx).await.unwrap(), JobChange::Made);
    world.post(&format!("/tee/leases/{lease}/renew"), &json!({})).await.assert_problem(409, "stale_lease");
    assert_eq!(world.claim("sgx").await, None);
    assert_eq!(service.retry_job(1, TeeType::Sgx).await.unwrap(), JobChange::Made);

    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
    assert_eq!(service.ignore_job(1, TeeType::Sgx).await.unwrap(), JobChange::NotWhen(Generated));
    assert_eq!(service.requeue_job(1, TeeType::Sgx).await.unwrap(), JobChange::Made);
    let (_, again) = world.claim("sgx").await.unwrap();
    // The earlier prover, which missed its answer, ends nothing; the one that has the batch now does.
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
    assert_eq!(status(&world, 1).await, PickedByProver);
    world.submit(1, &key.proof(ROOT), Some(&again)).await.assert_success();
    assert_eq!(status(&world, 1).await, Generated);
}

#[tokio::test]
async fn everything_is_listed_page_by_page() {
    let world = World::start().await;
    let service = world.server.service().clone();
    for number in 1..=5 {
        world.add(number).await;
    }
    let keys = [world.registered_key(1).await, world.registered_key(2).await];
    for key in &keys {
        for number in 1..=3 {
            world.submit(number, &key.proof(root(number)), None).await.assert_success();
        }
    }
    world.claim("sgx").await.unwrap();
    world.claim("tdx").await.unwrap();

    let mut numbers = vec![];
    while let Some(last) = {
        let page = service.batches(numbers.last().copied(), 2).await.unwrap();
        numbers.extend(page.iter().map(|batch| batch.number));
        page.last().map(|batch| batch.number)
    } {
        assert_eq!(numbers.last(), Some(&last));
    }
    assert_eq!(numbers, [1, 2, 3, 4, 5]);

    let mut jobs = vec![];
    loop {
        let after = jobs.last().map(|job: &tee_server::Job| (job.number, job.tee_type));
        let page = service.jobs(&JobFilter::default(), after, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        jobs.extend(page);
    }
    let expected: Vec<_> = (1..=5).flat_map(|number| [(number, TeeType::Sgx), (number, TeeType::Tdx)]).collect();
    assert_eq!(jobs.iter().map(|job| (job.number, job.tee_type)).collect::<Vec<_>>(), expected);
    let filtered = |number, tee_type, status| {
        let service = service.clone();
        async move { service.jobs(&JobFilter { number, tee_type, status }, None, 100).await.unwrap().len() }
    };
    assert_eq!(filtered(Some(2), None, None).await, 2);
    assert_eq!(filtered(None, Some(TeeType::Tdx), None).await, 5);
    assert_eq!(filtered(None, None, Some(Generated)).await, 3);
    assert_eq!(filtered(None, None, Some(PickedByProver)).await, 2);
    assert_eq!(filtered(Some(4), Some(TeeType::Sgx), Some(PickedByProver)).await, 1);
    assert_eq!(filtered(Some(4), Some(TeeType::Sgx), Some(Generated)).await, 0);

    let mut proofs = vec![];
    loop {
        let after = proofs.last().map(|proof: &tee_server::Proof| (proof.number, proof.tee_type, proof.pubkey));
        let page = service.proofs(&ProofFilter::default(), after, 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        proofs.extend(page);
    }
    assert_eq!(proofs.len(), 6);
    assert_eq!(service.proofs(&ProofFilter { number: Some(2), tee_type: None }, None, 9).await.unwrap().len(), 2);
    let tdx = ProofFilter { number: None, tee_type: Some(TeeType::Tdx) };
    assert_eq!(service.proofs(&tdx, None, 9).await.unwrap(), []);

    let first = service.attestations(None, 1).await.unwrap().remove(0);
    let rest = service.attestations(Some(&first.pubkey), 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_ne!(first.pubkey, rest[0].pubkey);

    let mut counts: Vec<_> = service.job_counts().await.unwrap();
    counts.sort_by_key(|count| (count.tee_type, count.status.as_str()));
    let counts: Vec<_> =
        counts.iter().map(|count| (count.tee_type, count.status, count.jobs, count.lowest_batch)).collect();
    let (sgx, tdx) = (TeeType::Sgx, TeeType::Tdx);
    assert_eq!(
        counts,
        [
            (sgx, PickedByProver, 1, 4),
            (sgx, ReadyToBeProven, 1, 5),
            (tdx, PickedByProver, 1, 1),
            (tdx, ReadyToBeProven, 4, 2)
        ]
    );
}

#[tokio::test]
async fn changes_of_jobs_are_followed_by_a_cursor() {
    let world = World::start().await;
    let service = world.server.service().clone();
    let mut cursor = JobCursor { updated_at_ms: -1, number: 0, tee_type: TeeType::None };
    world.add(1).await;
    world.add(2).await;
    world.claim("sgx").await.unwrap();
    assert_eq!(service.job_changes(cursor, 10).await.unwrap(), []);
    world.clock.advance(Duration::from_secs(2));
    let mut seen = vec![];
    while let Some(job) = service.job_changes(cursor, 1).await.unwrap().pop() {
        cursor = job.cursor();
        seen.push((job.number, job.status));
    }
    assert_eq!(seen, [(1, PickedByProver), (2, ReadyToBeProven)]);
    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
    world.clock.advance(Duration::from_secs(2));
    let changed = service.job_changes(cursor, 10).await.unwrap();
    assert_eq!(changed.iter().map(|job| (job.number, job.status)).collect::<Vec<_>>(), [(1, Generated)]);
    assert_eq!(service.job_changes(changed[0].cursor(), 10).await.unwrap(), []);
}
