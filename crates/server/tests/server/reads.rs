//! Lists and events.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tee_verifier::H256;
use tokio::time::timeout;

use crate::world::{ROOT, World, http, root};

/// All items of a list, page by page.
async fn all(world: &World, path: &str, limit: u32) -> Vec<Value> {
    let mut items = vec![];
    let mut after = String::new();
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = world.get(&format!("{path}{joint}limit={limit}{after}")).await.json();
        let page_items = page["items"].as_array().unwrap();
        assert!(page_items.len() <= limit as usize);
        items.extend(page_items.iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_neither_miss_nor_repeat() {
    let world = World::start().await;
    for number in 1..=7 {
        world.add(number).await;
    }
    let keys = [world.registered_key(1).await, world.registered_key(2).await, world.registered_key(3).await];
    world.claim("sgx").await.unwrap();
    world.claim("tdx").await.unwrap();
    for number in 1..=2 {
        for key in &keys[..2] {
            world.submit(number, &key.proof(root(number)), None).await.assert_success();
        }
        world.submit(number, &keys[2].proof(H256::zero()), None).await.assert_problem(409, "disagreeing_root");
    }
    for (path, count) in [
        ("/api/batches", 7),
        ("/api/jobs", 14),
        ("/api/jobs?tee_type=tdx", 7),
        ("/api/jobs?status=generated", 2),
        ("/api/jobs?status=ready_to_be_proven&tee_type=sgx", 5),
        ("/api/jobs?batch=3", 2),
        ("/api/proofs", 4),
        ("/api/proofs?batch=2", 2),
        ("/api/proofs?tee_type=tdx", 0),
        ("/api/disagreements", 2),
        ("/api/attestations", 3),
    ] {
        let whole = all(&world, path, 1000).await;
        assert_eq!(whole.len(), count, "{path}");
        for limit in [1, 2, 3, 7] {
            assert_eq!(all(&world, path, limit).await, whole, "{path} {limit}");
        }
    }
}

#[tokio::test]
async fn entries_say_what_is_known() {
    let world = World::start().await;
    world.add_expecting(1, Some(ROOT)).await;
    let key = world.registered_key(1).await;
    world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(ROOT), None).await.assert_success();

    let batch = &all(&world, "/api/batches", 10).await[0];
    assert!(batch["json_bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        (&batch["batch"], &batch["previous_root"], &batch["expected_root"], &batch["sealed_at"], &batch["source"]),
        (
            &json!(1),
            &json!("aa".repeat(32)),
            &json!("bb".repeat(32)),
            &json!("1970-01-01T00:00:00.001Z"),
            &json!("test")
        )
    );
    let job = &all(&world, "/api/jobs", 10).await[0];
    assert_eq!(
        (&job["batch"], &job["tee_type"], &job["status"], &job["attempts"], &job["error"]),
        (&json!(1), &json!("sgx"), &json!("generated"), &json!(1), &Value::Null)
    );
    assert!(job.get("lease_id").is_none());
    let proof = &all(&world, "/api/proofs", 10).await[0];
    assert_eq!((&proof["pubkey"], &proof["root"]), (&json!(key.public().to_string()), &json!("bb".repeat(32))));
    assert_eq!(proof["signature"], hex::encode(key.sign(ROOT).to_bytes()));
    let attestation = &all(&world, "/api/attestations", 10).await[0];
    assert_eq!(attestation["quote"], key.registration()["attestation"]);
    assert_eq!((&attestation["verdict"], &attestation["revoked_at"]), (&json!("unjudged"), &Value::Null));
}

#[tokio::test]
async fn queries_that_make_no_sense_are_problems() {
    let world = World::start().await;
    for path in [
        "/api/batches?limit=0",
        "/api/batches?limit=1001",
        "/api/batches?limit=-1",
        "/api/batches?limit=x",
        "/api/batches?after=x",
        "/api/batches?after=",
        "/api/batches?offset=1",
        "/api/jobs?status=done",
        "/api/jobs?tee_type=SGX",
        "/api/jobs?batch=4294967296",
        "/api/jobs?after=1",
        "/api/jobs?after=1-sev",
        "/api/proofs?after=1-sgx-02",
        "/api/attestations?after=00",
        "/api/disagreements?after=1-sgx",
    ] {
        world.get(path).await.assert_problem(400, "malformed_query");
    }
}

/// A client of the event stream.
struct Events(Response, String);

impl Events {
    async fn follow(world: &World, last_event_id: Option<&str>) -> Self {
        let mut request = http().get(format!("{}/api/events", world.url()));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Self(response, String::new());
        assert_eq!(events.block().await, ": connected");
        events
    }

    /// The next text, up to an empty line.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.1.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.1 = rest;
                return block;
            }
            let chunk = timeout(Duration::from_secs(20), self.0.chunk()).await.unwrap().unwrap().expect("more events");
            self.1.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its id and the job.
    async fn next(&mut self) -> (String, Value) {
        let block = self.block().await;
        let mut lines = block.lines();
        assert_eq!(lines.next(), Some("event: job"));
        let id = lines.next().unwrap().strip_prefix("id: ").unwrap().to_owned();
        let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
        (id, serde_json::from_str(data).unwrap())
    }
}

#[tokio::test]
async fn changes_of_jobs_come_as_events_whichever_server_makes_them() {
    let world = World::start().await;
    let other = world.beside().await;
    world.add(1).await;
    world.add(2).await;
    world.clock.advance(Duration::from_secs(60));
    let mut events = Events::follow(&world, None).await;
    world.clock.advance(Duration::from_secs(1));
    other.claim("sgx").await.unwrap();
    // Changes are listed once they have settled.
    world.clock.advance(Duration::from_secs(5));
    let mut seen = vec![];
    let mut first_id = None;
    for _ in 0..2 {
        let (id, job) = events.next().await;
        first_id.get_or_insert(id);
        seen.push((job["batch"].clone(), job["tee_type"].clone(), job["status"].clone()));
    }
    assert_eq!(
        seen,
        [(json!(1), json!("sgx"), json!("picked_by_prover")), (json!(2), json!("sgx"), json!("ready_to_be_proven"))]
    );
    drop(events);

    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
    world.clock.advance(Duration::from_secs(5));
    let mut events = Events::follow(&world, first_id.as_deref()).await;
    let (_, job) = events.next().await;
    assert_eq!((&job["batch"], &job["status"]), (&json!(2), &json!("ready_to_be_proven")));
    let (_, job) = events.next().await;
    assert_eq!((&job["batch"], &job["status"]), (&json!(1), &json!("generated")));
}

#[tokio::test]
async fn so_many_follow_the_events_and_no_more() {
    let world = World::start_with(|config| config.limits.max_event_streams = 1).await;
    let events = Events::follow(&world, None).await;
    let refused = world.get("/api/events").await;
    refused.assert_problem(503, "too_many_streams");
    assert!(refused.headers.contains_key("retry-after"));
    drop(events);
    let place = async {
        while http().get(format!("{}/api/events", world.url())).send().await.unwrap().status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), place).await.unwrap();
    let malformed = world.send(reqwest::Method::GET, "/api/events", &[("last-event-id", "x-1")], "").await;
    malformed.assert_problem(400, "malformed_query");
}
