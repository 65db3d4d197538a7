//! `claimed_tee_types`: which TEE types have jobs. When the first prover of a type asks for work, the type's jobs for the existing
//! batches are made; when somebody retires the type, they are removed. Both happen in chunks, since there may be millions. New
//! batches make their own jobs.

use sqlx::{AnyConnection, Row};
use tee_api::TeeType;

use super::{Database, columns, patience::Within};

/// How many batch numbers are processed in one transaction. Other writes come in between.
const CHUNK: i64 = 1000;

impl Database {
    /// Notes that a TEE type is asked for, and makes the first of its jobs. [`Self::advance_tee_types`] makes the others. A retired type
    /// stays retired.
    pub(super) async fn prepare_tee_type(&self, tee_type: TeeType, now_ms: i64) -> Result<(), sqlx::Error> {
        let [none, sgx, tdx] = &*self.prepared_tee_types;
        let prepared = match tee_type {
            TeeType::None => none,
            TeeType::Sgx => sgx,
            TeeType::Tdx => tdx,
        };
        let type_lock = self.type_lock("pg_advisory_xact_lock");
        let prepare = || async move {
            let is_new = self.transaction(move |connection| {
                Box::pin(async move {
                    let new = sqlx::query(
                        "INSERT INTO claimed_tee_types (tee_type, pending_from) VALUES ($1, 0) ON CONFLICT DO NOTHING",
                    )
                    .bind(tee_type.as_str())
                    .execute(&mut *connection)
                    .await?;
                    if new.rows_affected() == 0 {
                        return Ok(false);
                    }
                    // A batch that is being added now is there, with or without this job, before the first chunk is processed.
                    type_lock.take(connection).await.map(|()| true)
                })
            });
            if is_new.await? {
                self.advance_tee_type(tee_type, now_ms).await?;
            }
            Ok(())
        };
        prepared.get_or_try_init(prepare).await.copied()
    }

    /// Makes or removes one chunk of jobs for each TEE type that has some left. False if none has.
    pub(crate) async fn advance_tee_types(&self, now_ms: i64) -> Result<bool, sqlx::Error> {
        // Reads first: nearly always there is nothing to do, and a write would keep others waiting.
        let pending = sqlx::query("SELECT tee_type FROM claimed_tee_types WHERE pending_from IS NOT NULL")
            .fetch_all(&self.pool)
            .within()
            .await?;
        let mut is_work_left = false;
        for row in pending {
            let tee_type = columns::tee_type(&row, "tee_type")?;
            is_work_left |= self.advance_tee_type(tee_type, now_ms).await?;
        }
        Ok(is_work_left)
    }

    async fn advance_tee_type(&self, tee_type: TeeType, now_ms: i64) -> Result<bool, sqlx::Error> {
        let is_work_left = self
            .transaction(move |connection| {
                Box::pin(async move {
                    // This update changes nothing: it keeps other servers out until the chunk is done.
                    let row = sqlx::query(
                        "UPDATE claimed_tee_types SET tee_type = tee_type WHERE tee_type = $1 AND pending_from IS NOT NULL
                         RETURNING pending_from, retired_at",
                    )
                    .bind(tee_type.as_str())
                    .fetch_optional(&mut *connection)
                    .await?;
                    let Some(row) = row else { return Ok(false) };
                    let from: i64 = row.try_get("pending_from")?;
                    let next = match row.try_get::<Option<i64>, _>("retired_at")? {
                        None => make_jobs(connection, tee_type, from, now_ms).await?,
                        Some(_) => remove_jobs(connection, tee_type, from, now_ms).await?,
                    };
                    sqlx::query("UPDATE claimed_tee_types SET pending_from = $2 WHERE tee_type = $1")
                        .bind(tee_type.as_str())
                        .bind(next)
                        .execute(connection)
                        .await?;
                    Ok(next.is_some())
                })
            })
            .await?;
        self.jobs_added.notify_waiters();
        Ok(is_work_left)
    }

    async fn retire(&self, tee_type: TeeType, retired_at_ms: Option<i64>) -> Result<bool, sqlx::Error> {
        let type_lock = self.type_lock("pg_advisory_xact_lock");
        self.transaction(move |connection| {
            Box::pin(async move {
                type_lock.take(connection).await?;
                let changed = sqlx::query(
                    "INSERT INTO claimed_tee_types (tee_type, pending_from, retired_at) VALUES ($1, 0, $2)
                     ON CONFLICT (tee_type) DO UPDATE
                     SET pending_from = excluded.pending_from, retired_at = excluded.retired_at
                     WHERE (claimed_tee_types.retired_at IS NULL) <> (excluded.retired_at IS NULL)",
                )
                .bind(tee_type.as_str())
                .bind(retired_at_ms)
                .execute(connection)
                .await?;
                Ok(changed.rows_affected() > 0)
            })
        })
        .await
    }

    /// Stops the proving of batches by enclaves of this type, and removes the jobs that have no proof; the first chunk is removed before
    /// this returns. False if the type was retired before.
    pub(crate) async fn retire_tee_type(&self, tee_type: TeeType, now_ms: i64) -> Result<bool, sqlx::Error> {
        let changed = self.retire(tee_type, Some(now_ms)).await?;
        self.advance_tee_type(tee_type, now_ms).await?;
        Ok(changed)
    }

    /// Undoes [`Self::retire_tee_type`].
    pub(crate) async fn serve_tee_type(&self, tee_type: TeeType, now_ms: i64) -> Result<bool, sqlx::Error> {
        let changed = self.retire(tee_type, None).await?;
        self.advance_tee_type(tee_type, now_ms).await?;
        Ok(changed)
    }
}

/// Makes the jobs of a chunk of batches. Returns where the next chunk begins, if there is one.
async fn make_jobs(
    connection: &mut AnyConnection,
    tee_type: TeeType,
    from: i64,
    now_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let Some((first, end)) = chunk(connection, "SELECT MIN(number) FROM batches WHERE number >= $1", from).await?
    else {
        return Ok(None);
    };
    // A proof that came unasked has made its job already. A batch without an input cannot be proven. SQLite needs the
    // WHERE to distinguish the ON of ON CONFLICT from that of a join.
    sqlx::query(
        "INSERT INTO tee_proof_generation_details
             (l1_batch_number, tee_type, status, claimable_at, created_at, updated_at)
         SELECT number, $1, 'ready_to_be_proven', $2, $2, $2 FROM batches
         WHERE number >= $3 AND number < $4 AND input_retired_at IS NULL
         ON CONFLICT DO NOTHING",
    )
    .bind(tee_type.as_str())
    .bind(now_ms)
    .bind(first)
    .bind(end)
    .execute(&mut *connection)
    .await?;
    // These jobs were kept for their proofs when the type was retired.
    sqlx::query(
        "UPDATE tee_proof_generation_details
         SET status = 'ready_to_be_proven', claimable_at = $2, error_kind = NULL, error = NULL, updated_at = $2
         WHERE tee_type = $1 AND l1_batch_number >= $3 AND l1_batch_number < $4
             AND status = 'permanently_ignored' AND error_kind = 'retired'",
    )
    .bind(tee_type.as_str())
    .bind(now_ms)
    .bind(first)
    .bind(end)
    .execute(connection)
    .await?;
    Ok(Some(end))
}

/// Removes the unfinished jobs of a chunk of batches. Those that have a proof are given up instead: a proof is published with its
/// job.
async fn remove_jobs(
    connection: &mut AnyConnection,
    tee_type: TeeType,
    from: i64,
    now_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let lowest = match tee_type {
        TeeType::None => {
            "SELECT MIN(l1_batch_number) FROM tee_proof_generation_details
                          WHERE tee_type = 'none' AND l1_batch_number >= $1"
        }
        TeeType::Sgx => {
            "SELECT MIN(l1_batch_number) FROM tee_proof_generation_details
                         WHERE tee_type = 'sgx' AND l1_batch_number >= $1"
        }
        TeeType::Tdx => {
            "SELECT MIN(l1_batch_number) FROM tee_proof_generation_details
                         WHERE tee_type = 'tdx' AND l1_batch_number >= $1"
        }
    };
    let Some((first, end)) = chunk(connection, lowest, from).await? else { return Ok(None) };
    for statement in [
        "DELETE FROM tee_job_failures WHERE tee_type = $1 AND l1_batch_number >= $2 AND l1_batch_number < $3",
        "DELETE FROM tee_proof_generation_details
         WHERE tee_type = $1 AND l1_batch_number >= $2 AND l1_batch_number < $3 AND status <> 'generated'
             AND NOT EXISTS (SELECT 1 FROM tee_proofs p
                 WHERE p.l1_batch_number = tee_proof_generation_details.l1_batch_number AND p.tee_type = $1)",
    ] {
        let query = sqlx::query(statement).bind(tee_type.as_str()).bind(first).bind(end);
        query.execute(&mut *connection).await?;
    }
    sqlx::query(
        "UPDATE tee_proof_generation_details
         SET status = 'permanently_ignored', claimable_at = NULL, lease_id = NULL, lease_expires_at = NULL,
             error_kind = 'retired', error = 'its type of enclave was retired', updated_at = $4
         WHERE tee_type = $1 AND l1_batch_number >= $2 AND l1_batch_number < $3 AND status <> 'generated'",
    )
    .bind(tee_type.as_str())
    .bind(first)
    .bind(end)
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(Some(end))
}

/// The next chunk of batch numbers, its end not included, beginning with the lowest that a statement finds.
async fn chunk(
    connection: &mut AnyConnection,
    lowest: &'static str,
    from: i64,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let row = sqlx::query(lowest).bind(from).fetch_one(connection).await?;
    Ok(row.try_get::<Option<i64>, _>(0)?.map(|first| (first, first.saturating_add(CHUNK))))
}
