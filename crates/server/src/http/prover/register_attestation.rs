//! `POST /tee/register_attestation`: takes a key with the quote that names it.

use axum::{Json, extract::State, http::StatusCode};
use tee_api::{RegisterAttestation, TeeType};
use tee_attestation::{Quote, Tee};

use crate::{
    database::NewAttestation,
    http::{Problem, request::JsonBody, success},
    keys::{JudgeError, secs},
    service::Service,
};

/// Registers a key. Its quote must name it and be accepted by the server's policy; the answer says which rules it breaks.
#[utoipa::path(
    post, path = "/tee/register_attestation", operation_id = "register_attestation", tag = "prover",
    security(("prover" = [])), request_body = RegisterAttestation,
    responses((status = 200, body = String, example = "Success"), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    JsonBody(RegisterAttestation { attestation, pubkey }): JsonBody<RegisterAttestation>,
) -> Result<Json<&'static str>, Problem> {
    let refuse = |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    let quote = Quote::parse(attestation.as_bytes()).map_err(|error| refuse("malformed_quote", error.to_string()))?;
    let attestation = canonical(&attestation);
    let report_data = quote.report_data().map_err(|error| refuse("malformed_report_data", error.to_string()))?;
    if !report_data.names(&pubkey.to_bytes(), &pubkey.address().0) {
        return Err(refuse("quote_of_another_key", "the quote's report data does not name the key".to_owned()));
    }
    let tee_type = match quote.tee() {
        Tee::Sgx => TeeType::Sgx,
        Tee::Tdx => TeeType::Tdx,
    };
    let now_ms = service.clock.now_ms();
    let judged = match &service.attestor {
        None => None,
        Some(attestor) => match attestor.judge(&attestation, &pubkey, false, secs(now_ms)).await {
            Ok(judged) if judged.verdict.passed() => Some(judged),
            Ok(judged) => {
                let refusal = judged.verdict.refusal();
                tracing::warn!(%pubkey, refusal, "quote refused");
                return Err(refuse("quote_refused", refusal));
            }
            Err(JudgeError::Policy(refusal)) => {
                tracing::warn!(%pubkey, refusal, "quote refused");
                return Err(refuse("quote_refused", refusal));
            }
            Err(error @ JudgeError::Quote(_)) => return Err(refuse("malformed_quote", error.to_string())),
            Err(error @ JudgeError::NoCollateral(_)) => {
                tracing::error!(%error, "no collateral");
                let detail = "there is no collateral to judge the quote with; the server's log says why";
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_collateral", detail));
            }
        },
    };
    let signed_bytes = quote.signed_bytes();
    let new = NewAttestation { pubkey: &pubkey, quote: &attestation, signed_bytes, tee_type, judged: judged.as_ref() };
    service.database.register(&new, now_ms).await?;
    if let Some(attestor) = &service.attestor {
        service.save_good_collateral(attestor).await;
    }
    if service.database.is_revoked(&pubkey).await? == Some(true) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "revoked_key", "the key was revoked"));
    }
    tracing::info!(%pubkey, %tee_type, "key registered");
    Ok(success())
}

/// The quote's own bytes: what anybody may add is neither judged nor kept.
fn canonical(attestation: &tee_api::Quote) -> tee_api::Quote {
    let canonical = Quote::canonical(attestation.as_bytes()).ok().and_then(|bytes| tee_api::Quote::new(bytes).ok());
    canonical.unwrap_or_else(|| attestation.clone())
}
