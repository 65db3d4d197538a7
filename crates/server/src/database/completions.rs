//! `input_completions`: batches whose input lacks a path for some slot, and the state of their completion.

use sqlx::{AnyConnection, Row};

use super::{Batch, Database, batches::swap_input, columns, job_failures::forget_failures, patience::Within};

/// The check whose rejection another path resolves.
pub(super) const UNPROVEN_COST: &str = "unproven_cost";

/// A completion to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedCompletion {
    pub(crate) number: u32,
    /// How often it was tried, including this attempt.
    pub(crate) attempts: i64,
}

/// What a report of a missing path means for its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingPath {
    /// The input will be completed.
    Wanted,
    /// The input was completed after the job was handed out.
    Completed,
    /// The input was completed before, or cannot be completed.
    Final,
}

/// Notes that a batch's input is to be completed, unless that was done or is impossible.
pub(super) async fn want(
    connection: &mut AnyConnection,
    number: i64,
    taken_at_ms: Option<i64>,
    now_ms: i64,
) -> Result<MissingPath, sqlx::Error> {
    sqlx::query(
        "INSERT INTO input_completions (l1_batch_number, status, due_at, updated_at) VALUES ($1, 'wanted', $2, $2)
         ON CONFLICT (l1_batch_number) DO NOTHING",
    )
    .bind(number)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query("SELECT status, updated_at FROM input_completions WHERE l1_batch_number = $1")
        .bind(number)
        .fetch_one(connection)
        .await?;
    let ended_at_ms: i64 = row.try_get("updated_at")?;
    Ok(match row.try_get("status")? {
        "wanted" => MissingPath::Wanted,
        "completed" if taken_at_ms.is_some_and(|taken_at_ms| taken_at_ms < ended_at_ms) => MissingPath::Completed,
        _ => MissingPath::Final,
    })
}

/// Lets a completion that was given up be tried again.
pub(super) async fn forget_given_up(connection: &mut AnyConnection, number: u32) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM input_completions WHERE l1_batch_number = $1 AND status = 'given_up'")
        .bind(i64::from(number))
        .execute(connection)
        .await
        .map(drop)
}

impl Database {
    /// Takes a completion that is due. Until `until_ms` nobody else takes it.
    pub(crate) async fn take_completion(
        &self,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<WantedCompletion>, sqlx::Error> {
        // Nearly always nothing is due, and this query writes nothing.
        let due = sqlx::query("SELECT 1 FROM input_completions WHERE due_at <= $1 LIMIT 1")
            .bind(now_ms)
            .fetch_optional(&self.pool)
            .within()
            .await?;
        if due.is_none() {
            return Ok(None);
        }
        let taken = self.statement(move |connection| {
            Box::pin(async move {
                // If two servers see the same row, the second one finds it no longer due.
                sqlx::query(
                    "UPDATE input_completions SET attempts = attempts + 1, due_at = $2
                     WHERE due_at <= $1 AND l1_batch_number = (
                         SELECT l1_batch_number FROM input_completions WHERE due_at <= $1 ORDER BY due_at LIMIT 1)
                     RETURNING l1_batch_number, attempts",
                )
                .bind(now_ms)
                .bind(until_ms)
                .fetch_optional(connection)
                .await
            })
        });
        let Some(row) = taken.await? else { return Ok(None) };
        Ok(Some(WantedCompletion {
            number: columns::number(&row, "l1_batch_number")?,
            attempts: row.try_get("attempts")?,
        }))
    }

    /// Replaces an input that lacks paths with the completed one, and makes the jobs that failed for this ready again, with all
    /// their attempts. False if the input was replaced meanwhile.
    pub(crate) async fn complete_input(
        &self,
        number: u32,
        incomplete: Batch,
        completed: Batch,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let replaced = self.transaction(move |connection| {
            Box::pin(async move {
                if !swap_input(connection, number, incomplete, completed, now_ms).await? {
                    return Ok(false);
                }
                sqlx::query(
                    "INSERT INTO input_completions (l1_batch_number, status, updated_at) VALUES ($1, 'completed', $2)
                     ON CONFLICT (l1_batch_number) DO UPDATE SET status = 'completed', due_at = NULL, error = NULL,
                         updated_at = excluded.updated_at",
                )
                .bind(i64::from(number))
                .bind(now_ms)
                .execute(&mut *connection)
                .await?;
                let ready = sqlx::query(
                    "UPDATE tee_proof_generation_details
                     SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $2, created_at = $2, error_kind = NULL,
                         error = NULL, updated_at = $2
                     WHERE l1_batch_number = $1 AND error_kind IN ($3, 'unreadable_input')
                         AND status IN ('failed', 'permanently_ignored')
                     RETURNING tee_type",
                )
                .bind(i64::from(number))
                .bind(now_ms)
                .bind(UNPROVEN_COST)
                .fetch_all(&mut *connection)
                .await?;
                for row in ready {
                    forget_failures(connection, number.into(), row.try_get("tee_type")?).await?;
                }
                Ok(true)
            })
        });
        let replaced = replaced.await?;
        self.jobs_added.notify_waiters();
        Ok(replaced)
    }

    /// Notes why a completion failed and when it is tried again. Without a time it is given up, and the jobs that wait for it are
    /// handed out again.
    pub(crate) async fn fail_completion(
        &self,
        number: u32,
        error: String,
        again_at_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        self.transaction(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE input_completions
                     SET status = CASE WHEN CAST($2 AS BIGINT) IS NULL THEN 'given_up' ELSE status END, due_at = $2,
                         error = $3, updated_at = $4
                     WHERE l1_batch_number = $1 AND status = 'wanted'",
                )
                .bind(i64::from(number))
                .bind(again_at_ms)
                .bind(error)
                .bind(now_ms)
                .execute(&mut *connection)
                .await?;
                if again_at_ms.is_some() {
                    return Ok(());
                }
                sqlx::query(
                    "UPDATE tee_proof_generation_details SET claimable_at = $2
                     WHERE l1_batch_number = $1 AND error_kind = $3 AND status = 'failed' AND claimable_at > $2",
                )
                .bind(i64::from(number))
                .bind(now_ms)
                .bind(UNPROVEN_COST)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await?;
        self.jobs_added.notify_waiters();
        Ok(())
    }
}
