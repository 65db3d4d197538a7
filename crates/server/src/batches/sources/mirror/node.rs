//! Requests to a node.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tee_api::{
    BearerToken, BearerTokenError, ClientSetupError, Compression, EncodingError, InputEncoding, NetworkError,
    PresentBatches,
    http::{self, HttpOptions, Pace},
};
use tee_verifier::{H256, InputForm};
use thiserror::Error;

use crate::{
    batches::{AddBatchError, EncodedBatch, NodeRpc, NodeRpcError, sources::node_rpc::node_http},
    config::{MirrorConfig, PROGRAM},
};

/// The most bytes that are read of an answer that is not a batch input.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// A client of a node's two APIs.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Sends the token, which is only for the node's API for provers.
    http: Client,
    /// Ends with a slash.
    node_url: Url,
    rpc: Option<NodeRpc>,
    /// Which API the node had at the last answer.
    has_airbender: Arc<AtomicBool>,
}

/// The two APIs under which nodes offer batch inputs: the first up to version 29, the second since 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Tee,
    Airbender,
}

impl Api {
    fn folder(self) -> &'static str {
        match self {
            Self::Tee => "tee",
            Self::Airbender => "airbender",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Tee => Self::Airbender,
            Self::Airbender => Self::Tee,
        }
    }
}

/// What the chain says about a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchDetails {
    root: Option<H256>,
    sealed_at_ms: Option<i64>,
}

/// Why one batch or all batches cannot be copied.
#[derive(Debug, Error)]
pub(super) enum MirrorError {
    #[error("mirror.node_url")]
    Node(#[from] ClientSetupError),
    #[error("mirror.rpc_url")]
    Rpc(#[from] NodeRpcError),
    #[error("mirror.token_file: {0}")]
    Token(String),
    #[error(transparent)]
    Http(#[from] NetworkError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("malformed answer: {0}")]
    Answer(String),
    #[error("the node has neither /tee/present_batches nor /airbender/present_batches: check mirror.node_url")]
    NoApi,
    #[error("the node does not return the batch's input: status {0}")]
    NoInput(StatusCode),
    #[error("the node does not know the batch's root yet")]
    NoRoot,
    #[error(transparent)]
    Add(#[from] AddBatchError),
    #[error("database")]
    Database(#[from] sqlx::Error),
}

impl MirrorError {
    /// Whether the node had the batch's input and has deleted it.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::NoInput(StatusCode::GONE))
    }
}

impl From<reqwest::Error> for MirrorError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.into())
    }
}

/// The fields of `zks_getL1BatchDetails` that are used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcDetails {
    root_hash: Option<H256>,
    /// Seconds since 1970.
    timestamp: i64,
}

impl Node {
    pub(super) fn new(config: &MirrorConfig) -> Result<Self, MirrorError> {
        let node_url = http::base_url(&config.node_url)?;
        let rpc = config.rpc_url.as_deref().map(|url| NodeRpc::new(url, PROGRAM)).transpose()?;
        let token = config.token_file.as_deref().map(token).transpose()?;
        let http = HttpOptions { token, ..node_http(PROGRAM) }.client(&node_url)?;
        Ok(Self { http, node_url, rpc, has_airbender: Arc::default() })
    }

    /// Returns which batches there are. If the node does not know one API, it is asked through the other: a node may be replaced by a
    /// newer one at any time.
    pub(super) async fn present_batches(&self) -> Result<PresentBatches, MirrorError> {
        let api = self.api();
        let mut answer = self.ask(api, "present_batches").send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            let other = api.other();
            let second = self.ask(other, "present_batches").send().await?;
            if second.status() == StatusCode::NOT_FOUND {
                return Err(MirrorError::NoApi);
            }
            if second.status() == StatusCode::OK {
                tracing::info!("the node serves batches under /{}", other.folder());
                self.has_airbender.store(other == Api::Airbender, Ordering::Relaxed);
            }
            answer = second;
        }
        json_answer(answer).await
    }

    fn api(&self) -> Api {
        if self.has_airbender.load(Ordering::Relaxed) { Api::Airbender } else { Api::Tee }
    }

    /// Returns what the chain says about a batch. Empty if no JSON-RPC is configured; an error while the chain knows no root.
    pub(super) async fn batch_details(&self, number: u32) -> Result<BatchDetails, MirrorError> {
        let Some(rpc) = &self.rpc else { return Ok(BatchDetails::default()) };
        let details: Option<RpcDetails> = rpc.call("zks_getL1BatchDetails", json!([number])).await?;
        let details = details.ok_or(MirrorError::NoRoot)?;
        let root = Some(details.root_hash.ok_or(MirrorError::NoRoot)?);
        Ok(BatchDetails { root, sealed_at_ms: details.timestamp.checked_mul(1000) })
    }

    /// Fetches a batch. Its body is still arriving when this returns.
    pub(super) async fn batch(
        &self,
        number: u32,
        details: BatchDetails,
    ) -> Result<EncodedBatch<BoxStream<'static, io::Result<Bytes>>>, MirrorError> {
        let answer = self
            .ask(self.api(), &format!("proof_inputs_no_lock/{number}"))
            .header(ACCEPT, "application/cbor, application/json")
            .header(ACCEPT_ENCODING, "zstd, gzip;q=0.5")
            .send()
            .await?;
        if answer.status() != StatusCode::OK {
            return Err(MirrorError::NoInput(answer.status()));
        }
        let malformed = |error: EncodingError| MirrorError::Answer(error.to_string());
        let encoding = match InputEncoding::of_headers(answer.headers(), Some(InputForm::Json)) {
            // A node's inputs are JSON, whatever content type it names.
            Err(EncodingError::Form) => {
                let compression = Compression::of_headers(answer.headers()).map_err(malformed)?;
                InputEncoding { form: InputForm::Json, compression }
            }
            encoding => encoding.map_err(malformed)?,
        };
        Ok(EncodedBatch {
            encoding,
            body: answer.bytes_stream().map_err(|error| io::Error::other(NetworkError::from(error))).boxed(),
            number: Some(number),
            expected_root: details.root,
            sealed_at_ms: details.sealed_at_ms,
            source: format!("mirror of {}", self.node_url.host_str().unwrap_or_default()),
        })
    }

    fn ask(&self, api: Api, path: &str) -> RequestBuilder {
        self.http.get(self.path(&format!("{}/{path}", api.folder())))
    }

    fn path(&self, path: &str) -> Url {
        let mut url = self.node_url.clone();
        url.set_path(&format!("{}{path}", url.path()));
        url
    }
}

fn token(path: &Path) -> Result<BearerToken, MirrorError> {
    let text = fs::read_to_string(path).map_err(|error| MirrorError::Token(error.to_string()))?;
    text.parse().map_err(|error: BearerTokenError| MirrorError::Token(error.to_string()))
}

async fn json_answer<T: DeserializeOwned>(answer: Response) -> Result<T, MirrorError> {
    if answer.status() != StatusCode::OK {
        return Err(MirrorError::Status(answer.status()));
    }
    let too_large = || MirrorError::Answer(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes"));
    let body = http::read_body(answer, MAX_ANSWER_BYTES, Pace::default()).await?.ok_or_else(too_large)?;
    serde_json::from_slice(&body).map_err(|error| MirrorError::Answer(error.to_string()))
}
