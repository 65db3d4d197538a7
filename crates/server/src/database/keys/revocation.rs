//! Keys that somebody revokes, and the batches that are proven again because of it.
//!
//! A batch that a revoked key touched may lack proofs, may have failed because the right proof was refused in favour of the key's
//! proof, or may have been given up for that reason. There may be millions of them. They are processed in chunks, the highest
//! first, since those are needed soonest.

use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tee_api::PublicKey;

use crate::database::{Database, disagreements::RequiredOf, jobs::RETIRED, patience::Within};

/// About how many batches that the key touched are processed in one transaction.
const CHUNK: i64 = 1000;

/// The progress of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requeued {
    /// How many of the batches processed so far are proven again.
    pub batches: u64,
    /// Whether there are more to process. That continues in the background.
    pub goes_on: bool,
}

impl Database {
    /// Revokes a key permanently. If wanted, begins to make those batches ready again that lack proofs without the key.
    pub(crate) async fn revoke(
        &self,
        pubkey: &PublicKey,
        reason: &str,
        reprove: bool,
        now_ms: i64,
    ) -> Result<Requeued, sqlx::Error> {
        let key = pubkey.to_bytes().to_vec();
        let reason = reason.to_owned();
        let required = self.rules.required_of_types();
        let requeued = self.transaction(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations SET standing = 'revoked', standing_reason = $2,
                         revoked_at = COALESCE(revoked_at, $3)
                     WHERE pubkey = $1 AND standing <> 'revoked'",
                )
                .bind(key.as_slice())
                .bind(reason)
                .bind(now_ms)
                .execute(&mut *connection)
                .await?;
                if !reprove {
                    return Ok(Requeued { batches: 0, goes_on: false });
                }
                sqlx::query("UPDATE tee_attestations SET requeue_below = $2 WHERE pubkey = $1")
                    .bind(key.as_slice())
                    .bind(i64::from(u32::MAX) + 1)
                    .execute(&mut *connection)
                    .await?;
                requeue_chunk(connection, &key, required, now_ms).await
            })
        });
        let requeued = requeued.await?;
        self.jobs_added.notify_waiters();
        Ok(requeued)
    }

    /// Processes one more chunk of batches for each revoked key that has some left. False if none has.
    pub(crate) async fn advance_revocations(&self, now_ms: i64) -> Result<bool, sqlx::Error> {
        let required = self.rules.required_of_types();
        let keys = sqlx::query("SELECT pubkey FROM tee_attestations WHERE requeue_below IS NOT NULL LIMIT 16")
            .fetch_all(&self.pool)
            .within()
            .await?;
        let is_work_left = !keys.is_empty();
        for key in keys {
            let key: Vec<u8> = key.try_get("pubkey")?;
            self.transaction(move |connection| {
                Box::pin(async move { requeue_chunk(connection, &key, required, now_ms).await })
            })
            .await?;
        }
        if is_work_left {
            self.jobs_added.notify_waiters();
        }
        Ok(is_work_left)
    }
}

async fn requeue_chunk(
    connection: &mut AnyConnection,
    key: &[u8],
    required: RequiredOf,
    now_ms: i64,
) -> Result<Requeued, sqlx::Error> {
    // This update changes nothing: it keeps other servers out until the chunk is done.
    let row = sqlx::query(
        "UPDATE tee_attestations SET requeue_below = requeue_below WHERE pubkey = $1 AND requeue_below IS NOT NULL
         RETURNING requeue_below",
    )
    .bind(key)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(Requeued { batches: 0, goes_on: false }) };
    let below: i64 = row.try_get("requeue_below")?;
    // The chunk ends with the batch that fills it, counted in proofs or in disagreements.
    let mut end_of_chunk = None;
    for table in ["tee_proofs", "tee_proof_disagreements"] {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT l1_batch_number FROM {table} WHERE pubkey = $1 AND l1_batch_number < $2
             ORDER BY l1_batch_number DESC LIMIT 1 OFFSET $3"
        )))
        .bind(key)
        .bind(below)
        .bind(CHUNK - 1)
        .fetch_optional(&mut *connection)
        .await?;
        end_of_chunk = end_of_chunk.max(row.map(|row| row.try_get::<i64, _>("l1_batch_number")).transpose()?);
    }
    let range = (end_of_chunk.unwrap_or(0), below);
    let mut batches = 0;
    for (tee_type, required) in required {
        batches += requeue_range(connection, key, range, (tee_type.as_str(), required), now_ms).await?;
    }
    sqlx::query("UPDATE tee_attestations SET requeue_below = $2 WHERE pubkey = $1")
        .bind(key)
        .bind(end_of_chunk)
        .execute(connection)
        .await?;
    Ok(Requeued { batches, goes_on: end_of_chunk.is_some() })
}

/// Makes the batches of a range, its end not included, ready again if the key touched them and they lack proofs.
async fn requeue_range(
    connection: &mut AnyConnection,
    key: &[u8],
    (first, end): (i64, i64),
    (tee_type, required): (&str, u32),
    now_ms: i64,
) -> Result<u64, sqlx::Error> {
    const LACKING: &str = "tee_type = $2 AND l1_batch_number >= $3 AND l1_batch_number < $4
        AND l1_batch_number IN (
            SELECT l1_batch_number FROM tee_proofs
            WHERE pubkey = $1 AND l1_batch_number >= $3 AND l1_batch_number < $4
            UNION SELECT l1_batch_number FROM tee_proof_disagreements
            WHERE pubkey = $1 AND l1_batch_number >= $3 AND l1_batch_number < $4)";
    let requeued = sqlx::query(AssertSqlSafe(format!(
        "UPDATE tee_proof_generation_details
         SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $5, lease_id = NULL, lease_expires_at = NULL,
             error_kind = NULL, error = NULL, created_at = $5, updated_at = $5
         WHERE {LACKING} AND status IN ('generated', 'failed', 'permanently_ignored')
             AND (SELECT COUNT(*) FROM tee_proofs p JOIN tee_attestations a ON a.pubkey = p.pubkey
                  WHERE p.l1_batch_number = tee_proof_generation_details.l1_batch_number AND p.tee_type = $2
                      AND a.standing <> 'revoked') < $6"
    )))
    .bind(key)
    .bind(tee_type)
    .bind(first)
    .bind(end)
    .bind(now_ms)
    .bind(i64::from(required))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if requeued > 0 {
        // Proven jobs are not examined again: their failures may go together with those of the others.
        sqlx::query(AssertSqlSafe(format!("DELETE FROM tee_job_failures WHERE {LACKING}")))
            .bind(key)
            .bind(tee_type)
            .bind(first)
            .bind(end)
            .execute(&mut *connection)
            .await?;
        // Batches without an input would be claimed in vain, perhaps a million times.
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE tee_proof_generation_details
             SET status = 'failed', claimable_at = NULL, error_kind = 'input_retired', error = $5
             WHERE {LACKING} AND status = 'ready_to_be_proven'
                 AND EXISTS (SELECT 1 FROM batches WHERE number = l1_batch_number AND input_retired_at IS NOT NULL)"
        )))
        .bind(key)
        .bind(tee_type)
        .bind(first)
        .bind(end)
        .bind(RETIRED)
        .execute(connection)
        .await?;
    }
    Ok(requeued)
}
