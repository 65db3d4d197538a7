//! `GET /api/disagreements`.

use axum::{Json, extract::State};
use serde::Deserialize;
use tee_api::{DisagreementEntry, Page};
use utoipa::IntoParams;

use super::{JobKey, Limit, ProofKey, hex_of, parsed};
use crate::{
    clock::rfc3339,
    http::{Problem, request::QueryParameters},
    service::Service,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DisagreementsQuery {
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// Proofs that contradict what is accepted or known, by batch, type of enclave and key.
#[utoipa::path(
    get, path = "/api/disagreements", operation_id = "list_disagreements", tag = "reads", params(DisagreementsQuery), security(("reader" = [])),
    responses((status = 200, body = Page<DisagreementEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<DisagreementsQuery>,
) -> Result<Json<Page<DisagreementEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let after =
        parsed(query.after)?.map(|ProofKey { job: JobKey { batch, tee_type }, pubkey }| (batch, tee_type, pubkey));
    let rows = service.disagreements_after(after, limit.rows()).await?;
    Ok(limit.page(
        rows,
        |row| ProofKey::of(row).to_string(),
        |row| DisagreementEntry {
            batch: row.number,
            tee_type: row.tee_type,
            pubkey: row.pubkey,
            signature: hex::encode(row.signature.to_bytes()),
            root: hex_of(row.root),
            accepted_root: hex_of(row.accepted_root),
            is_accepted: row.is_accepted,
            received_at: rfc3339(row.received_at_ms),
            resolved_at: row.resolved_at_ms.map(rfc3339),
            resolution: row.resolution,
        },
    ))
}
