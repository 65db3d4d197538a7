//! A real browser: Chromium without a window, driven over the WebDriver protocol.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Method, Url, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tee_api::http::HttpOptions;
use tempfile::TempDir;

/// One browser with one page. It ends when this is dropped.
pub(crate) struct Browser {
    http: Client,
    driver: Child,
    session: String,
    _folder: TempDir,
}

impl Browser {
    /// Starts one, if Chromium's driver is installed.
    pub(crate) async fn start() -> Option<Self> {
        // In a process group, because the browser's processes outlive a driver that is killed.
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = lines.find_map(|line| {
            Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        // Its further output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let folder = tempfile::tempdir().unwrap();
        let profile = format!("--user-data-dir={}", folder.path().display());
        let session = format!("http://127.0.0.1:{}/session", port.expect("the driver says its port"));
        let http = HttpOptions::new("test").client(&Url::parse(&session).unwrap()).unwrap();
        let mut browser = Self { http, driver, session, _folder: folder };
        let options = json!({ "args": [
            // Root has no sandbox, and the machine may have little shared memory.
            "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", profile,
        ]});
        let capabilities = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let made = browser.command(Method::POST, "", json!({ "capabilities": { "alwaysMatch": capabilities } })).await;
        browser.session += &format!("/{}", made["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.command(Method::POST, "/url", json!({ "url": url })).await;
    }

    /// Shows pages in this width, and dark or not, as if the system were.
    pub(crate) async fn look(&self, width: u32, dark: bool) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
    }

    /// Whether pages may run their own scripts from now on.
    pub(crate) async fn run_scripts(&self, run: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !run })).await;
    }

    /// A picture of the whole page, in PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", whole).await;
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.command(Method::POST, "/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Runs a script in the page, and returns its result.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Runs a script that calls its only argument, `done`, with a result, and returns that.
    pub(crate) async fn run_until_done(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.command(Method::POST, "/execute/async", json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression holds in the page, which may change in the meantime.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!(
            "const look = () => ({expression}) && (watch.disconnect(), done());
             const watch = new MutationObserver(look);
             watch.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }}); look();"
        );
        self.run_until_done(&script).await;
    }

    /// The browser's complaints since the last call: errors of scripts, what the page's policy forbids, answers other
    /// than success.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.command(Method::POST, "/se/log", json!({ "type": "browser" })).await;
        let entries =
            log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn command(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self.http.request(method, url).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let mut answer: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.driver.id())]).status();
        let _ = self.driver.wait();
    }
}
