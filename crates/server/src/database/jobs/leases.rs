//! Leases: how they are renewed, and how they end without a proof.

use std::sync::Arc;

use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tee_api::{JobStatus, LeaseId};

use super::{JobRules, RETIRED};
use crate::database::{
    Database,
    completions::{self, MissingPath, UNPROVEN_COST},
    job_failures::{Failure, is_hopeless},
};

/// Why a batch's input cannot be handed out.
#[derive(Debug)]
pub(crate) enum NoInput {
    /// It is missing or damaged. It is tried again after a while.
    Unreadable(String),
    /// It was deleted after the batch was proven. Only adding the batch again changes that.
    Retired,
}

/// Why a job failed: a kind for machines and a text for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobFailure<'a> {
    pub(crate) kind: &'a str,
    pub(crate) error: &'a str,
}

/// The outcome of a report that a batch cannot be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportedFailure {
    /// The lease is not current.
    StaleLease,
    /// The job failed or was given up.
    Failed,
    /// The batch's input lacks paths and will be completed. The prover reported the truth, so this counts neither against it nor
    /// against the job.
    AwaitsCompletion,
}

impl Database {
    /// Renews a lease. An expired one can be renewed too, as long as nobody else has the batch and the prover has not had it for the
    /// longest time allowed. Returns when it expires, or `None` if it has ended.
    pub(crate) async fn renew_lease(&self, lease: &LeaseId, now_ms: i64) -> Result<Option<i64>, sqlx::Error> {
        let lease = lease.clone();
        let expires_at_ms = now_ms.saturating_add(self.rules.lease_ms);
        let taken_after_ms = now_ms.saturating_sub(self.rules.longest_lease_ms);
        let longest_ms = self.rules.longest_lease_ms;
        self.statement(move |connection| {
            Box::pin(async move {
                let expires_at =
                    "CASE WHEN prover_taken_at + $5 < $2 THEN prover_taken_at + $5 ELSE CAST($2 AS BIGINT) END";
                let row = sqlx::query(AssertSqlSafe(format!(
                    "UPDATE tee_proof_generation_details
                     SET lease_expires_at = {expires_at},
                         claimable_at = CASE WHEN tee_type = 'none' THEN NULL ELSE {expires_at} END, updated_at = $3
                     WHERE lease_id = $1 AND prover_taken_at > $4 RETURNING lease_expires_at"
                )))
                .bind(lease.as_str())
                .bind(expires_at_ms)
                .bind(now_ms)
                .bind(taken_after_ms)
                .bind(longest_ms)
                .fetch_optional(connection)
                .await?;
                row.map(|row| row.try_get("lease_expires_at")).transpose()
            })
        })
        .await
    }

    /// Ends a lease and marks its job as failed, or gives the job up if it was tried often enough or is too old.
    pub(crate) async fn fail_lease(
        &self,
        lease: &LeaseId,
        failure: JobFailure<'_>,
        now_ms: i64,
    ) -> Result<ReportedFailure, sqlx::Error> {
        let failed = self.failed_lease(lease, failure, now_ms);
        let reported =
            self.transaction(move |connection| Box::pin(async move { failed.record(connection).await })).await?;
        match reported {
            ReportedFailure::AwaitsCompletion => self.completion_wanted.notify_one(),
            ReportedFailure::Failed | ReportedFailure::StaleLease => {}
        }
        // Another prover may have it at once.
        self.jobs_added.notify_waiters();
        Ok(reported)
    }

    /// Ends a lease on a batch whose input cannot be handed out. The job rests as after a failure, but its attempt does not count.
    pub(crate) async fn set_aside(&self, lease: &LeaseId, reason: NoInput, now_ms: i64) -> Result<bool, sqlx::Error> {
        let lease = lease.clone();
        let (kind, error, retry_at_ms) = match reason {
            NoInput::Unreadable(error) => ("unreadable_input", error, Some(now_ms.saturating_add(self.rules.lease_ms))),
            NoInput::Retired => ("input_retired", RETIRED.to_owned(), None),
        };
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_proof_generation_details
                     SET status = 'failed', attempts = attempts - 1, claimable_at = $2, lease_id = NULL,
                         lease_expires_at = NULL, error_kind = $5, error = $3, updated_at = $4
                     WHERE lease_id = $1",
                )
                .bind(lease.as_str())
                .bind(retry_at_ms)
                .bind(error)
                .bind(now_ms)
                .bind(kind)
                .execute(connection)
                .await
                .map(|result| result.rows_affected() == 1)
            })
        })
        .await
    }

    /// Ends a lease and makes its batch ready again, as if it had never been handed out. False if the lease is not current.
    pub(crate) async fn give_back_lease(&self, lease: &LeaseId, now_ms: i64) -> Result<bool, sqlx::Error> {
        let lease = lease.clone();
        let given_back = self
            .statement(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE tee_proof_generation_details
                         SET status = 'ready_to_be_proven', attempts = attempts - 1, lease_id = NULL,
                             lease_expires_at = NULL, claimable_at = $2, updated_at = $2
                         WHERE lease_id = $1",
                    )
                    .bind(lease.as_str())
                    .bind(now_ms)
                    .execute(connection)
                    .await
                    .map(|result| result.rows_affected() == 1)
                })
            })
            .await?;
        self.jobs_added.notify_waiters();
        Ok(given_back)
    }

    pub(in crate::database) fn failed_lease(
        &self,
        lease: &LeaseId,
        failure: JobFailure<'_>,
        now_ms: i64,
    ) -> FailedLease {
        FailedLease {
            lease: lease.clone(),
            kind: failure.kind.to_owned(),
            error: failure.error.to_owned(),
            rules: self.rules.clone(),
            now_ms,
        }
    }
}

/// A job that is under a lease.
pub(super) struct LeasedJob {
    pub(super) number: i64,
    pub(super) tee_type: String,
    prover: Option<String>,
    pub(super) attempts: i64,
    created_at_ms: i64,
    taken_at_ms: Option<i64>,
}

impl LeasedJob {
    /// `None` if the lease is not current. The job cannot change until the transaction ends.
    pub(super) async fn find(connection: &mut AnyConnection, lease: &LeaseId) -> Result<Option<Self>, sqlx::Error> {
        // This update changes nothing: it locks the row, in one statement on both databases.
        let row = sqlx::query(
            "UPDATE tee_proof_generation_details SET lease_id = lease_id WHERE lease_id = $1
             RETURNING l1_batch_number, tee_type, prover, attempts, created_at, prover_taken_at",
        )
        .bind(lease.as_str())
        .fetch_optional(connection)
        .await?;
        row.map(|row| {
            Ok(Self {
                number: row.try_get("l1_batch_number")?,
                tee_type: row.try_get("tee_type")?,
                prover: row.try_get("prover")?,
                attempts: row.try_get("attempts")?,
                created_at_ms: row.try_get("created_at")?,
                taken_at_ms: row.try_get("prover_taken_at")?,
            })
        })
        .transpose()
    }
}

/// A lease that ends in failure.
#[derive(Debug)]
pub(in crate::database) struct FailedLease {
    lease: LeaseId,
    kind: String,
    error: String,
    rules: Arc<JobRules>,
    now_ms: i64,
}

impl FailedLease {
    /// Records the failure. Other provers may have the job at once; the one that failed it rests.
    pub(in crate::database) async fn record(
        self,
        connection: &mut AnyConnection,
    ) -> Result<ReportedFailure, sqlx::Error> {
        let Some(job) = LeasedJob::find(connection, &self.lease).await? else { return Ok(ReportedFailure::StaleLease) };
        if self.kind == UNPROVEN_COST && self.rules.completes_inputs {
            let missing = completions::want(connection, job.number, job.taken_at_ms, self.now_ms).await?;
            if missing != MissingPath::Final {
                self.await_completion(connection, missing).await?;
                return Ok(ReportedFailure::AwaitsCompletion);
            }
        }
        let failure = Failure {
            number: job.number,
            tee_type: &job.tee_type,
            prover: job.prover.as_deref().unwrap_or("others"),
            kind: &self.kind,
            rest_ms: self.rules.lease_ms,
            now_ms: self.now_ms,
        };
        failure.record(connection).await?;
        let is_worn_out = self.rules.is_worn_out(job.attempts, job.created_at_ms, self.now_ms);
        let max_attempts = self.rules.max_attempts.into();
        let key = (job.number, job.tee_type.as_str());
        let (status, claimable_at) = match is_hopeless(connection, key, max_attempts, is_worn_out, self.now_ms).await? {
            true => (JobStatus::PermanentlyIgnored, None),
            false => (JobStatus::Failed, Some(self.now_ms)),
        };
        sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = $2, claimable_at = $3, lease_id = NULL, lease_expires_at = NULL, error_kind = $4, error = $5,
                 updated_at = $6
             WHERE lease_id = $1",
        )
        .bind(self.lease.as_str())
        .bind(status.as_str())
        .bind(claimable_at)
        .bind(self.kind)
        .bind(self.error)
        .bind(self.now_ms)
        .execute(connection)
        .await?;
        Ok(ReportedFailure::Failed)
    }

    /// Makes the job rest until its input is completed; if that does not happen, it is handed out again after a while. A job that was
    /// handed out before the completion is ready again at once.
    async fn await_completion(self, connection: &mut AnyConnection, missing: MissingPath) -> Result<(), sqlx::Error> {
        let (status, rest_ms) = match missing {
            MissingPath::Completed => (JobStatus::ReadyToBeProven, 0),
            MissingPath::Wanted | MissingPath::Final => (JobStatus::Failed, self.rules.lease_ms),
        };
        sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = $2, attempts = attempts - 1, claimable_at = $3, lease_id = NULL, lease_expires_at = NULL,
                 error_kind = $4, error = $5, updated_at = $6
             WHERE lease_id = $1",
        )
        .bind(self.lease.as_str())
        .bind(status.as_str())
        .bind(self.now_ms.saturating_add(rest_ms))
        .bind(self.kind)
        .bind(self.error)
        .bind(self.now_ms)
        .execute(connection)
        .await
        .map(drop)
    }
}
