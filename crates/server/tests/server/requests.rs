//! Invalid requests, and the few that need nothing.

use reqwest::{Method, StatusCode};
use tee_server::{AccessError, Config, MigrationError, Server, StartError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{World, config};

#[tokio::test]
async fn present_batches_are_null_when_there_are_none() {
    let world = World::start().await;
    let answer = world.get("/tee/present_batches").await;
    assert_eq!(answer.body, br#"{"oldest_batch":null,"latest_batch":null}"#);
    assert_eq!(answer.headers["content-type"], "application/json");
    world.add(7).await;
    world.add(4).await;
    let answer = world.get("/tee/present_batches").await;
    assert_eq!(answer.body, br#"{"oldest_batch":4,"latest_batch":7}"#);
}

#[tokio::test]
async fn garbage_truncated_and_empty_bodies_are_refused() {
    let world = World::start().await;
    for path in ["/tee/proof_inputs", "/tee/submit_proofs/1", "/tee/register_attestation", "/tee/leases/x/fail"] {
        for body in ["", "{", "null", "[]", "{}", "\u{0}\u{1}", r#"{"tee_type":"sg"#, &"[".repeat(10_000)] {
            world.send(Method::POST, path, &[], body.to_owned()).await.assert_problem(400, "malformed_body");
        }
        world.send(Method::POST, path, &[], vec![0xff; 100]).await.assert_problem(400, "malformed_body");
        let oversized = " ".repeat(256 * 1024 + 1);
        world.send(Method::POST, path, &[], oversized).await.assert_problem(413, "body_too_large");
    }
    for tee_type in ["SGX", "Sgx", "NONE", "sev", ""] {
        let body = format!(r#"{{"tee_type":"{tee_type}"}}"#);
        world.send(Method::POST, "/tee/proof_inputs", &[], body).await.assert_problem(400, "malformed_body");
    }
    assert_eq!(world.get("/health/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_cut_short_does_no_harm() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let head = "POST /tee/submit_proofs/1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{\"signature\":";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(world.get("/health/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn unknown_paths_methods_and_leases_are_problems() {
    let world = World::start().await;
    world.send(Method::PUT, "/", &[], "").await.assert_problem(405, "method_not_allowed");
    world.get("/nothing").await.assert_problem(404, "not_found");
    world.get("/tee/../../etc/passwd").await.assert_problem(404, "not_found");
    world.get("/tee/proof_inputs").await.assert_problem(405, "method_not_allowed");
    world.get("/tee/proof_inputs_no_lock/one").await.assert_problem(400, "malformed_path");
    world.send(Method::DELETE, "/tee/leases/a%2Fb", &[], "").await.assert_problem(400, "malformed_path");
    world.send(Method::DELETE, "/tee/leases/unknown", &[], "").await.assert_problem(409, "stale_lease");
}

#[tokio::test]
async fn an_address_that_others_reach_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let open = Config { listen: "0.0.0.0:0".parse().unwrap(), ..config(&folder) };
    assert!(matches!(Server::start(open.clone()).await, Err(StartError::Access(AccessError::Open(_)))));
    let server = Server::start(Config { danger_open: true, ..open }).await.unwrap();
    let taken = Config { listen: ([127, 0, 0, 1], server.local_addr().port()).into(), ..config(&folder) };
    assert!(matches!(Server::start(taken).await, Err(StartError::Listen { .. })));
    server.stop().await;
}

#[tokio::test]
async fn a_database_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for database_url in ["", "sqlite://", "mysql://x"] {
        let config = Config { database_url: database_url.to_owned().into(), ..config(&folder) };
        let refused = Server::start(config).await;
        assert!(matches!(refused, Err(StartError::Database(MigrationError::Url(_)))), "{refused:?}");
    }
    std::fs::write(folder.path().join("tee.sqlite"), [7; 5000]).unwrap();
    assert!(matches!(Server::start(config(&folder)).await, Err(StartError::Database(_))));
}
