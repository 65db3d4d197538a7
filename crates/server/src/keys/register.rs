//! Registering a key, which may sign from then on.

use tee_api::{PublicKey, RegisterAttestation, TeeType, UserAgent};
use tee_attestation::{Quote, QuoteError, ReportDataError, Tee};
use thiserror::Error;

use super::{
    Attestor,
    judge::{JudgeError, secs},
    standing::save_good_collateral,
};
use crate::{
    database::{Judged, NewAttestation},
    service::Service,
};

/// Why a key was not registered.
#[derive(Debug, Error)]
pub(crate) enum RefusedKey {
    #[error(transparent)]
    MalformedQuote(#[from] QuoteError),
    #[error(transparent)]
    MalformedReportData(#[from] ReportDataError),
    #[error("the quote's report data does not name the key")]
    QuoteOfAnotherKey,
    /// The rules of the policy that the quote breaks.
    #[error("{0}")]
    QuoteRefused(String),
    /// The quote does not say which collateral it needs.
    #[error("{0}")]
    UnknownPlatform(String),
    #[error("the server has no collateral to judge the quote with; its log has the cause")]
    NoCollateral,
    #[error("the key was revoked")]
    RevokedKey,
    #[error("database")]
    Database(#[from] sqlx::Error),
}

/// Registers a key:
///
/// 1. the quote has a known form; bytes after the quote are neither judged nor stored;
/// 2. its report data names the key: an enclave vouches only for its own key;
/// 3. the policy accepts it, under collateral that is good now (unless the server judges no quotes);
/// 4. the key is stored. A key that may sign keeps the quote that it has, and a key that somebody revoked stays revoked;
/// 5. the key may sign: somebody may have revoked it, before or just now.
pub(super) async fn register(
    service: &Service,
    request: &RegisterAttestation,
    user_agent: Option<&UserAgent>,
) -> Result<(), RefusedKey> {
    let RegisterAttestation { attestation, pubkey } = request;
    let quote = Quote::parse(attestation.as_bytes())?;
    let attestation = canonical(attestation);
    if !quote.report_data()?.names(&pubkey.to_bytes(), &pubkey.address().0) {
        return Err(RefusedKey::QuoteOfAnotherKey);
    }
    let now_ms = service.clock.now_ms();
    let judged = match &service.attestor {
        None => None,
        Some(attestor) => Some(accepted(attestor, &attestation, pubkey, secs(now_ms)).await?),
    };
    let tee_type = match quote.tee() {
        Tee::Sgx => TeeType::Sgx,
        Tee::Tdx => TeeType::Tdx,
    };
    let signed_bytes = quote.signed_bytes();
    let judged = judged.as_ref();
    let new = NewAttestation { pubkey, quote: &attestation, signed_bytes, tee_type, judged, user_agent };
    service.database.register(&new, now_ms).await?;
    if let Some(attestor) = &service.attestor {
        save_good_collateral(service, attestor).await;
    }
    if service.database.is_revoked(pubkey).await? == Some(true) {
        return Err(RefusedKey::RevokedKey);
    }
    tracing::info!(%pubkey, %tee_type, user_agent = user_agent.map(UserAgent::as_str), "registered a key");
    Ok(())
}

/// Judges the quote. Returns only good verdicts.
async fn accepted(
    attestor: &Attestor,
    quote: &tee_api::Quote,
    pubkey: &PublicKey,
    now_secs: u64,
) -> Result<Judged, RefusedKey> {
    let refusal = match attestor.judge(quote, pubkey, false, now_secs).await {
        Ok(judged) if judged.verdict.passed() => return Ok(judged),
        Ok(judged) => judged.verdict.refusal(),
        Err(JudgeError::Policy(refusal)) => refusal,
        Err(JudgeError::Quote(reason)) => return Err(RefusedKey::UnknownPlatform(reason)),
        Err(error @ JudgeError::NoCollateral(_)) => {
            // Only the log says why: the reason may name the operator's machines.
            tracing::error!(%error, "cannot judge a quote");
            return Err(RefusedKey::NoCollateral);
        }
    };
    tracing::warn!(%pubkey, refusal, "refused a quote");
    Err(RefusedKey::QuoteRefused(refusal))
}

/// The quote without trailing bytes: what anybody may append is neither judged nor stored.
fn canonical(attestation: &tee_api::Quote) -> tee_api::Quote {
    let canonical = Quote::canonical(attestation.as_bytes()).ok().and_then(|bytes| tee_api::Quote::new(bytes).ok());
    canonical.unwrap_or_else(|| attestation.clone())
}
