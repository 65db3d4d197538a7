//! `POST /tee/proof_inputs`: hands out a batch under a lease.

use std::io;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use tee_api::{LEASE_EXPIRES_IN_HEADER, LEASE_ID_HEADER, LeaseId, ProofInputsRequest};

use super::{
    input_answer::{answer, wanted_form},
    request::JsonBody,
};
use crate::{
    Store,
    inputs::{CorruptInput, OpenInputError},
    problem::Problem,
    random,
    storage::JobFailure,
};

pub(super) async fn handle(
    State(store): State<Store>,
    headers: HeaderMap,
    JsonBody(ProofInputsRequest { tee_type }): JsonBody<ProofInputsRequest>,
) -> Result<Response, Problem> {
    let form = wanted_form(&headers);
    // Every turn but the last takes a batch without input out of the queue: it must not block those behind it.
    loop {
        let lease = LeaseId::from(random::<16>());
        let now_ms = store.clock.now_ms();
        let Some(claim) = store.storage.claim(tee_type, &lease, now_ms, store.lease_end_ms(now_ms)).await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        let input = match store.inputs.open_blob(&claim.batch, form).await {
            Ok(input) => input,
            Err(error @ (OpenInputError::Missing | OpenInputError::Size { .. })) => {
                fail(&store, &lease, claim.number, &error.to_string()).await?;
                continue;
            }
            Err(error @ OpenInputError::Store(_)) => {
                store.storage.give_back_lease(&lease, now_ms).await?;
                return Err(Problem::internal(error));
            }
        };
        tracing::info!(batch = claim.number, %tee_type, %lease, "batch handed out");
        // A corrupt input shows when most of it has been sent. The answer breaks off there, and the prover asks again.
        let (on_corrupt, corrupt_lease) = (store.clone(), lease.clone());
        let input = input.or_else(move |error| {
            let (store, lease) = (on_corrupt.clone(), corrupt_lease.clone());
            async move {
                if error.get_ref().is_some_and(|inner| inner.is::<CorruptInput>()) {
                    fail(&store, &lease, claim.number, &error.to_string()).await.map_err(io::Error::other)?;
                }
                Err(error)
            }
        });
        let mut response = answer(&headers, form, input, form.blob(&claim.batch).bytes);
        let lease = HeaderValue::try_from(lease.as_str()).map_err(Problem::internal)?;
        response.headers_mut().insert(LEASE_ID_HEADER, lease);
        response.headers_mut().insert(LEASE_EXPIRES_IN_HEADER, store.lease_secs().into());
        return Ok(response);
    }
}

async fn fail(store: &Store, lease: &LeaseId, batch: u32, error: &str) -> Result<(), sqlx::Error> {
    tracing::error!(batch, error, "batch cannot be handed out");
    let failure = JobFailure { kind: "unreadable_input", error };
    store.storage.fail_lease(lease, failure, store.clock.now_ms()).await.map(drop)
}
