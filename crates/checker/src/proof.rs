//! One published proof.

use std::{fmt, sync::Arc};

use serde_json::Value;
use tee_api::{
    BoundSignature, JobStatus, KeyError, MAX_QUOTE_BYTES, OrOther, PublicKey, Signature, SignatureError,
    SignedStatement, Statement, TeeProof, TeeType,
};
use tee_attestation::Tee;
use tee_verifier::{H256, PinMismatch, Pins};
use thiserror::Error;

use crate::attestations::{AttestationError, Attestations, Judged};

/// What is known about a batch beforehand.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Its number.
    pub number: u32,
    /// The root from another source.
    pub expected_root: Option<H256>,
    /// The chain and the code that statements must match.
    pub pins: &'a Pins,
}

/// A claim of a proof that is checked: the steps of [`check`], in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is a proof of the batch.
    Batch,
    /// The key signed the root.
    Signature,
    /// The root is the one that somebody else knows.
    Root,
    /// A quote that the policy accepts vouches for the key.
    Attestation,
    /// The key signed a statement about this batch and the pinned chain and code.
    Statement,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was checked and holds.
    Holds,
    /// It does not hold: [`Checked::problems_of`] says why.
    Broken,
    /// There was nothing to check, or nothing to check it with.
    NotChecked,
}

/// What a proof consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key that signed.
    PublicKey,
    /// What it signed.
    Root,
    /// Its signature of that.
    Signature,
    /// What vouches for the key.
    Quote,
}

/// A proof, checked.
#[derive(Debug, Default)]
pub struct Checked {
    /// The kind of environment that the proof names.
    pub tee_type: Option<TeeType>,
    /// The key that signed.
    pub key: Option<PublicKey>,
    /// The root, if the key signed it.
    pub signed_root: Option<H256>,
    /// The statement, if the key signed it.
    pub statement: Option<Statement>,
    /// The key's signatures of the statement for one contract each.
    pub bound: Vec<BoundSignature>,
    /// The problems. A valid proof has none.
    pub problems: Vec<Problem>,
    /// What was checked and holds.
    held: Vec<Step>,
}

/// Why a proof is not valid.
#[derive(Debug, Error)]
pub enum Problem {
    /// It is not a published proof.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is for another batch than the requested one.
    #[error("it is for batch {0}")]
    OtherBatch(u32),
    /// It lacks something that a proof must have.
    #[error("it has no {0}")]
    Missing(Part),
    /// Its key is invalid.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Its root is invalid.
    #[error("the signed root has {0} bytes instead of 32")]
    RootLength(usize),
    /// Its signature of the root is invalid.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// The other source names another root.
    #[error("its root is {got:?}, but the other source says {expected:?}")]
    Root {
        /// The proof's.
        got: H256,
        /// The other source's.
        expected: H256,
    },
    /// A quote that is larger than any that is judged.
    #[error("its quote is too large: {0} bytes")]
    QuoteTooLarge(usize),
    /// The key was revoked, at that time.
    #[error("the key was revoked at {0}")]
    Revoked(String),
    /// The publisher refused it, because it contradicts another proof.
    #[error("the publisher refused it because it contradicts another proof")]
    Disagrees,
    /// Nothing vouches for its key.
    #[error("the key is not attested: {0}")]
    Attestation(Arc<AttestationError>),
    /// Its quote comes from another kind of environment than it says.
    #[error("its quote comes from {quoted}, but it says {said}")]
    TeeType {
        /// The kind in the proof.
        said: TeeType,
        /// The kind in the quote.
        quoted: Tee,
    },
    /// Its statement cannot be read.
    #[error("its statement cannot be read: {0}")]
    UnreadableStatement(String),
    /// A signature of its statement is invalid.
    #[error("its statement: {0}")]
    StatementSignature(#[source] SignatureError),
    /// Its statement is about another batch or root.
    #[error("its statement is about another {0}")]
    OtherStatement(&'static str),
    /// Its statement is about another chain, version or code.
    #[error("its statement: {0}")]
    NotPinned(#[from] PinMismatch),
}

impl Problem {
    /// The problem's stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::QuoteTooLarge(_) => "unreadable",
            Self::OtherBatch(_) => "other_batch",
            Self::Missing(_) => "missing",
            Self::Key(_) => "key",
            Self::RootLength(_) => "root_length",
            Self::Signature(_) => "signature",
            Self::Root { .. } => "root",
            Self::Revoked(_) => "revoked",
            Self::Disagrees => "disagrees",
            Self::Attestation(_) => "attestation",
            Self::TeeType { .. } => "tee_type",
            Self::UnreadableStatement(_) => "unreadable_statement",
            Self::StatementSignature(_) => "statement_signature",
            Self::OtherStatement(_) => "other_statement",
            Self::NotPinned(PinMismatch::ChainId { .. }) => "other_statement",
            Self::NotPinned(PinMismatch::ProtocolVersion { .. }) => "protocol_version_not_pinned",
            Self::NotPinned(PinMismatch::Code { .. }) => "code_not_pinned",
        }
    }

    /// The step that the problem breaks.
    pub fn step(&self) -> Step {
        match self {
            Self::Unreadable(_) | Self::OtherBatch(_) => Step::Batch,
            Self::Missing(Part::PublicKey | Part::Root | Part::Signature)
            | Self::Key(_)
            | Self::RootLength(_)
            | Self::Signature(_) => Step::Signature,
            Self::Root { .. } | Self::Disagrees => Step::Root,
            Self::Missing(Part::Quote)
            | Self::QuoteTooLarge(_)
            | Self::Revoked(_)
            | Self::Attestation(_)
            | Self::TeeType { .. } => Step::Attestation,
            Self::UnreadableStatement(_)
            | Self::StatementSignature(_)
            | Self::OtherStatement(_)
            | Self::NotPinned(_) => Step::Statement,
        }
    }
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Batch, Self::Signature, Self::Root, Self::Attestation, Self::Statement];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "public key",
            Self::Root => "root",
            Self::Signature => "signature",
            Self::Quote => "quote",
        })
    }
}

/// A published entry.
#[derive(Debug)]
pub enum Entry {
    /// A job without a proof, with its status.
    Job(OrOther<JobStatus>),
    /// A proof, valid or not.
    Proof(Box<Checked>),
}

/// Checks an entry of the publisher's list:
///
/// 1. it is for the batch;
/// 2. the key signed the root (64 or 65 bytes);
/// 3. the root is that of the other source;
/// 4. the quote attests the key, under the policy, and the publisher has not revoked it;
/// 5. the statement, if there is one, is signed by the same key, and is about the same batch and root and the pinned chain,
///    protocol version and code.
///
/// Every rule is checked, whatever the results of the others.
pub async fn check(entry: Value, batch: &Batch<'_>, attestations: &Attestations) -> Entry {
    let proof: TeeProof = match serde_json::from_value(entry) {
        Ok(proof) => proof,
        Err(error) => {
            let problems = vec![Problem::Unreadable(error.to_string())];
            return Entry::Proof(Box::new(Checked { problems, ..Checked::default() }));
        }
    };
    let judged = match (quote_of(&proof), key_of(&proof)) {
        (Ok(quote), Ok(key)) => Some(attestations.judge(quote, &key, &proof).await),
        _ => None,
    };
    check_judged(&proof, batch, judged)
}

/// The same, for a proof that was parsed and whose quote was judged. Without a judgement, nothing vouches for the key.
pub fn check_judged(proof: &TeeProof, batch: &Batch<'_>, judged: Option<Judged>) -> Entry {
    if proof.signature.is_none() && proof.proof.is_none() {
        return Entry::Job(proof.status.clone());
    }
    let mut checked = Checked { tee_type: proof.tee_type, ..Checked::default() };
    if proof.l1_batch_number != batch.number {
        checked.problems.push(Problem::OtherBatch(proof.l1_batch_number));
    }
    if let Some(at) = &proof.revoked_at {
        checked.problems.push(Problem::Revoked(at.chars().take(40).collect()));
    }
    if proof.disagrees_with.is_some() {
        checked.problems.push(Problem::Disagrees);
    }
    checked.held.push(Step::Batch);
    match key_of(proof) {
        Ok(key) => {
            checked.key = Some(key);
            checked.check_root(proof, &key, batch);
            checked.check_attestation(proof, judged);
            checked.check_statement(proof, &key, batch);
        }
        Err(problem) => checked.problems.push(problem),
    }
    Entry::Proof(Box::new(checked))
}

/// The key that a proof says signed it.
pub fn key_of(proof: &TeeProof) -> Result<PublicKey, Problem> {
    Ok(PublicKey::from_bytes(proof.pubkey.as_deref().ok_or(Problem::Missing(Part::PublicKey))?)?)
}

/// The quote in a proof.
pub fn quote_of(proof: &TeeProof) -> Result<&[u8], Problem> {
    match proof.attestation.as_deref() {
        None | Some([]) => Err(Problem::Missing(Part::Quote)),
        Some(quote) if quote.len() > MAX_QUOTE_BYTES => Err(Problem::QuoteTooLarge(quote.len())),
        Some(quote) => Ok(quote),
    }
}

fn signed_root(proof: &TeeProof, key: &PublicKey) -> Result<H256, Problem> {
    let root = proof.proof.as_deref().ok_or(Problem::Missing(Part::Root))?;
    let root = H256(root.try_into().map_err(|_| Problem::RootLength(root.len()))?);
    let signature = proof.signature.as_deref().ok_or(Problem::Missing(Part::Signature))?;
    Signature::from_bytes(signature)?.verify(root, key)?;
    Ok(root)
}

impl Checked {
    /// How a step went.
    pub fn outcome(&self, step: Step) -> Outcome {
        if self.problems_of(step).next().is_some() {
            return Outcome::Broken;
        }
        if self.held.contains(&step) { Outcome::Holds } else { Outcome::NotChecked }
    }

    /// The problems that a step found.
    pub fn problems_of(&self, step: Step) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |problem| problem.step() == step)
    }

    fn check_root(&mut self, proof: &TeeProof, key: &PublicKey, batch: &Batch<'_>) {
        match signed_root(proof, key) {
            Ok(root) => {
                self.signed_root = Some(root);
                self.held.push(Step::Signature);
                match batch.expected_root {
                    Some(expected) if expected == root => self.held.push(Step::Root),
                    Some(expected) => self.problems.push(Problem::Root { got: root, expected }),
                    None => {}
                }
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    fn check_attestation(&mut self, proof: &TeeProof, judged: Option<Judged>) {
        if let Err(problem) = quote_of(proof) {
            return self.problems.push(problem);
        }
        match (judged, proof.tee_type) {
            (Some(Ok(Tee::Sgx)), Some(TeeType::Sgx) | None) | (Some(Ok(Tee::Tdx)), Some(TeeType::Tdx) | None) => {
                self.held.push(Step::Attestation);
            }
            (Some(Ok(quoted)), Some(said)) => self.problems.push(Problem::TeeType { said, quoted }),
            (Some(Err(error)), _) => self.problems.push(Problem::Attestation(error)),
            (None, _) => self.problems.push(Problem::Attestation(Arc::new(AttestationError::NotJudged))),
        }
    }

    fn check_statement(&mut self, proof: &TeeProof, key: &PublicKey, batch: &Batch<'_>) {
        let Some(statement) = &proof.statement else { return };
        let signed: SignedStatement = match serde_json::from_value(statement.clone()) {
            Ok(signed) => signed,
            Err(error) => return self.problems.push(Problem::UnreadableStatement(error.to_string())),
        };
        if let Err(error) = signed.verify(key) {
            return self.problems.push(Problem::StatementSignature(error));
        }
        let statement = signed.statement;
        if statement.batch_number != batch.number {
            self.problems.push(Problem::OtherStatement("batch"));
        }
        if proof.proof.as_deref() != Some(statement.root.as_bytes()) {
            self.problems.push(Problem::OtherStatement("root"));
        }
        // Checks the code: a batch of an operator's own bootloader verifies like any other.
        let judged = batch.pins.judge(statement.chain_id, statement.protocol_version, &statement.code_hashes);
        self.problems.extend(judged.err().map(Problem::NotPinned));
        self.held.push(Step::Statement);
        self.statement = Some(statement);
        self.bound = signed.bound;
    }
}
