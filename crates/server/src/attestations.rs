//! Which keys may sign: quotes are judged when keys register, and again while they are in use.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::Deserialize;
use tee_api::{PublicKey, Quote};
use tee_attestation::{
    Case, CollateralCache, CollateralSource, Key, Policy, PolicyError, SourceError, TrustedRoot, Verdict, judge,
};
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Store, storage::Standing};

/// How often the policy's file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How quotes are judged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationConfig {
    /// The policy, in YAML. It is read again when it changes.
    pub policy: PathBuf,
    /// Where collateral comes from: the URL of a PCS or PCCS, a folder, or a file, which may be replaced.
    pub collateral: String,
    /// Collateral is fetched anew when it has no more than this left.
    #[serde(default = "day")]
    pub refresh_before_secs: u64,
    /// How often collateral is fetched and registered keys are judged again, besides when the policy changes.
    #[serde(default = "hour")]
    pub rejudge_interval_secs: u64,
    /// Batches that only a key proved that lost its standing are proven again.
    #[serde(default = "yes")]
    pub reprove_on_revocation: bool,
    /// Trust this certificate, in DER or PEM, instead of Intel's root: whoever has its key makes quotes of anything.
    #[serde(default)]
    pub danger_root_certificate: Option<PathBuf>,
}

/// Why quotes cannot be judged.
#[derive(Debug, Error)]
pub enum AttestationSetupError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        error: std::io::Error,
    },
    /// The policy is none.
    #[error("{path}: {error}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: Box<PolicyError>,
    },
    /// The other root is not a certificate.
    #[error("{path}: not a certificate")]
    Root {
        /// The file.
        path: PathBuf,
    },
    /// The collateral's source is none.
    #[error("collateral: {0}")]
    Source(#[from] SourceError),
}

/// Judges quotes.
#[derive(Debug)]
pub(crate) struct Attestor {
    config: AttestationConfig,
    policy: RwLock<LoadedPolicy>,
    root: TrustedRoot,
    collateral: CollateralCache,
}

#[derive(Debug, Clone)]
struct LoadedPolicy {
    text: String,
    policy: Arc<Policy>,
}

/// A verdict with what it depends on, to be archived.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The collateral, in JSON.
    pub(crate) collateral: String,
}

impl AttestationConfig {
    /// A configuration with the defaults for all that has one.
    pub fn new(policy: PathBuf, collateral: String) -> Self {
        Self {
            policy,
            collateral,
            refresh_before_secs: day(),
            rejudge_interval_secs: hour(),
            reprove_on_revocation: yes(),
            danger_root_certificate: None,
        }
    }
}

impl Attestor {
    pub(crate) fn open(config: AttestationConfig) -> Result<Self, AttestationSetupError> {
        let root = match &config.danger_root_certificate {
            None => TrustedRoot::intel(),
            Some(path) => {
                tracing::warn!(path = %path.display(), "quotes are judged under another root than Intel's");
                let error = |error| AttestationSetupError::Read { path: path.clone(), error };
                let certificate = fs::read(path).map_err(error)?;
                let unreadable = || AttestationSetupError::Root { path: path.clone() };
                TrustedRoot::danger_from_bytes(&certificate).ok_or_else(unreadable)?
            }
        };
        let policy = RwLock::new(LoadedPolicy::read(&config.policy)?);
        let source = CollateralSource::open(&config.collateral)?;
        let collateral = CollateralCache::new(source, config.rejudge_interval_secs, config.refresh_before_secs);
        Ok(Self { config, policy, root, collateral })
    }

    /// Judges the quote of a key.
    pub(crate) async fn judge(&self, quote: &Quote, pubkey: &PublicKey, now_secs: u64) -> Result<Judged, SourceError> {
        let collateral = self.collateral.collateral(quote.as_bytes(), now_secs).await?;
        let policy = Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner).policy);
        let verdict = judge(&Case {
            quote: quote.as_bytes(),
            collateral: &collateral,
            root: &self.root,
            policy: &policy,
            key: Some(Key { public_key: pubkey.to_bytes(), address: pubkey.address().0 }),
            at_secs: now_secs,
        });
        let collateral = serde_json::to_string(&*collateral).expect("collateral is JSON");
        Ok(Judged { verdict, collateral })
    }

    pub(crate) fn reprove_on_revocation(&self) -> bool {
        self.config.reprove_on_revocation
    }

    /// Whether the policy's file has changed, and to a policy. One that is none is told once and changes nothing.
    fn policy_changed(&self) -> bool {
        let known = self.policy.read().unwrap_or_else(PoisonError::into_inner).text.clone();
        match fs::read_to_string(&self.config.policy) {
            Ok(text) if text == known => false,
            Ok(text) => match Policy::from_yaml(&text) {
                Ok(policy) => {
                    let loaded = LoadedPolicy { text, policy: Arc::new(policy) };
                    *self.policy.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "the new policy is none: the one before stays");
                    self.policy.write().unwrap_or_else(PoisonError::into_inner).text = text;
                    false
                }
            },
            // It may be just being replaced.
            Err(_) => false,
        }
    }
}

impl LoadedPolicy {
    fn read(path: &Path) -> Result<Self, AttestationSetupError> {
        let error = |error| AttestationSetupError::Read { path: path.to_owned(), error };
        let text = fs::read_to_string(path).map_err(error)?;
        let policy = Policy::from_yaml(&text)
            .map_err(|error| AttestationSetupError::Policy { path: path.to_owned(), error: Box::new(error) })?;
        Ok(Self { text, policy: Arc::new(policy) })
    }
}

/// Judges all registered keys again, at the start, from time to time and when the policy changes, until it is told to stop.
pub(crate) async fn watch(store: Store, attestor: Arc<Attestor>, stop: CancellationToken) {
    let interval = Duration::from_secs(attestor.config.rejudge_interval_secs);
    let mut judged = None::<Instant>;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
        let changed = attestor.policy_changed();
        if !changed && judged.is_some_and(|judged| judged.elapsed() < interval) {
            continue;
        }
        judged = Some(Instant::now());
        if changed {
            tracing::info!("the policy has changed");
        }
        if let Err(error) = store.rejudge(&attestor).await {
            tracing::error!(%error, "registered keys cannot be judged again");
        }
    }
}

impl Store {
    /// Judges every registered key again, but for those that somebody revoked. Where there is no collateral nothing
    /// changes.
    pub(crate) async fn rejudge(&self, attestor: &Attestor) -> Result<(), sqlx::Error> {
        for key in self.storage.keys_to_judge().await? {
            let now_ms = self.clock.now_ms();
            let judged = match attestor.judge(&key.quote, &key.pubkey, secs(now_ms)).await {
                Ok(judged) => judged,
                Err(error) => {
                    tracing::warn!(pubkey = %key.pubkey, %error, "no collateral: the key is not judged again");
                    continue;
                }
            };
            match (judged.verdict.passed(), key.stands) {
                (true, true) => {}
                (true, false) => {
                    self.storage.restore_standing(&key.pubkey, &judged, now_ms).await?;
                    tracing::info!(pubkey = %key.pubkey, "key is accepted again");
                }
                (false, stands) => {
                    let standing = Standing::Refused { reason: judged.verdict.refusal() };
                    let requeued = self
                        .storage
                        .end_standing(&key.pubkey, standing, attestor.reprove_on_revocation(), now_ms)
                        .await?;
                    if stands {
                        let refusal = judged.verdict.refusal();
                        tracing::warn!(pubkey = %key.pubkey, refusal, requeued, "key is no longer accepted");
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a key its standing for good. `None` when it is not registered, else how many batches are proven again.
    pub async fn revoke_key(
        &self,
        pubkey: &PublicKey,
        reason: &str,
        reprove: bool,
    ) -> Result<Option<u64>, sqlx::Error> {
        if self.storage.is_revoked(pubkey).await?.is_none() {
            return Ok(None);
        }
        let standing = Standing::Revoked { reason: reason.to_owned() };
        self.storage.end_standing(pubkey, standing, reprove, self.clock.now_ms()).await.map(Some)
    }
}

pub(crate) fn secs(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or(0)
}

fn day() -> u64 {
    24 * 60 * 60
}

fn hour() -> u64 {
    60 * 60
}

fn yes() -> bool {
    true
}
