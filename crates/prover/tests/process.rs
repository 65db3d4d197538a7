//! The program as an operator sees it.

mod peer;

use peer::{INPUTS, Peer, REGISTER, leased, status};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

#[tokio::test]
async fn sigterm_and_sigint_stop_an_idle_prover_within_a_second_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
        let mut prover = gateway(&["--simulation"], &[("TEE_PROVER_API_URL", &peer.url)]);
        peer.request_to(INPUTS).await;
        kill(&prover, signal).await;
        let exit = timeout(Duration::from_secs(1), prover.wait()).await.expect("it stops in time").unwrap();
        assert_eq!(exit.code(), Some(0), "SIG{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_stops_a_busy_prover_at_once() {
    let mut peer = Peer::start(|request| match request.path.as_str() {
        INPUTS => leased("abc", 600, "{}"),
        "/tee/leases/abc/fail" => status(503),
        _ => status(200),
    })
    .await;
    let mut prover = gateway(&["--simulation"], &[("TEE_PROVER_API_URL", &peer.url)]);
    let mut log = lines(&mut prover);
    peer.request_to("/tee/leases/abc/fail").await;
    kill(&prover, "TERM").await;
    while !log.next_line().await.unwrap().expect("it still runs").contains("stopping") {}
    kill(&prover, "TERM").await;
    let exit = timeout(Duration::from_secs(1), prover.wait()).await.expect("it stops in time").unwrap();
    assert_eq!(exit.code(), Some(130));
}

#[tokio::test]
async fn what_is_wrong_on_our_side_has_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let unknown_key = folder.path().join("unknown.yaml");
    std::fs::write(&unknown_key, "api_url: http://127.0.0.1:1\nspeed: 11\n").unwrap();
    let here = ("TEE_PROVER_API_URL", "http://127.0.0.1:1");
    let elsewhere = ("TEE_PROVER_API_URL", "http://192.0.2.1");
    let sgx = ("TEE_PROVER_TEE_TYPE", "sgx");
    let unknown_key = ["--config-path", unknown_key.to_str().unwrap()];
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32);
    let cases: [Case<'_>; 8] = [
        (&["--no-such-flag"], &[], 2),
        (&[], &[], 2),
        (&unknown_key, &[], 2),
        (&["--simulation"], &[("TEE_PROVER_API_URL", "not a url")], 2),
        (&["--simulation"], &[elsewhere], 2),
        (&["--danger-simulated-proofs"], &[here], 2),
        (&[], &[here, sgx], 3),
        (&["--simulation"], &[here, ("TEE_PROVER_MAX_RETRIES", "0")], 4),
    ];
    for (arguments, environment, code) in cases {
        let exit = gateway(arguments, environment).wait().await.unwrap();
        assert_eq!(exit.code(), Some(code), "{arguments:?} {environment:?}");
    }
}

#[tokio::test]
async fn the_key_is_in_no_log() {
    let quote = tempfile::NamedTempFile::new().unwrap();
    let key = tee_api::SigningKey::from_hex(KEY).unwrap().public_key();
    let report_data = tee_attestation::ReportData::V1 { address: key.address().0 };
    let platform = tee_attestation::simulated::Platform::new(std::time::SystemTime::now()).unwrap();
    std::fs::write(quote.path(), platform.quote(&report_data).unwrap()).unwrap();
    let mut prover = gateway(
        &[],
        &[
            ("TEE_PROVER_API_URL", "http://127.0.0.1:1"),
            ("TEE_PROVER_MAX_RETRIES", "0"),
            ("TEE_PROVER_TEE_TYPE", "sgx"),
            ("TEE_PROVER_SIGNING_KEY", KEY),
            ("TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH", quote.path().to_str().unwrap()),
            ("RUST_LOG", "trace"),
        ],
    );
    let mut log = lines(&mut prover);
    let mut seen = String::new();
    while let Some(line) = log.next_line().await.unwrap() {
        seen.push_str(&line);
    }
    assert_eq!(prover.wait().await.unwrap().code(), Some(4), "{seen}");
    assert!(seen.contains("starting"));
    assert!(!seen.contains(KEY));
}

fn gateway(arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tee-prover-gateway"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn lines(prover: &mut Child) -> Lines<BufReader<ChildStderr>> {
    BufReader::new(prover.stderr.take().unwrap()).lines()
}

async fn kill(prover: &Child, signal: &str) {
    let id = prover.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-s", signal, &id]).status().await.unwrap().success());
}
