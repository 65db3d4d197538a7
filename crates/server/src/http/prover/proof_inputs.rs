//! `POST /tee/proof_inputs`: hands out a batch under a lease. With `?wait_secs=` it waits for one.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_LENGTH},
    response::{IntoResponse, Response},
};
use tee_api::{LEASE_EXPIRES_IN_HEADER, LEASE_ID_HEADER, ProofInputsRequest};

use super::input_answer::{answer, wanted_form};
use crate::{
    database::{Prover, ProverName},
    http::{
        App, Problem,
        request::{JsonBody, user_agent},
    },
};

/// The longest wait, in seconds. Longer waits are cut to this: it is below the time-outs of clients and proxies.
const MAX_WAIT_SECS: u64 = 25;

/// Hands out a batch under a lease: first one that others left unfinished, otherwise the lowest that is ready. The
/// headers are Tee-Lease-Id and Tee-Lease-Expires-In (seconds).
#[utoipa::path(
    post, path = "/tee/proof_inputs", operation_id = "proof_inputs", tag = "prover", security(("prover" = [])),
    request_body = ProofInputsRequest,
    responses(
        (status = 200, content((Object = "application/json"), (Vec<u8> = "application/cbor"))),
        (status = 204, description = "there is nothing to prove"), (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn handle(
    State(App { service, limits, .. }): State<App>,
    Extension(name): Extension<ProverName>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonBody(ProofInputsRequest { tee_type }): JsonBody<ProofInputsRequest>,
) -> Result<Response, Problem> {
    let form = wanted_form(&headers);
    let prover = Prover { name, user_agent: user_agent(&headers) };
    // Half of the limit, so that the answer "no batch" still comes in time.
    let wait = wait(query.as_deref())?.min(limits.request_timeout() / 2);
    let handed_out = service.hand_out(tee_type, &prover, form, wait).await?;
    let Some(handed_out) = handed_out else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    service.metrics.batches_handed_out[&tee_type.into()].inc();
    let response = answer(&headers, form, handed_out.input, handed_out.input_bytes);
    let lease = HeaderValue::try_from(handed_out.lease.lease.as_str()).map_err(Problem::internal)?;
    let length = response.headers().contains_key(CONTENT_LENGTH).then_some(handed_out.input_bytes);
    let mut response =
        response.map(|body| Body::from_stream(handed_out.lease.until_sent(body.into_data_stream(), length)));
    response.headers_mut().insert(LEASE_ID_HEADER, lease);
    response.headers_mut().insert(LEASE_EXPIRES_IN_HEADER, service.lease_secs().into());
    Ok(response)
}

fn wait(query: Option<&str>) -> Result<Duration, Problem> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, secs)) = pairs.find(|(name, _)| *name == "wait_secs") else { return Ok(Duration::ZERO) };
    let secs: u64 = secs.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed_query", "wait_secs: must be a whole number of seconds")
    })?;
    Ok(Duration::from_secs(secs.min(MAX_WAIT_SECS)))
}
