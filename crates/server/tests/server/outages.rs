//! What is down for a while: the database or the object store.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;
use sqlx::{AnyConnection, Connection};
use tee_api::TeeType;
use tee_server::{AddedBatch, Clock, JobStatus, ObjectStoreFault, Server, StartError};

use crate::world::{ROOT, World, input, new_batch};

/// How long a scraper or a prover waits for an answer.
const PATIENCE: Duration = Duration::from_secs(9);

async fn claim(world: &World) -> crate::world::Answer {
    world.post("/tee/proof_inputs", &json!({"tee_type": "sgx"})).await
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_said_to_be_unavailable_in_time() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    let mut blocker = AnyConnection::connect(&world.database_url).await.unwrap();
    // Another connection holds the lock that every write needs.
    let hold = match world.database_url.starts_with("sqlite") {
        true => "BEGIN IMMEDIATE",
        false => "BEGIN; LOCK TABLE tee_proof_generation_details, tee_attestations, batches, write_probe",
    };
    sqlx::raw_sql(hold).execute(&mut blocker).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let started = Instant::now();
    let (claimed, submitted, metrics, ready) = tokio::join!(
        claim(&world),
        async { world.submit(1, &key.proof(ROOT), Some(&lease)).await },
        world.get("/metrics"),
        world.get("/health/ready"),
    );
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    for answer in [claimed, submitted, ready] {
        answer.assert_problem(503, "database_unavailable");
    }
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("tee_server_database_up 0"), "{text}");

    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    blocker.close().await.unwrap();
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
    let text = String::from_utf8(world.get("/metrics").await.body).unwrap();
    assert!(text.contains("tee_server_database_up 1"), "{text}");
}

#[tokio::test]
async fn an_empty_object_store_costs_no_job_anything_and_work_goes_on_when_it_is_back() {
    let world = World::start().await;
    for number in 1..=30 {
        world.add(number).await;
    }
    world.claim("sgx").await.unwrap();
    let before = world.overview().await;
    let (objects, away) = (world.folder.path().join("objects"), world.folder.path().join("away"));
    fs::rename(&objects, &away).unwrap();
    fs::create_dir(&objects).unwrap();
    for _ in 0..12 {
        claim(&world).await.assert_problem(503, "object_store_unavailable");
    }
    world.get("/health/ready").await.assert_problem(503, "object_store_unavailable");
    world.get("/tee/proof_inputs_no_lock/1").await.assert_problem(503, "object_store_unavailable");
    let upload = async |number: u32| {
        let mut body = vec![];
        input(number).to_json(&mut body).unwrap();
        world.send(Method::POST, "/admin/batches", &[("content-type", "application/json")], body).await
    };
    upload(1).await.assert_problem(503, "object_store_unavailable");
    upload(31).await.assert_problem(503, "object_store_unavailable");
    let same = |rows: Vec<tee_server::OverviewRow>| {
        rows.into_iter().map(|row| (row.number, row.status, row.attempts, row.error)).collect::<Vec<_>>()
    };
    assert_eq!(same(world.overview().await), same(before));
    assert_eq!(fs::read_dir(&objects).unwrap().count(), 0);

    // A server does not start on it.
    let clock = Clock::Manual(world.clock.clone());
    let refused = Server::start_with_clock(world.config.clone(), clock).await.unwrap_err();
    assert!(matches!(refused, StartError::ObjectStoreFault(ObjectStoreFault::Wrong { .. })), "{refused:?}");

    fs::remove_dir(&objects).unwrap();
    fs::rename(&away, &objects).unwrap();
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
    assert_eq!(world.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn an_object_store_that_does_not_answer_is_not_our_own_fault() {
    let world = World::start().await;
    world.add(1).await;
    let (objects, away) = (world.folder.path().join("objects"), world.folder.path().join("away"));
    fs::rename(&objects, away).unwrap();
    // Everything in it is now "not a directory", instead of missing.
    fs::write(&objects, "").unwrap();
    claim(&world).await.assert_problem(503, "object_store_unavailable");
    world.get("/health/ready").await.assert_problem(503, "object_store_unavailable");
    let mut body = vec![];
    input(2).to_json(&mut body).unwrap();
    let headers = [("content-type", "application/json")];
    world.send(Method::POST, "/admin/batches", &headers, body).await.assert_problem(503, "object_store_unavailable");
}

#[tokio::test]
async fn lost_inputs_cost_no_attempt_hold_no_request_up_and_come_back_when_they_are_added_again() {
    let world = World::start_with(|config| config.max_attempts = 1).await;
    for number in 1..=30 {
        world.add(number).await;
    }
    for (at, file) in world.input_files().into_iter().enumerate() {
        match at % 3 {
            0 => fs::write(&file, "damaged").unwrap(),
            _ => fs::remove_file(&file).unwrap(),
        }
    }
    claim(&world).await.assert_problem(503, "object_store_unavailable");
    let failed = |rows: &[tee_server::OverviewRow]| {
        rows.iter().filter(|row| row.error_kind.as_deref() == Some("unreadable_input")).count()
    };
    assert_eq!(failed(&world.overview().await), 8);
    for _ in 0..3 {
        claim(&world).await;
    }
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(100_000_000));
        claim(&world).await;
    }
    let rows = world.overview().await;
    assert_eq!(failed(&rows), 30);
    assert!(rows.iter().all(|row| (row.status, row.attempts) == (JobStatus::Failed, 0)), "{rows:?}");

    let service = world.server.service();
    let mut other = new_batch(1, None);
    other.input.l1_batch_env.previous_batch_hash = None;
    assert!(service.add_batch(other).await.is_err());
    for number in 1..=30 {
        assert_eq!(service.add_batch(new_batch(number, None)).await.unwrap(), AddedBatch::Known);
    }
    assert_eq!(world.input_files().len(), 60);
    for number in 1..=30 {
        assert_eq!(world.claim("sgx").await.unwrap().0, number);
    }
    assert!(world.statuses(TeeType::Sgx).await.iter().all(|(_, status)| *status == JobStatus::PickedByProver));
}

#[tokio::test]
async fn one_form_of_an_input_that_is_lost_is_put_back_and_the_other_one_still_tells_inputs_apart() {
    let world = World::start().await;
    world.add(1).await;
    let json = world.input_files().into_iter().find(|file| file.display().to_string().contains(".json")).unwrap();
    fs::remove_file(json).unwrap();
    let service = world.server.service();
    let mut changed = new_batch(1, None);
    changed.input.l1_batch_env.timestamp += 1;
    assert!(service.add_batch(changed).await.is_err());
    assert_eq!(service.add_batch(new_batch(1, None)).await.unwrap(), AddedBatch::Known);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
}
