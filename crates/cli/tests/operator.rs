//! `teectl server batches` and `teectl server jobs` against a server that requires tokens.

mod serving;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::SystemTime,
};

use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};
use tee_api::{
    Client, ClientError, ClientOptions, FailReport, PublicKey, Quote, RegisterAttestation, Signature, SubmitProof,
    TeeType,
};
use tee_attestation::{ReportData, simulated::Platform};
use tee_server::{NewToken, Role, Server};
use tee_verifier::{H256, L1BatchNumber};

/// Runs it off the thread that the server needs, with the token in the environment.
async fn teectl(token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
    command.args(arguments).env("TEECTL_TOKEN", token);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn server(folder: &Path) -> (Server, String, [String; 3]) {
    let tokens = [("p", Role::Prover), ("r", Role::Reader), ("a", Role::Admin)]
        .map(|(name, role)| NewToken::random(name.parse().unwrap(), role));
    let lines = tokens.each_ref().map(NewToken::line).join("\n");
    let tokens_file = folder.join("tokens.yaml");
    fs::write(&tokens_file, format!("tokens:\n{lines}\n")).unwrap();
    let mut config = serving::config(folder);
    config.danger_bare_roots = true;
    config.tokens_file = Some(tokens_file);
    let server = Server::start(config).await.unwrap();
    let url = format!("http://{}", server.local_addr());
    (server, url, tokens.map(|token| token.secret().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_adds_batches_and_retries_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url, [prover, reader, admin]) = server(folder.path()).await;
    let out = folder.path().join("batches");
    let made = teectl("", &["devnet", "--batches", "2", "--txs", "1", "--out", out.to_str().unwrap()]).await;
    assert!(made.status.success(), "{made:?}");
    let files = [14034, 14035].map(|number| out.join(format!("batch-{number}.json.zst")).display().to_string());
    let add = ["server", "batches", "add", "--server", &url, &files[0], &files[1]];
    let refused = teectl(&reader, &add).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("403"), "{refused:?}");
    let added = teectl(&admin, &add).await;
    assert!(added.status.success(), "{added:?}");
    assert_eq!(text(&added).matches(": added").count(), 2);
    assert_eq!(text(&teectl(&admin, &add).await).matches(": was already there").count(), 2);

    let token = Some(prover.parse().unwrap());
    let client = Client::new(&url, ClientOptions { token, ..ClientOptions::default() }).unwrap();
    let lease = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap().lease.unwrap();
    client.fail_lease(&lease.id, &FailReport::new("kind", "red \u{1b}[31malarm")).await.unwrap();

    let list = async |more: &[&str]| {
        let output = teectl(&reader, &[&["server", "jobs", "list", "--server", &url], more].concat()).await;
        assert!(output.status.success(), "{output:?}");
        text(&output)
    };
    let failed = list(&["--status", "failed", "--json"]).await;
    let failed: Value = serde_json::from_str(failed.trim()).unwrap();
    assert_eq!(
        (&failed["batch"], &failed["tee_type"], &failed["error_kind"]),
        (&json!(14034), &json!("sgx"), &json!("kind"))
    );
    let shown = list(&[]).await;
    assert!(shown.contains("14034") && shown.contains("14035") && !shown.contains('\u{1b}'), "{shown}");
    assert_eq!(list(&["--json", "--limit", "1"]).await.lines().count(), 1);

    let retry = ["server", "jobs", "retry", "--server", &url, "--tee-type", "sgx", "14034-14035"];
    let retried = teectl(&admin, &retry).await;
    assert_eq!(retried.status.code(), Some(1), "{retried:?}");
    assert_eq!(text(&retried), "retry: 1 changed, 1 failed\n");
    assert_eq!(list(&["--status", "ready_to_be_proven", "--json"]).await.lines().count(), 2);
    let ignored = teectl(&admin, &["server", "jobs", "ignore", "--server", &url, "--tee-type", "sgx", "14035"]).await;
    assert!(ignored.status.success(), "{ignored:?}");
    assert_eq!(list(&["--status", "permanently_ignored", "--json"]).await.lines().count(), 1);

    // As in the previous release.
    let of_before = teectl(&reader, &["jobs", "list", "--server", &url, "--json"]).await;
    assert_eq!((text(&of_before), of_before.status.code()), (list(&["--json"]).await, Some(0)));
    let warning = String::from_utf8_lossy(&of_before.stderr);
    assert!(warning.contains("`teectl jobs` is now `teectl server jobs`"), "{warning}");
    let of_before = teectl(&reader, &["attestations", "list", "--server", &url, "--json"]).await;
    let of_now = teectl(&reader, &["server", "keys", "list", "--server", &url, "--json"]).await;
    assert_eq!((text(&of_before), of_before.status.code()), (text(&of_now), Some(0)));
    assert_eq!(teectl(&reader, &["keys", "list", "--server", &url]).await.status.code(), Some(2), "it never was");

    let token_file = folder.path().join("token");
    fs::write(&token_file, format!("{admin}\n")).unwrap();
    let requeue = [
        "server",
        "jobs",
        "requeue",
        "--server",
        &url,
        "--token-file",
        token_file.to_str().unwrap(),
        "--tee-type",
        "sgx",
        "14035",
    ];
    let requeued = teectl("", &requeue).await;
    assert!(requeued.status.success(), "{requeued:?}");
    server.stop().await;
}

/// Registers a key whose quote is not judged, and submits its signature of a root for batch 14034.
async fn prove(client: &Client, seed: u8, root: H256) -> (PublicKey, Result<(), ClientError>) {
    let secret = SecretKey::from_slice(&[seed; 32]).unwrap();
    let pubkey = PublicKey::from_bytes(&secret.public_key(SECP256K1).serialize()).unwrap();
    let quote = Platform::new(SystemTime::now()).unwrap().quote(&ReportData::V1 { address: pubkey.address().0 });
    let attestation = Quote::new(quote.unwrap()).unwrap();
    client.register_attestation(&RegisterAttestation { attestation, pubkey }).await.unwrap();
    let message = Message::from_slice(root.as_bytes()).unwrap();
    let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &secret).serialize_compact();
    let signature = Signature::from_bytes(&[&compact[..], &[27 + id.to_i32() as u8]].concat()).unwrap();
    let proof = SubmitProof { signature, pubkey, proof: root, tee_type: TeeType::Sgx, statement: None };
    (pubkey, client.submit_proof(L1BatchNumber(14034), &proof, None).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_explains_a_disagreement_retires_a_type_and_sees_the_provers() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url, [prover, reader, admin]) = server(folder.path()).await;
    let out = folder.path().join("batches");
    teectl("", &["devnet", "--batches", "1", "--txs", "1", "--out", out.to_str().unwrap()]).await;
    let file = out.join("batch-14034.json.zst").display().to_string();
    assert!(teectl(&admin, &["server", "batches", "add", "--server", &url, &file]).await.status.success());
    let token = Some(prover.parse().unwrap());
    let client = Client::new(&url, ClientOptions { token, ..ClientOptions::default() }).unwrap();
    prove(&client, 1, H256::repeat_byte(1)).await.1.unwrap();
    let (forger, refused) = prove(&client, 2, H256::repeat_byte(2)).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 409, .. })), "{refused:?}");

    let run = async |token: &str, arguments: &[&str]| {
        let output = teectl(token, &[&["server"], arguments, &["--server", &url]].concat()).await;
        (output.status.code(), text(&output) + &String::from_utf8_lossy(&output.stderr))
    };
    let (_, listed) = run(&reader, &["disagreements", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    let key = forger.to_string();
    assert_eq!((&listed["batch"], &listed["pubkey"]), (&json!(14034), &json!(key)));
    assert!(run(&reader, &["disagreements", "list"]).await.1.contains(&key));
    let resolve = ["disagreements", "resolve", "14034", "sgx", &key, "--reason", "a forger"];
    let refused = run(&reader, &resolve).await;
    assert!(refused.0 == Some(1) && refused.1.contains("403"), "{refused:?}");
    assert_eq!(run(&admin, &resolve[..5]).await.0, Some(2), "without a reason");
    assert_eq!(run(&admin, &resolve).await, (Some(0), "resolved\n".to_owned()));
    assert_eq!(run(&reader, &["disagreements", "list", "--json"]).await, (Some(0), String::new()));
    assert!(run(&reader, &["disagreements", "list", "--all"]).await.1.contains("a forger"));
    let unknown = run(&admin, &["disagreements", "resolve", "14034", "tdx", &key, "--reason", "x"]).await;
    assert!(unknown.0 == Some(1) && unknown.1.contains("404"), "{unknown:?}");

    assert!(client.proof_inputs(TeeType::Tdx).await.unwrap().is_some());
    let (_, provers) = run(&reader, &["provers", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(provers.trim()).unwrap();
    assert_eq!((&listed["prover"], &listed["leases"]), (&json!("token:p"), &json!(1)), "{provers}");
    assert!(run(&reader, &["provers", "list"]).await.1.contains("token:p"));

    let retired = run(&admin, &["tee-types", "retire", "tdx"]).await;
    assert!(retired.0 == Some(0) && retired.1.contains("tdx is retired"), "{retired:?}");
    let (_, jobs) = run(&reader, &["jobs", "list", "--json", "--tee-type", "tdx"]).await;
    assert_eq!(jobs, "");
    assert!(client.proof_inputs(TeeType::Tdx).await.unwrap().is_none());
    assert_eq!(run(&admin, &["tee-types", "serve", "tdx"]).await.0, Some(0));
    assert!(client.proof_inputs(TeeType::Tdx).await.unwrap().is_some());
    server.stop().await;
}
