//! Decides whether to believe a key. A key that signs many batches is judged once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tee_api::{PublicKey, TeeProof};
use tee_attestation::{
    Case, Collateral, CollateralCache, CollateralError, Key, Policy, SourceError, Tee, TrustedRoot, judge,
};
use tee_verifier::{H256, keccak256};
use thiserror::Error;

/// The most verdicts that are kept. Each prover has one key; somebody with more keys than this only wastes their own time.
const MAX_KEPT: usize = 4096;
/// How far another clock may be ahead.
const CLOCK_TOLERANCE_SECS: u64 = 300;

/// The time at which a quote must be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// When the publisher judged it; now if the publisher does not say.
    Registration,
    /// Now.
    Today,
    /// At a time in Unix seconds.
    At(u64),
}

/// Judges quotes.
#[derive(Debug)]
pub struct Attestations {
    policy: Policy,
    root: TrustedRoot,
    as_of: AsOf,
    source: Option<CollateralCache>,
    kept: Mutex<HashMap<H256, Judged>>,
}

/// The result of judging a key.
pub type Judged = Result<Tee, Arc<AttestationError>>;

/// Why a key is not believed.
#[derive(Debug, Error)]
pub enum AttestationError {
    /// The time of the publisher's judgement is invalid or in the future.
    #[error("the publisher says that it judged the quote at {0:?}, which is not a time in the past")]
    JudgedAt(String),
    /// There is no collateral to judge with.
    #[error("the publisher has archived no collateral: name another source with --collateral")]
    NoCollateral,
    /// The publisher's archived collateral cannot be read.
    #[error("archived {0}")]
    Collateral(#[from] CollateralError),
    /// The source of collateral returns none.
    #[error("collateral: {0}")]
    Source(#[from] SourceError),
    /// Nobody judged its quote.
    #[error("its quote was not judged")]
    NotJudged,
    /// The rules of the policy that the quote breaks.
    #[error("{0}")]
    Refused(String),
}

impl Attestations {
    /// Judges under a policy and up to a trusted root. Collateral comes from `source` or, without one, from the publisher's
    /// archive.
    pub fn new(policy: Policy, root: TrustedRoot, as_of: AsOf, source: Option<CollateralCache>) -> Self {
        Self { policy, root, as_of, source, kept: Mutex::new(HashMap::new()) }
    }

    /// Whether the quote in a proof attests the key, and for which kind of environment.
    pub async fn judge(&self, quote: &[u8], key: &PublicKey, proof: &TeeProof) -> Judged {
        let archived = proof.collateral.as_ref().map(|collateral| collateral.to_string()).unwrap_or_default();
        self.judge_with(quote, key, proof.judged_at.as_deref().unwrap_or_default(), &archived).await
    }

    /// The same for a quote by itself, without a published proof.
    pub async fn judge_quote(&self, quote: &[u8], key: &PublicKey) -> Judged {
        self.judge_with(quote, key, "", "").await
    }

    async fn judge_with(&self, quote: &[u8], key: &PublicKey, judged_at: &str, archived: &str) -> Judged {
        let hashes = [quote, archived.as_bytes(), judged_at.as_bytes(), &key.to_bytes()].map(keccak256);
        let case = H256(keccak256(hashes.as_flattened()));
        if let Some(judged) = self.kept().get(&case) {
            return judged.clone();
        }
        let judged = self.judge_anew(quote, key, judged_at, archived).await.map_err(Arc::new);
        if matches!(&judged, Err(error) if matches!(**error, AttestationError::Source(_))) {
            // Not kept: a service that is unavailable may come back.
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

/// Parses Unix seconds, or a date like 2025-04-03T08:13:30Z.
pub fn time(text: &str) -> Result<u64, String> {
    if let Ok(secs) = text.parse() {
        return Ok(secs);
    }
    let date = chrono::DateTime::parse_from_rfc3339(text)
        .map_err(|_| "must be Unix seconds or a date like 2025-04-03T08:13:30Z".to_owned())?;
    u64::try_from(date.timestamp()).map_err(|_| "must not be before 1970".to_owned())
}

/// The time now, in Unix seconds.
pub fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
