//! A person with an admin's token, who is patient.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

/// How long somebody who needs an answer keeps asking.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Operator {
    pub(crate) http: Client,
    token: String,
    servers: Vec<SocketAddr>,
}

/// An HTTP client for this machine.
pub(crate) fn http() -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(30));
    builder.tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

impl Operator {
    pub(crate) fn new(token: String, servers: Vec<SocketAddr>) -> Self {
        Self { http: http(), token, servers }
    }

    /// Asks one server after the other until one gives an answer other than that something is unavailable for now.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Vec<u8>) {
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        self.send(method, path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, Vec<u8>) {
        let started = Instant::now();
        loop {
            for server in &self.servers {
                let request = self.http.request(method.clone(), format!("http://{server}{path}"));
                let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                let Ok(answer) = request.bearer_auth(&self.token).body(body.clone()).send().await else { continue };
                let status = answer.status();
                let Ok(answer) = answer.bytes().await else { continue };
                if !status.is_server_error() && status != StatusCode::REQUEST_TIMEOUT {
                    return (status, answer.to_vec());
                }
            }
            assert!(started.elapsed() < PATIENCE, "no server answers {path}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// All pages of a listing.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let (mut all, mut after) = (vec![], String::new());
        loop {
            let (status, page) = self.ask(Method::GET, &format!("{path}?limit=1000{after}"), Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&page));
            let mut page: Value = serde_json::from_slice(&page).unwrap();
            all.append(page["items"].as_array_mut().unwrap());
            let Some(next) = page["next"].as_str() else { return all };
            after = format!("&after={next}");
        }
    }

    /// The metrics of a program, if it sends them in time.
    pub(crate) async fn scrape(&self, address: &str) -> Option<String> {
        let request = self.http.get(format!("http://{address}/metrics")).bearer_auth(&self.token);
        let answer = request.timeout(Duration::from_secs(8)).send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    }
}
