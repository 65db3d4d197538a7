//! The HTTP API: one file an endpoint.

mod health;
mod input_answer;
mod json_rpc;
mod leases;
mod present_batches;
mod proof_inputs;
mod proof_inputs_no_lock;
mod register_attestation;
mod request;
mod submit_proofs;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{delete, get, post},
};
use tee_api::SUCCESS;
use tower_http::timeout::TimeoutLayer;

use crate::{Store, problem::Problem};

/// How long a request may take to arrive and to be answered, the answer's transfer not included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// All endpoints.
pub(crate) fn router(store: Store, max_body_bytes: usize) -> Router {
    Router::new()
        .route("/tee/proof_inputs", post(proof_inputs::handle))
        .route("/tee/proof_inputs_no_lock/{batch}", get(proof_inputs_no_lock::handle))
        .route("/tee/submit_proofs/{batch}", post(submit_proofs::handle))
        .route("/tee/register_attestation", post(register_attestation::handle))
        .route("/tee/present_batches", get(present_batches::handle))
        .route("/tee/leases/{lease}/renew", post(leases::renew))
        .route("/tee/leases/{lease}/fail", post(leases::fail))
        .route("/tee/leases/{lease}", delete(leases::give_back))
        .route("/", post(json_rpc::handle))
        .route("/health", get(health::handle))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this method is not for this path")
        })
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .with_state(store)
}

/// zksync-era's answer to what went well.
fn success() -> Json<&'static str> {
    Json(SUCCESS)
}
