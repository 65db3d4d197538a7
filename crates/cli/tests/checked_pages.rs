//! `teectl proofs verify --serve`: the verdicts as pages.

#[allow(dead_code)]
#[path = "../../server/tests/server/browser.rs"]
mod browser;
#[path = "../../server/tests/server/page_rules.rs"]
mod page_rules;
mod publisher;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use browser::Browser;
use page_rules::Rules;
use publisher::{Files, Published, Publisher, SimulatedKey};
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_SECURITY_POLICY, HOST},
};
use serde_json::json;
use tee_api::http::HttpOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Long enough for a slow machine to print the next line.
const PATIENCE: Duration = Duration::from_secs(60);

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>";

/// A check whose pages are up, with all batches checked.
struct Checked {
    child: Child,
    stderr: Lines,
    url: String,
}

impl Checked {
    fn start(publisher_url: &str, files: &Files, words: &str) -> Self {
        let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
        teectl.args(["proofs", "verify", "--danger-any-code", "--patience", "1", "--server", publisher_url]);
        teectl.arg("--policy").arg(files.policy()).arg("--danger-root-certificate").arg(files.root());
        teectl.args(words.split_whitespace());
        Self::run(teectl)
    }

    fn run(mut teectl: Command) -> Self {
        let mut child = teectl.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Lines::of(child.stderr.take().unwrap());
        let url = stderr.after("Verdicts as web pages: ");
        Self { child, stderr, url }
    }

    fn wait(&self) {
        self.stderr.after("The pages keep running: ");
    }

    async fn page(&self, path: &str) -> (StatusCode, String) {
        let answer = http().get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = answer.status();
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        (status, answer.text().await.unwrap())
    }

    fn interrupt(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn http() -> Client {
    HttpOptions::new("test").client(&Url::parse("http://127.0.0.1").unwrap()).unwrap()
}

/// The lines that a program prints, read by a thread, so that waiting for one ends even if the program does not.
struct Lines(Receiver<String>);

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Self(lines)
    }

    /// The rest of the next line that contains a text.
    fn after(&self, text: &str) -> String {
        loop {
            let line = self.0.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line with {text:?}: {error}"));
            if let Some((_, rest)) = line.split_once(text) {
                return rest.trim().to_owned();
            }
        }
    }
}

/// The publisher has its own runtime, which needs a thread without one.
fn four_batches() -> (Publisher, Files) {
    thread::spawn(publish).join().unwrap()
}

fn publish() -> (Publisher, Files) {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let hostile = Published(json!({ "l1BatchNumber": HOSTILE, "teeType": HOSTILE }));
    let revoked = key.proof(3).with("revokedAt", json!(HOSTILE));
    let publisher =
        Publisher::of([(1, vec![key.proof(1)]), (2, vec![key.proof(2)]), (3, vec![revoked]), (4, vec![hostile])]);
    (publisher, files)
}

#[tokio::test]
async fn each_batch_is_shown_with_the_verdict_of_this_check_and_who_says_so() {
    let (publisher, files) = four_batches();
    // The part of the address that may be secret is not shown.
    let address = publisher.url().replace("http://", "http://me:secret@");
    let checked = Checked::start(&address, &files, "--batch 1-5 --serve 127.0.0.1:0");
    checked.wait();
    let (status, list) = checked.page("/").await;
    assert_eq!(status, StatusCode::OK);
    let said =
        format!("against <code>{}</code> with policy <code>{}</code>", publisher.url(), files.policy().display());
    for shown in [
        said.as_str(),
        "Checked by this teectl, on this machine",
        "Another root.",
        "<span class=\"mark good\">proven</span>",
        "<span class=\"mark bad\">unproven</span>",
        "<span class=\"mark warning\">missing</span>",
        "All were checked by",
    ] {
        assert!(list.contains(shown), "{shown}\n{list}");
    }
    let (status, proven) = checked.page("/batches/2").await;
    assert_eq!(status, StatusCode::OK);
    for shown in
        [said.as_str(), "<strong>proven</strong>", "number of L1 transactions", "<span class=\"mark good\">yes</span>"]
    {
        assert!(proven.contains(shown), "{shown}\n{proven}");
    }
    assert_eq!(proven.matches("<span class=\"mark good\">holds</span>").count(), 5, "{proven}");
    let (_, unproven) = checked.page("/batches/3").await;
    assert!(unproven.contains("<span class=\"mark bad\">does not hold</span>"), "{unproven}");
    assert!(unproven.contains("the key was revoked at &#60;img src=x"), "{unproven}");
    let (_, unreadable) = checked.page("/batches/4").await;
    assert!(unreadable.contains("it cannot be read: "), "{unreadable}");
    for path in ["/batches/6", "/batches/x", "/batches/%3Cscript%3E", "/nowhere"] {
        assert_eq!(checked.page(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/", "/batches/2", "/batches/3", "/batches/4", "/batches/5"] {
        let (_, shown) = checked.page(path).await;
        assert!(!shown.contains("<img src=x") && !shown.contains("<script>") && !shown.contains("secret"), "{shown}");
        assert!(shown.len() < 90 * 1024, "{path}: {}", shown.len());
    }
    // The pages do not change the result of the check.
    assert_eq!(checked.interrupt(), Some(1));
}

#[tokio::test]
async fn the_pages_follow_a_check_that_goes_on_and_are_this_machines_alone() {
    let (publisher, files) = four_batches();
    let checked = Checked::start(&publisher.url(), &files, "--continuous 1 --serve 127.0.0.1:0");
    let mut events = http().get(format!("{}/api/events", checked.url)).send().await.unwrap();
    let mut heard = String::new();
    while !heard.contains("event: job") {
        heard += &String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap());
    }
    assert!(heard.starts_with(": connected"), "{heard}");
    let (_, list) = checked.page("/").await;
    assert!(list.contains("href=\"/batches/1\"") && list.contains("More are being checked"), "{list}");
    for (host, status) in [("evil.example", StatusCode::FORBIDDEN), ("localhost:1", StatusCode::OK)] {
        let answer = http().get(&checked.url).header(HOST, host).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_valid_html_and_keep_nobody_out_in_either_theme() {
    let browser = Browser::start().await;
    if browser.is_none() {
        test_skips::skip("chromedriver");
    }
    let (Some(browser), Some(rules)) = (browser, Rules::read()) else { return };
    let (publisher, files) = four_batches();
    let checked = Checked::start(&publisher.url(), &files, "--batch 1-5 --serve 127.0.0.1:0");
    checked.wait();
    let paths = ["/", "/batches/1", "/batches/3", "/batches/4", "/batches/5", "/nowhere"];
    let mut valid = vec![];
    for path in paths {
        valid.push((path.to_owned(), checked.page(path).await.1));
    }
    assert_eq!(rules.errors(&valid), Vec::<String>::new());
    for (width, dark) in [(360, true), (400, false), (1280, true), (1280, false)] {
        browser.look(width, dark).await;
        for (number, path) in paths.iter().enumerate() {
            browser.open(&format!("{}{path}", checked.url)).await;
            assert_eq!(rules.barriers(&browser).await, Vec::<String>::new(), "{path} at {width}, dark {dark}");
            let overflow = browser.run("return document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(overflow, false, "{path} at {width}");
            if let Some(folder) = std::env::var_os("TEE_PICTURES") {
                let name = format!("checked-{number}-{width}-{}.png", if dark { "dark" } else { "light" });
                std::fs::write(std::path::Path::new(&folder).join(name), browser.picture().await).unwrap();
            }
        }
    }
    browser.open(&checked.url).await;
    browser.until("document.getElementById('pulse')?.textContent.includes('live')").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("/nowhere")), "{complaints:?}");
}

#[tokio::test]
async fn one_peer_takes_neither_all_connections_nor_all_places_of_followers() {
    let (publisher, files) = four_batches();
    let checked = Checked::start(&publisher.url(), &files, "--batch 1-2 --serve 127.0.0.1:0");
    checked.wait();
    let address: SocketAddr = checked.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut idle = vec![];
    for _ in 0..64 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut one_more = TcpStream::connect(address).await.unwrap();
    let closed = timeout(Duration::from_secs(5), one_more.read(&mut [0; 1])).await.expect("it is closed at once");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    // Somebody else is answered all the same.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // Those who only hold a connection lose it.
    let mut held = idle.pop().unwrap();
    let closed = timeout(Duration::from_secs(30), held.read(&mut [0; 1])).await.expect("it is closed in time");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    drop(idle);

    let mut followers = vec![];
    let follow = async || http().get(format!("{}/api/events", checked.url)).send().await.unwrap();
    for _ in 0..32 {
        let follower = follow().await;
        assert_eq!(follower.status(), StatusCode::OK);
        followers.push(follower);
    }
    assert_eq!(follow().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(checked.page("/").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_finds_the_recorded_transaction_in_the_demo_and_checks_its_batch_elsewhere() {
    let Some(browser) = Browser::start().await else { return test_skips::skip("chromedriver") };
    let mut demo = Command::new(env!("CARGO_BIN_EXE_teectl"));
    demo.args(["demo", "--batches", "2", "--txs", "3", "--serve"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = Demo(demo.spawn().unwrap());
    let lines = Lines::of(demo.0.stdout.take().unwrap());
    let folder = PathBuf::from(lines.after("All data are kept in "));
    let transaction = lines.after("* batch 14034 begins with ").split(',').next().unwrap().to_owned();
    let dashboard = lines.after("The dashboard: ");

    browser.open(&dashboard).await;
    browser.run(&format!("document.getElementById('find').value = '{transaction}'")).await;
    browser.run("document.querySelector('.find button').click()").await;
    browser.until("document.querySelector('h1')?.textContent === 'Batch 14034'").await;
    let text = browser.run("return document.querySelector('main').textContent").await;
    assert!(text.as_str().unwrap().contains(&format!("{transaction} is number 1 of this batch.")), "{text}");
    let line = browser.run("return document.querySelector('#check ~ .command code').textContent").await;
    let policy = browser.run("return document.querySelector('a[href=\"/policy.yaml\"]').href").await;

    // On a machine of his own, with the operator's policy and without pins, the certificate of the simulation and no other node.
    let elsewhere = tempfile::tempdir().unwrap();
    let policy = http().get(policy.as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
    std::fs::write(elsewhere.path().join("policy.yaml"), policy).unwrap();
    std::fs::copy(folder.join("root.der"), elsewhere.path().join("root.der")).unwrap();
    let line =
        line.as_str().unwrap().replace("--chain-file chain.yaml", "--danger-any-code").replace("--l2-rpc NODE", "");
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("teectl"));
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    teectl.args(words).args(["--serve", "127.0.0.1:0"]).current_dir(elsewhere.path());
    let checked = Checked::run(teectl);
    checked.wait();
    browser.open(&format!("{}/batches/14034", checked.url)).await;
    assert_eq!(browser.run("return document.querySelector('.badge strong').textContent").await, "proven");
    assert_eq!(checked.interrupt(), Some(0));
    drop(demo);
    std::fs::remove_dir_all(folder).unwrap();
}

/// A demo that ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let (publisher, files) = four_batches();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    teectl.args(["proofs", "verify", "--danger-any-code", "--rpc", &publisher.url(), "--batch", "1", "--serve"]);
    teectl.arg(taken.local_addr().unwrap().to_string()).arg("--policy").arg(files.policy());
    let output = teectl.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on"), "{output:?}");
}
