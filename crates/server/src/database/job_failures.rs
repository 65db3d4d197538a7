//! `tee_job_failures`: which provers failed a job, and how long each of them rests from it.
//!
//! A prover that fails a job rests from that job, longer each time, and any other prover may have it at once. If a second prover
//! fails it too, the job is at fault and counts against neither: bad batches do not pause provers that work.

use sqlx::{AnyConnection, Row};

use super::provers::{ACTIVE_MS, doubled, forgive, note_failure, note_kind};

/// The longest rest of a prover from a job.
const LONGEST_REST_MS: i64 = 24 * 3600 * 1000;

/// A prover that could not do a job.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) number: i64,
    pub(super) tee_type: &'a str,
    pub(super) prover: &'a str,
    pub(super) kind: &'a str,
    /// How long the prover rests from the job the first time.
    pub(super) rest_ms: i64,
    pub(super) now_ms: i64,
}

impl Failure<'_> {
    /// Counts the failure for the job and, if the prover seems at fault, for the prover.
    pub(super) async fn record(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let row = sqlx::query(
            "INSERT INTO tee_job_failures (l1_batch_number, tee_type, prover, failures, rest_until)
             VALUES ($1, $2, $3, 1, $4)
             ON CONFLICT (l1_batch_number, tee_type, prover) DO UPDATE SET failures = tee_job_failures.failures + 1
             RETURNING failures",
        )
        .bind(self.number)
        .bind(self.tee_type)
        .bind(self.prover)
        .bind(self.now_ms)
        .fetch_one(&mut *connection)
        .await?;
        let failures: i64 = row.try_get("failures")?;
        let rest_ms = doubled(self.rest_ms, failures.saturating_sub(1), LONGEST_REST_MS);
        self.rest(connection, self.now_ms.saturating_add(rest_ms)).await?;
        match (failures, self.others(connection).await?.as_slice()) {
            (1, []) => note_failure(connection, self.prover, self.tee_type, self.kind, self.now_ms).await,
            (1, [first]) => {
                note_kind(connection, self.prover, self.tee_type, self.kind).await?;
                forgive(connection, first, self.tee_type).await
            }
            _ => note_kind(connection, self.prover, self.tee_type, self.kind).await,
        }
    }

    /// Other provers that failed the job. At most two: more make no difference.
    async fn others(&self, connection: &mut AnyConnection) -> Result<Vec<String>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT prover FROM tee_job_failures
             WHERE l1_batch_number = $1 AND tee_type = $2 AND prover <> $3 AND failures > 0 LIMIT 2",
        )
        .bind(self.number)
        .bind(self.tee_type)
        .bind(self.prover)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row.try_get("prover")).collect()
    }

    async fn rest(&self, connection: &mut AnyConnection, until_ms: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE tee_job_failures SET rest_until = $4 WHERE l1_batch_number = $1 AND tee_type = $2 AND prover = $3",
        )
        .bind(self.number)
        .bind(self.tee_type)
        .bind(self.prover)
        .bind(until_ms)
        .execute(connection)
        .await
        .map(drop)
    }
}

/// Makes a prover leave a job to others for a while, without counting a failure.
pub(super) async fn rest_from_job(
    connection: &mut AnyConnection,
    (number, tee_type): (i64, &str),
    prover: &str,
    until_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tee_job_failures (l1_batch_number, tee_type, prover, failures, rest_until) VALUES ($1, $2, $3, 0, $4)
         ON CONFLICT (l1_batch_number, tee_type, prover) DO UPDATE SET rest_until = excluded.rest_until",
    )
    .bind(number)
    .bind(tee_type)
    .bind(prover)
    .bind(until_ms)
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets all failures of a job: it has all its attempts again.
pub(super) async fn forget_failures(
    connection: &mut AnyConnection,
    number: i64,
    tee_type: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM tee_job_failures WHERE l1_batch_number = $1 AND tee_type = $2")
        .bind(number)
        .bind(tee_type)
        .execute(connection)
        .await
        .map(drop)
}

/// Whether to give a job up. That is so when `max_attempts` provers failed it; or when it is worn out (tried that often, or too
/// old) and every prover that asked for work lately has failed it. A single prover does not give up a job that others may
/// prove.
pub(super) async fn is_hopeless(
    connection: &mut AnyConnection,
    (number, tee_type): (i64, &str),
    max_attempts: i64,
    is_worn_out: bool,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM tee_job_failures
                 WHERE l1_batch_number = $1 AND tee_type = $2 AND failures > 0) AS failed,
             (SELECT COUNT(*) FROM tee_provers p WHERE p.tee_type = $2 AND p.asked_at > $3
                 AND NOT EXISTS (SELECT 1 FROM tee_job_failures f WHERE f.l1_batch_number = $1 AND f.tee_type = $2
                     AND f.prover = p.name AND f.failures > 0)) AS untried",
    )
    .bind(number)
    .bind(tee_type)
    .bind(now_ms.saturating_sub(ACTIVE_MS))
    .fetch_one(connection)
    .await?;
    let (failed, untried): (i64, i64) = (row.try_get("failed")?, row.try_get("untried")?);
    Ok(failed >= max_attempts || (is_worn_out && untried == 0))
}
