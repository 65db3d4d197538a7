//! What an operator looks at.

use sqlx::{Row, any::AnyRow};
use tee_api::{PublicKey, Signature, TeeType};
use tee_verifier::H256;

use super::{Database, JobStatus, decoded, hash, number};

/// A batch with its job and proof. A batch has one row for each of its jobs and, where several keys proved it, for each
/// proof; a batch that no prover ever asked for has a row without TEE type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverviewRow {
    /// The batch's number.
    pub number: u32,
    /// The job's TEE type.
    pub tee_type: Option<TeeType>,
    /// Where the job stands.
    pub status: JobStatus,
    /// How often the batch was handed out.
    pub attempts: u32,
    /// Why it failed, for machines.
    pub error_kind: Option<String>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// When a prover last took it, in milliseconds since 1970.
    pub prover_taken_at_ms: Option<i64>,
    /// When the job last changed, in milliseconds since 1970.
    pub updated_at_ms: Option<i64>,
    /// The proof, where there is one.
    pub proof: Option<OverviewProof>,
}

/// An accepted proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverviewProof {
    /// The signature.
    pub signature: Signature,
    /// The key that signed.
    pub pubkey: PublicKey,
    /// The root that was signed.
    pub root: H256,
    /// The statement in JSON.
    pub statement: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// What is thought of the key's quote.
    pub attestation_verdict: String,
}

/// A proof that contradicts an accepted one, the batch's known root or the next batch: one of the two is forged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The batch's number.
    pub number: u32,
    /// The proof's TEE type.
    pub tee_type: TeeType,
    /// The proof's key.
    pub pubkey: PublicKey,
    /// The proof's signature.
    pub signature: Signature,
    /// The proof's root.
    pub root: H256,
    /// The root that it contradicts.
    pub accepted_root: H256,
    /// Whether the proof is accepted all the same: it is a statement, and only the next batch says another root.
    pub is_accepted: bool,
    /// When it came, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// When a person had explained it, in milliseconds since 1970.
    pub resolved_at_ms: Option<i64>,
    /// How.
    pub resolution: Option<String>,
}

/// Columns of a row `d` of `tee_proof_disagreements`.
pub(super) const DISAGREEMENT_COLUMNS: &str = "d.*, (SELECT COUNT(*) FROM tee_proofs p
     WHERE p.l1_batch_number = d.l1_batch_number AND p.tee_type = d.tee_type AND p.pubkey = d.pubkey
         AND p.proof = d.proof) AS accepted";

impl Database {
    /// Rows of at most `limit` batches from `first` on, by number.
    pub(crate) async fn overview(&self, first: u32, limit: u32) -> Result<Vec<OverviewRow>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT b.number, j.tee_type, j.status, j.attempts, j.error_kind, j.error, j.prover_taken_at,
                 j.updated_at, p.signature, p.pubkey, p.proof, p.statement, p.received_at, a.verdict
             FROM (SELECT number FROM batches WHERE number >= $1 ORDER BY number LIMIT $2) b
             LEFT JOIN tee_proof_generation_details j ON j.l1_batch_number = b.number
             LEFT JOIN tee_proofs p ON p.l1_batch_number = b.number AND p.tee_type = j.tee_type
             LEFT JOIN tee_attestations a ON a.pubkey = p.pubkey
             ORDER BY b.number, j.tee_type, p.received_at",
        )
        .bind(i64::from(first))
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| {
                let tee_type: Option<&str> = row.try_get("tee_type")?;
                let status: Option<&str> = row.try_get("status")?;
                let signature: Option<&[u8]> = row.try_get("signature")?;
                Ok(OverviewRow {
                    number: number(row.try_get("number")?)?,
                    tee_type: decoded(tee_type.map(str::parse).transpose())?,
                    status: status.map_or(Ok(JobStatus::ReadyToBeProven), JobStatus::stored)?,
                    attempts: number(row.try_get::<Option<i64>, _>("attempts")?.unwrap_or(0))?,
                    error_kind: row.try_get("error_kind")?,
                    error: row.try_get("error")?,
                    prover_taken_at_ms: row.try_get("prover_taken_at")?,
                    updated_at_ms: row.try_get("updated_at")?,
                    proof: match signature {
                        None => None,
                        Some(signature) => Some(OverviewProof {
                            signature: decoded(Signature::from_bytes(signature))?,
                            pubkey: decoded(PublicKey::from_bytes(row.try_get("pubkey")?))?,
                            root: hash(row.try_get("proof")?)?,
                            statement: row.try_get("statement")?,
                            received_at_ms: row.try_get("received_at")?,
                            attestation_verdict: row.try_get("verdict")?,
                        }),
                    },
                })
            })
            .collect()
    }

    /// All disagreements, the latest first.
    pub(crate) async fn disagreements(&self) -> Result<Vec<Disagreement>, sqlx::Error> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {DISAGREEMENT_COLUMNS} FROM tee_proof_disagreements d ORDER BY received_at DESC, l1_batch_number"
        )));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(Disagreement::read).collect()
    }
}

impl Disagreement {
    pub(super) fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: number(row.try_get("l1_batch_number")?)?,
            tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
            pubkey: decoded(PublicKey::from_bytes(row.try_get("pubkey")?))?,
            signature: decoded(Signature::from_bytes(row.try_get("signature")?))?,
            root: hash(row.try_get("proof")?)?,
            accepted_root: hash(row.try_get("accepted_proof")?)?,
            is_accepted: row.try_get::<i64, _>("accepted")? > 0,
            received_at_ms: row.try_get("received_at")?,
            resolved_at_ms: row.try_get("resolved_at")?,
            resolution: row.try_get("resolution")?,
        })
    }
}
