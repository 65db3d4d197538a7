//! `GET /api/jobs`.

use axum::{Json, extract::State};
use serde::Deserialize;
use tee_api::{JobEntry, Page};
use utoipa::IntoParams;

use super::{JobKey, Limit, parsed};
use crate::{
    clock::rfc3339,
    database::{Job, JobFilter},
    http::{Problem, request::QueryParameters},
    service::Service,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    /// Only of this batch.
    batch: Option<u32>,
    /// Only of this type of enclave: none, sgx, tdx.
    tee_type: Option<String>,
    /// Only in this status.
    status: Option<String>,
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// Jobs by batch and type of enclave.
#[utoipa::path(
    get, path = "/api/jobs", operation_id = "list_jobs", tag = "reads", params(JobsQuery), security(("reader" = [])),
    responses((status = 200, body = Page<JobEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<JobsQuery>,
) -> Result<Json<Page<JobEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let filter = JobFilter { number: query.batch, tee_type: parsed(query.tee_type)?, status: parsed(query.status)? };
    let after = parsed(query.after)?.map(|JobKey { batch, tee_type }| (batch, tee_type));
    let rows = service.jobs(&filter, after, limit.rows()).await?;
    Ok(limit.page(rows, |job| JobKey { batch: job.number, tee_type: job.tee_type }.to_string(), entry))
}

pub(super) fn entry(job: Job) -> JobEntry {
    JobEntry {
        batch: job.number,
        tee_type: job.tee_type,
        status: job.status.into(),
        attempts: job.attempts,
        lease_expires_at: job.lease_expires_at_ms.map(rfc3339),
        prover_taken_at: job.prover_taken_at_ms.map(rfc3339),
        error_kind: job.error_kind,
        error: job.error,
        created_at: rfc3339(job.created_at_ms),
        updated_at: rfc3339(job.updated_at_ms),
    }
}
