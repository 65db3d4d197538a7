//! The program as an operator sees it.

mod peer;

use peer::{Answer, INPUTS, Peer, REGISTER, http, leased, status};
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
    let cases: [Case<'_>; 11] = [
        (&["--no-such-flag"], &[], 2),
        (&[], &[], 2),
        (&unknown_key, &[], 2),
        (&["--simulation"], &[("TEE_PROVER_API_URL", "not a url")], 2),
        (&["--simulation"], &[elsewhere], 2),
        (&["--simulation"], &[here, ("TEE_PROVER_PREFETCH", "0")], 2),
        (&["--simulation"], &[here, ("TEE_PROVER_DANGER_ANY_CODE", "false")], 2),
        (&[], &[here, sgx], 3),
        (&[], &[here, ("TEE_PROVER_ATTESTATION", "sgx")], 3),
        (&["--simulation"], &[here, ("TEE_PROVER_SIGNING_KEY", KEY)], 3),
        (&["--simulation"], &[here, ("TEE_PROVER_MAX_RETRIES", "0")], 4),
    ];
    for (arguments, environment, code) in cases {
        let exit = gateway(arguments, environment).wait().await.unwrap();
        assert_eq!(exit.code(), Some(code), "{arguments:?} {environment:?}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_with_origins_and_without_secrets() {
    let environment = [
        ("TEE_PROVER_API_URL", "http://127.0.0.1:1"),
        ("TEE_PROVER_SIGNING_KEY", KEY),
        ("TEE_PROVER_API_TOKEN", "s3cret"),
        ("PROMETHEUS_LISTENER_PORT", "3321"),
    ];
    let shown = command(&["--print-config", "--simulation"], &environment).output().await.unwrap();
    assert_eq!(shown.status.code(), Some(0));
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("metrics_listen: 0.0.0.0:3321  # PROMETHEUS_LISTENER_PORT\n"), "{text}");
    assert!(text.contains("attestation: simulation  # --simulation\n"), "{text}");
    assert!(!text.contains(KEY) && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn health_says_why_it_is_not_ready_and_metrics_count() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        REGISTER if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => status(403),
        INPUTS => status(204),
        _ => status(200),
    })
    .await;
    let environment = [
        ("TEE_PROVER_API_URL", peer.url.as_str()),
        ("TEE_PROVER_METRICS_LISTEN", "127.0.0.1:0"),
        ("TEE_PROVER_MAX_BACKOFF_SECS", "4"),
    ];
    let mut prover = gateway(&["--simulation"], &environment);
    let mut log = lines(&mut prover);
    let address = loop {
        let line = log.next_line().await.unwrap().expect("it runs");
        if line.contains("metrics and health") {
            break line.rsplit('=').next().unwrap().trim().to_owned();
        }
    };
    let get = async |path: &str| {
        let answer = http().get(format!("http://{address}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    while !log.next_line().await.unwrap().expect("it runs").contains("cannot get work") {}
    assert_eq!(get("/health/live").await.0, 200);
    let (code, reason) = get("/health/ready").await;
    assert_eq!(code, 503);
    assert!(reason.contains(&peer.url) && reason.contains("403"), "{reason}");
    assert_eq!(get("/health").await.0, 404);
    peer.request_to(INPUTS).await;
    peer.request_to(INPUTS).await;
    assert_eq!(get("/health/ready").await, (200, "ready\n".to_owned()));
    let (code, metrics) = get("/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "tee_prover_servers{state=\"registered\"} 1",
        "tee_prover_ready 1",
        "tee_prover_retries_total{request=\"register\",kind=\"refused\"} 1",
        concat!(
            "tee_prover_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\",commit=\"unknown\",toolchain=\"unknown\",tee_type=\"sgx\",simulated=\"true\"} 1"
        ),
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert_open_metrics(&metrics).await;
}

/// Checks the metrics with the reference parser.
async fn assert_open_metrics(metrics: &str) {
    let python = async |code: &str, file: &std::path::Path| {
        Command::new("python3").args(["-c", code]).arg(file).output().await.ok()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), metrics).unwrap();
    if !python("import prometheus_client", file.path()).await.is_some_and(|found| found.status.success()) {
        return test_skips::skip("prometheus-client for python3");
    }
    let read = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
samples = [s.name for f in read(open(sys.argv[1]).read()) for s in f.samples]
assert 'tee_prover_retries_total' in samples and 'tee_prover_uptime_seconds' in samples, samples";
    let read = python(read, file.path()).await.unwrap();
    assert!(read.status.success(), "{}\n{metrics}", String::from_utf8_lossy(&read.stderr));
}

#[tokio::test]
async fn sigusr1_writes_a_line_of_state_and_the_log_can_be_json() {
    let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
    let environment = [("TEE_PROVER_API_URL", peer.url.as_str()), ("TEE_PROVER_LOG_FORMAT", "json")];
    let mut prover = gateway(&["--simulation"], &environment);
    let mut log = lines(&mut prover);
    peer.request_to(INPUTS).await;
    kill(&prover, "USR1").await;
    loop {
        let line = log.next_line().await.unwrap().expect("it runs");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let message = line["fields"]["message"].as_str().unwrap();
        if let Some(state) = message.strip_prefix("status: ") {
            assert!(state.contains("0 batches proven") && state.contains("registered"), "{state}");
            break;
        }
    }
}

#[tokio::test]
async fn systemd_is_told_of_start_and_stop() {
    let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let environment = [("TEE_PROVER_API_URL", peer.url.as_str()), ("NOTIFY_SOCKET", path.to_str().unwrap())];
    let mut prover = gateway(&["--simulation"], &environment);
    let told = async || {
        let mut message = [0; 64];
        let length = timeout(Duration::from_secs(60), socket.recv(&mut message)).await.expect("it is told").unwrap();
        message[..length].to_vec()
    };
    assert_eq!(told().await, b"READY=1");
    peer.request_to(INPUTS).await;
    kill(&prover, "TERM").await;
    assert_eq!(told().await, b"STOPPING=1");
    assert_eq!(prover.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn what_preexec_hands_over_the_gateway_takes() {
    let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
    let mut prover = Command::new(env!("CARGO_BIN_EXE_tee-key-preexec"))
        .args(["--simulation", "--", env!("CARGO_BIN_EXE_tee-prover-gateway")])
        .env_clear()
        .env("TEE_PROVER_API_URL", &peer.url)
        .env("TEE_PROVER_DANGER_ANY_CODE", "true")
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    peer.request_to(INPUTS).await;
    // The command has replaced the program that started it, so the signal reaches it.
    kill(&prover, "TERM").await;
    assert_eq!(prover.wait().await.unwrap().code(), Some(0));

    // A simulated key stays simulated, whoever made the quote.
    let elsewhere = Command::new(env!("CARGO_BIN_EXE_tee-key-preexec"))
        .args(["--simulation", "--", env!("CARGO_BIN_EXE_tee-prover-gateway")])
        .env_clear()
        .env("TEE_PROVER_API_URL", "http://192.0.2.1")
        .env("TEE_PROVER_DANGER_ANY_CODE", "true")
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .output();
    assert_eq!(elsewhere.await.unwrap().status.code(), Some(2));
}

#[tokio::test]
async fn what_unfolds_to_more_than_the_memory_budget_takes_no_more_than_it() {
    const BUDGET_MIB: u64 = 256;
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(b' '), 1 << 30), 1).unwrap();
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS => {
            let mut answer = leased("abc", 600, bomb.clone());
            let Answer::Full(response) = &mut answer else { unreachable!() };
            response.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
            answer
        }
        _ => status(200),
    })
    .await;
    let budget = format!("{BUDGET_MIB} MiB");
    let environment = [("TEE_PROVER_API_URL", peer.url.as_str()), ("TEE_PROVER_MEMORY_BUDGET", &budget)];
    let prover = gateway(&["--simulation"], &environment);
    let report = peer.request_to("/tee/leases/abc/fail").await.body;
    assert!(String::from_utf8_lossy(&report).contains("memory"), "{report:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", prover.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(peak.parse::<u64>().unwrap() < BUDGET_MIB << 10, "{peak} kB");
}

#[tokio::test]
async fn the_key_is_in_no_core_dump() {
    let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
    let prover = gateway(&["--simulation"], &[("TEE_PROVER_API_URL", &peer.url)]);
    peer.request().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", prover.id().unwrap())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

#[tokio::test]
async fn a_token_for_another_machine_over_plain_http_is_warned_of() {
    let warned = async |url: &str| {
        let environment = [
            ("TEE_PROVER_API_URL", url),
            ("TEE_PROVER_API_TOKEN", "s3cret"),
            ("TEE_PROVER_MAX_RETRIES", "0"),
            // The proxy immediately refuses what nobody would answer.
            ("HTTP_PROXY", "http://127.0.0.1:1"),
        ];
        let log = command(&["--simulation", "--danger-simulated-proofs"], &environment).output().await.unwrap();
        assert_eq!(log.status.code(), Some(4), "{log:?}");
        String::from_utf8(log.stderr).unwrap().contains("unencrypted")
    };
    assert!(warned("http://192.0.2.1").await);
    assert!(!warned("http://127.0.0.1:1").await);
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
    command(arguments, environment).spawn().unwrap()
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tee-prover-gateway"));
    command
        .args(arguments)
        .env_clear()
        .env("TEE_PROVER_DANGER_ANY_CODE", "true")
        .envs(environment.iter().copied())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn lines(prover: &mut Child) -> Lines<BufReader<ChildStderr>> {
    BufReader::new(prover.stderr.take().unwrap()).lines()
}

async fn kill(prover: &Child, signal: &str) {
    let id = prover.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-s", signal, &id]).status().await.unwrap().success());
}
