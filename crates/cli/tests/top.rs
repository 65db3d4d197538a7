//! `teectl top`, in a terminal that the test makes.

mod documented;
mod in_terminal;
#[allow(dead_code)]
#[path = "../src/top/terminal.rs"]
mod screen;
mod serving;

use std::process::Command;

use in_terminal::InTerminal;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tee_server::{NewToken, Role, Server};
use tempfile::TempDir;

/// Leaves the screen that a program draws on.
const OLD_SCREEN: &str = "\u{1b}[?1049l";

async fn server() -> (TempDir, Server, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let reader = NewToken::random("r".parse().unwrap(), Role::Reader);
    let tokens_file = folder.path().join("tokens.yaml");
    std::fs::write(&tokens_file, format!("tokens:\n{}\n", reader.line())).unwrap();
    let mut config = serving::config(folder.path());
    config.tokens_file = Some(tokens_file);
    let server = Server::start(config).await.unwrap();
    let url = format!("http://{}", server.local_addr());
    (folder, server, url, reader.secret().to_owned())
}

fn teectl(url: &str, token: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
    command.args(["top", "--interval", "1", "--server", url]).args(more).env("TEECTL_TOKEN", token);
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
    command
}

/// Waits for the end, which must leave the terminal as it was. Gives the exit code.
fn ended(top: InTerminal) -> Option<i32> {
    let (code, text) = top.ended();
    // The screen from before, once, and its cursor.
    assert_eq!(text.matches(OLD_SCREEN).count(), 1, "{text:?}");
    assert!(text.contains("\u{1b}[?25h"), "{text:?}");
    code
}

/// Runs in a terminal, by the test below.
#[test]
#[ignore = "it panics, for another test"]
fn panics_with_the_terminal_taken() {
    let _terminal = screen::Terminal::take().unwrap();
    panic!("in the middle of it");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_says_why() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "panics_with_the_terminal_taken", "--nocapture"]);
    let (code, text) = InTerminal::start(command).ended();
    assert_eq!((code, text.matches(OLD_SCREEN).count()), (Some(101), 1), "{text:?}");
    let (taken, given_back) = text.split_once(OLD_SCREEN).unwrap();
    assert!(taken.contains("\u{1b}[?1049h") && !taken.contains("in the middle of it"), "{text:?}");
    assert!(given_back.contains("in the middle of it"), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn q_ctrl_c_and_signals_leave_the_terminal_as_it_was() {
    let (_folder, server, url, token) = server().await;
    tokio::task::spawn_blocking(move || {
        for end in ["q", "\u{3}", "TERM", "INT", "HUP"] {
            let top = InTerminal::start(teectl(&url, &token, &[]));
            top.wait_for("nobody");
            assert!(!top.is_as_before(), "raw");
            let pid = Pid::from_raw(top.id() as i32);
            match end {
                "TERM" => kill(pid, Signal::SIGTERM).unwrap(),
                "INT" => kill(pid, Signal::SIGINT).unwrap(),
                "HUP" => kill(pid, Signal::SIGHUP).unwrap(),
                keys => top.types(keys),
            }
            assert_eq!(ended(top), Some(0), "{end:?}");
        }
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_an_alarm_and_no_end() {
    let (_folder, server, url, token) = server().await;
    let top = tokio::task::spawn_blocking(move || {
        let top = InTerminal::start(teectl(&url, &token, &[]));
        top.wait_for("nobody");
        top
    });
    let top = top.await.unwrap();
    server.stop().await;
    tokio::task::spawn_blocking(move || {
        top.wait_for("answer");
        top.wait_for("connect");
        top.types("q");
        assert_eq!(ended(top), Some(0));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_those_who_do_not_object() {
    let (_folder, server, url, token) = server().await;
    tokio::task::spawn_blocking(move || {
        for (value, has_colours) in [("", true), ("1", false)] {
            let mut command = teectl(&url, &token, &[]);
            command.env("NO_COLOR", value);
            let top = InTerminal::start(command);
            top.wait_for("nobody");
            top.types("q");
            // Green, as crossterm writes it.
            let is_green = top.text().contains("\u{1b}[38;5;2");
            assert_eq!(is_green, has_colours, "{:?}", top.text());
            assert_eq!(ended(top), Some(0));
        }
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_there_is_one_reading_in_json() {
    let (_folder, server, url, token) = server().await;
    tokio::task::spawn_blocking(move || {
        let output = teectl(&url, &token, &["--json"]).output().unwrap();
        let reading: Value = serde_json::from_slice(&output.stdout).unwrap();
        documented::assert_documented("teectl top", std::slice::from_ref(&reading));
        assert_eq!((&reading["alarms"], &reading["provers"]), (&json!([]), &json!([])), "{reading}");
        assert_eq!(reading["queue"][0]["tee_type"], "sgx");
        let output = teectl(&url, &token, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("--json") && output.stdout.is_empty(), "{output:?}");

        let refused = teectl(&url, "", &["--json"]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && said.contains("note: give a token's file"), "{refused:?}");
    })
    .await
    .unwrap();
    server.stop().await;
}
