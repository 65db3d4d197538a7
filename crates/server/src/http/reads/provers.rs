//! `GET /api/provers`.

use std::{fmt::Display, str::FromStr};

use axum::{Json, extract::State};
use serde::Deserialize;
use tee_api::{Page, ProverEntry, TeeType};
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
pub(crate) struct ProversQuery {
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// The provers that asked for work within the last 30 days, by type of enclave and name, with those that are paused
/// because they only fail.
#[utoipa::path(
    get, path = "/api/provers", operation_id = "list_provers", tag = "reads", params(ProversQuery), security(("reader" = [])),
    responses((status = 200, body = Page<ProverEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<ProversQuery>,
) -> Result<Json<Page<ProverEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let after: Option<ProverKey> = parsed(query.after)?;
    let after = after.as_ref().map(|after| (after.tee_type, after.name.as_str()));
    let rows = service.provers(after, limit.rows()).await?;
    let now_ms = service.clock.now_ms();
    let key =
        |row: &crate::database::ProverEntry| ProverKey { tee_type: row.tee_type, name: row.name.clone() }.to_string();
    Ok(limit.page(rows, key, |row| ProverEntry {
        prover: row.name,
        tee_type: row.tee_type,
        asked_at: rfc3339(row.asked_at_ms),
        leases: row.leases,
        failures_in_a_row: row.failures_in_a_row,
        paused_until: (row.paused_until_ms > now_ms).then(|| rfc3339(row.paused_until_ms)),
        last_error_kind: row.last_error_kind,
        user_agent: row.user_agent,
    }))
}

/// Where a page starts.
struct ProverKey {
    tee_type: TeeType,
    name: String,
}

impl FromStr for ProverKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text
            .split_once('-')
            .and_then(|(tee_type, name)| Some(Self { tee_type: tee_type.parse().ok()?, name: name.to_owned() }));
        key.ok_or("after: must be the `next` of an earlier page")
    }
}

impl Display for ProverKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.tee_type, self.name)
    }
}
