//! Whether a key may be believed. One that signs many batches is judged once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tee_api::{PublicKey, TeeProof};
use tee_attestation::{
    Case, Collateral, CollateralCache, CollateralError, Key, Policy, SourceError, Tee, TrustedRoot, judge,
};
use tee_verifier::{H256, keccak256};
use thiserror::Error;

use super::args::AsOf;
use crate::quote::{now_secs, time};

/// The most verdicts that are kept. Provers have a key each; whoever has more keys than this only wastes his own time.
const MAX_KEPT: usize = 4096;
/// How far another's clock may be ahead.
const CLOCK_TOLERANCE_SECS: u64 = 300;

/// Judges quotes.
pub(super) struct Attestations {
    pub(super) policy: Policy,
    pub(super) root: TrustedRoot,
    pub(super) as_of: AsOf,
    /// Instead of what the publisher has archived.
    pub(super) source: Option<CollateralCache>,
    pub(super) kept: Mutex<HashMap<H256, Judged>>,
}

/// What became of a key.
pub(super) type Judged = Result<Tee, Arc<AttestationError>>;

/// Why a key may not be believed.
#[derive(Debug, Error)]
pub(super) enum AttestationError {
    #[error("the publisher says it judged the quote at {0:?}, which is no time in the past")]
    JudgedAt(String),
    #[error("the publisher has no collateral archived: --collateral tells where else there is some")]
    NoCollateral,
    #[error("archived {0}")]
    Collateral(#[from] CollateralError),
    #[error("collateral: {0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Refused(String),
}

impl Attestations {
    /// Whether the quote beside a proof attests the key, and for which kind of environment.
    pub(super) async fn judge(&self, quote: &[u8], key: &PublicKey, proof: &TeeProof) -> Judged {
        let archived = proof.collateral.as_ref().map(|collateral| collateral.to_string()).unwrap_or_default();
        let judged_at = proof.judged_at.as_deref().unwrap_or_default();
        let hashes = [quote, archived.as_bytes(), judged_at.as_bytes(), &key.to_bytes()].map(keccak256);
        let case = H256(keccak256(hashes.as_flattened()));
        if let Some(judged) = self.kept().get(&case) {
            return judged.clone();
        }
        let judged = self.judge_anew(quote, key, judged_at, &archived).await.map_err(Arc::new);
        if matches!(&judged, Err(error) if matches!(**error, AttestationError::Source(_))) {
            // A service that is away may come back.
            return judged;
        }
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(case, judged.clone());
        judged
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<H256, Judged>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn judge_anew(
        &self,
        quote: &[u8],
        key: &PublicKey,
        judged_at: &str,
        archived: &str,
    ) -> Result<Tee, AttestationError> {
        let now = now_secs();
        let at_secs = match self.as_of {
            AsOf::At(secs) => secs,
            AsOf::Registration if !judged_at.is_empty() => time(judged_at)
                .ok()
                .filter(|judged| *judged <= now.saturating_add(CLOCK_TOLERANCE_SECS))
                .ok_or_else(|| AttestationError::JudgedAt(judged_at.chars().take(40).collect()))?,
            AsOf::Registration | AsOf::Today => now,
        };
        let collateral = match &self.source {
            Some(source) => source.collateral(quote, at_secs).await?,
            None if archived.is_empty() => return Err(AttestationError::NoCollateral),
            None => Arc::new(Collateral::from_json(archived.as_bytes())?),
        };
        let verdict = judge(&Case {
            quote,
            collateral: &collateral,
            root: &self.root,
            policy: &self.policy,
            key: Some(Key { public_key: key.to_bytes(), address: key.address().0 }),
            at_secs,
        });
        let attested = verdict.attested_key().filter(|attested| attested.is(&key.to_bytes(), &key.address().0));
        attested.map(|attested| attested.tee()).ok_or_else(|| AttestationError::Refused(verdict.refusal()))
    }
}
