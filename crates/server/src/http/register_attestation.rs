//! `POST /tee/register_attestation`: takes a key with the quote that names it.

use axum::{Json, extract::State, http::StatusCode};
use tee_api::{RegisterAttestation, TeeType};
use tee_attestation::{Quote, Tee};

use super::{request::JsonBody, success};
use crate::{Store, problem::Problem, storage::NewAttestation};

/// Registers a key. The quote must name it; whether the quote may be believed is not judged yet.
#[utoipa::path(
    post, path = "/tee/register_attestation", operation_id = "register_attestation", tag = "prover",
    security(("prover" = [])), request_body = RegisterAttestation,
    responses((status = 200, body = String, example = "Success"), (status = "4XX", body = crate::problem::ProblemBody))
)]
pub(super) async fn handle(
    State(store): State<Store>,
    JsonBody(RegisterAttestation { attestation, pubkey }): JsonBody<RegisterAttestation>,
) -> Result<Json<&'static str>, Problem> {
    let refuse = |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    let quote = Quote::parse(attestation.as_bytes()).map_err(|error| refuse("malformed_quote", error.to_string()))?;
    let report_data = quote.report_data().map_err(|error| refuse("malformed_report_data", error.to_string()))?;
    if !report_data.names(&pubkey.to_bytes(), &pubkey.address().0) {
        return Err(refuse("quote_of_another_key", "the quote's report data does not name the key".to_owned()));
    }
    let tee_type = match quote.tee() {
        Tee::Sgx => TeeType::Sgx,
        Tee::Tdx => TeeType::Tdx,
    };
    let new = NewAttestation { pubkey: &pubkey, quote: &attestation, tee_type };
    store.storage.register(&new, store.clock.now_ms()).await?;
    tracing::info!(%pubkey, %tee_type, "key registered");
    Ok(success())
}
