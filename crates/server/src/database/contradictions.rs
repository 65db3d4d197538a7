//! Accepted proofs that turn out to contradict what became known later. They move to `tee_proof_disagreements`, where
//! they are an alarm, and make room for the proof that is right. Statements that contradict the next batch alone are noted
//! there and stay accepted.

use sqlx::AnyConnection;
use tee_api::{PublicKey, TeeType};
use tee_verifier::H256;

use super::{Database, JobRules, provers::forget_failures};
use crate::service::Service;

/// What moves, and the root that it contradicts, for `INSERT INTO … SELECT`.
const MOVE: &str = "INSERT INTO tee_proof_disagreements
     (l1_batch_number, tee_type, pubkey, signature, proof, accepted_proof, received_at, statement)";

/// Only what was copied. A key that already has another disagreement on the batch keeps its proof where it is: the alarm
/// is there, and nothing of a proof is lost.
const DELETE_COPIED: &str = "AND EXISTS (SELECT 1 FROM tee_proof_disagreements d
     WHERE d.l1_batch_number = tee_proofs.l1_batch_number AND d.tee_type = tee_proofs.tee_type
         AND d.pubkey = tee_proofs.pubkey AND d.proof = tee_proofs.proof)";

/// Who says which root a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootSource {
    /// It was said of the batch itself: a proof of another root is wrong.
    Batch,
    /// The next batch starts from it: a statement of another root stays accepted, as it would be if it came later.
    NextBatch,
}

/// How many proofs each TEE type needs.
pub(super) type RequiredOf = [(TeeType, u32); 2];

impl JobRules {
    pub(super) fn required_of_types(&self) -> RequiredOf {
        [TeeType::Sgx, TeeType::Tdx].map(|tee_type| (tee_type, self.required_proofs(tee_type)))
    }
}

/// Holds the accepted proofs of a batch against its root, which has become known. Says how many contradict it. Where those
/// that stay do not suffice, the batch is proven again.
pub(super) async fn displace(
    connection: &mut AnyConnection,
    number: u32,
    (root, source): (H256, RootSource),
    required: RequiredOf,
    now_ms: i64,
) -> Result<u64, sqlx::Error> {
    let copied = sqlx::query(sqlx::AssertSqlSafe(format!(
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
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "DELETE FROM tee_proofs WHERE l1_batch_number = $1 AND proof <> $2 {displaced} {DELETE_COPIED}"
    )))
    .bind(i64::from(number))
    .bind(root.as_bytes())
    .execute(&mut *connection)
    .await?;
    for (tee_type, required) in required {
        // Also a job that failed because the right proof was refused as the disagreeing one.
        let requeued = sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $2, lease_id = NULL,
                 lease_expires_at = NULL, created_at = $2, updated_at = $2
             WHERE l1_batch_number = $1 AND tee_type = $3
                 AND (status = 'generated' OR error_kind = 'disagreeing_root')
                 AND (SELECT COUNT(*) FROM tee_proofs
                      JOIN tee_attestations ON tee_attestations.pubkey = tee_proofs.pubkey
                      WHERE tee_proofs.l1_batch_number = $1 AND tee_proofs.tee_type = $3
                          AND tee_attestations.verdict NOT LIKE 'revoked%') < $4",
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

impl Database {
    /// Fills in the root of a batch that was taken in without one, and holds its proofs against it.
    pub(crate) async fn fill_expected_root(&self, number: u32, root: H256, now_ms: i64) -> Result<(), sqlx::Error> {
        let required = self.rules.required_of_types();
        let displaced = self
            .transaction(move |connection| {
                Box::pin(async move {
                    // The row's lock keeps proofs out until this is done.
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
}

/// The alarm's line in the log.
pub(super) fn alarm_displaced(batch: u32, root: H256, displaced: u64) {
    if displaced > 0 {
        tracing::error!(batch, ?root, proofs = displaced, "ALARM: accepted proofs contradict the batch's root");
    }
}

impl Service {
    /// Notes how a person explained a disagreement; the first explanation stays. False if there is no such disagreement.
    pub async fn resolve_disagreement(
        &self,
        number: u32,
        tee_type: TeeType,
        pubkey: &PublicKey,
        resolution: &str,
    ) -> Result<bool, sqlx::Error> {
        let (pubkey, resolution, now_ms) = (pubkey.to_bytes().to_vec(), resolution.to_owned(), self.clock.now_ms());
        self.database
            .statement(move |connection| {
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
