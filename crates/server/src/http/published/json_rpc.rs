//! `POST /`: JSON-RPC 2.0 with the one method that zksync-era's node has for proofs, `unstable_getTeeProofs`.

use std::collections::HashSet;

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tee_api::{TEE_PROOFS_METHOD, TeeProof, TeeType};
use utoipa::ToSchema;

use crate::{
    clock::rfc3339,
    database::PublishedProof,
    http::{HeldRoom, Problem, authorize::Asking, request::RawBody},
    service::Service,
};

/// The most calls in one request.
const MAX_CALLS: usize = 100;

/// The most bytes of results in one answer. Calls that exceed it end in an error.
const MAX_RESULT_BYTES: usize = 32 * 1024 * 1024;

/// JSON-RPC 2.0: single calls, and up to 100 at once, each of which counts as a request. In one answer, a key's
/// collateral is only in its first proof. The one method, `unstable_getTeeProofs`, takes a batch's number and a type of
/// enclave or null, and returns a list of TeeProof.
#[utoipa::path(
    post, path = "/", operation_id = "json_rpc", tag = "proofs", security((), ("reader" = [])),
    request_body(content = Object, example = json!({
        "jsonrpc": "2.0", "id": 1, "method": "unstable_getTeeProofs", "params": [1, null]
    })),
    responses((status = 200, body = RpcAnswer), (status = 204, description = "the request had only notifications"))
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    Extension(asking): Extension<Asking>,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let mut answers = Answers { text: String::new(), keys: HashSet::new(), room: asking.room() };
    match serde_json::from_slice(&body) {
        Err(_) => answers.push(Value::Null, Err(RpcError::PARSE))?,
        Ok(Value::Array(calls)) if calls.is_empty() => answers.push(Value::Null, Err(RpcError::INVALID_REQUEST))?,
        Ok(Value::Array(calls)) if calls.len() > MAX_CALLS => {
            answers.push(Value::Null, Err(RpcError::BATCH_TOO_LARGE))?;
        }
        Ok(Value::Array(calls)) => {
            // The first call was counted as the request.
            asking.count(u32::try_from(calls.len()).unwrap_or(u32::MAX).saturating_sub(1))?;
            for call in calls {
                answers.answer(&service, call).await?;
            }
            if !answers.text.is_empty() {
                answers.text.insert(0, '[');
                answers.text.push(']');
            }
        }
        Ok(call) => answers.answer(&service, call).await?,
    }
    // Notifications are not answered.
    if answers.text.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let answer = [(CONTENT_TYPE, "application/json")].into_response();
    Ok(answers.room.fill(answer, answers.text.into()))
}

/// Collects JSON answers, separated by commas.
struct Answers {
    text: String,
    /// The keys whose collateral was included already.
    keys: HashSet<Vec<u8>>,
    room: HeldRoom,
}

#[derive(Deserialize)]
struct Call {
    jsonrpc: String,
    method: String,
    #[serde(default)]
    params: Value,
}

#[derive(Serialize, ToSchema)]
struct RpcAnswer {
    #[schema(example = "2.0")]
    jsonrpc: &'static str,
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Vec<TeeProof>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
struct RpcError {
    code: i32,
    message: &'static str,
}

/// Codes of the specification. -32010 and -32011 are those of zksync-era's node (jsonrpsee).
impl RpcError {
    const PARSE: Self = Self { code: -32700, message: "Parse error" };
    const INVALID_REQUEST: Self = Self { code: -32600, message: "Invalid request" };
    const METHOD_NOT_FOUND: Self = Self { code: -32601, message: "Method not found" };
    const INVALID_PARAMS: Self =
        Self { code: -32602, message: "Invalid params: a batch number, then none, sgx, tdx or null" };
    const INTERNAL: Self = Self { code: -32603, message: "Internal error" };
    const BATCH_TOO_LARGE: Self = Self { code: -32010, message: "The batch request is too large: at most 100 calls" };
    const ANSWER_TOO_LARGE: Self = Self { code: -32011, message: "The answer is too large: ask for fewer batches" };
}

impl Answers {
    async fn answer(&mut self, service: &Service, call: Value) -> Result<(), Problem> {
        let id = call.get("id").cloned();
        if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) || !call.is_object() {
            return self.push(Value::Null, Err(RpcError::INVALID_REQUEST));
        }
        let Some(call) = serde_json::from_value(call).ok().filter(|call: &Call| call.jsonrpc == "2.0") else {
            return self.push(id.unwrap_or_default(), Err(RpcError::INVALID_REQUEST));
        };
        let Some(id) = id else { return Ok(()) };
        let full = self.text.len() > MAX_RESULT_BYTES;
        let mut result = if full { Err(RpcError::ANSWER_TOO_LARGE) } else { run(service, call).await };
        // The collateral is large, and the same in all of a key's proofs.
        for proof in result.iter_mut().flatten().filter(|proof| proof.collateral.is_some()) {
            if !self.keys.insert(proof.pubkey.clone().unwrap_or_default()) {
                proof.collateral = None;
            }
        }
        self.push(id, result)
    }

    fn push(&mut self, id: Value, result: Result<Vec<TeeProof>, RpcError>) -> Result<(), Problem> {
        let (result, error) = result.map_or_else(|error| (None, Some(error)), |result| (Some(result), None));
        let answer = RpcAnswer { jsonrpc: "2.0", id, result, error };
        let answer = serde_json::to_string(&answer).expect("its parts are JSON");
        self.room.enlarge(answer.len())?;
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&answer);
        Ok(())
    }
}

async fn run(service: &Service, call: Call) -> Result<Vec<TeeProof>, RpcError> {
    if call.method != TEE_PROOFS_METHOD {
        return Err(RpcError::METHOD_NOT_FOUND);
    }
    let (number, tee_type) = params(call.params).ok_or(RpcError::INVALID_PARAMS)?;
    let published = service.published_proofs(number, tee_type).await.map_err(|error| {
        tracing::error!(%error, "proofs cannot be read");
        RpcError::INTERNAL
    })?;
    Ok(published.into_iter().map(|proof| tee_proof(number, proof)).collect())
}

/// `[batch]` or `[batch, tee_type or null]`.
fn params(params: Value) -> Option<(u32, Option<TeeType>)> {
    let Value::Array(mut params) = params else { return None };
    if !(1..=2).contains(&params.len()) {
        return None;
    }
    params.resize(2, Value::Null);
    serde_json::from_value(Value::Array(params)).ok()
}

pub(in crate::http) fn tee_proof(number: u32, published: PublishedProof) -> TeeProof {
    let PublishedProof { tee_type, status, at_ms, signed } = published;
    let mut proof = TeeProof {
        l1_batch_number: number,
        tee_type: Some(tee_type),
        pubkey: None,
        signature: None,
        proof: None,
        proved_at: rfc3339(at_ms),
        status: status.into(),
        attestation: None,
        statement: None,
        standing: None,
        verdict: None,
        judged_at: None,
        collateral: None,
        revoked_at: None,
        disagrees_with: None,
    };
    if let Some(signed) = signed {
        proof.pubkey = Some(signed.pubkey);
        proof.signature = Some(signed.signature);
        proof.proof = Some(signed.root);
        proof.attestation = Some(signed.quote);
        proof.statement = signed.statement.and_then(|statement| serde_json::from_str(&statement).ok());
        proof.standing = Some(signed.standing.into());
        proof.verdict = Some(signed.standing.verdict(signed.standing_reason.as_deref()));
        proof.judged_at = signed.judged_at_ms.map(rfc3339);
        proof.collateral = signed.collateral.and_then(|collateral| serde_json::from_slice(&collateral).ok());
        proof.revoked_at = signed.revoked_at_ms.map(rfc3339);
        proof.disagrees_with = signed.accepted_root;
    }
    proof
}
