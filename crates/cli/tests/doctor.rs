//! `teectl doctor` on machines that are folders, and the checks that it is asked for.

mod documented;
mod serving;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    slice, thread,
};

use serde_json::{Value, json};
use tee_server::Server;
use tempfile::TempDir;

/// A domain that lacks nothing.
fn domain() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("proc/cpuinfo", "flags\t\t: fpu tdx_guest\n"),
        ("proc/sys/kernel/osrelease", "6.16.3\n"),
        ("dev/tdx_guest", ""),
        ("sys/kernel/config/tsm/report/.there", ""),
        ("sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384", ""),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn doctor(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
    command.args(["doctor", "--root"]).arg(root).args(arguments).env_remove("TEECTL_TOKEN").output().unwrap()
}

/// The report in JSON, and the exit code.
fn report(root: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = doctor(root, &[arguments, &["--json"]].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap();
    documented::assert_documented("teectl doctor", slice::from_ref(&report));
    (report, output.status.code().unwrap())
}

/// The result of a check that was asked for, and what to do.
fn asked(report: &Value, check: &str) -> (bool, String, String) {
    let checks = report["checks"].as_array().unwrap().iter();
    let found = checks.filter(|found| found["part"] == "asked").find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check}: {report}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (found["ok"].as_bool().unwrap(), text("found"), text("todo"))
}

/// Answers each request with `answer`.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_machine_that_can_prove_is_told_so_and_another_what_to_do() {
    let root = domain();
    let (can, code) = report(root.path(), &[]);
    assert_eq!((&can["ok"], &can["can_prove"], code), (&json!(true), &json!(["tdx"]), 0), "{can}");
    let output = doctor(root.path(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\nThis machine can prove with TDX.\n") && !text.contains('\u{1b}'), "{text}");

    fs::write(root.path().join("proc/sys/kernel/osrelease"), "6.8.0-45-generic\n").unwrap();
    let output = doctor(root.path(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let todo = "  TODO  kernel            Linux 6.8.0-45-generic: has TSM reports, but is too old for extending \
        registers (6.16)\n        install Linux";
    assert!(text.contains(todo) && text.contains("This machine cannot prove"), "{text}");
}

#[test]
fn a_policy_is_read() {
    let root = domain();
    let file = root.path().join("policy.yaml");
    let file = file.to_str().unwrap();
    fs::write(file, format!("sgx:\n  mrenclaves: [{}]\n", "ab".repeat(32))).unwrap();
    let (good, code) = report(root.path(), &["--policy", file]);
    assert_eq!((asked(&good, "policy").0, code), (true, 0), "{good}");
    fs::write(file, "sgx:\n  mrenclave: []\n").unwrap();
    let (bad, code) = report(root.path(), &["--policy", file]);
    let (ok, found, todo) = asked(&bad, "policy");
    assert!(!ok && found.contains("mrenclave") && todo.contains("teectl measure") && code == 1, "{bad}");
    assert_eq!(bad["can_prove"], json!(["tdx"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_ready_is_in_order_and_so_is_the_clock() {
    let root = domain();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(serving::config(folder.path())).await.unwrap();
    let url = format!("http://{}", server.local_addr());
    let at = root.path().to_owned();
    let ask = move |url: String| report(&at, &["--server", &url]);
    let (ready, code) = tokio::task::spawn_blocking({
        let (ask, url) = (ask.clone(), url.clone());
        move || ask(url)
    })
    .await
    .unwrap();
    assert_eq!((asked(&ready, "server").0, asked(&ready, "clock").0, code), (true, true, 0), "{ready}");
    server.stop().await;
    let (gone, code) = tokio::task::spawn_blocking(move || ask(url)).await.unwrap();
    let (ok, found, todo) = asked(&gone, "server");
    assert!(!ok && found.contains("cannot connect") && todo.contains("runs at this address") && code == 1, "{gone}");
}

#[test]
fn a_server_with_another_time_is_named_and_one_that_is_no_server_of_ours_too() {
    let root = domain();
    let url = answering(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    );
    let (wrong, code) = report(root.path(), &["--server", &format!("{url}/?key=s3cret")]);
    let (ok, found, todo) = asked(&wrong, "clock");
    assert!(!ok && found.contains("s ahead of the clock of http://") && todo.contains("time service"), "{wrong}");
    assert_eq!(code, 1);
    assert!(!wrong.to_string().contains("s3cret"), "{wrong}");

    let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nConnection: close\r\n\r\n\u{1b}[31mred\u{1b}[0m";
    let output = doctor(root.path(), &["--server", &answering(answer)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("it does not know /health/ready") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_service_of_collateral_must_answer_as_one() {
    let root = domain();
    let pcs = answering(
        "HTTP/1.1 200 OK\r\nSGX-Enclave-Identity-Issuer-Chain: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    );
    let (there, code) = report(root.path(), &["--pccs", &pcs]);
    assert_eq!((asked(&there, "collateral").0, code), (true, 0), "{there}");
    let other = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    let (no_service, code) = report(root.path(), &["--pccs", &other]);
    let (ok, _, todo) = asked(&no_service, "collateral");
    assert!(!ok && todo.contains("PCS or PCCS") && code == 1, "{no_service}");
    // One working service of two is enough.
    let (second, _) = report(root.path(), &["--pccs", &format!("{other},{pcs}")]);
    assert!(asked(&second, "collateral").0, "{second}");
    let (no_url, code) = report(root.path(), &["--pccs", "nowhere"]);
    assert!(!asked(&no_url, "collateral").0 && code == 1, "{no_url}");
}
