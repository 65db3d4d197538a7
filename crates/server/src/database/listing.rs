//! Reading it all, a page at a time. A page starts after a key, so that it costs the same wherever it is.

use std::cmp::Ordering;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use tee_api::{PublicKey, Signature, TeeType};
use tee_verifier::H256;

use super::{JobStatus, decoded, hash, number};
use crate::service::Service;

/// How old a change must be to be listed, in milliseconds. Changes are ordered by the times of the servers that made them, and
/// one that takes this long to reach the database, or comes from a clock this late, is passed over.
const CHANGES_SETTLE_MS: i64 = 2000;

/// The most jobs of one type and status that are counted.
const MAX_COUNTED: u32 = 100_000;

/// A batch, without its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// The batch's number.
    pub number: u32,
    /// The size of the input in JSON, compressed.
    pub json_bytes: u64,
    /// The size of the input in CBOR, compressed.
    pub cbor_bytes: u64,
    /// The root before the batch.
    pub previous_root: Option<H256>,
    /// The root after the batch, where it is known.
    pub expected_root: Option<H256>,
    /// When the chain sealed it, in milliseconds since 1970.
    pub sealed_at_ms: Option<i64>,
    /// Where it came from, for people.
    pub source: String,
    /// When it came, in milliseconds since 1970.
    pub created_at_ms: i64,
}

/// A job. Its lease's id is the prover's secret and not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The batch's number.
    pub number: u32,
    /// The TEE type that is to prove it.
    pub tee_type: TeeType,
    /// Where the job stands.
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

/// A place in the order of job changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCursor {
    /// When, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// The batch's number.
    pub number: u32,
    /// The job's TEE type.
    pub tee_type: TeeType,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only of this batch.
    pub number: Option<u32>,
    /// Only of this TEE type.
    pub tee_type: Option<TeeType>,
    /// Only in this status.
    pub status: Option<JobStatus>,
}

/// How many jobs of a TEE type stand where. Generated ones are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCount {
    /// The TEE type.
    pub tee_type: TeeType,
    /// The status.
    pub status: JobStatus,
    /// How many there are, up to 100,000: more are not counted.
    pub jobs: u64,
    /// The lowest batch among them.
    pub lowest_batch: u32,
}

/// Which proofs to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProofFilter {
    /// Only of this batch.
    pub number: Option<u32>,
    /// Only of this TEE type.
    pub tee_type: Option<TeeType>,
}

/// An accepted proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The batch's number.
    pub number: u32,
    /// The prover's TEE type.
    pub tee_type: TeeType,
    /// The key that signed.
    pub pubkey: PublicKey,
    /// The signature of the root.
    pub signature: Signature,
    /// The root that was signed.
    pub root: H256,
    /// The signed statement in JSON.
    pub statement: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub received_at_ms: i64,
}

/// A registered key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationEntry {
    /// The key.
    pub pubkey: PublicKey,
    /// The enclave's type.
    pub tee_type: TeeType,
    /// The quote that names the key.
    pub quote: Vec<u8>,
    /// What is thought of the quote.
    pub verdict: String,
    /// The platform's status when the quote was judged, as Intel names it.
    pub tcb_status: Option<String>,
    /// The platform's advisories when the quote was judged, with spaces between them.
    pub advisories: Option<String>,
    /// When the quote was judged, in milliseconds since 1970.
    pub judged_at_ms: Option<i64>,
    /// When it was registered, in milliseconds since 1970.
    pub registered_at_ms: i64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_at_ms: Option<i64>,
}

impl Job {
    /// Where it stands among the changes.
    pub fn cursor(&self) -> JobCursor {
        JobCursor { updated_at_ms: self.updated_at_ms, number: self.number, tee_type: self.tee_type }
    }
}

impl Service {
    /// Batches with higher numbers than `after`, by number.
    pub async fn batches(&self, after: Option<u32>, limit: u32) -> Result<Vec<BatchEntry>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT number, json_bytes, cbor_bytes, previous_root, expected_root, sealed_at, source, created_at
             FROM batches WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(after.map_or(-1, i64::from))
        .bind(i64::from(limit));
        let rows = self.database.readers.fetch_all(query).await?;
        rows.iter().map(BatchEntry::read).collect()
    }

    /// Jobs by batch and TEE type, those after `after`.
    pub async fn jobs(
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
        // The index on what is not finished is by type.
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
        // Of one type, the next batch is the one after, or the same where its other types came before.
        let next = filter.tee_type.map_or(number, |wanted| number + i64::from(wanted.as_str() <= tee_type));
        let statement = AssertSqlSafe(jobs_statement(filter));
        let mut jobs = sqlx::query(statement).bind(lowest.max(next)).bind(highest).bind(i64::from(limit));
        if filter.tee_type.is_none() {
            jobs = jobs.bind(number).bind(tee_type);
        }
        let rows = self.database.readers.fetch_all(jobs).await?;
        rows.iter().map(Job::read).collect()
    }

    /// Jobs that changed after `after`, in that order, as they stand now. A change shows two seconds after it was made.
    pub async fn job_changes(&self, after: JobCursor, limit: u32) -> Result<Vec<Job>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT * FROM tee_proof_generation_details
             WHERE (updated_at, l1_batch_number, tee_type) > ($1, $2, $3) AND updated_at <= $4
             ORDER BY updated_at, l1_batch_number, tee_type LIMIT $5",
        )
        .bind(after.updated_at_ms)
        .bind(i64::from(after.number))
        .bind(after.tee_type.as_str())
        .bind(self.clock.now_ms().saturating_sub(CHANGES_SETTLE_MS))
        .bind(i64::from(limit));
        let rows = self.database.readers.fetch_all(query).await?;
        rows.iter().map(Job::read).collect()
    }

    /// How many unfinished jobs stand where, up to 100,000 each.
    pub async fn job_counts(&self) -> Result<Vec<JobCount>, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(job_counts_statement()));
        let rows = self.database.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| {
                let Some(lowest_batch) = row.try_get::<Option<i64>, _>("lowest")? else { return Ok(None) };
                Ok(Some(JobCount {
                    tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
                    status: JobStatus::stored(row.try_get("status")?)?,
                    jobs: decoded(u64::try_from(row.try_get::<i64, _>("jobs")?))?,
                    lowest_batch: number(lowest_batch)?,
                }))
            })
            .filter_map(Result::transpose)
            .collect()
    }

    /// Proofs by batch, TEE type and key, those after `after`.
    pub async fn proofs(
        &self,
        filter: &ProofFilter,
        after: Option<(u32, TeeType, PublicKey)>,
        limit: u32,
    ) -> Result<Vec<Proof>, sqlx::Error> {
        let (lowest, highest) = range(filter.number);
        let (number, tee_type, pubkey) = match &after {
            None => (-1, "", vec![]),
            Some((number, tee_type, pubkey)) => (i64::from(*number), tee_type.as_str(), pubkey.to_bytes().to_vec()),
        };
        let proofs = sqlx::query(AssertSqlSafe(proofs_statement(filter)));
        let proofs = proofs.bind(lowest.max(number)).bind(highest).bind(i64::from(limit));
        let proofs = match filter.tee_type.map(|wanted| wanted.as_str().cmp(tee_type)) {
            None => proofs.bind(number).bind(pubkey).bind(tee_type),
            // Of one type, the place is among that type's proofs of the batch, or before or behind them.
            Some(Ordering::Equal) => proofs.bind(number).bind(pubkey),
            Some(Ordering::Greater) => proofs.bind(number).bind(vec![]),
            Some(Ordering::Less) => proofs.bind(number + 1).bind(vec![]),
        };
        let rows = self.database.readers.fetch_all(proofs).await?;
        rows.iter().map(Proof::read).collect()
    }

    /// Registered keys after `after`, by key.
    pub async fn attestations(
        &self,
        after: Option<&PublicKey>,
        limit: u32,
    ) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM tee_attestations WHERE pubkey > $1 ORDER BY pubkey LIMIT $2")
            .bind(after.map_or_else(Vec::new, |pubkey| pubkey.to_bytes().to_vec()))
            .bind(i64::from(limit));
        let rows = self.database.readers.fetch_all(query).await?;
        rows.iter().map(AttestationEntry::read).collect()
    }
}

/// Names of statuses and types stand in the text, for the planners to see which index fits.
pub(super) fn jobs_statement(filter: &JobFilter) -> String {
    let status = filter.status.map_or_else(String::new, |status| format!("AND status = '{status}'"));
    let unfinished = match filter.status {
        None | Some(JobStatus::Generated) => "",
        Some(_) => "AND status <> 'generated'",
    };
    // In order of both, a database would look through the batches of all types.
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

pub(super) fn proofs_statement(filter: &ProofFilter) -> String {
    let of_type = match filter.tee_type {
        Some(tee_type) => format!("AND tee_type = '{tee_type}' AND (l1_batch_number, pubkey) > ($4, $5)"),
        None => "AND (l1_batch_number, tee_type, pubkey) > ($4, $6, $5)".to_owned(),
    };
    format!(
        "SELECT * FROM tee_proofs WHERE l1_batch_number >= $1 AND l1_batch_number <= $2 {of_type}
         ORDER BY l1_batch_number, tee_type, pubkey LIMIT $3"
    )
}

/// Each count and each lowest batch by an index, and none of more rows than a scrape may look at.
pub(super) fn job_counts_statement() -> String {
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

fn range(number: Option<u32>) -> (i64, i64) {
    number.map_or((0, u32::MAX.into()), |number| (number.into(), number.into()))
}

impl BatchEntry {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let bytes = |column: &str| decoded(u64::try_from(row.try_get::<i64, _>(column)?));
        let root = |column: &str| row.try_get::<Option<&[u8]>, _>(column)?.map(hash).transpose();
        Ok(Self {
            number: number(row.try_get("number")?)?,
            json_bytes: bytes("json_bytes")?,
            cbor_bytes: bytes("cbor_bytes")?,
            previous_root: root("previous_root")?,
            expected_root: root("expected_root")?,
            sealed_at_ms: row.try_get("sealed_at")?,
            source: row.try_get("source")?,
            created_at_ms: row.try_get("created_at")?,
        })
    }
}

impl Job {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: number(row.try_get("l1_batch_number")?)?,
            tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
            status: JobStatus::stored(row.try_get("status")?)?,
            attempts: number(row.try_get("attempts")?)?,
            lease_expires_at_ms: row.try_get("lease_expires_at")?,
            prover_taken_at_ms: row.try_get("prover_taken_at")?,
            error_kind: row.try_get("error_kind")?,
            error: row.try_get("error")?,
            created_at_ms: row.try_get("created_at")?,
            updated_at_ms: row.try_get("updated_at")?,
        })
    }
}

impl Proof {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: number(row.try_get("l1_batch_number")?)?,
            tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
            pubkey: decoded(PublicKey::from_bytes(row.try_get("pubkey")?))?,
            signature: decoded(Signature::from_bytes(row.try_get("signature")?))?,
            root: hash(row.try_get("proof")?)?,
            statement: row.try_get("statement")?,
            received_at_ms: row.try_get("received_at")?,
        })
    }
}

impl AttestationEntry {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            pubkey: decoded(PublicKey::from_bytes(row.try_get("pubkey")?))?,
            tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
            quote: row.try_get("quote")?,
            verdict: row.try_get("verdict")?,
            tcb_status: row.try_get("tcb_status")?,
            advisories: row.try_get("advisories")?,
            judged_at_ms: row.try_get("judged_at")?,
            registered_at_ms: row.try_get("registered_at")?,
            revoked_at_ms: row.try_get("revoked_at")?,
        })
    }
}
