//! `tee_proof_generation_details`: one job for each batch and TEE type, and the leases on them.

use std::str::FromStr;

use sqlx::Row;
use tee_api::{LeaseId, TeeType};
use thiserror::Error;

use super::{Batch, Storage, decoded, number};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Waits for a prover.
    ReadyToBeProven,
    /// A prover has it. Of TEE type `none` this is the end of a batch that was found right.
    PickedByProver,
    /// A proof was accepted.
    Generated,
    /// A prover reported that the batch cannot be proven, or its input is not readable.
    Failed,
    /// Given up.
    PermanentlyIgnored,
}

/// Not a status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown job status {0:?}")]
pub struct JobStatusError(String);

/// A job handed out.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) number: u32,
    pub(crate) batch: Batch,
}

/// Why a job failed: for machines and for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobFailure<'a> {
    pub(crate) kind: &'a str,
    pub(crate) error: &'a str,
}

impl Storage {
    /// Hands out the lowest batch that is ready or whose lease has expired. One statement: no two claimers, in however
    /// many processes, get the same batch.
    ///
    /// A prover of type `none` submits nothing, so an expired lease does not say that it gave up: each batch is handed
    /// out once, and again only when it is given back.
    pub(crate) async fn claim(
        &self,
        tee_type: TeeType,
        lease: &LeaseId,
        now_ms: i64,
        lease_expires_at_ms: i64,
    ) -> Result<Option<Claim>, sqlx::Error> {
        self.prepare_tee_type(tee_type, now_ms).await?;
        let row = sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'picked_by_prover', attempts = attempts + 1, lease_id = $1, lease_expires_at = $2,
                 prover_taken_at = $3, updated_at = $3
             WHERE tee_type = $4 AND l1_batch_number = (
                 SELECT l1_batch_number FROM tee_proof_generation_details
                 WHERE tee_type = $4
                     AND status IN ('ready_to_be_proven', 'picked_by_prover')
                     AND (status = 'ready_to_be_proven' OR (lease_expires_at <= $3 AND tee_type <> 'none'))
                 ORDER BY l1_batch_number LIMIT 1)
             RETURNING l1_batch_number",
        )
        .bind(lease.as_str())
        .bind(lease_expires_at_ms)
        .bind(now_ms)
        .bind(tee_type.as_str())
        .fetch_optional(&self.writer)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let number = number(row.try_get(0)?)?;
        let batch = self.batch(number).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(Some(Claim { number, batch }))
    }

    /// Prolongs a lease, even one that has expired, as long as nobody else has the batch. False if somebody has.
    pub(crate) async fn renew_lease(&self, lease: &LeaseId, now_ms: i64, until_ms: i64) -> Result<bool, sqlx::Error> {
        let result = sqlx::query(
            "UPDATE tee_proof_generation_details SET lease_expires_at = $2, updated_at = $3
             WHERE lease_id = $1 AND status = 'picked_by_prover'",
        )
        .bind(lease.as_str())
        .bind(until_ms)
        .bind(now_ms)
        .execute(&self.writer)
        .await?;
        Ok(result.rows_affected() == 1)
    }

    /// Ends a lease and marks its job failed. False if the lease is not current.
    pub(crate) async fn fail_lease(
        &self,
        lease: &LeaseId,
        failure: JobFailure<'_>,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let result = sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'failed', lease_id = NULL, lease_expires_at = NULL, error_kind = $2, error = $3,
                 updated_at = $4
             WHERE lease_id = $1 AND status = 'picked_by_prover'",
        )
        .bind(lease.as_str())
        .bind(failure.kind)
        .bind(failure.error)
        .bind(now_ms)
        .execute(&self.writer)
        .await?;
        Ok(result.rows_affected() == 1)
    }

    /// Ends a lease and makes its batch ready again. False if the lease is not current.
    pub(crate) async fn give_back_lease(&self, lease: &LeaseId, now_ms: i64) -> Result<bool, sqlx::Error> {
        let result = sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'ready_to_be_proven', lease_id = NULL, lease_expires_at = NULL, updated_at = $2
             WHERE lease_id = $1 AND status = 'picked_by_prover'",
        )
        .bind(lease.as_str())
        .bind(now_ms)
        .execute(&self.writer)
        .await?;
        Ok(result.rows_affected() == 1)
    }

    /// The first claim of a TEE type makes its jobs for all batches; from then on insertions make them. So a chain
    /// without TDX provers has no TDX jobs that wait for ever.
    async fn prepare_tee_type(&self, tee_type: TeeType, now_ms: i64) -> Result<(), sqlx::Error> {
        let [none, sgx, tdx] = &*self.prepared_tee_types;
        let prepared = match tee_type {
            TeeType::None => none,
            TeeType::Sgx => sgx,
            TeeType::Tdx => tdx,
        };
        prepared
            .get_or_try_init(|| async {
                let mut transaction = self.begin().await?;
                let new = sqlx::query("INSERT INTO claimed_tee_types (tee_type) VALUES ($1) ON CONFLICT DO NOTHING")
                    .bind(tee_type.as_str())
                    .execute(&mut *transaction)
                    .await?;
                if new.rows_affected() == 1 {
                    // A proof that came unasked has made its job already. `WHERE TRUE` parts SELECT from ON for SQLite.
                    sqlx::query(
                        "INSERT INTO tee_proof_generation_details
                             (l1_batch_number, tee_type, status, created_at, updated_at)
                         SELECT number, $1, 'ready_to_be_proven', $2, $2 FROM batches WHERE TRUE
                         ON CONFLICT DO NOTHING",
                    )
                    .bind(tee_type.as_str())
                    .bind(now_ms)
                    .execute(&mut *transaction)
                    .await?;
                }
                transaction.commit().await
            })
            .await
            .copied()
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
