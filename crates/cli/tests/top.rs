//! `teectl top`, in a terminal that the test makes.

mod documented;

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::{Pid, write},
};
use serde_json::{Value, json};
use tee_server::{Config, NewToken, ObjectStoreUrl, Role, Server};
use tempfile::TempDir;

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn server() -> (TempDir, Server, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let reader = NewToken::random("r".parse().unwrap(), Role::Reader);
    let tokens_file = folder.path().join("tokens.yaml");
    std::fs::write(&tokens_file, format!("tokens:\n{}\n", reader.line())).unwrap();
    let database = format!("sqlite://{}", folder.path().join("tee.sqlite").display());
    let mut config = Config::new(database, ObjectStoreUrl::folder(&folder.path().join("inputs")));
    config.danger_unjudged_quotes = true;
    config.danger_any_code = true;
    config.listen = "127.0.0.1:0".parse().unwrap();
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

/// `teectl top` in a terminal of 80 columns and 24 lines.
struct InTerminal {
    child: Child,
    ours: OwnedFd,
    theirs: OwnedFd,
    before: Termios,
    written: Arc<Mutex<String>>,
}

impl InTerminal {
    fn start(mut command: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let written = Arc::new(Mutex::new(String::new()));
        let mut reader = File::from(master.try_clone().unwrap());
        thread::spawn({
            let written = Arc::clone(&written);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    lock(&written).push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            }
        });
        Self { child, ours: master, theirs: slave, before, written }
    }

    fn text(&self) -> String {
        lock(&self.written).clone()
    }

    /// Waits until this text was sent to the terminal.
    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.text().contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?}: {:?}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&self, keys: &str) {
        write(self.ours.as_fd(), keys.as_bytes()).unwrap();
    }

    /// Waits for the end, which must leave the terminal as it was. Returns the exit code.
    fn ended(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        assert_eq!(tcgetattr(&self.theirs).unwrap(), self.before);
        // The screen from before, and its cursor.
        self.wait_for("\u{1b}[?1049l");
        self.wait_for("\u{1b}[?25h");
        assert_eq!(self.text().matches("\u{1b}[?1049l").count(), 1, "once: {:?}", self.text());
        code
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn q_ctrl_c_and_signals_leave_the_terminal_as_it_was() {
    let (_folder, server, url, token) = server().await;
    tokio::task::spawn_blocking(move || {
        for end in ["q", "\u{3}", "TERM", "INT", "HUP"] {
            let top = InTerminal::start(teectl(&url, &token, &[]));
            top.wait_for("nobody");
            assert_ne!(tcgetattr(&top.theirs).unwrap(), top.before, "raw");
            let pid = Pid::from_raw(top.child.id() as i32);
            match end {
                "TERM" => kill(pid, Signal::SIGTERM).unwrap(),
                "INT" => kill(pid, Signal::SIGINT).unwrap(),
                "HUP" => kill(pid, Signal::SIGHUP).unwrap(),
                keys => top.types(keys),
            }
            assert_eq!(top.ended(), Some(0), "{end:?}");
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
        assert_eq!(top.ended(), Some(0));
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
            assert_eq!(top.ended(), Some(0));
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
