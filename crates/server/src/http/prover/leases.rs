//! `/tee/leases/{lease}`: a prover's reports about the batch that it holds.

use axum::{Json, extract::State, http::HeaderName, response::IntoResponse};
use tee_api::{FailReport, LEASE_EXPIRES_IN_HEADER, LEASE_ID_HEADER, LeaseId};

use crate::{
    database::{JobFailure, ReportedFailure},
    http::{
        Problem,
        request::{JsonBody, PathParameter},
        success,
    },
    service::Service,
};

/// Renews a lease, up to the longest time that a prover may have one batch: Tee-Lease-Expires-In says how long it
/// lasts.
#[utoipa::path(
    post, path = "/tee/leases/{lease}/renew", operation_id = "renew_lease", tag = "prover", security(("prover" = [])),
    params(("lease" = String, Path)),
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 409, description = "the lease is not current", body = crate::http::problem::ProblemBody), (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn renew(
    State(service): State<Service>,
    PathParameter(lease): PathParameter<LeaseId>,
) -> Result<impl IntoResponse, Problem> {
    let expires_in = service.renew_lease(&lease).await?.ok_or_else(Problem::stale_lease)?;
    let headers = [
        (HeaderName::from_static(LEASE_ID_HEADER), lease.to_string()),
        (HeaderName::from_static(LEASE_EXPIRES_IN_HEADER), expires_in.as_secs().to_string()),
    ];
    Ok((headers, success()))
}

/// Ends a lease: its batch cannot be proven.
#[utoipa::path(
    post, path = "/tee/leases/{lease}/fail", operation_id = "fail_lease", tag = "prover", security(("prover" = [])),
    params(("lease" = String, Path)), request_body = FailReport,
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 409, description = "the lease is not current", body = crate::http::problem::ProblemBody), (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn fail(
    State(service): State<Service>,
    PathParameter(lease): PathParameter<LeaseId>,
    JsonBody(report): JsonBody<FailReport>,
) -> Result<Json<&'static str>, Problem> {
    let failure = JobFailure { kind: report.kind(), error: report.error() };
    let (kind, error) = (report.kind(), report.error());
    match service.fail_lease(&lease, failure).await? {
        ReportedFailure::StaleLease => return Err(Problem::stale_lease()),
        ReportedFailure::Failed => tracing::warn!(kind, error, "a prover cannot prove a batch"),
        ReportedFailure::AwaitsCompletion => {
            tracing::info!(kind, error, "the batch's input lacks paths and will be completed")
        }
    }
    Ok(success())
}

/// Ends a lease: another prover may have its batch.
#[utoipa::path(
    delete, path = "/tee/leases/{lease}", operation_id = "give_back_lease", tag = "prover", security(("prover" = [])),
    params(("lease" = String, Path)),
    responses(
        (status = 200, body = String, example = "Success"),
        (status = 409, description = "the lease is not current", body = crate::http::problem::ProblemBody), (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn give_back(
    State(service): State<Service>,
    PathParameter(lease): PathParameter<LeaseId>,
) -> Result<Json<&'static str>, Problem> {
    current(service.give_back_lease(&lease).await?)?;
    tracing::info!("a prover gave back a batch");
    Ok(success())
}

fn current(lease_is_current: bool) -> Result<(), Problem> {
    if lease_is_current { Ok(()) } else { Err(Problem::stale_lease()) }
}
