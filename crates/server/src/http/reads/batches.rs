//! `GET /api/batches`.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tee_api::Page;
use utoipa::{IntoParams, ToSchema};

use super::{Limit, hex_of, parsed};
use crate::{
    clock::rfc3339,
    http::{Problem, request::QueryParameters},
    service::Service,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BatchesQuery {
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// A batch, without its input.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchEntry {
    /// The batch's number.
    batch: u32,
    /// The size of the input in JSON, compressed, in bytes.
    json_bytes: u64,
    /// The size of the input in CBOR, compressed, in bytes.
    cbor_bytes: u64,
    /// The root before the batch, in hex.
    previous_root: Option<String>,
    /// The root after the batch, where it is known, in hex.
    expected_root: Option<String>,
    /// When the chain sealed it.
    #[schema(format = DateTime)]
    sealed_at: Option<String>,
    /// Where it came from.
    source: String,
    /// When it arrived.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Batches by number.
#[utoipa::path(
    get, path = "/api/batches", operation_id = "list_batches", tag = "reads", params(BatchesQuery), security(("reader" = [])),
    responses((status = 200, body = Page<BatchEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<BatchesQuery>,
) -> Result<Json<Page<BatchEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let rows = service.batches(parsed(query.after)?, limit.rows()).await?;
    Ok(limit.page(
        rows,
        |row| row.number.to_string(),
        |row| BatchEntry {
            batch: row.number,
            json_bytes: row.json_bytes,
            cbor_bytes: row.cbor_bytes,
            previous_root: row.previous_root.map(hex_of),
            expected_root: row.expected_root.map(hex_of),
            sealed_at: row.sealed_at_ms.map(rfc3339),
            source: row.source,
            created_at: rfc3339(row.created_at_ms),
        },
    ))
}
