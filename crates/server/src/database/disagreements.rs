//! `tee_proof_disagreements`: proofs that contradict an accepted proof, or a root that became known later. An accepted proof that
//! turns out to be wrong moves here, where it is an alarm, and makes room for the right one. A statement that contradicts only
//! the next batch is noted here and stays accepted.

use std::collections::HashSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use tee_api::{PublicKey, Signature, TeeType};
use tee_verifier::H256;

use super::{Database, JobRules, NewProof, columns, job_failures::forget_failures};

/// A proof that contradicts an accepted one, the batch's known root, or the next batch: one of the two is forged.
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
    /// Whether the proof is accepted nevertheless: it is a statement, and only the next batch names another root.
    pub is_accepted: bool,
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// When a person explained it, in milliseconds since 1970.
    pub resolved_at_ms: Option<i64>,
    /// The explanation.
    pub resolution: Option<String>,
}

/// Columns of a row `d` of `tee_proof_disagreements`.
const DISAGREEMENT_COLUMNS: &str = "d.*, (SELECT COUNT(*) FROM tee_proofs p
     WHERE p.l1_batch_number = d.l1_batch_number AND p.tee_type = d.tee_type AND p.pubkey = d.pubkey
         AND p.proof = d.proof) AS accepted";

/// Selects the proofs that move and the root that they contradict, for `INSERT INTO … SELECT`.
const MOVE: &str = "INSERT INTO tee_proof_disagreements
     (l1_batch_number, tee_type, pubkey, signature, proof, accepted_proof, received_at, statement)";

/// Deletes only what was copied. If a key already has another disagreement on the batch, its proof stays where it is: the alarm
/// exists already, and no proof is lost.
const DELETE_COPIED: &str = "AND EXISTS (SELECT 1 FROM tee_proof_disagreements d
     WHERE d.l1_batch_number = tee_proofs.l1_batch_number AND d.tee_type = tee_proofs.tee_type
         AND d.pubkey = tee_proofs.pubkey AND d.proof = tee_proofs.proof)";

/// Who names a batch's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootSource {
    /// The batch itself: a proof of another root is wrong.
    Batch,
    /// The next batch, which starts from it: a statement of another root stays accepted, as it would if it came later.
    NextBatch,
}

/// How many proofs each TEE type needs.
pub(super) type RequiredOf = [(TeeType, u32); 2];

impl JobRules {
    pub(super) fn required_of_types(&self) -> RequiredOf {
        [TeeType::Sgx, TeeType::Tdx].map(|tee_type| (tee_type, self.required_proofs(tee_type)))
    }
}

/// Compares the accepted proofs of a batch with its root, which has become known. Returns how many contradict it. If the
/// remaining ones do not suffice, the batch is proven again.
pub(super) async fn displace(
    connection: &mut AnyConnection,
    number: u32,
    (root, source): (H256, RootSource),
    required: RequiredOf,
    now_ms: i64,
) -> Result<u64, sqlx::Error> {
    let copied = sqlx::query(AssertSqlSafe(format!(
        "{MOVE} SELECT l1_batch_number, tee_type, pubkey, signature, proof, $2, received_at, statement
         FROM tee_proofs WHERE l1_batch_number = $1 AND proof <> $2 ON CONFLICT DO NOTHING"
    )))
    .bind(i64::from(number))
    .bind(root.as_bytes())
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if copied == 0 {
        return Ok(0);
    }
    let displaced = match source {
        RootSource::Batch => "",
        RootSource::NextBatch => "AND statement IS NULL",
    };
    sqlx::query(AssertSqlSafe(format!(
        "DELETE FROM tee_proofs WHERE l1_batch_number = $1 AND proof <> $2 {displaced} {DELETE_COPIED}"
    )))
    .bind(i64::from(number))
    .bind(root.as_bytes())
    .execute(&mut *connection)
    .await?;
    for (tee_type, required) in required {
        // This includes a job that failed because the right proof was refused as the disagreeing one.
        let requeued = sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $2, lease_id = NULL,
                 lease_expires_at = NULL, created_at = $2, updated_at = $2
             WHERE l1_batch_number = $1 AND tee_type = $3
                 AND (status = 'generated' OR error_kind = 'disagreeing_root')
                 AND (SELECT COUNT(*) FROM tee_proofs
                      JOIN tee_attestations ON tee_attestations.pubkey = tee_proofs.pubkey
                      WHERE tee_proofs.l1_batch_number = $1 AND tee_proofs.tee_type = $3
                          AND tee_attestations.standing <> 'revoked') < $4",
        )
        .bind(i64::from(number))
        .bind(now_ms)
        .bind(tee_type.as_str())
        .bind(i64::from(required))
        .execute(&mut *connection)
        .await?;
        if requeued.rows_affected() > 0 {
            forget_failures(connection, number.into(), tee_type.as_str()).await?;
        }
    }
    Ok(copied)
}

/// Keeps a proof as a disagreement. Each key has one per batch, so that no key can fill the table; an explained one makes room for another.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    proof: &NewProof,
    accepted: H256,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tee_proof_disagreements
             (l1_batch_number, tee_type, pubkey, signature, proof, accepted_proof, received_at, statement)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (l1_batch_number, tee_type, pubkey) DO UPDATE
         SET signature = excluded.signature, proof = excluded.proof, accepted_proof = excluded.accepted_proof,
             received_at = excluded.received_at, statement = excluded.statement, resolved_at = NULL,
             resolution = NULL
         WHERE tee_proof_disagreements.resolved_at IS NOT NULL
             AND (tee_proof_disagreements.proof <> excluded.proof
                 OR tee_proof_disagreements.accepted_proof <> excluded.accepted_proof)",
    )
    .bind(i64::from(proof.number))
    .bind(proof.submission.tee_type.as_str())
    .bind(proof.submission.pubkey.to_bytes().as_slice())
    .bind(proof.submission.signature.to_bytes())
    .bind(proof.submission.proof.as_bytes())
    .bind(accepted.as_bytes())
    .bind(now_ms)
    .bind(&proof.statement)
    .execute(connection)
    .await
    .map(drop)
}

impl Database {
    /// Sets the root of a batch that was added without one, and compares its proofs with it.
    pub(crate) async fn fill_expected_root(&self, number: u32, root: H256, now_ms: i64) -> Result<(), sqlx::Error> {
        let required = self.rules.required_of_types();
        let displaced = self
            .transaction(move |connection| {
                Box::pin(async move {
                    // The row's lock keeps new proofs out until the transaction ends.
                    let filled = sqlx::query(
                        "UPDATE batches SET expected_root = $2 WHERE number = $1 AND expected_root IS NULL",
                    )
                    .bind(i64::from(number))
                    .bind(root.as_bytes())
                    .execute(&mut *connection)
                    .await?;
                    match filled.rows_affected() {
                        0 => Ok(0),
                        _ => displace(connection, number, (root, RootSource::Batch), required, now_ms).await,
                    }
                })
            })
            .await?;
        alarm_displaced(number, root, displaced);
        self.jobs_added.notify_waiters();
        Ok(())
    }

    /// All disagreements, the latest first.
    pub(crate) async fn disagreements(&self) -> Result<Vec<Disagreement>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT {DISAGREEMENT_COLUMNS} FROM tee_proof_disagreements d ORDER BY received_at DESC, l1_batch_number"
        )));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(Disagreement::read).collect()
    }

    /// Disagreements by batch, TEE type and key, beginning after `after`.
    pub(crate) async fn disagreements_after(
        &self,
        after: Option<(u32, TeeType, PublicKey)>,
        limit: u32,
    ) -> Result<Vec<Disagreement>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT {DISAGREEMENT_COLUMNS} FROM tee_proof_disagreements d
             WHERE (l1_batch_number, tee_type, pubkey) > ($1, $2, $3)
             ORDER BY l1_batch_number, tee_type, pubkey LIMIT $4"
        )))
        .bind(after.map_or(-1, |(number, ..)| i64::from(number)))
        .bind(after.map_or("", |(_, tee_type, _)| tee_type.as_str()))
        .bind(after.map_or_else(Vec::new, |(.., pubkey)| pubkey.to_bytes().to_vec()))
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(Disagreement::read).collect()
    }

    /// The disagreements on a batch, unexplained ones first.
    pub(crate) async fn disagreements_of(&self, number: u32, limit: u32) -> Result<Vec<Disagreement>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT {DISAGREEMENT_COLUMNS} FROM tee_proof_disagreements d
             WHERE l1_batch_number = $1 ORDER BY resolved_at IS NOT NULL, tee_type, pubkey LIMIT $2"
        )))
        .bind(i64::from(number))
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(Disagreement::read).collect()
    }

    /// The batches from `first` to `last` that have an unexplained disagreement.
    pub(crate) async fn disputed_batches(&self, first: u32, last: u32) -> Result<HashSet<u32>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT DISTINCT l1_batch_number FROM tee_proof_disagreements
             WHERE resolved_at IS NULL AND l1_batch_number >= $1 AND l1_batch_number <= $2",
        )
        .bind(i64::from(first))
        .bind(i64::from(last));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(|row| columns::number(row, 0)).collect()
    }

    /// Notes how a person explained a disagreement. The first explanation stays. False if there is no such disagreement.
    pub(crate) async fn resolve_disagreement(
        &self,
        number: u32,
        tee_type: TeeType,
        pubkey: &PublicKey,
        resolution: &str,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let (pubkey, resolution) = (pubkey.to_bytes().to_vec(), resolution.to_owned());
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_proof_disagreements
                         SET resolved_at = COALESCE(resolved_at, $4), resolution = COALESCE(resolution, $5)
                         WHERE l1_batch_number = $1 AND tee_type = $2 AND pubkey = $3",
                )
                .bind(i64::from(number))
                .bind(tee_type.as_str())
                .bind(pubkey)
                .bind(now_ms)
                .bind(resolution)
                .execute(connection)
                .await
                .map(|result| result.rows_affected() > 0)
            })
        })
        .await
    }
}

/// Logs the alarm.
pub(super) fn alarm_displaced(batch: u32, root: H256, displaced: u64) {
    if displaced > 0 {
        tracing::error!(batch, ?root, proofs = displaced, "ALARM: accepted proofs contradict the batch's known root");
    }
}

impl Disagreement {
    pub(super) fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: columns::number(row, "l1_batch_number")?,
            tee_type: columns::tee_type(row, "tee_type")?,
            pubkey: columns::pubkey(row, "pubkey")?,
            signature: columns::signature(row, "signature")?,
            root: columns::hash(row, "proof")?,
            accepted_root: columns::hash(row, "accepted_proof")?,
            is_accepted: columns::any(row, "accepted")?,
            received_at_ms: row.try_get("received_at")?,
            resolved_at_ms: row.try_get("resolved_at")?,
            resolution: row.try_get("resolution")?,
        })
    }
}
