//! `GET /api/attestations`.

use axum::{Json, extract::State};
use serde::Deserialize;
use tee_api::{AttestationEntry, Page, PublicKey};
use utoipa::IntoParams;

use super::{Limit, parsed};
use crate::{
    clock::rfc3339,
    http::{Problem, request::QueryParameters},
    service::Service,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttestationsQuery {
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// Registered keys, by key.
#[utoipa::path(
    get, path = "/api/attestations", operation_id = "list_attestations", tag = "reads", params(AttestationsQuery), security(("reader" = [])),
    responses((status = 200, body = Page<AttestationEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<AttestationsQuery>,
) -> Result<Json<Page<AttestationEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let after: Option<PublicKey> = parsed(query.after)?;
    let rows = service.attestations(after.as_ref(), limit.rows()).await?;
    Ok(limit.page(
        rows,
        |row| row.pubkey.to_string(),
        |row| AttestationEntry {
            pubkey: row.pubkey,
            tee_type: row.tee_type,
            quote: hex::encode(row.quote),
            verdict: row.standing.verdict(row.standing_reason.as_deref()),
            standing: Some(row.standing.into()),
            standing_reason: row.standing_reason,
            tcb_status: row.tcb_status,
            advisories: row.advisories,
            registered_at: rfc3339(row.registered_at_ms),
            judged_at: row.judged_at_ms.map(rfc3339),
            revoked_at: row.revoked_at_ms.map(rfc3339),
            user_agent: row.user_agent,
        },
    ))
}
