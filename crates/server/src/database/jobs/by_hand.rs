//! Changes to jobs that people make by hand.

use tee_api::{JobStatus, TeeType};

use crate::database::{Database, columns, completions::forget_given_up, job_failures::forget_failures};

/// The outcome of a change to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobChange {
    /// It was made.
    Made,
    /// There is no such job.
    Unknown,
    /// The job's status does not allow it.
    NotWhen(JobStatus),
}

impl Database {
    /// Makes a failed or given-up job ready again, with all its attempts.
    pub(crate) async fn retry_job(
        &self,
        number: u32,
        tee_type: TeeType,
        now_ms: i64,
    ) -> Result<JobChange, sqlx::Error> {
        self.change_job(
            "UPDATE tee_proof_generation_details
             SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $3, created_at = $3, updated_at = $3
             WHERE l1_batch_number = $1 AND tee_type = $2 AND status IN ('failed', 'permanently_ignored')",
            (number, tee_type),
            now_ms,
        )
        .await
    }

    /// Gives up a job that has no proof yet. A lease on it ends.
    pub(crate) async fn ignore_job(
        &self,
        number: u32,
        tee_type: TeeType,
        now_ms: i64,
    ) -> Result<JobChange, sqlx::Error> {
        self.change_job(
            "UPDATE tee_proof_generation_details
             SET status = 'permanently_ignored', claimable_at = NULL, lease_id = NULL, lease_expires_at = NULL,
                 updated_at = $3
             WHERE l1_batch_number = $1 AND tee_type = $2 AND status <> 'generated'",
            (number, tee_type),
            now_ms,
        )
        .await
    }

    /// Makes a job ready again, whatever its status. A lease on it ends; its proofs stay.
    pub(crate) async fn requeue_job(
        &self,
        number: u32,
        tee_type: TeeType,
        now_ms: i64,
    ) -> Result<JobChange, sqlx::Error> {
        self.change_job(
            "UPDATE tee_proof_generation_details
             SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $3, lease_id = NULL,
                 lease_expires_at = NULL, created_at = $3, updated_at = $3
             WHERE l1_batch_number = $1 AND tee_type = $2",
            (number, tee_type),
            now_ms,
        )
        .await
    }

    async fn change_job(
        &self,
        statement: &'static str,
        (number, tee_type): (u32, TeeType),
        now_ms: i64,
    ) -> Result<JobChange, sqlx::Error> {
        let change = self.transaction(move |connection| {
            Box::pin(async move {
                let changed = sqlx::query(statement)
                    .bind(i64::from(number))
                    .bind(tee_type.as_str())
                    .bind(now_ms)
                    .execute(&mut *connection)
                    .await?;
                if changed.rows_affected() == 1 {
                    forget_failures(connection, number.into(), tee_type.as_str()).await?;
                    forget_given_up(connection, number).await?;
                    return Ok(JobChange::Made);
                }
                let row = sqlx::query(
                    "SELECT status FROM tee_proof_generation_details WHERE l1_batch_number = $1 AND tee_type = $2",
                )
                .bind(i64::from(number))
                .bind(tee_type.as_str())
                .fetch_optional(connection)
                .await?;
                let Some(row) = row else { return Ok(JobChange::Unknown) };
                columns::job_status(&row, "status").map(JobChange::NotWhen)
            })
        });
        let change = change.await?;
        self.jobs_added.notify_waiters();
        Ok(change)
    }
}
