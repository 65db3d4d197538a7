//! What is published of a batch: its jobs and proofs, with the quotes that vouch for the keys.

use sqlx::{Row, sqlite::SqliteRow};
use tee_api::TeeType;

use super::{JobStatus, Storage, decoded};

/// The most rows that are published of one batch.
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
    pub(crate) verdict: String,
    pub(crate) judged_at_ms: Option<i64>,
    pub(crate) collateral: Option<Vec<u8>>,
    pub(crate) revoked_at_ms: Option<i64>,
    /// The accepted root that this one contradicts.
    pub(crate) accepted_root: Option<Vec<u8>>,
}

impl Storage {
    /// Proofs of a batch and jobs that have none, then refused proofs that contradict accepted ones. Jobs of TEE type
    /// `none` never have a proof and are left out.
    pub(crate) async fn published_proofs(
        &self,
        number: u32,
        tee_type: Option<TeeType>,
    ) -> Result<Vec<PublishedProof>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT j.tee_type, j.status, j.updated_at, p.pubkey, p.signature, p.proof, p.statement, p.received_at,
                 NULL AS accepted_proof, a.quote, a.verdict, a.judged_at, a.collateral, a.revoked_at
             FROM tee_proof_generation_details j
             LEFT JOIN tee_proofs p ON p.l1_batch_number = j.l1_batch_number AND p.tee_type = j.tee_type
             LEFT JOIN tee_attestations a ON a.pubkey = p.pubkey
             WHERE j.l1_batch_number = $1 AND j.tee_type <> 'none' AND ($2 IS NULL OR j.tee_type = $2)
             ORDER BY j.tee_type, p.received_at, p.pubkey LIMIT $3",
        )
        .bind(i64::from(number))
        .bind(tee_type.map(TeeType::as_str))
        .bind(MAX_PROOFS)
        .fetch_all(&self.reader)
        .await?;
        let disagreements = sqlx::query(
            "SELECT d.tee_type, 'failed' AS status, d.received_at AS updated_at, d.pubkey, d.signature, d.proof,
                 NULL AS statement, d.received_at, d.accepted_proof, a.quote, a.verdict, a.judged_at, a.collateral,
                 a.revoked_at
             FROM tee_proof_disagreements d JOIN tee_attestations a ON a.pubkey = d.pubkey
             WHERE d.l1_batch_number = $1 AND ($2 IS NULL OR d.tee_type = $2)
             ORDER BY d.received_at, d.pubkey LIMIT $3",
        )
        .bind(i64::from(number))
        .bind(tee_type.map(TeeType::as_str))
        .bind(MAX_PROOFS)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().chain(&disagreements).map(PublishedProof::read).collect()
    }
}

impl PublishedProof {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let pubkey: Option<Vec<u8>> = row.try_get("pubkey")?;
        let received_at: Option<i64> = row.try_get("received_at")?;
        Ok(Self {
            tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
            status: JobStatus::stored(row.try_get("status")?)?,
            at_ms: received_at.map_or_else(|| row.try_get("updated_at"), Ok)?,
            signed: match pubkey {
                None => None,
                Some(pubkey) => Some(SignedRoot {
                    pubkey,
                    signature: row.try_get("signature")?,
                    root: row.try_get("proof")?,
                    statement: row.try_get("statement")?,
                    quote: row.try_get("quote")?,
                    verdict: row.try_get("verdict")?,
                    judged_at_ms: row.try_get("judged_at")?,
                    collateral: row.try_get("collateral")?,
                    revoked_at_ms: row.try_get("revoked_at")?,
                    accepted_root: row.try_get("accepted_proof")?,
                }),
            },
        })
    }
}
