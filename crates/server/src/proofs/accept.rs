//! Checks whether a submitted proof is acceptable.

use tee_api::{LeaseId, SignatureError, Statement, SubmitProof, TeeType};
use tee_verifier::{H256, PinMismatch, Pins};
use thiserror::Error;

use crate::{
    database::{NewProof, ProverName, RecordedProof, RootFit, Roots, is_unavailable},
    service::Service,
};

/// How a proof was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptedProof {
    /// Nothing contradicts it.
    Undisputed,
    /// ALARM: the next batch starts from another root. The proof is also kept as a disagreement.
    Disputed { next_starts_from: H256 },
}

/// Why a proof was refused. Nothing of it is stored, except if it is a disagreement.
#[derive(Debug, Error)]
pub(crate) enum RefusedProof {
    #[error("the key is not registered")]
    UnknownKey,
    #[error("the key was revoked")]
    RevokedKey,
    #[error("the key is suspended: collateral was missing for too long; it may submit once it has been judged again")]
    SuspendedKey,
    #[error("the key was registered for {registered}, but the proof says {submitted}")]
    TeeType { registered: TeeType, submitted: TeeType },
    #[error("the batch is unknown")]
    UnknownBatch,
    #[error(transparent)]
    Signature(SignatureError),
    #[error("the root is not the expected one")]
    WrongRoot,
    #[error("a bare root does not say which batch it belongs to: send a statement")]
    StatementRequired,
    #[error("this key's signature of this root was already accepted for another batch")]
    ReusedRoot,
    #[error("the statement does not match")]
    Statement(#[from] StatementMismatch),
    #[error("the statement is not about the pinned code")]
    NotPinned(#[from] PinMismatch),
    #[error("an accepted proof of the batch has another root")]
    DisagreeingRoot { accepted: H256 },
    #[error("database")]
    Database(#[from] sqlx::Error),
}

/// How a statement contradicts the submission that carries it.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum StatementMismatch {
    #[error("it is about another batch")]
    Batch,
    #[error("it has another root than the proof")]
    Root,
    #[error("it starts from another root than the batch does")]
    PreviousRoot,
    #[error(transparent)]
    Signature(SignatureError),
}

impl RefusedProof {
    /// The kind of refusal, for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::SuspendedKey => "no_collateral",
            Self::TeeType { .. } => "wrong_tee_type",
            Self::UnknownBatch => "unknown_batch",
            Self::Signature(_) => "wrong_signature",
            Self::WrongRoot => "wrong_root",
            Self::StatementRequired => "statement_required",
            Self::ReusedRoot => "reused_root",
            Self::Statement(_) => "wrong_statement",
            Self::NotPinned(PinMismatch::ChainId { .. }) => "wrong_chain",
            Self::NotPinned(PinMismatch::ProtocolVersion { .. }) => "protocol_version_not_pinned",
            Self::NotPinned(PinMismatch::Code { .. }) => "code_not_pinned",
            Self::DisagreeingRoot { .. } => "disagreeing_root",
            Self::Database(error) if is_unavailable(error) => "database_unavailable",
            Self::Database(_) => "internal",
        }
    }

    /// Whether the refusal counts against the prover. Our own faults and a key that cannot be judged do not.
    fn speaks_of_prover(&self) -> bool {
        !matches!(self, Self::Database(_) | Self::SuspendedKey)
    }
}

/// Checks a proof, stores it, and reports the outcome in the log and the metrics.
pub(super) async fn take(
    service: &Service,
    batch: u32,
    submission: &SubmitProof,
    lease: Option<&LeaseId>,
    prover: &ProverName,
) -> Result<(), RefusedProof> {
    let SubmitProof { pubkey, proof: root, tee_type, .. } = submission;
    let metrics = &service.metrics;
    let refused = match checked(service, batch, submission, lease, prover).await {
        Ok(accepted) => {
            metrics.proofs_accepted[&(*tee_type).into()].inc();
            tracing::info!(batch, %tee_type, %pubkey, ?root, "accepted a proof");
            if let AcceptedProof::Disputed { next_starts_from } = accepted {
                metrics.disagreements_seen.inc();
                tracing::error!(
                    batch, %tee_type, %pubkey, ?root, ?next_starts_from,
                    "ALARM: accepted a proof, but the next batch starts from another root"
                );
            }
            return Ok(());
        }
        Err(refused) => refused,
    };
    match &refused {
        // The code that answers the request logs this.
        RefusedProof::Database(_) => {}
        RefusedProof::DisagreeingRoot { accepted } => {
            metrics.disagreements_seen.inc();
            tracing::error!(batch, %tee_type, %pubkey, ?root, ?accepted, "ALARM: two proofs disagree on the root");
        }
        refused => tracing::warn!(batch, %tee_type, %pubkey, ?root, %refused, "refused a proof"),
    }
    metrics.refused(refused.code());
    // Under a lease the failure is counted when the prover reports it or lets the lease expire.
    if refused.speaks_of_prover() && lease.is_none() {
        service.database.note_refused_proof(prover, *tee_type, refused.code(), service.clock.now_ms()).await?;
    }
    Err(refused)
}

/// Checks a proof and stores it:
///
/// 1. the key is registered for this TEE type (its quote was judged then, and is judged again from time to time);
/// 2. the batch is known;
/// 3. the key signed the root;
/// 4. the root is the expected one, if one was given with the batch. A bare root must also be the one that the next
///    batch starts from, if that is known. A statement with another root than that is accepted under an alarm:
///    otherwise, whoever uploads a batch could hold up the one before it. If neither is known, there must be a
///    statement: otherwise a root signed for one batch would pass for all;
/// 5. the statement, if there is one, is about this batch and root, starts from the batch's root before it if that is
///    known, and is signed by the same key;
/// 6. the statement is of the pinned chain, protocol version and code;
/// 7. the key is neither refused, revoked nor suspended;
/// 8. if neither a known root nor a statement ties the root to this batch, the key has not signed it for another
///    batch;
/// 9. no accepted proof of the batch has another root.
///
/// A bare root names no code, so there is no code to check: the policy on quotes decides which programs may sign one.
///
/// A valid proof ends the job, whoever holds the lease. A proof that was accepted before is accepted again: the prover may have
/// missed the answer.
async fn checked(
    service: &Service,
    number: u32,
    submission: &SubmitProof,
    lease: Option<&LeaseId>,
    prover: &ProverName,
) -> Result<AcceptedProof, RefusedProof> {
    let expectation =
        service.database.expectation(number, &submission.pubkey).await?.ok_or(RefusedProof::UnknownKey)?;
    if expectation.tee_type != submission.tee_type {
        let (registered, submitted) = (expectation.tee_type, submission.tee_type);
        return Err(RefusedProof::TeeType { registered, submitted });
    }
    let roots = expectation.roots.ok_or(RefusedProof::UnknownBatch)?;
    submission.signature.verify(submission.proof, &submission.pubkey).map_err(RefusedProof::Signature)?;
    match roots.fit(submission.proof, submission.statement.is_some()) {
        RootFit::Wrong => return Err(RefusedProof::WrongRoot),
        RootFit::Unknown if submission.statement.is_none() && !service.danger_bare_roots => {
            return Err(RefusedProof::StatementRequired);
        }
        RootFit::Right | RootFit::Unknown | RootFit::Disputed { .. } => {}
    }
    check_statement(number, submission, &roots)?;
    if let Some(signed) = &submission.statement {
        check_code(&signed.statement, &service.pins)?;
    }
    let statement = submission.statement.as_ref().and_then(|statement| serde_json::to_string(statement).ok());
    let (submission, lease, prover) = (submission.clone(), lease.cloned(), prover.clone());
    let proof = NewProof { number, submission, statement, lease, prover };
    match service.database.record_proof(proof, service.clock.now_ms()).await? {
        RecordedProof::Accepted | RecordedProof::Known => Ok(AcceptedProof::Undisputed),
        RecordedProof::Disputed { next_starts_from } => Ok(AcceptedProof::Disputed { next_starts_from }),
        RecordedProof::RevokedKey => Err(RefusedProof::RevokedKey),
        RecordedProof::SuspendedKey => Err(RefusedProof::SuspendedKey),
        RecordedProof::WrongRoot => Err(RefusedProof::WrongRoot),
        RecordedProof::ReusedRoot => Err(RefusedProof::ReusedRoot),
        RecordedProof::Disagrees { accepted } => Err(RefusedProof::DisagreeingRoot { accepted }),
    }
}

/// Checks the code: a batch of an operator's own bootloader verifies like any other.
fn check_code(statement: &Statement, pins: &Pins) -> Result<(), PinMismatch> {
    pins.judge(statement.chain_id, statement.protocol_version, &statement.code_hashes)
}

fn check_statement(number: u32, submission: &SubmitProof, roots: &Roots) -> Result<(), StatementMismatch> {
    let Some(signed) = &submission.statement else { return Ok(()) };
    let statement = &signed.statement;
    if statement.batch_number != number {
        return Err(StatementMismatch::Batch);
    }
    if statement.root != submission.proof {
        return Err(StatementMismatch::Root);
    }
    if roots.previous.is_some_and(|root| root != statement.previous_root) {
        return Err(StatementMismatch::PreviousRoot);
    }
    signed.verify(&submission.pubkey).map_err(StatementMismatch::Signature)
}
