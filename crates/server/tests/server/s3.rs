//! An S3 server from the package index, for tests.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A running server. It stops when this is dropped.
pub(crate) struct S3Server {
    process: Child,
    pub(crate) endpoint: String,
}

impl S3Server {
    /// Starts one, if it is installed.
    pub(crate) fn start() -> Option<Self> {
        let mut process = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let endpoint =
            lines.find_map(|line| Some(line.unwrap().split_once("Running on ")?.1.trim().to_owned())).unwrap();
        // Its further output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, endpoint })
    }

    #[allow(dead_code, reason = "of tests that have it stand still")]
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{signal}");
    }

    /// The environment with which a program finds it.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
