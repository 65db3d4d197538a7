//! Batches with their jobs and proofs, as an operator sees them.

use sqlx::{Row, any::AnyRow};
use tee_api::{JobStatus, KeyStanding, PublicKey, Signature, TeeType};
use tee_verifier::H256;

use super::{Database, columns};

/// A batch with a job and a proof. A batch has one row for each of its jobs and, if several keys proved it, for each proof. A
/// batch that no prover ever asked for has one row without TEE type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverviewRow {
    /// The batch's number.
    pub number: u32,
    /// Whether the batch's root is known from a source other than proofs.
    pub root_is_known: bool,
    /// The job's TEE type.
    pub tee_type: Option<TeeType>,
    /// The job's status.
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
    /// The proof, if there is one.
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
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// Whether the key may sign now.
    pub key_standing: KeyStanding,
    /// Whether this server ever accepted the key's quote.
    pub key_has_passed: bool,
}

impl Database {
    /// Rows of at most `limit` batches, by number, beginning with `first`.
    pub(crate) async fn overview(&self, first: u32, limit: u32) -> Result<Vec<OverviewRow>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT b.number, j.tee_type, j.status, j.attempts, j.error_kind, j.error, j.prover_taken_at,
                 j.updated_at, p.signature, p.pubkey, p.proof, p.statement, p.received_at, a.standing, a.passed_at,
                 COALESCE(b.expected_root, n.previous_root) AS known_root
             FROM (SELECT number, expected_root FROM batches WHERE number >= $1 ORDER BY number LIMIT $2) b
             LEFT JOIN batches n ON n.number = b.number + 1
             LEFT JOIN tee_proof_generation_details j ON j.l1_batch_number = b.number
             LEFT JOIN tee_proofs p ON p.l1_batch_number = b.number AND p.tee_type = j.tee_type
             LEFT JOIN tee_attestations a ON a.pubkey = p.pubkey
             ORDER BY b.number, j.tee_type, p.received_at",
        )
        .bind(i64::from(first))
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(OverviewRow::read).collect()
    }
}

impl OverviewRow {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let has_job = row.try_get::<Option<&str>, _>("tee_type")?.is_some();
        let has_proof = row.try_get::<Option<&[u8]>, _>("signature")?.is_some();
        Ok(Self {
            number: columns::number(row, "number")?,
            root_is_known: row.try_get::<Option<&[u8]>, _>("known_root")?.is_some(),
            tee_type: has_job.then(|| columns::tee_type(row, "tee_type")).transpose()?,
            status: if has_job { columns::job_status(row, "status")? } else { JobStatus::ReadyToBeProven },
            attempts: columns::optional_number(row, "attempts")?.unwrap_or(0),
            error_kind: row.try_get("error_kind")?,
            error: row.try_get("error")?,
            prover_taken_at_ms: row.try_get("prover_taken_at")?,
            updated_at_ms: row.try_get("updated_at")?,
            proof: has_proof.then(|| OverviewProof::read(row)).transpose()?,
        })
    }
}

impl OverviewProof {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            signature: columns::signature(row, "signature")?,
            pubkey: columns::pubkey(row, "pubkey")?,
            root: columns::hash(row, "proof")?,
            statement: row.try_get("statement")?,
            received_at_ms: row.try_get("received_at")?,
            key_standing: columns::standing(row, "standing")?,
            key_has_passed: row.try_get::<Option<i64>, _>("passed_at")?.is_some(),
        })
    }
}
