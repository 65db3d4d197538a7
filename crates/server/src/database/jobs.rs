//! `tee_proof_generation_details`: one job for each batch and TEE type, and the leases on them.

use std::{str::FromStr, sync::Arc};

use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tee_api::{LeaseId, TeeType};
use thiserror::Error;

use super::{
    Batch, Database,
    completions::{self, MissingPath},
    decoded, number,
    provers::{Failure, is_hopeless},
};
use crate::{batches::UNPROVEN_COST, config::RequiredProofs, edge::ProverName};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Waits for a prover.
    ReadyToBeProven,
    /// A prover has it. Of TEE type `none` this is the end of a batch that was found right.
    PickedByProver,
    /// As many proofs were accepted as are required.
    Generated,
    /// A prover reported that the batch cannot be proven, or its input is not readable. It is tried again later.
    Failed,
    /// Given up.
    PermanentlyIgnored,
}

/// Not a status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown job status {0:?}")]
pub struct JobStatusError(String);

/// What decides over jobs, from the configuration.
#[derive(Debug)]
pub(crate) struct JobRules {
    /// How long a lease lasts, and how long a failed job rests.
    pub(crate) lease_ms: i64,
    /// How long a prover may have a batch, however often it renews its lease.
    pub(crate) longest_lease_ms: i64,
    pub(crate) first_processed_batch: u32,
    pub(crate) max_attempts: u32,
    /// A job of this age is not tried again once it fails.
    pub(crate) ignored_after_ms: i64,
    pub(crate) served_tee_types: Vec<TeeType>,
    pub(crate) required_proofs: RequiredProofs,
    pub(crate) max_leases_per_prover: u32,
    /// Whether inputs that lack paths get them.
    pub(crate) completes_inputs: bool,
}

/// A job handed out.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) number: u32,
    pub(crate) batch: Batch,
}

/// Why a batch's input cannot be handed out.
#[derive(Debug)]
pub(crate) enum NoInput {
    /// It is missing or damaged: it is tried again after a while.
    Unreadable(String),
    /// It was deleted once the batch was proven: only who adds the batch again changes that.
    Retired,
}

/// Why a job failed: for machines and for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobFailure<'a> {
    pub(crate) kind: &'a str,
    pub(crate) error: &'a str,
}

/// What a report that a batch cannot be proven comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportedFailure {
    /// The lease is not current.
    StaleLease,
    /// The job has failed, or is given up.
    Failed,
    /// The batch's input lacks paths and is completed. The prover found what is true: that costs neither it nor the job
    /// anything.
    AwaitsCompletion,
}

/// What people read of a job whose batch would be proven again and has no input.
pub(super) const RETIRED: &str = "its input was deleted once it was proven: add the batch again to put it back";

/// The first job of a kind that a prover may have.
macro_rules! first_job {
    ($kind:literal, $order:literal, $row_lock:literal) => {
        concat!(
            "SELECT j.l1_batch_number FROM tee_proof_generation_details j WHERE j.tee_type = $5 AND ",
            $kind,
            " AND j.l1_batch_number >= $6
                 AND NOT EXISTS (SELECT 1 FROM tee_job_failures f WHERE f.l1_batch_number = j.l1_batch_number
                     AND f.tee_type = $5 AND f.prover = $7 AND f.rest_until > $4)
                 AND NOT EXISTS (SELECT 1 FROM tee_provers p WHERE p.name = $7 AND p.tee_type = $5
                     AND p.paused_until > $4)
                 AND (SELECT COUNT(*) FROM tee_proof_generation_details h WHERE h.prover = $7
                     AND h.lease_id IS NOT NULL AND h.tee_type <> 'none' AND h.lease_expires_at > $4) < $8
             ORDER BY ",
            $order,
            " LIMIT 1 ",
            $row_lock
        )
    };
}

/// A claim of one prover: first what was handed out before and whose rest or lease ended longest ago, then the lowest that is
/// ready. An index finds each, however many others rest or are finished. A job that is ready needs no clock: one that was ahead
/// blocks nothing. A prover that is paused, or holds as many leases as it may, gets none, and none that it rests from. Who does
/// not finish what it took is told by `expired_prover`.
///
/// That a ready job is not `generated` is said for SQLite, which does not see that `tee_unfinished_jobs_of_type` has it.
macro_rules! claim_statement {
    ($row_lock:literal) => {
        concat!(
            "UPDATE tee_proof_generation_details
             SET status = 'picked_by_prover', attempts = attempts + 1, lease_id = $1, lease_expires_at = $2,
                 claimable_at = $3, prover_taken_at = $4, updated_at = $4,
                 expired_prover = CASE WHEN status = 'picked_by_prover' THEN prover END, prover = $7
             WHERE tee_type = $5 AND l1_batch_number = COALESCE((",
            first_job!("j.status <> 'ready_to_be_proven' AND j.claimable_at <= $4", "j.claimable_at", $row_lock),
            "), (",
            first_job!(
                "j.status = 'ready_to_be_proven' AND j.status <> 'generated'",
                "j.l1_batch_number",
                $row_lock
            ),
            "))
             RETURNING l1_batch_number, attempts, expired_prover"
        )
    };
}

pub(super) fn claim_statement(is_sqlite: bool) -> &'static str {
    // SQLite has one writer at a time and needs no row lock.
    if is_sqlite { claim_statement!("") } else { claim_statement!("FOR UPDATE OF j SKIP LOCKED") }
}

impl JobRules {
    pub(super) fn required_proofs(&self, tee_type: TeeType) -> u32 {
        match tee_type {
            TeeType::None => 1,
            TeeType::Sgx => self.required_proofs.sgx.unwrap_or(1),
            TeeType::Tdx => self.required_proofs.tdx.unwrap_or(1),
        }
    }

    /// Whether provers of this TEE type get work.
    fn serves(&self, tee_type: TeeType) -> bool {
        self.served_tee_types.contains(&tee_type) && self.required_proofs(tee_type) > 0
    }

    /// Whether the configuration asks for proofs of this TEE type, rather than leaving it to whether a prover comes.
    pub(super) fn expects(&self, tee_type: TeeType) -> bool {
        let listed = match tee_type {
            TeeType::None => None,
            TeeType::Sgx => self.required_proofs.sgx,
            TeeType::Tdx => self.required_proofs.tdx,
        };
        listed.is_some() && self.serves(tee_type)
    }
}

impl Database {
    /// Hands out a batch that failed a while ago or whose lease has expired, else the lowest that is ready. One statement: no
    /// two claimers, in however many processes, get the same batch. What its provers took too often without finishing it is
    /// given up on the way.
    ///
    /// A prover of type `none` submits nothing, so an expired lease does not say that it gave up: each batch is handed
    /// out once, and again only when it is given back or has failed.
    pub(crate) async fn claim(
        &self,
        tee_type: TeeType,
        prover: &ProverName,
        lease: &LeaseId,
        now_ms: i64,
    ) -> Result<Option<Claim>, sqlx::Error> {
        if !self.rules.serves(tee_type) {
            return Ok(None);
        }
        self.prepare_tee_type(tee_type, now_ms).await?;
        let prover = self.note_asked(prover, tee_type, now_ms).await?;
        loop {
            let Some(taken) = self.take_lowest(tee_type, &prover, lease, now_ms).await? else { return Ok(None) };
            let hopeless = match taken.expired_prover {
                None => false,
                Some(expired_prover) => self.note_expired(lease, expired_prover, now_ms).await?,
            };
            if !hopeless {
                return Ok(Some(taken.claim));
            }
            tracing::error!(batch = taken.claim.number, %tee_type, "a batch is given up whose provers gave no sign of life");
        }
    }

    async fn take_lowest(
        &self,
        tee_type: TeeType,
        prover: &ProverName,
        lease: &LeaseId,
        now_ms: i64,
    ) -> Result<Option<Taken>, sqlx::Error> {
        let statement = claim_statement(self.is_sqlite());
        let (lease, prover) = (lease.clone(), prover.clone());
        let expires_at_ms = now_ms.saturating_add(self.rules.lease_ms);
        let claimable_at_ms = (tee_type != TeeType::None).then_some(expires_at_ms);
        let first = i64::from(self.rules.first_processed_batch);
        let max_leases = i64::from(self.rules.max_leases_per_prover);
        self.statement(move |connection| {
            Box::pin(async move {
                let claimed = sqlx::query(statement)
                    .bind(lease.as_str())
                    .bind(expires_at_ms)
                    .bind(claimable_at_ms)
                    .bind(now_ms)
                    .bind(tee_type.as_str())
                    .bind(first)
                    .bind(prover.as_str())
                    .bind(max_leases)
                    .fetch_optional(&mut *connection)
                    .await?;
                let Some(row) = claimed else { return Ok(None) };
                let number = number(row.try_get("l1_batch_number")?)?;
                // On the same connection: another would cost the database as much as the read.
                let batch = Batch::find(connection, number).await?.ok_or(sqlx::Error::RowNotFound)?;
                Ok(Some(Taken { claim: Claim { number, batch }, expired_prover: row.try_get("expired_prover")? }))
            })
        })
        .await
    }

    /// Counts that a prover did not finish what is now handed out to another one. Gives the job up if that was the last
    /// hope, and then says so.
    async fn note_expired(&self, lease: &LeaseId, expired_prover: String, now_ms: i64) -> Result<bool, sqlx::Error> {
        let lease = lease.clone();
        let max_attempts = i64::from(self.rules.max_attempts);
        self.transaction(move |connection| {
            Box::pin(async move {
                let Some(job) = LeasedJob::find(connection, &lease).await? else { return Ok(false) };
                let failure = Failure {
                    number: job.number,
                    tee_type: &job.tee_type,
                    prover: &expired_prover,
                    kind: "lease_expired",
                    // It may have been restarted, and come back.
                    rest_ms: 0,
                    now_ms,
                };
                failure.record(connection).await?;
                // The one that has just begun does not count.
                let is_worn_out = job.attempts > max_attempts;
                if !is_hopeless(connection, (job.number, &job.tee_type), max_attempts, is_worn_out, now_ms).await? {
                    return Ok(false);
                }
                sqlx::query(
                    "UPDATE tee_proof_generation_details
                     SET status = 'permanently_ignored', attempts = attempts - 1, claimable_at = NULL, lease_id = NULL,
                         lease_expires_at = NULL, error_kind = 'attempts_exhausted',
                         error = 'its provers gave no sign of life', updated_at = $2
                     WHERE lease_id = $1",
                )
                .bind(lease.as_str())
                .bind(now_ms)
                .execute(connection)
                .await?;
                Ok(true)
            })
        })
        .await
    }

    /// Prolongs a lease, even one that has expired, as long as nobody else has the batch and its prover has not had it for the
    /// longest time that one may. Says when it expires; nothing if it is over.
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

    /// Ends a lease and marks its job failed, or gives the job up when it was tried often or long enough.
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

    /// Ends a lease on a batch whose input cannot be handed out. The job rests as a failed one does; its attempt does not count.
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

    /// Ends a lease and makes its batch ready again, as if it had not been handed out. False if the lease is not current.
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
}

/// A job as it is handed out, and whose lease on it had expired.
struct Taken {
    claim: Claim,
    expired_prover: Option<String>,
}

/// A job that somebody has.
struct LeasedJob {
    number: i64,
    tee_type: String,
    prover: Option<String>,
    attempts: i64,
    created_at_ms: i64,
    taken_at_ms: Option<i64>,
}

impl LeasedJob {
    /// Nothing if the lease is not current. The job stays as it is until the transaction's end.
    async fn find(connection: &mut AnyConnection, lease: &LeaseId) -> Result<Option<Self>, sqlx::Error> {
        // Changes nothing, and locks the row in one statement on both databases.
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
pub(super) struct FailedLease {
    lease: LeaseId,
    kind: String,
    error: String,
    rules: Arc<JobRules>,
    now_ms: i64,
}

impl Database {
    pub(super) fn failed_lease(&self, lease: &LeaseId, failure: JobFailure<'_>, now_ms: i64) -> FailedLease {
        FailedLease {
            lease: lease.clone(),
            kind: failure.kind.to_owned(),
            error: failure.error.to_owned(),
            rules: self.rules.clone(),
            now_ms,
        }
    }
}

impl FailedLease {
    /// Other provers may have the job at once; the one that failed it rests.
    pub(super) async fn record(self, connection: &mut AnyConnection) -> Result<ReportedFailure, sqlx::Error> {
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

    /// The job rests until its input is completed, and is handed out again after a while if it is not. One that was handed out
    /// before that is ready again at once.
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

impl JobStatus {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadyToBeProven => "ready_to_be_proven",
            Self::PickedByProver => "picked_by_prover",
            Self::Generated => "generated",
            Self::Failed => "failed",
            Self::PermanentlyIgnored => "permanently_ignored",
        }
    }

    pub(super) fn stored(text: &str) -> Result<Self, sqlx::Error> {
        decoded(text.parse())
    }
}

impl FromStr for JobStatus {
    type Err = JobStatusError;

    fn from_str(text: &str) -> Result<Self, JobStatusError> {
        [Self::ReadyToBeProven, Self::PickedByProver, Self::Generated, Self::Failed, Self::PermanentlyIgnored]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| JobStatusError(text.to_owned()))
    }
}

impl std::fmt::Display for JobStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
