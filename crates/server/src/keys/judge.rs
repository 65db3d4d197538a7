//! Judges quotes under the policy, with the available collateral.

use std::{
    collections::HashMap,
    fmt, fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tee_api::{PublicKey, Quote};
use tee_attestation::{
    Case, Collateral, CollateralCache, CollateralSource, Key, PlatformKind, Policy, PolicyError, Rule, SourceError,
    TrustedRoot, Verdict, judge,
};
use tee_checker::KnownBuildsError;
use thiserror::Error;
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, timeout},
};

use super::{
    judgeable,
    known_builds::{KnownBuild, KnownBuildsFile},
};
use crate::{
    config::PROGRAM,
    database::{Judged, KeptCollateral, KeyRecord},
    watched::{self, Reload, Source, Watched},
};

/// How long a source that returned no collateral is not asked again for a kind of platform: as long as the failed attempt took, within
/// these limits.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

const MOST_PATIENCE: Duration = Duration::from_secs(60);

/// How long somebody who wants to see a verdict waits for others who do.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The most kinds of platforms that are remembered.
const MAX_KINDS: usize = 256;

/// The settings for judging quotes.
#[derive(Clone, PartialEq, Eq)]
pub struct AttestationConfig {
    /// The policy, in YAML. It is read again when it changes.
    pub policy: PathBuf,
    /// Where collateral comes from: the URL of a PCS or PCCS, a folder, or a file, which may be replaced while the server runs.
    pub collateral: String,
    /// Collateral is fetched again when it remains valid for no longer than this.
    pub refresh_before_secs: u64,
    /// How often collateral is fetched and registered keys are judged again. This also happens when the policy changes.
    pub rejudge_interval_secs: u64,
    /// A key that could not be judged for this long, for lack of valid collateral, makes no new proofs until it can be judged. Its
    /// earlier proofs count.
    pub suspend_after_secs: u64,
    /// A list of builds that gives the program in a quote a name, for people (`deploy/measurements.json`). It is read
    /// again when it changes.
    pub known_builds: Option<PathBuf>,
    /// Trust this certificate, in DER or PEM, instead of Intel's root: whoever has its key makes quotes of anything.
    pub danger_root_certificate: Option<PathBuf>,
}

/// Leaves out the source of collateral, whose URL may hold a secret.
impl fmt::Debug for AttestationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, collateral: _, refresh_before_secs, rejudge_interval_secs, suspend_after_secs, .. } = self;
        f.debug_struct("AttestationConfig")
            .field("policy", policy)
            .field("refresh_before_secs", refresh_before_secs)
            .field("rejudge_interval_secs", rejudge_interval_secs)
            .field("suspend_after_secs", suspend_after_secs)
            .field("known_builds", &self.known_builds)
            .field("danger_root_certificate", &self.danger_root_certificate)
            .finish_non_exhaustive()
    }
}

/// Why quotes cannot be judged.
#[derive(Debug, Error)]
pub enum AttestationSetupError {
    /// A file cannot be read.
    #[error("{path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// The policy is invalid.
    #[error("{path}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: Box<PolicyError>,
    },
    /// The list of known builds is invalid.
    #[error("{path}")]
    KnownBuilds {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: KnownBuildsError,
    },
    /// The other root is not a certificate.
    #[error("{path}: not a certificate")]
    Root {
        /// The file.
        path: PathBuf,
    },
    /// The collateral's source is invalid.
    #[error("collateral")]
    Source(#[from] SourceError),
}

/// Judges quotes.
#[derive(Debug)]
pub(crate) struct Attestor {
    pub(super) config: AttestationConfig,
    policy: Watched<PolicyFile>,
    known_builds: Option<Watched<KnownBuildsFile>>,
    root: TrustedRoot,
    collateral: CollateralCache,
    /// The last collateral under which a quote was found genuine, by kind of platform.
    last_good: Mutex<HashMap<PlatformKind, GoodCollateral>>,
    /// The part of `last_good` that is not in the database yet.
    unsaved: Mutex<HashMap<PlatformKind, KeptCollateral>>,
    /// Why there was no collateral at the last attempt. While one caller asks for a kind, others wait for its result.
    failed: Mutex<HashMap<PlatformKind, Arc<AsyncMutex<Option<FailedFetch>>>>>,
    /// A caller that looks at a key waits for one that looks already.
    judging_for_people: Arc<AsyncMutex<()>>,
}

#[derive(Debug)]
struct FailedFetch {
    reason: String,
    ask_again_at: Instant,
}

/// Collateral whose signatures and dates were valid.
#[derive(Debug, Clone)]
struct GoodCollateral {
    collateral: Arc<Collateral>,
    tcb_evaluation_number: u32,
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub(crate) enum JudgeError {
    /// The quote breaks the policy, whatever the collateral says.
    #[error("{0}")]
    Policy(String),
    /// The quote is too malformed to say what collateral it needs.
    #[error("{0}")]
    Quote(String),
    /// There is no collateral, or it is broken, has expired or is not valid yet.
    #[error("no usable collateral: {0}")]
    NoCollateral(String),
}

/// Why somebody who shows a quote gets no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NoVerdict {
    /// Other quotes are being judged.
    #[error("too many quotes are being judged; try again")]
    Busy,
    /// Our own fault.
    #[error("cannot judge the quote")]
    Failed,
}

#[derive(Debug)]
struct PolicyFile(PathBuf);

struct PolicyInForce {
    policy: Policy,
    yaml: Vec<u8>,
}

impl AttestationConfig {
    /// Settings with all defaults.
    pub fn new(policy: PathBuf, collateral: String) -> Self {
        Self {
            policy,
            collateral,
            refresh_before_secs: 24 * 60 * 60,
            rejudge_interval_secs: 60 * 60,
            suspend_after_secs: 7 * 24 * 60 * 60,
            known_builds: None,
            danger_root_certificate: None,
        }
    }
}

impl Attestor {
    pub(crate) fn open(config: AttestationConfig) -> Result<Self, AttestationSetupError> {
        let root = match &config.danger_root_certificate {
            None => TrustedRoot::intel(),
            Some(path) => {
                tracing::warn!(path = %path.display(), "quotes are judged with another root than Intel's");
                let error = |error| AttestationSetupError::Read { path: path.clone(), error };
                let certificate = fs::read(path).map_err(error)?;
                let unreadable = || AttestationSetupError::Root { path: path.clone() };
                TrustedRoot::danger_from_bytes(&certificate).ok_or_else(unreadable)?
            }
        };
        let policy = Watched::open(PolicyFile(config.policy.clone()))?;
        let known_builds = config.known_builds.clone().map(KnownBuildsFile).map(Watched::open).transpose()?;
        let source = CollateralSource::open(&config.collateral, PROGRAM)?;
        let collateral = CollateralCache::new(source, config.rejudge_interval_secs, config.refresh_before_secs);
        let (last_good, unsaved, failed, judging_for_people) = Default::default();
        Ok(Self { config, policy, known_builds, root, collateral, last_good, unsaved, failed, judging_for_people })
    }

    /// Whether quotes must chain up to Intel's root.
    pub(super) fn trusts_intel(&self) -> bool {
        self.root.is_intel()
    }

    /// Judges a registered key's quote with the last good collateral, or else with the archived one, for people who want to see its
    /// state. No source is asked, and one key is judged at a time.
    pub(super) async fn verdict_now(self: Arc<Self>, record: &KeyRecord, now_secs: u64) -> Option<Verdict> {
        let quote = Quote::new(record.entry.quote.clone()).ok()?;
        let kind = PlatformKind::of(quote.as_bytes()).ok();
        let good = kind.and_then(|kind| Some(self.last_good().get(&kind)?.collateral.clone()));
        let archived = || serde_json::from_slice(record.collateral.as_deref()?).ok().map(Arc::new);
        let collateral: Arc<Collateral> = good.or_else(archived)?;
        self.judge_for_people(collateral, quote, Some(record.entry.pubkey), now_secs).await.ok()
    }

    /// Judges a quote that somebody shows, with the last good collateral for its kind of platform, otherwise with what
    /// is shown beside it, otherwise with none. No source is asked, and one quote is judged at a time.
    pub(super) async fn verdict_on(
        self: Arc<Self>,
        quote: Quote,
        pubkey: Option<PublicKey>,
        shown: Option<Collateral>,
        now_secs: u64,
    ) -> Result<Verdict, NoVerdict> {
        let kind = PlatformKind::of(quote.as_bytes()).ok();
        let good = kind.and_then(|kind| Some(self.last_good().get(&kind)?.collateral.clone()));
        let collateral = good.unwrap_or_else(|| Arc::new(shown.unwrap_or_else(judgeable::no_collateral)));
        self.judge_for_people(collateral, quote, pubkey, now_secs).await
    }

    async fn judge_for_people(
        self: Arc<Self>,
        collateral: Arc<Collateral>,
        quote: Quote,
        pubkey: Option<PublicKey>,
        now_secs: u64,
    ) -> Result<Verdict, NoVerdict> {
        let turn = timeout(LONGEST_WAIT, self.judging_for_people.clone().lock_owned()).await;
        let turn = turn.map_err(|_| NoVerdict::Busy)?;
        let judged = tokio::task::spawn_blocking(move || {
            let verdict = self.judge_with(&collateral, &quote, pubkey.as_ref(), now_secs);
            // Here, and not where the result is awaited: if the caller goes away, the judging continues.
            drop(turn);
            verdict
        });
        judged.await.map_err(|error| {
            tracing::error!(%error, "cannot judge a quote");
            NoVerdict::Failed
        })
    }

    /// Restores the collateral that was good before a restart, as far as it still is. It is checked again, since the
    /// time, or somebody who can write to the database, may have made it worthless.
    pub(crate) fn remember(&self, kept: Vec<KeptCollateral>, now_secs: u64) {
        for kept in kept {
            let Ok(kind) = PlatformKind::of(kept.quote.as_bytes()) else { continue };
            let Ok(collateral) = serde_json::from_slice::<Collateral>(&kept.collateral).map(Arc::new) else { continue };
            let verdict = self.judge_with(&collateral, &kept.quote, Some(&kept.pubkey), now_secs);
            let tcb_evaluation_number = judgeable::tcb_evaluation_number(&verdict);
            let is_genuine = verdict.failures().all(|check| check.rule != Rule::Genuine);
            if is_genuine && tcb_evaluation_number != 0 {
                self.last_good().insert(kind, GoodCollateral { collateral, tcb_evaluation_number });
            } else {
                tracing::warn!(platform = kept.platform, "collateral from before the restart is no longer valid");
            }
        }
    }

    /// Judges the quote of a key. `accepted` says whether it was accepted before. If the collateral is broken, has expired, is not valid
    /// yet or is older than the previous one, the last good collateral is used instead.
    pub(crate) async fn judge(
        &self,
        quote: &Quote,
        pubkey: &PublicKey,
        accepted: bool,
        now_secs: u64,
    ) -> Result<Judged, JudgeError> {
        if let Some(refusal) = self.policy_refusal(quote, pubkey, now_secs) {
            return Err(JudgeError::Policy(refusal));
        }
        let kind = PlatformKind::of(quote.as_bytes()).map_err(|error| JudgeError::Quote(error.to_string()))?;
        let before = self.last_good().get(&kind).cloned();
        let reason = match self.fetch(kind, quote, now_secs).await {
            Err(reason) => reason,
            Ok(collateral) => {
                let verdict = self.judge_with(&collateral, quote, Some(pubkey), now_secs);
                let tcb_evaluation_number = judgeable::tcb_evaluation_number(&verdict);
                if judgeable::only_collateral_fails(&verdict, accepted) {
                    verdict.refusal()
                } else if before.as_ref().is_some_and(|before| {
                    tcb_evaluation_number != 0 && tcb_evaluation_number < before.tcb_evaluation_number
                }) {
                    format!("its TCB evaluation number {tcb_evaluation_number} is lower than before")
                } else {
                    if tcb_evaluation_number != 0 {
                        let good = GoodCollateral { collateral: collateral.clone(), tcb_evaluation_number };
                        self.keep_good(kind, good, (quote, pubkey));
                    }
                    return Ok(Judged::new(verdict, &collateral));
                }
            }
        };
        if let Some(GoodCollateral { collateral, .. }) = before {
            let verdict = self.judge_with(&collateral, quote, Some(pubkey), now_secs);
            if !judgeable::only_collateral_fails(&verdict, accepted) {
                tracing::warn!(reason, "the new collateral is unusable; using the last good one");
                return Ok(Judged::new(verdict, &collateral));
            }
        }
        Err(JudgeError::NoCollateral(reason))
    }

    /// What is wrong with the quote itself, such as a measurement that the policy does not list: no collateral could change that.
    pub(super) fn policy_refusal(&self, quote: &Quote, pubkey: &PublicKey, now_secs: u64) -> Option<String> {
        let verdict = self.judge_with(&judgeable::no_collateral(), quote, Some(pubkey), now_secs);
        judgeable::refusal_of_quote(&verdict)
    }

    /// Returns collateral, or why there is none. For each kind of platform one caller asks at a time, and those who waited share a
    /// failure.
    async fn fetch(&self, kind: PlatformKind, quote: &Quote, now_secs: u64) -> Result<Arc<Collateral>, String> {
        let slot = {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.len() >= MAX_KINDS && !failed.contains_key(&kind) {
                failed.clear();
            }
            failed.entry(kind).or_default().clone()
        };
        let mut failed = slot.lock().await;
        if let Some(failed) = failed.as_ref().filter(|failed| Instant::now() < failed.ask_again_at) {
            return Err(failed.reason.clone());
        }
        let asked = Instant::now();
        match self.collateral.collateral(quote.as_bytes(), now_secs).await {
            Ok(collateral) => {
                *failed = None;
                Ok(collateral)
            }
            Err(error) => {
                let reason = error.to_string();
                let patience = asked.elapsed().clamp(LEAST_PATIENCE, MOST_PATIENCE);
                *failed = Some(FailedFetch { reason: reason.clone(), ask_again_at: Instant::now() + patience });
                Err(reason)
            }
        }
    }

    fn judge_with(&self, collateral: &Collateral, quote: &Quote, pubkey: Option<&PublicKey>, now_secs: u64) -> Verdict {
        let policy = self.policy.value();
        judge(&Case {
            quote: quote.as_bytes(),
            collateral,
            root: &self.root,
            policy: &policy.policy,
            key: pubkey.map(|pubkey| Key { public_key: pubkey.to_bytes(), address: pubkey.address().0 }),
            at_secs: now_secs,
        })
    }

    fn last_good(&self) -> std::sync::MutexGuard<'_, HashMap<PlatformKind, GoodCollateral>> {
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only genuine quotes get here, so nobody can fill the map with kinds that do not exist.
    fn keep_good(&self, kind: PlatformKind, good: GoodCollateral, (quote, pubkey): (&Quote, &PublicKey)) {
        let collateral = good.collateral.clone();
        let before = self.last_good().insert(kind, good);
        if before.is_some_and(|before| before.collateral == collateral) {
            return;
        }
        let collateral = serde_json::to_vec(&*collateral).expect("collateral is JSON");
        let kept = KeptCollateral { platform: kind.name(), quote: quote.clone(), pubkey: *pubkey, collateral };
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, kept);
    }

    /// Takes the collateral that a restart would lose.
    pub(super) fn take_unsaved(&self) -> Vec<KeptCollateral> {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.drain().map(|(_, kept)| kept).collect()
    }

    pub(super) fn rejudge_interval(&self) -> Duration {
        Duration::from_secs(self.config.rejudge_interval_secs)
    }

    /// Reads the policy's file again if it has changed.
    pub(super) fn reload_policy(&self) -> Option<Reload> {
        self.policy.reload()
    }

    /// Applies the list of known builds if it has changed.
    pub(super) fn reload_known_builds(&self) -> Option<Reload> {
        self.known_builds.as_ref()?.reload()
    }

    /// The policy in force, as its file had it.
    pub(super) fn policy(&self) -> Vec<u8> {
        self.policy.value().yaml.clone()
    }

    /// The name that the list of known builds has for a quote's program.
    pub(super) fn known_build(&self, quote: &[u8]) -> Option<KnownBuild> {
        let builds = self.known_builds.as_ref()?;
        Some(KnownBuild { name: builds.value().name(quote)?, list: builds.source().name() })
    }
}

impl Source for PolicyFile {
    type Content = Vec<u8>;
    type Value = PolicyInForce;
    type Error = AttestationSetupError;
    const NAME: &'static str = "policy";

    fn read(&self) -> Result<Vec<u8>, AttestationSetupError> {
        watched::read(&self.0).map_err(|error| AttestationSetupError::Read { path: self.0.clone(), error })
    }

    fn parse(&self, content: &Vec<u8>) -> Result<PolicyInForce, AttestationSetupError> {
        let error = |error| AttestationSetupError::Policy { path: self.0.clone(), error: Box::new(error) };
        let yaml = std::str::from_utf8(content).map_err(|utf8| error(PolicyError::Yaml(utf8.to_string())))?;
        let policy = Policy::from_yaml(yaml).map_err(error)?;
        Ok(PolicyInForce { policy, yaml: content.clone() })
    }
}

pub(crate) fn secs(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or(0)
}
