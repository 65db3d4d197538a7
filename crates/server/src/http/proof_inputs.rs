//! `POST /tee/proof_inputs`: hands out a batch under a lease. With `?wait_secs=` it waits for one.

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use tee_api::{LEASE_EXPIRES_IN_HEADER, LEASE_ID_HEADER, ProofInputsRequest};

use super::{
    input_answer::{answer, wanted_form},
    request::JsonBody,
};
use crate::{Store, problem::Problem};

/// The longest wait, in seconds. What asks for more waits this long: it stays below the time-outs of clients and proxies.
const MAX_WAIT_SECS: u64 = 25;

pub(super) async fn handle(
    State(store): State<Store>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonBody(ProofInputsRequest { tee_type }): JsonBody<ProofInputsRequest>,
) -> Result<Response, Problem> {
    let form = wanted_form(&headers);
    let wait = wait(query.as_deref())?;
    let handed_out = store.hand_out(tee_type, form, wait).await.map_err(Problem::internal)?;
    let Some(handed_out) = handed_out else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let mut response = answer(&headers, form, handed_out.input, handed_out.input_bytes);
    let lease = HeaderValue::try_from(handed_out.lease.as_str()).map_err(Problem::internal)?;
    response.headers_mut().insert(LEASE_ID_HEADER, lease);
    response.headers_mut().insert(LEASE_EXPIRES_IN_HEADER, store.lease_secs().into());
    Ok(response)
}

fn wait(query: Option<&str>) -> Result<Duration, Problem> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, secs)) = pairs.find(|(name, _)| *name == "wait_secs") else { return Ok(Duration::ZERO) };
    let secs: u64 = secs.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed_query", "wait_secs: not a whole number of seconds")
    })?;
    Ok(Duration::from_secs(secs.min(MAX_WAIT_SECS)))
}
