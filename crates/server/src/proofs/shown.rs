//! A proof that somebody shows, from here or from elsewhere, judged for people.

use std::sync::Arc;

use tee_api::{KeyStanding, Quote, TeeProof};
use tee_attestation::{Collateral, Verdict};
use tee_checker::{AttestationError, Batch, Checked, Entry, Judged, check_judged, key_of, quote_of};
use thiserror::Error;

use crate::{clock::rfc3339, database::AttestationEntry, keys::NoVerdict, service::Service};

/// A proof, and what this server knows about it.
pub(crate) struct JudgedProof {
    pub(crate) number: u32,
    pub(crate) checked: Checked,
    /// The verdict on its quote.
    pub(crate) verdict: Option<Verdict>,
    /// Its key, if it is registered here.
    pub(crate) key: Option<AttestationEntry>,
}

/// Why a proof was not judged.
#[derive(Debug, Error)]
pub(crate) enum NotJudged {
    #[error(transparent)]
    Quote(#[from] NoVerdict),
    #[error("database")]
    Database(#[from] sqlx::Error),
}

/// Judges a proof as everybody who checks published proofs does, by this server's policy and pins:
///
/// 1. its quote is judged now, with the key that the proof names;
/// 2. its key is looked up: one that was revoked here does not count;
/// 3. its signatures, its statement and its root are checked; the root is compared with the one that came with the
///    batch.
pub(super) async fn judge(service: &Service, mut proof: TeeProof) -> Result<Option<JudgedProof>, NotJudged> {
    let number = proof.l1_batch_number;
    let pubkey = key_of(&proof).ok();
    let quote = quote_of(&proof).ok().and_then(|quote| Quote::new(quote.to_vec()).ok());
    let verdict = match quote {
        Some(quote) => {
            let shown = proof.collateral.take();
            let shown = shown.and_then(|collateral| serde_json::from_value::<Collateral>(collateral).ok());
            service.verdict_on(quote, pubkey, shown).await?
        }
        None => None,
    };
    let judged: Option<Judged> = verdict.as_ref().map(|verdict| {
        let refused = || Arc::new(AttestationError::Refused(verdict.refusal()));
        verdict.attested_key().map(|attested| attested.tee()).ok_or_else(refused)
    });
    let key = match &pubkey {
        Some(pubkey) => service.attestations_of(&[*pubkey]).await?.pop(),
        None => None,
    };
    if let Some(key) = key.as_ref().filter(|key| key.standing == KeyStanding::Revoked) {
        // There is always a time, whatever the proof and the database say: without one the key would count.
        proof.revoked_at = Some(key.revoked_at_ms.map_or_else(|| "an unknown time".to_owned(), rfc3339));
    }
    let batch = service.batches(number.checked_sub(1), 1).await?.into_iter().find(|batch| batch.number == number);
    let batch = Batch { number, expected_root: batch.and_then(|batch| batch.expected_root), pins: &service.pins };
    Ok(match check_judged(&proof, &batch, judged) {
        Entry::Proof(checked) => Some(JudgedProof { number, checked: *checked, verdict, key }),
        Entry::Job(_) => None,
    })
}
