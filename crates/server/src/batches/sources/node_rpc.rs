//! A node's JSON-RPC.

use std::{fmt, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode, Url, header::CONTENT_TYPE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tee_api::{
    ClientSetupError, NetworkError,
    http::{self, HttpOptions, Pace},
};
use tee_verifier::{Address, H256, SlotPath, StorageKey};
use thiserror::Error;

/// The most bytes that are read of an answer that is not a list of paths.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// How many slots one request asks for.
const SLOTS_A_REQUEST: usize = 100;

/// How many requests for slots run at a time.
const REQUESTS: usize = 4;

/// The most bytes that are read of an answer with that many paths. Each path has at most 256 hashes of 69 characters.
const MAX_PATHS_BYTES: u64 = SLOTS_A_REQUEST as u64 * 20 * 1024;

/// How much of a node's error message is shown.
const MAX_REASON_CHARS: usize = 200;

/// A client of a node's JSON-RPC. The URL may hold secrets, so it is not shown.
#[derive(Clone)]
pub struct NodeRpc {
    http: Client,
    url: Url,
}

/// Why a node did not return what it was asked for.
#[derive(Debug, Error)]
pub enum NodeRpcError {
    /// The client cannot be set up.
    #[error(transparent)]
    Setup(#[from] ClientSetupError),
    /// The node does not answer.
    #[error(transparent)]
    Http(#[from] NetworkError),
    /// The node answers with an HTTP error.
    #[error("status {0}")]
    Status(StatusCode),
    /// The node answers with a JSON-RPC error.
    #[error("{method}: error {code}: {message}")]
    Refused {
        /// The method that was called.
        method: &'static str,
        /// The error's code.
        code: i64,
        /// The error's message.
        message: String,
    },
    /// The answer is malformed.
    #[error("malformed answer: {0}")]
    Answer(String),
    /// The node does not have the state that was asked for.
    #[error("the node has no state of batch {0}: it does not have it yet, or has pruned it")]
    NoState(u32),
}

impl From<reqwest::Error> for NodeRpcError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.into())
    }
}

impl fmt::Debug for NodeRpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRpc").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// `zks_getProof` (zksync-era's `zksync_types::api::Proof`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    storage_proof: Vec<StorageProof>,
}

#[derive(Deserialize)]
struct StorageProof {
    key: H256,
    /// From the root to the leaf, without the hashes of empty subtrees at the leaf's end.
    proof: Vec<H256>,
    value: H256,
    index: u64,
}

/// The HTTP settings for a node, whichever of its APIs is used: its inputs are large.
pub(super) fn node_http(program: &'static str) -> HttpOptions {
    HttpOptions {
        read_timeout: Duration::from_secs(60),
        total_timeout: Duration::from_secs(600),
        ..HttpOptions::new(program)
    }
}

impl NodeRpc {
    /// A client. `program` is named to the node as the caller.
    pub fn new(url: &str, program: &'static str) -> Result<Self, NodeRpcError> {
        let url = http::url(url)?;
        Ok(Self { http: node_http(program).client(&url)?, url })
    }

    /// Calls a method whose answer is short. `None` stands for a null result.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Option<T>, NodeRpcError> {
        self.call_for(MAX_ANSWER_BYTES, method, params).await
    }

    /// Slots with their paths in the state after a batch.
    pub(crate) async fn slot_paths(&self, slots: &[StorageKey], batch: u32) -> Result<Vec<SlotPath>, NodeRpcError> {
        let of_one_contract = slots.chunk_by(|a, b| a.address() == b.address());
        let requests = of_one_contract.flat_map(|slots| slots.chunks(SLOTS_A_REQUEST));
        // Collected first: a future that borrows from the borrowed slice could not be sent between threads.
        let requests: Vec<_> = requests.map(|slots| self.some_slot_paths(slots.to_vec(), batch)).collect();
        let paths: Vec<Vec<SlotPath>> = stream::iter(requests).buffered(REQUESTS).try_collect().await?;
        Ok(paths.concat())
    }

    /// The same for a few slots of one contract.
    async fn some_slot_paths(&self, slots: Vec<StorageKey>, batch: u32) -> Result<Vec<SlotPath>, NodeRpcError> {
        let address: Option<&Address> = slots.first().map(StorageKey::address);
        let keys: Vec<&H256> = slots.iter().map(StorageKey::key).collect();
        let answer = self.call_for(MAX_PATHS_BYTES, "zks_getProof", json!([address, keys, batch])).await?;
        let proofs = answer.map(|proof: Proof| proof.storage_proof).ok_or(NodeRpcError::NoState(batch))?;
        if !proofs.iter().map(|proof| &proof.key).eq(keys) {
            return Err(NodeRpcError::Answer("zks_getProof: the paths are of other slots".to_owned()));
        }
        let paths = slots.iter().zip(proofs).map(|(key, proof)| SlotPath {
            key: *key,
            index: proof.index,
            value: proof.value,
            path: proof.proof.into_iter().rev().map(|hash| hash.0).collect(),
        });
        Ok(paths.collect())
    }

    async fn call_for<T: DeserializeOwned>(
        &self,
        max_bytes: u64,
        method: &'static str,
        params: Value,
    ) -> Result<Option<T>, NodeRpcError> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(call.to_string());
        let answer = request.send().await?;
        if answer.status() != StatusCode::OK {
            return Err(NodeRpcError::Status(answer.status()));
        }
        let too_large = || NodeRpcError::Answer(format!("{method}: more than {max_bytes} bytes"));
        let body = http::read_body(answer, max_bytes, Pace::default()).await?.ok_or_else(too_large)?;
        let answer: Answer<T> =
            serde_json::from_slice(&body).map_err(|error| NodeRpcError::Answer(format!("{method}: {error}")))?;
        match answer.error {
            None => Ok(answer.result),
            Some(Refusal { code, message }) => {
                let message = message.chars().filter(|letter| !letter.is_control()).take(MAX_REASON_CHARS).collect();
                Err(NodeRpcError::Refused { method, code, message })
            }
        }
    }
}
