//! The gateway as a process, and what it reports about itself.

use std::{collections::BTreeMap, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

const SUBMITTED: &str = "tee_prover_batches_total{outcome=\"submitted\",kind=\"\"}";

/// The longest time that a test waits for a step.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Gateway {
    pub(crate) process: Child,
    metrics_url: String,
    http: reqwest::Client,
}

impl Gateway {
    /// Starts it with a simulated enclave, and short waits.
    pub(crate) async fn start(api_url: &str, environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tee-prover-gateway"))
            .arg("--simulation")
            .env_clear()
            .env("TEE_PROVER_API_URL", api_url)
            .env("TEE_PROVER_DANGER_ANY_CODE", "true")
            .env("TEE_PROVER_METRICS_LISTEN", "127.0.0.1:0")
            .env("TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "20ms")
            .env("TEE_PROVER_MAX_BACKOFF_SECS", "250ms")
            .env("TEE_PROVER_MAX_IDLE_POLL", "100ms")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = log.next_line().await.unwrap().expect("it runs");
            if line.contains("metrics and health") {
                break line.rsplit('=').next().unwrap().trim().to_owned();
            }
        };
        let aloud = std::env::var_os("TEE_FIRE_LOG").is_some();
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                if aloud {
                    println!("{line}");
                }
            }
        });
        Self { process, metrics_url: format!("http://{address}/metrics"), http: super::peer::http() }
    }

    pub(crate) async fn metrics(&mut self) -> String {
        self.http.get(&self.metrics_url).send().await.unwrap().text().await.unwrap()
    }

    /// A metric by its name with labels; 0 if it is missing.
    pub(crate) async fn metric(&mut self, name: &str) -> u64 {
        let metrics = self.metrics().await;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0)
    }

    /// Waits until a metric has reached a value.
    pub(crate) async fn until(&mut self, name: &str, value: u64) {
        let waiting = async {
            while self.metric(name).await < value {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("it gets there in time");
    }

    pub(crate) async fn submitted(&mut self) -> u64 {
        self.metric(SUBMITTED).await
    }

    pub(crate) async fn until_submitted(&mut self, batches: u64) {
        self.until(SUBMITTED, batches).await;
    }

    /// Batches by outcome.
    pub(crate) async fn batches(&mut self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.metrics().await.lines() {
            let Some(rest) = line.strip_prefix("tee_prover_batches_total{outcome=\"") else { continue };
            let (outcome, rest) = rest.split_once('"').unwrap();
            let count: u64 = rest.rsplit(' ').next().unwrap().parse().unwrap();
            *counts.entry(outcome.to_owned()).or_default() += count;
        }
        counts
    }

    /// SIGTERM; it must end by itself, with exit code 0.
    pub(crate) async fn stop(mut self) {
        self.terminate().await;
        let exit = timeout(Duration::from_secs(30), self.process.wait()).await.expect("it stops in time").unwrap();
        assert_eq!(exit.code(), Some(0));
    }

    pub(crate) async fn terminate(&self) {
        let id = self.process.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap().success());
    }
}
