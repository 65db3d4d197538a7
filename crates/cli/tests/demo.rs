//! `teectl demo`, as a newcomer runs it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

fn demo(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
    command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The output of a demo that ended successfully. Its folder is removed.
fn finished(demo: Child) -> String {
    let output = demo.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let folder = Path::new(text.lines().find_map(|line| line.strip_prefix("All data are kept in ")).unwrap());
    assert!(folder.join("tee.sqlite").is_file());
    std::fs::remove_dir_all(folder).unwrap();
    text
}

#[test]
fn every_batch_is_proven_and_shown() {
    let text = finished(demo(&["--batches", "3", "--txs", "10", "--l1-txs", "1", "--cold-reads", "20"]));
    let opening = "A small chain makes 3 batches; a server hands out each batch, a prover in a simulated enclave proves it, and its \
                   proof is checked.";
    assert_eq!(text.lines().next(), Some(opening));
    assert_eq!(text.lines().last(), Some("proven 3/3 batches"));
    for batch in ["14034 *", "14035", "14036"] {
        let row = text.lines().find(|line| line.contains(batch)).unwrap();
        assert!(row.contains("generated") && row.contains("sgx") && row.contains("accepted"), "{row}");
    }
    assert!(text.contains("0x3e700a3e3d2b2ffb7a2f929ce9be82dd128eb3fdabc19dc0b31235b80d58cf2f"));
}

#[test]
fn two_demos_at_once_and_one_after_them_do_not_disturb_each_other() {
    let both = [demo(&["--batches", "2", "--txs", "5"]), demo(&["--batches", "2", "--txs", "5"])];
    for text in both.map(finished) {
        assert!(text.ends_with("proven 2/2 batches\n"), "{text}");
    }
    assert!(finished(demo(&["--batches", "1", "--txs", "1"])).ends_with("proven 1/1 batches\n"));
}

#[test]
fn with_serve_the_server_stays_up_until_interrupted() {
    let mut demo = demo(&["--batches", "1", "--txs", "1", "--serve"]);
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.find_map(|line| line.strip_prefix("All data are kept in ").map(str::to_owned)).unwrap();
    let up = lines.find_map(|line| line.strip_prefix("The server keeps running: http://").map(str::to_owned)).unwrap();
    let dashboard = lines.find_map(|line| line.strip_prefix("The dashboard: ").map(str::to_owned)).unwrap();
    let address = up.split_whitespace().next().unwrap();

    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
        std::io::read_to_string(connection).unwrap()
    };
    let answer = get("/tee/present_batches");
    assert!(answer.ends_with(r#"{"oldest_batch":14034,"latest_batch":14034}"#), "{answer}");
    let answer = get(dashboard.strip_prefix(&format!("http://{address}")).unwrap());
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("Simulated."), "{answer}");

    interrupt(demo);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn slowly_batches_keep_coming_until_interrupted() {
    let mut demo = demo(&["--batches", "1", "--txs", "1", "--slow", "1"]);
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.find_map(|line| line.strip_prefix("All data are kept in ").map(str::to_owned)).unwrap();
    assert!(lines.any(|line| line == "proven 1/1 batches"));
    assert!(lines.any(|line| line.starts_with("The dashboard: http://")));
    for number in [14035, 14036] {
        let line = lines.next().unwrap();
        assert!(line.starts_with(&format!("proven batch {number} in ")), "{line}");
    }
    interrupt(demo);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Ends a demo as Ctrl-C does, which is not a failure.
fn interrupt(mut demo: Child) {
    let interrupt = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(interrupt.success() && demo.wait().unwrap().success());
}
