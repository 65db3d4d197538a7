//! The program itself: its commands, its signals, its log.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::world::{Key, ROOT, http};

struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    lines: Vec<String>,
    address: String,
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tee-proof-server"))
}

impl Process {
    fn start(folder: &TempDir, more: &str) -> Self {
        let path = folder.path().join("server.yaml");
        let text = format!(
            "database_url: sqlite://{folder}/tee.sqlite\nobject_store: file://{folder}/objects\nlisten: 127.0.0.1:0\n\
             danger_unjudged_quotes: true\ndanger_any_code: true\ndanger_bare_roots: true\n\
             log_format: json\n{more}",
            folder = folder.path().display()
        );
        fs::write(&path, text).unwrap();
        let mut child = program()
            .args(["--config-path", path.to_str().unwrap()])
            .env("RUST_LOG", "trace")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self { child, log, lines: vec![], address: String::new() };
        while process.address.is_empty() {
            let mut line = String::new();
            assert_ne!(process.log.read_line(&mut line).unwrap(), 0, "it ended: {:?}", process.lines);
            let entry: Value = serde_json::from_str(&line).expect("a log line is JSON");
            process.lines.push(line);
            process.address = entry["fields"]["address"].as_str().unwrap_or_default().to_owned();
        }
        process
    }

    fn signal(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end. Returns the exit code and the whole log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), self.lines.concat() + &rest)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failed test leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Makes a token as an operator does. Returns the token and its line.
fn token(name: &str, role: &str) -> (String, String) {
    let (code, said, _) = output(&["token", "--name", name, "--role", role]);
    assert_eq!(code, Some(0));
    let part = |line: usize| said.lines().nth(line).unwrap().split_once(": ").unwrap().1.trim().to_owned();
    (part(0), part(1))
}

/// If a path of bytes that are not text counted as no path, the server would be open to everyone.
#[test]
fn a_variable_that_is_no_text_is_not_taken_for_one_that_is_not_set() {
    let output = program()
        .arg("--print-config")
        .env("TEE_SERVER_DATABASE_URL", "sqlite://tee.sqlite")
        .env("TEE_SERVER_OBJECT_STORE", "memory://")
        .env("TEE_SERVER_TOKENS_FILE", OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("# TEE_SERVER_TOKENS_FILE"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_by_the_program_works_and_no_log_line_shows_it_or_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let ((prover, prover_line), (admin, admin_line)) = (token("eu-1", "prover"), token("ops", "admin"));
    let tokens = folder.path().join("tokens.yaml");
    fs::write(&tokens, format!("tokens:\n{prover_line}\n{admin_line}\n")).unwrap();
    let process = Process::start(&folder, &format!("tokens_file: {}\n", tokens.display()));
    let client = http();
    let send = async |token: &str, path: &str, body: String| {
        let request = client.post(format!("http://{}{path}", process.address));
        let request =
            request.header(AUTHORIZATION, format!("Bearer {token}")).header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    };
    let mut input = vec![];
    crate::world::input(1).to_json(&mut input).unwrap();
    let added = send(&admin, "/admin/batches", String::from_utf8(input).unwrap()).await;
    assert_eq!(added.status(), 201);
    let key = Key::new(1);
    let registered = send(&prover, "/tee/register_attestation", key.registration().to_string()).await;
    assert_eq!(registered.status(), 200);
    let claimed = send(&prover, "/tee/proof_inputs", json!({ "tee_type": "sgx" }).to_string()).await;
    assert_eq!(claimed.status(), 200);
    let lease = claimed.headers()["tee-lease-id"].to_str().unwrap().to_owned();
    claimed.bytes().await.unwrap();
    assert_eq!(send(&prover, &format!("/tee/leases/{lease}/renew"), String::new()).await.status(), 200);
    let proof = serde_json::to_string(&key.proof(ROOT)).unwrap();
    assert_eq!(send(&prover, "/tee/submit_proofs/1", proof).await.status(), 200);
    let wrong = format!("{}x", &admin[..admin.len() - 1]);
    assert_eq!(send(&wrong, "/admin/jobs/1/sgx/requeue", String::new()).await.status(), 401);

    process.signal();
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    for secret in [&prover, &admin, &wrong, &lease] {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
    let accepted = log.lines().find(|line| line.contains("accepted a proof")).expect("a line for the proof");
    let accepted: Value = serde_json::from_str(accepted).unwrap();
    assert_eq!(accepted["fields"]["batch"], 1);
    assert_eq!(accepted["span"]["name"], "request");
    assert_eq!(accepted["span"]["caller"], "eu-1");
    assert_eq!(accepted["span"]["route"], "/tee/submit_proofs/{batch}");
    assert_eq!(accepted["span"]["id"].as_str().unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, "limits: { stop_grace: 10min }\n");
    // In progress, so that the first signal alone does not end the server.
    let mut stream = TcpStream::connect(&process.address).await.unwrap();
    let head =
        "POST /tee/proof_inputs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 18\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    process.signal();
    let stopping = async {
        while TcpStream::connect(&process.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), stopping).await.unwrap();
    process.signal();
    let ended = tokio::task::spawn_blocking(move || process.end());
    let (code, log) = timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
    assert_eq!(code, Some(130), "{log}");
}

#[track_caller]
fn assert_each_cause_once(error: &str) {
    let said: Vec<_> = error.trim().split(": ").collect();
    for (index, part) in said.iter().enumerate() {
        assert!(!said[..index].contains(part), "{part:?} is said twice: {error}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    for arguments in [&["token", "--name", "a", "--role", "reader"][..], &["--help"]] {
        let mut child = program()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn what_cannot_work_is_said_and_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.yaml");
    let (database, objects) = (folder.path().join("tee.sqlite"), folder.path().join("objects"));
    let base = format!(
        "database_url: sqlite://{}\nobject_store: file://{}\ndanger_unjudged_quotes: true\ndanger_any_code: true\n",
        database.display(),
        objects.display()
    );
    for (more, said) in [
        ("listen: 0.0.0.0:0\n", "tokens_file"),
        ("tokens_file: /nowhere/tokens.yaml\n", "/nowhere/tokens.yaml"),
        ("public_proofs: true\n", "public_proofs"),
        ("limits: { max_connections: 0 }\n", "max_connections"),
        ("limits: { max_connection_count: 5 }\n", "max_connection_count"),
        ("tls: { certificate: /nowhere/cert.pem, key: /nowhere/key.pem }\n", "/nowhere/cert.pem"),
        ("tls: { certificate: a }\n", "key"),
        ("danger_open: perhaps\n", "line 5"),
        ("log_format: xml\n", "xml"),
        ("chain: {id: 300, code: []}\n", "no code is pinned"),
    ] {
        fs::write(&path, format!("{base}{more}")).unwrap();
        let (code, _, error) = output(&["--config-path", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{more}: {error}");
        assert!(error.contains(said), "{more}: {error}");
        assert_each_cause_once(&error);
    }
    let unreachable = base.replace(&format!("sqlite://{}", database.display()), "postgres://127.0.0.1:1/tee");
    let not_a_database = folder.path().join("not-a-database");
    fs::write(&not_a_database, [7; 5000]).unwrap();
    let not_a_database = base.replace(&database.display().to_string(), &not_a_database.display().to_string());
    for (config, said) in [(unreachable, "Connection refused"), (not_a_database, "not a database")] {
        fs::write(&path, config).unwrap();
        let (code, _, error) = output(&["--config-path", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(said), "{error}");
        assert_each_cause_once(&error);
    }
    assert_eq!(output(&["token", "--name", "a b", "--role", "admin"]).0, Some(2));
    assert_eq!(output(&["token", "--name", "a", "--role", "root"]).0, Some(2));
    assert_eq!(output(&[]).0, Some(1));
}
