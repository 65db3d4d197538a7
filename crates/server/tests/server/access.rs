//! Who may do what.

use std::{fs, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_server::{AccessError, Limits, NewToken, Role, Server, StartError};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::world::{Answer, World, config};

/// A tokens file with a token for each role.
pub(crate) struct Tokens {
    folder: TempDir,
    pub(crate) prover: String,
    pub(crate) reader: String,
    pub(crate) admin: String,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [prover, reader, admin] = [("p", Role::Prover), ("r", Role::Reader), ("a", Role::Admin)]
            .map(|(name, role)| NewToken::random(name.parse().unwrap(), role));
        let lines = [&prover, &reader, &admin].map(|token| token.line()).join("\n");
        fs::write(folder.path().join("tokens.yaml"), format!("tokens:\n{lines}\n")).unwrap();
        let secret = |token: NewToken| token.secret().to_owned();
        Self { folder, prover: secret(prover), reader: secret(reader), admin: secret(admin) }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("tokens.yaml")
    }
}

async fn ask(world: &World, token: Option<&str>, method: Method, path: &str) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    world.send(method, path, &headers, "").await
}

#[tokio::test]
async fn every_endpoint_is_for_its_roles_alone() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    let (prover, reader, admin) = (tokens.prover.as_str(), tokens.reader.as_str(), tokens.admin.as_str());
    let stranger = NewToken::random("x".parse().unwrap(), Role::Admin);
    for (method, path, allowed) in [
        (Method::POST, "/tee/proof_inputs", vec![prover]),
        (Method::POST, "/tee/submit_proofs/1", vec![prover]),
        (Method::POST, "/tee/register_attestation", vec![prover]),
        (Method::POST, "/tee/leases/x/renew", vec![prover]),
        (Method::POST, "/tee/leases/x/fail", vec![prover]),
        (Method::DELETE, "/tee/leases/x", vec![prover]),
        (Method::GET, "/tee/present_batches", vec![prover, reader, admin]),
        (Method::GET, "/tee/proof_inputs_no_lock/1", vec![prover, reader, admin]),
        (Method::POST, "/", vec![reader, admin]),
        (Method::GET, "/", vec![reader, admin]),
        (Method::GET, "/search?q=x", vec![reader, admin]),
        (Method::GET, "/batches/1", vec![reader, admin]),
        (Method::GET, "/keys/x", vec![reader, admin]),
        (Method::GET, "/quotes/x", vec![reader, admin]),
        (Method::GET, "/keys/x/quote.bin", vec![reader, admin]),
        (Method::GET, "/keys/x/collateral.json", vec![reader, admin]),
        (Method::GET, "/overview", vec![reader, admin]),
        (Method::GET, "/disagreements", vec![reader, admin]),
        (Method::GET, "/batches/1/proofs.json", vec![reader, admin]),
        (Method::GET, "/api/batches", vec![reader, admin]),
        (Method::GET, "/api/jobs", vec![reader, admin]),
        (Method::GET, "/api/proofs", vec![reader, admin]),
        (Method::GET, "/api/disagreements", vec![reader, admin]),
        (Method::GET, "/api/attestations", vec![reader, admin]),
        (Method::GET, "/api/provers", vec![reader, admin]),
        (Method::GET, "/api/events?no", vec![reader, admin]),
        (Method::GET, "/metrics", vec![reader, admin]),
        (Method::POST, "/admin/batches", vec![admin]),
        (Method::POST, "/admin/jobs/1/sgx/retry", vec![admin]),
        (Method::POST, "/admin/tee_types/sgx/serve", vec![admin]),
        (Method::POST, "/admin/disagreements/1/sgx/x/resolve", vec![admin]),
    ] {
        for token in [None, Some(""), Some("tpg_"), Some(stranger.secret())] {
            let answer = ask(&world, token, method.clone(), path).await;
            answer.assert_problem(401, "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{path}");
        }
        for token in [prover, reader, admin] {
            if path.starts_with("/api/events") && allowed.contains(&token) {
                continue;
            }
            let answer = ask(&world, Some(token), method.clone(), path).await;
            if allowed.contains(&token) {
                assert!(!matches!(answer.status.as_u16(), 401 | 403 | 405), "{method} {path}: {}", answer.status);
                assert_ne!(answer.problem_code().as_deref(), Some("not_found"), "{method} {path}");
            } else {
                answer.assert_problem(403, "forbidden");
            }
        }
    }
    for path in ["/health/live", "/health/ready", "/openapi.json", "/docs", "/docs/page.js", "/docs/page.css"] {
        assert_eq!(world.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn published_proofs_may_be_for_everyone() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| {
        config.tokens_file = Some(tokens.path());
        config.public_proofs = true;
    })
    .await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "unstable_getTeeProofs", "params": [1, null] });
    assert_eq!(world.post("/", &call).await.status, StatusCode::OK);
    assert_eq!(world.get("/").await.status, StatusCode::OK);
    for path in ["/overview", "/disagreements"] {
        world.get(path).await.assert_problem(401, "unauthorized");
    }
    world.get("/api/proofs").await.assert_problem(401, "unauthorized");
}

#[tokio::test]
async fn tokens_are_replaced_while_the_server_runs_and_a_broken_file_changes_nothing() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    let status = async |token: &str| ask(&world, Some(token), Method::GET, "/api/jobs").await.status;
    assert_eq!(status(&tokens.reader).await, StatusCode::OK);

    fs::write(tokens.path(), "tokens: [{ name: x, role").unwrap();
    let next = NewToken::random("next".parse().unwrap(), Role::Reader);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(status(&tokens.reader).await, StatusCode::OK);

    fs::write(tokens.path(), format!("tokens:\n{}\n", next.line())).unwrap();
    let replaced = async {
        while status(next.secret()).await != StatusCode::OK {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), replaced).await.unwrap();
    assert_eq!(status(&tokens.reader).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_asks_too_often_waits_and_others_do_not() {
    let tokens = Tokens::new();
    let world = World::start_with(|config| {
        config.tokens_file = Some(tokens.path());
        config.limits = Limits { requests_per_sec: 1, request_burst: 5, ..Limits::default() };
    })
    .await;
    let mut refused = None;
    for _ in 0..20 {
        let answer = ask(&world, Some(&tokens.prover), Method::GET, "/tee/present_batches").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, StatusCode::OK);
    }
    let refused = refused.expect("20 requests within a few seconds");
    refused.assert_problem(429, "too_many_requests");
    let retry_after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&retry_after), "{retry_after}");
    let answer = ask(&world, Some(&tokens.reader), Method::GET, "/tee/present_batches").await;
    assert_eq!(answer.status, StatusCode::OK);
    // Guessing tokens is counted too.
    let mut statuses = vec![];
    for _ in 0..20 {
        statuses.push(ask(&world, Some("tpg_guess"), Method::GET, "/api/jobs").await.status);
    }
    assert!(statuses.contains(&StatusCode::UNAUTHORIZED) && statuses.contains(&StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test]
async fn pages_of_other_servers_cannot_use_an_open_server() {
    let world = World::start().await;
    let post =
        async |headers: &[(&'static str, &str)]| world.send(Method::POST, "/admin/jobs/1/sgx/retry", headers, "").await;
    post(&[("origin", "https://evil.example")]).await.assert_problem(403, "cross_origin");
    post(&[("origin", "null")]).await.assert_problem(403, "cross_origin");
    post(&[("host", "evil.example")]).await.assert_problem(403, "cross_origin");
    let own = world.url();
    post(&[("origin", &own)]).await.assert_problem(404, "unknown_job");
    post(&[]).await.assert_problem(404, "unknown_job");
}

#[tokio::test]
async fn access_that_is_malformed_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new();
    let good = fs::read_to_string(tokens.path()).unwrap();
    for broken in [
        String::new(),
        "tokens: []".to_owned(),
        good.replace("role: admin", "role: root"),
        good.replace("sha256", "sha"),
    ] {
        fs::write(tokens.path(), &broken).unwrap();
        let config = tee_server::Config { tokens_file: Some(tokens.path()), ..config(&folder) };
        let started = Server::start(config).await;
        assert!(matches!(started, Err(StartError::Access(AccessError::Tokens { .. }))), "{broken}: {started:?}");
    }
    let config = tee_server::Config { tokens_file: Some("/nowhere".into()), ..config(&folder) };
    assert!(matches!(Server::start(config).await, Err(StartError::Access(AccessError::Read { .. }))));
}
