//! Metrics, health, request ids, stopping.

use std::{fs, time::Duration};

use reqwest::StatusCode;
use serde_json::json;
use tee_verifier::H256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::world::{ROOT, World};

#[tokio::test]
async fn metrics_show_what_happened_and_how_things_stand() {
    let world = World::start().await;
    for number in 3..=5 {
        world.add(number).await;
    }
    let (honest, forger) = (world.registered_key(1).await, world.registered_key(2).await);
    world.claim("sgx").await.unwrap();
    world.submit(3, &honest.proof(ROOT), None).await.assert_success();
    world.submit(3, &forger.proof(H256::zero()), None).await.assert_problem(409, "disagreeing_root");
    world.submit(77, &forger.proof(H256::zero()), None).await.assert_problem(404, "unknown_batch");
    let answer = world.get("/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let metrics = String::from_utf8(answer.body).unwrap();
    for line in [
        "tee_server_database_up 1",
        "tee_server_oldest_batch 3",
        "tee_server_latest_batch 5",
        "tee_server_jobs{tee_type=\"sgx\",status=\"ready_to_be_proven\"} 2",
        "tee_server_jobs_lowest_batch{tee_type=\"sgx\",status=\"ready_to_be_proven\"} 4",
        "tee_server_disagreements 1",
        "tee_server_disagreements_seen_total 1",
        "tee_server_keys{standing=\"in_force\"} 2",
        "tee_server_keys{standing=\"revoked\"} 0",
        "tee_server_proofs_accepted_total{tee_type=\"sgx\"} 1",
        "tee_server_batches_handed_out_total{tee_type=\"sgx\"} 1",
        "tee_server_proofs_refused_total{reason=\"disagreeing_root\"} 1",
        "tee_server_proofs_refused_total{reason=\"unknown_batch\"} 1",
        "tee_server_requests_total{route=\"/tee/submit_proofs/{batch}\",status=\"409\"} 1",
        "tee_server_requests_total{route=\"/tee/submit_proofs/{batch}\",status=\"404\"} 1",
        "tee_server_request_duration_seconds_count{route=\"/tee/proof_inputs\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    // A path does not become a label.
    for number in 0..20 {
        world.get(&format!("/nothing/{number}")).await;
        world.get(&format!("/tee/proof_inputs_no_lock/{}", 4_000_000_000_u32 + number)).await;
    }
    let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
    assert!(!metrics.contains("nothing") && !metrics.contains("4000000007"), "{metrics}");
}

#[tokio::test]
async fn health_says_why_not() {
    let world = World::start().await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(world.get(path).await.json(), json!({ "status": "ok" }));
    }
    let folder = world.folder.path().join("objects");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    world.get("/health/ready").await.assert_problem(503, "object_store_unavailable");
    assert_eq!(world.get("/health/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let world = World::start().await;
    let mut ids = vec![];
    for path in ["/health/live", "/nowhere", "/api/jobs?limit=0"] {
        let id = world.get(path).await.headers["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(id.len(), 16);
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

const HEAD: &str =
    "POST /tee/proof_inputs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 18\r\nexpect: 100-continue\r\n\r\n";

/// A request whose body is awaited: it is in progress.
async fn begin_request(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_hand_and_takes_nothing_new() {
    let world = World::start().await;
    world.add(1).await;
    let address = world.server.local_addr();
    // An idle connection is no reason to wait.
    let _idle = TcpStream::connect(address).await.unwrap();
    let mut stream = begin_request(&world).await;
    let folder = world.folder.clone();
    let stopping = tokio::spawn(world.server.stop());
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), refused).await.unwrap();
    assert!(!stopping.is_finished());
    stream.write_all(b"{\"tee_type\":\"sgx\"}").await.unwrap();
    let mut answer = vec![];
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
    timeout(Duration::from_secs(20), stopping).await.unwrap().unwrap();
    drop(folder);
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_its_grace() {
    let world = World::start_with(|config| config.limits.stop_grace_secs = 1).await;
    let mut stream = begin_request(&world).await;
    let started = Instant::now();
    timeout(Duration::from_secs(20), world.server.stop()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(900));
    let mut rest = vec![];
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn followers_of_events_do_not_hold_up_a_stop() {
    let world = World::start().await;
    let mut response = crate::world::http().get(format!("{}/api/events", world.url())).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    let started = Instant::now();
    timeout(Duration::from_secs(20), world.server.stop()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8));
    assert!(response.chunk().await.unwrap().is_none());
}

/// Checks a scrape with Prometheus' own library for Python.
#[tokio::test]
async fn the_reference_parser_reads_a_scrape() {
    let has_parser = |python: &mut std::process::Command| {
        python
            .args(["-c", "import prometheus_client"])
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    if !has_parser(&mut std::process::Command::new("python3")) {
        return test_skips::skip("prometheus-client for python3");
    }
    let world = World::start().await;
    world.add(1).await;
    world.claim("sgx").await.unwrap();
    let scrape = world.get("/metrics").await;
    assert_eq!(scrape.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let file = world.folder.path().join("scrape");
    std::fs::write(&file, scrape.body).unwrap();
    let read = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
samples = [s.name for f in read(open(sys.argv[1]).read()) for s in f.samples]
assert 'tee_server_requests_total' in samples and 'tee_server_jobs' in samples, samples";
    let read = std::process::Command::new("python3").args(["-c", read]).arg(&file).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}
