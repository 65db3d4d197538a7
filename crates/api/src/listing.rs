//! What a server lists, and what an operator asks it to change.

use serde::{Deserialize, Serialize};

use crate::{JobStatus, KeyStanding, OrOther, PublicKey, TeeType};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The value of `after` for the next page. Missing on the last page.
    pub next: Option<String>,
}

/// A job: a batch that is to be proven by an enclave of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobEntry {
    /// The batch's number.
    pub batch: u32,
    /// The enclave's type.
    #[cfg_attr(feature = "openapi", schema(example = "sgx"))]
    pub tee_type: TeeType,
    /// The job's status.
    #[cfg_attr(feature = "openapi", schema(value_type = JobStatus, example = "generated"))]
    pub status: OrOther<JobStatus>,
    /// How often it was handed out and not given back.
    pub attempts: u32,
    /// When the current lease ends.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub lease_expires_at: Option<String>,
    /// When a prover last took it.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub prover_taken_at: Option<String>,
    /// Why it last failed, for machines.
    pub error_kind: Option<String>,
    /// Why it last failed, for people.
    pub error: Option<String>,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// When it last changed.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub updated_at: String,
}

/// A prover that asks for work, known by its token or, if tokens are not required, by its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProverEntry {
    /// `token:NAME`, `address:…`, or `others` for provers beyond the number that are told apart.
    #[cfg_attr(feature = "openapi", schema(example = "token:eu-1"))]
    pub prover: String,
    /// What it asks for.
    pub tee_type: TeeType,
    /// When it last asked, to within a minute.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub asked_at: String,
    /// How many leases it holds.
    pub leases: u64,
    /// How often it failed since its last accepted proof.
    pub failures_in_a_row: u64,
    /// The end of its pause, if it is paused. It gets no work until then.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub paused_until: Option<String>,
    /// Its last failure, for machines.
    pub last_error_kind: Option<String>,
    /// What it said of its program, version and commit when it last asked (`User-Agent`). Nothing attests this.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "tee-prover-gateway/0.2.0 (commit 5b1f1d4c0e1d0b6f7f7e2c1b0a9988776655aabb; rustc 1.95.0)")
    )]
    #[serde(default)]
    pub user_agent: Option<String>,
}

/// What an operator does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobAction {
    /// Makes a failed or given-up job ready again.
    Retry,
    /// Gives up a job that has no proof.
    Ignore,
    /// Has a batch proven again, whatever the job's status. Its proofs stay.
    Requeue,
}

/// What an operator does to a type of enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TeeTypeAction {
    /// Removes its jobs that have no proof; its provers get no work.
    Retire,
    /// Undoes that.
    Serve,
}

/// The result of adding a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAdded {
    /// False if the very same batch was there before.
    pub new: bool,
}

/// A registered key with the quote that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttestationEntry {
    /// The key, in hex.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub pubkey: PublicKey,
    /// The enclave's type.
    pub tee_type: TeeType,
    /// The quote, in hex.
    pub quote: String,
    /// Whether it may sign. Older servers say this only in `verdict`.
    #[cfg_attr(feature = "openapi", schema(value_type = KeyStanding))]
    #[serde(default)]
    pub standing: Option<OrOther<KeyStanding>>,
    /// Why it was refused or revoked.
    #[serde(default)]
    pub standing_reason: Option<String>,
    /// Standing and reason in one text: `unjudged`, `accepted`, `refused: …` or `revoked: …`.
    pub verdict: String,
    /// The platform's status when the quote was judged, as Intel names it.
    pub tcb_status: Option<String>,
    /// The platform's advisories when the quote was judged, with spaces between them.
    pub advisories: Option<String>,
    /// When the key was registered.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub registered_at: String,
    /// When the quote was judged.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub judged_at: Option<String>,
    /// When the key lost its standing.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub revoked_at: Option<String>,
    /// What the prover said of its program, version and commit when it registered the key (`User-Agent`). Nothing attests this.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "tee-prover-gateway/0.2.0 (commit 5b1f1d4c0e1d0b6f7f7e2c1b0a9988776655aabb; rustc 1.95.0)")
    )]
    #[serde(default)]
    pub user_agent: Option<String>,
}

/// Body of `POST /admin/attestations/{pubkey}/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// The reason, for those who ask later.
    pub reason: String,
    /// Whether to leave alone the batches that this key touched.
    #[serde(default)]
    pub keep_batches: bool,
}

/// The result of revoking a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRevoked {
    /// How many of the batches that were examined are proven again. The highest ones come first.
    pub requeued: u64,
    /// Whether there are more to examine. That continues in the background.
    #[serde(default)]
    pub goes_on: bool,
}

/// A proof that contradicts an accepted one, the batch's known root or the next batch: one of the two is forged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DisagreementEntry {
    /// The batch's number.
    pub batch: u32,
    /// The proof's type of enclave.
    pub tee_type: TeeType,
    /// The proof's key, in hex.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub pubkey: PublicKey,
    /// The proof's signature, 64 or 65 bytes in hex.
    pub signature: String,
    /// The proof's root, in hex.
    pub root: String,
    /// The root that it contradicts, in hex.
    pub accepted_root: String,
    /// Whether the proof is accepted nevertheless: it is a statement, and only the next batch names another root.
    pub is_accepted: bool,
    /// When it arrived.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub received_at: String,
    /// When a person explained it: it is no longer an alarm.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub resolved_at: Option<String>,
    /// How it was explained.
    pub resolution: Option<String>,
}

/// Body of `POST /admin/disagreements/{batch}/{tee_type}/{pubkey}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResolveDisagreement {
    /// The explanation, for those who ask later.
    pub reason: String,
}

impl JobAction {
    /// The name in a path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Ignore => "ignore",
            Self::Requeue => "requeue",
        }
    }
}

impl std::str::FromStr for JobAction {
    type Err = JobActionError;

    fn from_str(text: &str) -> Result<Self, JobActionError> {
        [Self::Retry, Self::Ignore, Self::Requeue]
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or(JobActionError)
    }
}

/// The text is not an action on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("action: must be retry, ignore or requeue")]
pub struct JobActionError;

impl TeeTypeAction {
    /// The name in a path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retire => "retire",
            Self::Serve => "serve",
        }
    }
}

impl std::str::FromStr for TeeTypeAction {
    type Err = TeeTypeActionError;

    fn from_str(text: &str) -> Result<Self, TeeTypeActionError> {
        [Self::Retire, Self::Serve].into_iter().find(|action| action.as_str() == text).ok_or(TeeTypeActionError)
    }
}

/// The text is not an action on a type of enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("action: must be retire or serve")]
pub struct TeeTypeActionError;
