//! How far long work is: for whoever waits at a terminal, and for nobody else.

#[allow(dead_code)]
mod in_terminal;
mod serving;

use std::process::Command;

use in_terminal::InTerminal;
use serde_json::Value;
use tee_server::Server;

fn teectl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
    command.args(arguments).env("TERM", "xterm-256color");
    command
}

/// What a terminal shows of a command that ends well.
#[track_caller]
fn shown(command: Command) -> String {
    let (code, text) = InTerminal::start(command).ended();
    assert_eq!(code, Some(0), "{text:?}");
    text
}

/// A folder with two batches, and their files.
fn devnet() -> (tempfile::TempDir, [String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let text = shown(teectl(&["devnet", "--batches", "2", "--txs", "3", "--out", out]));
    assert!(text.contains("2/2 batches"), "{text:?}");
    let files = [14034, 14035].map(|number| format!("{out}/batch-{number}.json.zst"));
    (folder, files)
}

#[test]
fn a_terminal_shows_how_far_work_is_and_neither_a_pipe_nor_a_program_is_told() {
    let (_folder, [first, second]) = devnet();
    let verify = ["batch", "verify", "--danger-any-code", &first, &second];
    let text = shown(teectl(&verify));
    assert!(text.contains("2/2 batches") && text.matches("verified").count() == 2, "{text:?}");
    let text = shown(teectl(&["bench", "growth", "--txs", "1,2", "--runs", "2"]));
    assert!(text.contains("making the batches") && text.contains("/3 runs"), "{text:?}");

    // In JSON the terminal is sent lines of it, and nothing else.
    let text = shown(teectl(&[&verify[..], &["--json"]].concat()));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text:?}");
    // A pager's terminal belongs to the pager.
    let mut paged = Command::new("sh");
    paged.args(["-c", "\"$@\" | cat", "sh", env!("CARGO_BIN_EXE_teectl")]).args(verify);
    let text = shown(paged);
    assert!(!text.contains('\u{1b}') && text.matches("verified").count() == 2, "{text:?}");
    let output = teectl(&verify).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains("/2 batches"), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_lists_say_how_far_they_are() {
    let (folder, [first, second]) = devnet();
    let server = Server::start(serving::config(folder.path())).await.unwrap();
    let url = format!("http://{}", server.local_addr());
    tokio::task::spawn_blocking(move || {
        let text = shown(teectl(&["server", "batches", "add", "--server", &url, &first, &second]));
        assert!(text.contains("2/2 batches") && text.matches(": added").count() == 2, "{text:?}");
        let text = shown(teectl(&["server", "keys", "list", "--server", &url]));
        assert!(text.contains("reading the list"), "{text:?}");
        let text = shown(teectl(&["server", "keys", "list", "--json", "--server", &url]));
        assert_eq!(text, "");
    })
    .await
    .unwrap();
    server.stop().await;
}
