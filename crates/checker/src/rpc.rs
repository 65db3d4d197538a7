//! JSON-RPC 2.0 over HTTP.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header::CONTENT_TYPE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tee_api::{
    ClientSetupError, NetworkError,
    http::{self, HttpOptions, Pace},
};
use thiserror::Error;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// The most bytes that are read of an answer.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;

/// The time limit of a whole exchange.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A server. Requests to it are spaced in time.
#[derive(Debug)]
pub struct Rpc {
    http: Client,
    url: Url,
    rate_limit: Duration,
    next: Mutex<Instant>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum RpcError {
    /// The network failed.
    #[error("no answer: {0}")]
    Network(#[from] NetworkError),
    /// The HTTP status is not a success.
    #[error("status {0}")]
    Status(StatusCode),
    /// The answer exceeds the limit.
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// The answer is not JSON-RPC, or not of the expected type.
    #[error("invalid answer: {0}")]
    Json(String),
    /// The server refused.
    #[error("error {code}: {message}")]
    Refused {
        /// The JSON-RPC code.
        code: i64,
        /// The server's message: at most 200 characters.
        message: String,
        /// The data of a contract's refusal, as Ethereum nodes return it: at most 2,048 characters.
        data: Option<String>,
    },
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
    #[serde(default)]
    data: Value,
}

impl Rpc {
    /// A client of the server at `url`. `program` is named to the server as the caller. Nothing is sent yet. No error shows the URL: it
    /// may hold a secret.
    pub fn new(program: &'static str, url: &str, rate_limit: Duration) -> Result<Self, ClientSetupError> {
        Self::with(HttpOptions::new(program), url, rate_limit)
    }

    /// The same for a server that requires a token, or whose certificate the system's authorities did not issue.
    pub fn with(options: HttpOptions, url: &str, rate_limit: Duration) -> Result<Self, ClientSetupError> {
        let parsed = http::url(url)?;
        Ok(Self {
            http: HttpOptions { total_timeout: TOTAL_TIMEOUT, ..options }.client(&parsed)?,
            url: parsed,
            rate_limit,
            next: Mutex::new(Instant::now()),
        })
    }

    /// Calls a method. `None` stands for a null result.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<Option<T>, RpcError> {
        self.wait_for_turn().await;
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(NetworkError::from)?;
        if !response.status().is_success() {
            return Err(RpcError::Status(response.status()));
        }
        let body = http::read_body(response, MAX_ANSWER_BYTES, Pace::default()).await?.ok_or(RpcError::TooLarge)?;
        let answer: Answer<T> = serde_json::from_slice(&body).map_err(|error| RpcError::Json(error.to_string()))?;
        match answer.error {
            Some(Refusal { code, message, data }) => {
                let printable =
                    |text: &str, limit| text.chars().filter(|letter| !letter.is_control()).take(limit).collect();
                let data = data.as_str().map(|data| printable(data, 2048));
                Err(RpcError::Refused { code, message: printable(&message, 200), data })
            }
            None => Ok(answer.result),
        }
    }

    async fn wait_for_turn(&self) {
        if self.rate_limit.is_zero() {
            return;
        }
        let turn = {
            let mut next = self.next.lock().await;
            let turn = (*next).max(Instant::now());
            *next = turn + self.rate_limit;
            turn
        };
        sleep_until(turn).await;
    }
}

impl RpcError {
    /// Whether to ask again: an unavailable server may come back, but a refusal is final.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Network(_) => true,
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge | Self::Json(_) | Self::Refused { .. } => false,
        }
    }
}
