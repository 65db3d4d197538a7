//! Claims: which job a prover gets.

use sqlx::Row;
use tee_api::{LeaseId, TeeType};

use super::leases::LeasedJob;
use crate::database::{
    Batch, Database, Prover, ProverName, columns,
    job_failures::{Failure, is_hopeless},
};

/// A job handed out.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) number: u32,
    pub(crate) batch: Batch,
}

/// Selects the first job of a kind that a prover may have.
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

/// Claims a job for one prover. First come jobs that were handed out before, the one whose rest or lease ended longest ago first;
/// then the lowest ready one. An index finds each, however many other jobs rest or are finished. A ready job is claimed without
/// looking at the time, so that one written by a fast clock blocks nothing. A prover gets no job while it is paused or holds as
/// many leases as it may, and never one that it rests from. `expired_prover` names the prover that did not finish the job.
///
/// The redundant condition that a ready job is not `generated` is for SQLite: it lets SQLite use the index `tee_unfinished_jobs_of_type`.
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
            first_job!("j.status = 'ready_to_be_proven' AND j.status <> 'generated'", "j.l1_batch_number", $row_lock),
            "))
             RETURNING l1_batch_number, attempts, expired_prover"
        )
    };
}

pub(in crate::database) fn claim_statement(is_sqlite: bool) -> &'static str {
    // SQLite has one writer at a time and needs no row lock.
    if is_sqlite { claim_statement!("") } else { claim_statement!("FOR UPDATE OF j SKIP LOCKED") }
}

impl Database {
    /// Hands out a batch that failed a while ago or whose lease has expired, otherwise the lowest ready one. It is one statement, so
    /// that no two claimers, in any number of processes, get the same batch. A batch that provers took too often without finishing
    /// it is given up on the way.
    ///
    /// A prover of type `none` submits nothing, so its expired lease does not mean that it gave up. Each batch is handed out to this
    /// type once, and again only after it was given back or failed.
    pub(crate) async fn claim(
        &self,
        tee_type: TeeType,
        prover: &Prover,
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
            tracing::error!(batch = taken.claim.number, %tee_type, "gave up a batch: its provers did not answer \
                before their leases expired");
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
                let number = columns::number(&row, "l1_batch_number")?;
                // On the same connection: taking another one would cost the database as much as the read.
                let batch = Batch::find(connection, number).await?.ok_or(sqlx::Error::RowNotFound)?;
                Ok(Some(Taken { claim: Claim { number, batch }, expired_prover: row.try_get("expired_prover")? }))
            })
        })
        .await
    }

    /// Counts that the earlier prover did not finish the job that is now handed out to another. If nobody is left to try it, gives
    /// the job up and returns true.
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
                    // The earlier prover may have been restarted and may come back.
                    rest_ms: 0,
                    now_ms,
                };
                failure.record(connection).await?;
                // The attempt that has just begun does not count.
                let is_worn_out = job.attempts > max_attempts;
                if !is_hopeless(connection, (job.number, &job.tee_type), max_attempts, is_worn_out, now_ms).await? {
                    return Ok(false);
                }
                sqlx::query(
                    "UPDATE tee_proof_generation_details
                     SET status = 'permanently_ignored', attempts = attempts - 1, claimable_at = NULL, lease_id = NULL,
                         lease_expires_at = NULL, error_kind = 'attempts_exhausted',
                         error = 'its provers did not answer before their leases expired', updated_at = $2
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
}

/// A job as it is handed out, with the prover whose lease on it had expired.
struct Taken {
    claim: Claim,
    expired_prover: Option<String>,
}
