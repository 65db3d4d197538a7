//! `GET /api/proofs`.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tee_api::{Page, PublicKey, TeeType};
use utoipa::{IntoParams, ToSchema};

use super::{JobKey, Limit, ProofKey, hex_of, parsed};
use crate::{
    clock::rfc3339,
    database::{Proof, ProofFilter},
    http::{Problem, request::QueryParameters},
    service::Service,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProofsQuery {
    /// Only of this batch.
    batch: Option<u32>,
    /// Only of this type of enclave: sgx, tdx.
    tee_type: Option<String>,
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// An accepted proof.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProofEntry {
    /// The batch's number.
    batch: u32,
    /// The enclave's type.
    tee_type: TeeType,
    /// The key that signed, in hex.
    #[schema(value_type = String)]
    pubkey: PublicKey,
    /// The signature of the root, 64 or 65 bytes in hex.
    signature: String,
    /// The root after the batch, in hex.
    root: String,
    /// The signed statement, from provers that make one.
    #[schema(value_type = Option<Object>)]
    statement: Option<Value>,
    /// When it arrived.
    #[schema(format = DateTime)]
    received_at: String,
}

/// Accepted proofs by batch, type of enclave and key.
#[utoipa::path(
    get, path = "/api/proofs", operation_id = "list_proofs", tag = "reads", params(ProofsQuery), security(("reader" = [])),
    responses((status = 200, body = Page<ProofEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<ProofsQuery>,
) -> Result<Json<Page<ProofEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let filter = ProofFilter { number: query.batch, tee_type: parsed(query.tee_type)? };
    let after =
        parsed(query.after)?.map(|ProofKey { job: JobKey { batch, tee_type }, pubkey }| (batch, tee_type, pubkey));
    let rows = service.proofs(&filter, after, limit.rows()).await?;
    Ok(limit.page(
        rows,
        |proof| key(proof).to_string(),
        |proof| ProofEntry {
            batch: proof.number,
            tee_type: proof.tee_type,
            pubkey: proof.pubkey,
            signature: hex::encode(proof.signature.to_bytes()),
            root: hex_of(proof.root),
            statement: proof.statement.and_then(|statement| serde_json::from_str(&statement).ok()),
            received_at: rfc3339(proof.received_at_ms),
        },
    ))
}

fn key(proof: &Proof) -> ProofKey {
    ProofKey { job: JobKey { batch: proof.number, tee_type: proof.tee_type }, pubkey: proof.pubkey }
}
