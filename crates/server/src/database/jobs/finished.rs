//! Jobs that were finished lately: how many, and how long each took. Their number is bounded by what a page may cost.

use sqlx::{Row, any::AnyRow};
use tee_api::TeeType;

use crate::database::{Database, columns};

/// A job whose proof was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FinishedJob {
    /// When the chain sealed its batch or, if that is unknown, when the batch was added; in milliseconds since 1970.
    pub(crate) came_at_ms: i64,
    /// When the prover that finished it, or another one since, took it.
    pub(crate) taken_at_ms: Option<i64>,
    pub(crate) finished_at_ms: i64,
}

/// Why jobs are not done, with the number of jobs for each reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailureCount {
    pub(crate) kind: String,
    pub(crate) jobs: u64,
}

/// The most unfinished jobs of one type and status that are counted by their error.
const MAX_COUNTED: u32 = 2000;

/// The most kinds of failures that are told apart: provers choose the names.
const MAX_KINDS: i64 = 20;

/// By the index on changes: what changed last comes first.
pub(in crate::database) const FINISHED: &str =
    "SELECT j.updated_at, j.prover_taken_at, COALESCE(b.sealed_at, b.created_at) AS came_at
     FROM (SELECT l1_batch_number, updated_at, prover_taken_at FROM tee_proof_generation_details
           WHERE updated_at > $1 AND status = 'generated' ORDER BY updated_at DESC LIMIT $2) j
     JOIN batches b ON b.number = j.l1_batch_number";

impl Database {
    /// The jobs that were finished since a time, the latest first, at most `limit` of them.
    pub(crate) async fn finished_jobs(&self, since_ms: i64, limit: u32) -> Result<Vec<FinishedJob>, sqlx::Error> {
        let rows = self.readers.fetch_all(sqlx::query(FINISHED).bind(since_ms).bind(i64::from(limit))).await?;
        rows.iter().map(FinishedJob::read).collect()
    }

    /// The last errors of failed and given-up jobs, the most frequent first.
    pub(crate) async fn failures_by_kind(&self) -> Result<Vec<FailureCount>, sqlx::Error> {
        let of = |tee_type: TeeType, status: &str| {
            format!(
                "SELECT error_kind FROM (SELECT error_kind FROM tee_proof_generation_details
                     WHERE tee_type = '{tee_type}' AND status = '{status}' AND status <> 'generated' LIMIT {MAX_COUNTED}) counted"
            )
        };
        let types = [TeeType::None, TeeType::Sgx, TeeType::Tdx].into_iter();
        let failed: Vec<_> =
            types.flat_map(|tee_type| ["failed", "permanently_ignored"].map(|status| of(tee_type, status))).collect();
        let statement = format!(
            "SELECT COALESCE(error_kind, 'by hand') AS kind, COUNT(*) AS jobs FROM ({}) failed
             GROUP BY COALESCE(error_kind, 'by hand') ORDER BY COUNT(*) DESC LIMIT {MAX_KINDS}",
            failed.join(" UNION ALL ")
        );
        let rows = self.readers.fetch_all(sqlx::query(sqlx::AssertSqlSafe(statement))).await?;
        let read = |row: &AnyRow| Ok(FailureCount { kind: row.try_get("kind")?, jobs: columns::count(row, "jobs")? });
        rows.iter().map(read).collect()
    }
}

impl FinishedJob {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            came_at_ms: row.try_get("came_at")?,
            taken_at_ms: row.try_get("prover_taken_at")?,
            finished_at_ms: row.try_get("updated_at")?,
        })
    }
}
