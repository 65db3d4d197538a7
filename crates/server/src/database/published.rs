//! What is published about a batch: its jobs and proofs, with the quotes that vouch for the keys.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use tee_api::{JobStatus, KeyStanding, TeeType};

use super::{Database, columns};

/// The most rows that are published about one batch.
const MAX_PROOFS: i64 = 256;

/// A proof, or a job without one.
#[derive(Debug)]
pub(crate) struct PublishedProof {
    pub(crate) tee_type: TeeType,
    pub(crate) status: JobStatus,
    /// When the proof came or the job last changed.
    pub(crate) at_ms: i64,
    pub(crate) signed: Option<SignedRoot>,
}

/// The proof's own part.
#[derive(Debug)]
pub(crate) struct SignedRoot {
    pub(crate) pubkey: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) root: Vec<u8>,
    pub(crate) statement: Option<String>,
    pub(crate) quote: Vec<u8>,
    pub(crate) standing: KeyStanding,
    pub(crate) standing_reason: Option<String>,
    pub(crate) judged_at_ms: Option<i64>,
    pub(crate) collateral: Option<Vec<u8>>,
    pub(crate) revoked_at_ms: Option<i64>,
    /// The accepted root that this one contradicts.
    pub(crate) accepted_root: Option<Vec<u8>>,
}

impl Database {
    /// Proofs of a batch and jobs without a proof, then refused proofs that contradict accepted ones. Jobs of TEE type `none` never
    /// have a proof and are left out. A disagreement whose proof is accepted is listed only as a proof.
    pub(crate) async fn published_proofs(
        &self,
        number: u32,
        tee_type: Option<TeeType>,
    ) -> Result<Vec<PublishedProof>, sqlx::Error> {
        let of_type = tee_type.map_or_else(String::new, |tee_type| format!("AND j.tee_type = '{tee_type}'"));
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT j.tee_type, j.status, j.updated_at AS at, p.pubkey, p.signature, p.proof, p.statement, p.received_at,
                 a.quote, a.standing, a.standing_reason, a.judged_at, a.collateral, a.revoked_at
             FROM tee_proof_generation_details j
             LEFT JOIN tee_proofs p ON p.l1_batch_number = j.l1_batch_number AND p.tee_type = j.tee_type
             LEFT JOIN tee_attestations a ON a.pubkey = p.pubkey
             WHERE j.l1_batch_number = $1 AND j.tee_type <> 'none' {of_type}
             ORDER BY j.tee_type, p.received_at, p.pubkey LIMIT $2"
        )))
        .bind(i64::from(number))
        .bind(MAX_PROOFS);
        let rows = self.readers.fetch_all(query).await?;
        let of_type = tee_type.map_or_else(String::new, |tee_type| format!("AND d.tee_type = '{tee_type}'"));
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT d.tee_type, d.received_at AS at, d.pubkey, d.signature, d.proof, d.accepted_proof, d.statement,
                 a.quote,
                 a.standing, a.standing_reason, a.judged_at, a.collateral, a.revoked_at
             FROM tee_proof_disagreements d JOIN tee_attestations a ON a.pubkey = d.pubkey
             WHERE d.l1_batch_number = $1 {of_type}
                 AND NOT EXISTS (SELECT 1 FROM tee_proofs p WHERE p.l1_batch_number = d.l1_batch_number
                     AND p.tee_type = d.tee_type AND p.pubkey = d.pubkey AND p.proof = d.proof)
             ORDER BY d.received_at, d.pubkey LIMIT $2"
        )))
        .bind(i64::from(number))
        .bind(MAX_PROOFS);
        let disagreements = self.readers.fetch_all(query).await?;
        let accepted = rows.iter().map(PublishedProof::accepted);
        accepted.chain(disagreements.iter().map(PublishedProof::disagreeing)).collect()
    }
}

impl PublishedProof {
    fn accepted(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let proven_at_ms: Option<i64> = row.try_get("received_at")?;
        let signed = match proven_at_ms {
            None => None,
            Some(_) => Some(SignedRoot::read(row)?),
        };
        let status = columns::job_status(row, "status")?;
        let at_ms = proven_at_ms.map_or_else(|| row.try_get("at"), Ok)?;
        Ok(Self { tee_type: columns::tee_type(row, "tee_type")?, status, at_ms, signed })
    }

    fn disagreeing(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let signed = SignedRoot { accepted_root: row.try_get("accepted_proof")?, ..SignedRoot::read(row)? };
        let (status, at_ms) = (JobStatus::Failed, row.try_get("at")?);
        Ok(Self { tee_type: columns::tee_type(row, "tee_type")?, status, at_ms, signed: Some(signed) })
    }
}

impl SignedRoot {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            pubkey: row.try_get("pubkey")?,
            signature: row.try_get("signature")?,
            root: row.try_get("proof")?,
            statement: row.try_get("statement")?,
            quote: row.try_get("quote")?,
            standing: columns::standing(row, "standing")?,
            standing_reason: row.try_get("standing_reason")?,
            judged_at_ms: row.try_get("judged_at")?,
            collateral: row.try_get("collateral")?,
            revoked_at_ms: row.try_get("revoked_at")?,
            accepted_root: None,
        })
    }
}
