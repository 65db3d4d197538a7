//! Jobs as people and metrics read them. A page starts after a key, so that every page costs the same.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use tee_api::{JobStatus, TeeType};

use crate::database::{Database, batches::range, columns};

/// How old a change must be to be listed, in milliseconds. Changes are ordered by the time at the server that made them. One that
/// takes longer than this to reach the database, or comes from a clock this far behind, is missed.
const CHANGES_SETTLE_MS: i64 = 2000;

/// The most jobs of one type and status that are counted.
const MAX_COUNTED: u32 = 100_000;

/// A job. Its lease's id is the prover's secret and is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The batch's number.
    pub number: u32,
    /// The TEE type that is to prove it.
    pub tee_type: TeeType,
    /// The job's status.
    pub status: JobStatus,
    /// How often it was handed out and not given back.
    pub attempts: u32,
    /// When the current lease ends, in milliseconds since 1970.
    pub lease_expires_at_ms: Option<i64>,
    /// When a prover last took it, in milliseconds since 1970.
    pub prover_taken_at_ms: Option<i64>,
    /// Why it last failed, for machines.
    pub error_kind: Option<String>,
    /// Why it last failed, for people.
    pub error: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it last changed, in milliseconds since 1970.
    pub updated_at_ms: i64,
}

/// A position in the order of job changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCursor {
    /// The time of the change, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// The batch's number.
    pub number: u32,
    /// The job's TEE type.
    pub tee_type: TeeType,
}

/// Selects jobs to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only of this batch.
    pub number: Option<u32>,
    /// Only of this TEE type.
    pub tee_type: Option<TeeType>,
    /// Only in this status.
    pub status: Option<JobStatus>,
}

/// How many jobs of a TEE type have a status. Generated jobs are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// The TEE type.
    pub tee_type: TeeType,
    /// The status.
    pub status: JobStatus,
    /// How many there are, counted up to 100,000.
    pub jobs: u64,
    /// The lowest batch among them.
    pub lowest_batch: u32,
}

impl Job {
    /// Its position among the changes.
    pub fn cursor(&self) -> JobCursor {
        JobCursor { updated_at_ms: self.updated_at_ms, number: self.number, tee_type: self.tee_type }
    }
}

impl Job {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: columns::number(row, "l1_batch_number")?,
            tee_type: columns::tee_type(row, "tee_type")?,
            status: columns::job_status(row, "status")?,
            attempts: columns::number(row, "attempts")?,
            lease_expires_at_ms: row.try_get("lease_expires_at")?,
            prover_taken_at_ms: row.try_get("prover_taken_at")?,
            error_kind: row.try_get("error_kind")?,
            error: row.try_get("error")?,
            created_at_ms: row.try_get("created_at")?,
            updated_at_ms: row.try_get("updated_at")?,
        })
    }
}

impl Database {
    /// Jobs by batch and TEE type, beginning after `after`.
    pub(crate) async fn jobs(
        &self,
        filter: &JobFilter,
        after: Option<(u32, TeeType)>,
        limit: u32,
    ) -> Result<Vec<Job>, sqlx::Error> {
        let of_each_type =
            filter.tee_type.is_none() && filter.status.is_some_and(|status| status != JobStatus::Generated);
        if !of_each_type {
            return self.jobs_of(filter, after, limit).await;
        }
        // The index on unfinished jobs is ordered by type.
        let mut jobs = vec![];
        for tee_type in [TeeType::None, TeeType::Sgx, TeeType::Tdx] {
            jobs.extend(self.jobs_of(&JobFilter { tee_type: Some(tee_type), ..*filter }, after, limit).await?);
        }
        jobs.sort_by_key(|job| (job.number, job.tee_type.as_str()));
        jobs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(jobs)
    }

    async fn jobs_of(
        &self,
        filter: &JobFilter,
        after: Option<(u32, TeeType)>,
        limit: u32,
    ) -> Result<Vec<Job>, sqlx::Error> {
        let (lowest, highest) = range(filter.number);
        let (number, tee_type) = after.map_or((-1, ""), |(number, tee_type)| (i64::from(number), tee_type.as_str()));
        // With one type, the next batch may be the same one if the cursor's type comes before the wanted one.
        let next = filter.tee_type.map_or(number, |wanted| number + i64::from(wanted.as_str() <= tee_type));
        let statement = AssertSqlSafe(jobs_statement(filter));
        let mut jobs = sqlx::query(statement).bind(lowest.max(next)).bind(highest).bind(i64::from(limit));
        if filter.tee_type.is_none() {
            jobs = jobs.bind(number).bind(tee_type);
        }
        let rows = self.readers.fetch_all(jobs).await?;
        rows.iter().map(Job::read).collect()
    }

    /// Jobs that changed after `after`, in that order, with their current state. A change appears two seconds after it was made.
    pub(crate) async fn job_changes(&self, after: JobCursor, limit: u32, now_ms: i64) -> Result<Vec<Job>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT * FROM tee_proof_generation_details
             WHERE (updated_at, l1_batch_number, tee_type) > ($1, $2, $3) AND updated_at <= $4
             ORDER BY updated_at, l1_batch_number, tee_type LIMIT $5",
        )
        .bind(after.updated_at_ms)
        .bind(i64::from(after.number))
        .bind(after.tee_type.as_str())
        .bind(now_ms.saturating_sub(CHANGES_SETTLE_MS))
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(Job::read).collect()
    }

    /// How many unfinished jobs there are per type and status, up to 100,000 each.
    pub(crate) async fn job_counts(&self) -> Result<Vec<JobCount>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(job_counts_statement()));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| {
                let Some(lowest_batch) = columns::optional_number(row, "lowest")? else { return Ok(None) };
                Ok(Some(JobCount {
                    tee_type: columns::tee_type(row, "tee_type")?,
                    status: columns::job_status(row, "status")?,
                    jobs: columns::count(row, "jobs")?,
                    lowest_batch,
                }))
            })
            .filter_map(Result::transpose)
            .collect()
    }
}

/// Statuses and types are written into the text, so that the query planners see which index fits.
pub(in crate::database) fn jobs_statement(filter: &JobFilter) -> String {
    let status = filter.status.map_or_else(String::new, |status| format!("AND status = '{status}'"));
    let unfinished = match filter.status {
        None | Some(JobStatus::Generated) => "",
        Some(_) => "AND status <> 'generated'",
    };
    // Ordered by both, a database would search the batches of all types.
    let of_type = match filter.tee_type {
        Some(tee_type) => format!("AND tee_type = '{tee_type}'"),
        None => "AND (l1_batch_number, tee_type) > ($4, $5)".to_owned(),
    };
    format!(
        "SELECT * FROM tee_proof_generation_details
         WHERE l1_batch_number >= $1 AND l1_batch_number <= $2 {of_type} {status} {unfinished}
         ORDER BY l1_batch_number, tee_type LIMIT $3"
    )
}

/// An index gives each count and each lowest batch, and no count reads more rows than a scrape may cost.
pub(in crate::database) fn job_counts_statement() -> String {
    let unfinished =
        [JobStatus::ReadyToBeProven, JobStatus::PickedByProver, JobStatus::Failed, JobStatus::PermanentlyIgnored];
    let of = |tee_type: TeeType, status: JobStatus| {
        let jobs = format!(
            "FROM tee_proof_generation_details
             WHERE tee_type = '{tee_type}' AND status = '{status}' AND status <> 'generated'"
        );
        format!(
            "SELECT '{tee_type}' AS tee_type, '{status}' AS status,
                 (SELECT COUNT(*) FROM (SELECT 1 {jobs} LIMIT {MAX_COUNTED}) counted) AS jobs,
                 (SELECT MIN(l1_batch_number) {jobs}) AS lowest"
        )
    };
    let types = [TeeType::None, TeeType::Sgx, TeeType::Tdx].into_iter();
    types.flat_map(|tee_type| unfinished.map(|status| of(tee_type, status))).collect::<Vec<_>>().join(" UNION ALL ")
}
