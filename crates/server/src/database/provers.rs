//! `tee_provers`: who asks for work, what each prover failed with, and who is paused.
//!
//! A prover that only fails is paused from all jobs, longer each time, until one of its proofs is accepted. So a bad prover takes
//! little from the others, and does not make the server give up a batch that another one could prove.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{AnyConnection, Row, any::AnyRow};
use tee_api::{TeeType, UserAgent};

use super::{Database, columns};

/// The name of a prover in the queue, under which its failures and leases are counted. It is not a key, since provers of zksync-era
/// name no key when they ask for work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProverName(Arc<str>);

/// A prover that asks for work.
#[derive(Debug, Clone)]
pub(crate) struct Prover {
    pub(crate) name: ProverName,
    /// What it says of its program.
    pub(crate) user_agent: Option<UserAgent>,
}

/// A prover that asked for work within this time is expected to try a job before the job is given up.
pub(super) const ACTIVE_MS: i64 = 24 * 3600 * 1000;

/// The precision of `asked_at`.
const ASKED_PRECISION_MS: i64 = 60 * 1000;

/// A prover that has not asked for this long is forgotten.
const FORGOTTEN_MS: i64 = 30 * ACTIVE_MS;

/// The most provers that are told apart. All others count as one, since anybody can have many addresses.
const MAX_PROVERS: usize = 4096;

/// How many failures in a row pause a prover.
const PAUSING_FAILURES: i64 = 3;

const FIRST_PAUSE_MS: i64 = 10 * 1000;

const LONGEST_PAUSE_MS: i64 = 600 * 1000;

/// When each prover that asked lately was last noted. It only saves statements.
#[derive(Debug, Clone, Default)]
pub(super) struct AskedProvers(Arc<Mutex<HashMap<(ProverName, TeeType), i64>>>);

/// A prover that asks for work, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProverEntry {
    /// `token:NAME`, `address:…`, or `others` for all those beyond the limit.
    pub name: String,
    /// The TEE type that it asks for.
    pub tee_type: TeeType,
    /// When it last asked, to within a minute, in milliseconds since 1970.
    pub asked_at_ms: i64,
    /// How many leases it holds.
    pub leases: u64,
    /// How often it failed since its last accepted proof.
    pub failures_in_a_row: u64,
    /// Until when it gets no work, in milliseconds since 1970; in the past if it is not paused.
    pub paused_until_ms: i64,
    /// The kind of its last failure, for machines.
    pub last_error_kind: Option<String>,
    /// What it said of its program when it last asked. Nothing attests this.
    pub user_agent: Option<String>,
}

/// Provers that asked for work of one TEE type within the last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProverCount {
    pub(crate) tee_type: TeeType,
    pub(crate) active: u64,
    /// How many of them are paused.
    pub(crate) paused: u64,
}

impl ProverName {
    pub(crate) fn new(name: String) -> Self {
        Self(name.into())
    }

    /// All provers beyond the limit, as one.
    pub(crate) fn others() -> Self {
        Self("others".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts a prover's failure that belongs to no job in the queue.
pub(super) async fn note_failure(
    connection: &mut AnyConnection,
    prover: &str,
    tee_type: &str,
    kind: &str,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "UPDATE tee_provers SET failures_in_a_row = failures_in_a_row + 1, last_error_kind = $3
         WHERE name = $1 AND tee_type = $2 RETURNING failures_in_a_row",
    )
    .bind(prover)
    .bind(tee_type)
    .bind(kind)
    .fetch_optional(&mut *connection)
    .await?;
    let failures: i64 = row.map(|row| row.try_get("failures_in_a_row")).transpose()?.unwrap_or(0);
    let over = failures.saturating_sub(PAUSING_FAILURES);
    if over < 0 {
        return Ok(());
    }
    // A pause leaves work to others. Without others, its only use is to slow the failure reports down.
    let longest_ms = if others_work(connection, prover, tee_type, now_ms).await? { LONGEST_PAUSE_MS } else { 0 };
    let pause_ms = doubled(FIRST_PAUSE_MS, over, longest_ms);
    tracing::warn!(prover, tee_type, kind, failures, pause_secs = pause_ms / 1000, "paused a prover that only fails");
    sqlx::query("UPDATE tee_provers SET paused_until = $3 WHERE name = $1 AND tee_type = $2")
        .bind(prover)
        .bind(tee_type)
        .bind(now_ms.saturating_add(pause_ms))
        .execute(connection)
        .await
        .map(drop)
}

/// Notes the kind of a prover's last failure.
pub(super) async fn note_kind(
    connection: &mut AnyConnection,
    prover: &str,
    tee_type: &str,
    kind: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE tee_provers SET last_error_kind = $3 WHERE name = $1 AND tee_type = $2")
        .bind(prover)
        .bind(tee_type)
        .bind(kind)
        .execute(connection)
        .await
        .map(drop)
}

/// Undoes a failure: the one that was counted for a prover when it was the first to fail a job.
pub(super) async fn forgive(connection: &mut AnyConnection, prover: &str, tee_type: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE tee_provers SET failures_in_a_row = failures_in_a_row - 1, paused_until = 0
         WHERE name = $1 AND tee_type = $2 AND failures_in_a_row > 0",
    )
    .bind(prover)
    .bind(tee_type)
    .execute(connection)
    .await
    .map(drop)
}

/// Whether other provers that are not paused asked for work lately.
async fn others_work(
    connection: &mut AnyConnection,
    prover: &str,
    tee_type: &str,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM tee_provers WHERE name <> $1 AND tee_type = $2 AND asked_at > $3 AND paused_until <= $4",
    )
    .bind(prover)
    .bind(tee_type)
    .bind(now_ms.saturating_sub(LONGEST_PAUSE_MS))
    .bind(now_ms)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

/// Resets the failures and the pause of a prover whose proof was accepted.
pub(super) async fn note_success(
    connection: &mut AnyConnection,
    prover: &ProverName,
    tee_type: TeeType,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE tee_provers SET failures_in_a_row = 0, paused_until = 0 WHERE name = $1 AND tee_type = $2")
        .bind(prover.as_str())
        .bind(tee_type.as_str())
        .execute(connection)
        .await
        .map(drop)
}

/// Doubles a time with each repetition, up to a limit.
pub(super) fn doubled(first_ms: i64, times: i64, longest_ms: i64) -> i64 {
    let times = u32::try_from(times.clamp(0, 32)).unwrap_or(0);
    first_ms.saturating_mul(1_i64 << times).min(longest_ms.max(first_ms))
}

impl Database {
    /// Notes that a prover asks for work, and returns the name under which it is counted.
    pub(super) async fn note_asked(
        &self,
        prover: &Prover,
        tee_type: TeeType,
        now_ms: i64,
    ) -> Result<ProverName, sqlx::Error> {
        let user_agent = prover.user_agent.as_ref().map(ToString::to_string);
        let prover = match self.asked.note(&prover.name, tee_type, now_ms) {
            Noted::Lately(prover) => return Ok(prover),
            Noted::LongAgo(prover) => prover,
        };
        let name = prover.clone();
        let noted = self.transaction(move |connection| {
            Box::pin(async move {
                sqlx::query("DELETE FROM tee_provers WHERE asked_at < $1")
                    .bind(now_ms.saturating_sub(FORGOTTEN_MS))
                    .execute(&mut *connection)
                    .await?;
                sqlx::query(
                    "INSERT INTO tee_provers (name, tee_type, asked_at, user_agent) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (name, tee_type) DO UPDATE
                     SET asked_at = excluded.asked_at, user_agent = excluded.user_agent",
                )
                .bind(name.as_str())
                .bind(tee_type.as_str())
                .bind(now_ms)
                .bind(user_agent)
                .execute(connection)
                .await
                .map(drop)
            })
        });
        if let Err(error) = noted.await {
            self.asked.forget(&prover, tee_type);
            return Err(error);
        }
        Ok(prover)
    }

    /// Counts a refused proof that came without a lease. With a lease the failure is counted when the lease ends.
    pub(crate) async fn note_refused_proof(
        &self,
        prover: &ProverName,
        tee_type: TeeType,
        kind: &'static str,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        let prover = prover.clone();
        self.transaction(move |connection| {
            Box::pin(async move { note_failure(connection, prover.as_str(), tee_type.as_str(), kind, now_ms).await })
        })
        .await
    }

    /// How many provers there are.
    pub(crate) async fn prover_counts(&self, now_ms: i64) -> Result<Vec<ProverCount>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT tee_type, COUNT(*) AS active, SUM(CASE WHEN paused_until > $2 THEN 1 ELSE 0 END) AS paused
             FROM tee_provers WHERE asked_at > $1 GROUP BY tee_type",
        )
        .bind(now_ms.saturating_sub(ACTIVE_MS))
        .bind(now_ms);
        let rows = self.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| {
                Ok(ProverCount {
                    tee_type: columns::tee_type(row, "tee_type")?,
                    active: columns::count(row, "active")?,
                    paused: columns::count(row, "paused")?,
                })
            })
            .collect()
    }

    /// Who asks for work, by TEE type and name, beginning after `after`.
    pub(crate) async fn provers(
        &self,
        after: Option<(TeeType, &str)>,
        limit: u32,
        now_ms: i64,
    ) -> Result<Vec<ProverEntry>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT p.*, (SELECT COUNT(*) FROM tee_proof_generation_details j WHERE j.prover = p.name
                 AND j.tee_type = p.tee_type AND j.lease_id IS NOT NULL AND j.tee_type <> 'none'
                 AND j.lease_expires_at > $3) AS leases
             FROM tee_provers p WHERE (p.tee_type, p.name) > ($1, $2) ORDER BY p.tee_type, p.name LIMIT $4",
        )
        .bind(after.map_or("", |(tee_type, _)| tee_type.as_str()))
        .bind(after.map_or("", |(_, name)| name))
        .bind(now_ms)
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(ProverEntry::read).collect()
    }
}

impl ProverEntry {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let count = |column: &str| columns::count(row, column);
        Ok(Self {
            name: row.try_get("name")?,
            tee_type: columns::tee_type(row, "tee_type")?,
            asked_at_ms: row.try_get("asked_at")?,
            leases: count("leases")?,
            failures_in_a_row: count("failures_in_a_row")?,
            paused_until_ms: row.try_get("paused_until")?,
            last_error_kind: row.try_get("last_error_kind")?,
            user_agent: row.try_get("user_agent")?,
        })
    }
}

enum Noted {
    Lately(ProverName),
    LongAgo(ProverName),
}

impl AskedProvers {
    fn note(&self, prover: &ProverName, tee_type: TeeType, now_ms: i64) -> Noted {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MAX_PROVERS {
            asked.retain(|_, asked_at| now_ms.abs_diff(*asked_at) < ACTIVE_MS.unsigned_abs());
        }
        let known = asked.contains_key(&(prover.clone(), tee_type));
        let prover = if known || asked.len() < MAX_PROVERS { prover.clone() } else { ProverName::others() };
        let asked_at = asked.entry((prover.clone(), tee_type)).or_insert(i64::MIN);
        if now_ms.saturating_sub(*asked_at) < ASKED_PRECISION_MS && *asked_at <= now_ms {
            return Noted::Lately(prover);
        }
        *asked_at = now_ms;
        Noted::LongAgo(prover)
    }

    fn forget(&self, prover: &ProverName, tee_type: TeeType) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(prover.clone(), tee_type));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> ProverName {
        ProverName::new(format!("address:{number}"))
    }

    #[test]
    fn rests_double_up_to_a_limit() {
        let rests: Vec<_> = (0..5).map(|times| doubled(10, times, 100)).collect();
        assert_eq!(rests, [10, 20, 40, 80, 100]);
        assert_eq!(doubled(i64::MAX, 40, 100), i64::MAX);
        assert_eq!(doubled(1, i64::MAX, 100), 100);
    }

    #[test]
    fn provers_beyond_the_limit_are_counted_as_one_and_those_known_stay_themselves() {
        let asked = AskedProvers::default();
        let note = |number| match asked.note(&address(number), TeeType::Sgx, 0) {
            Noted::Lately(prover) | Noted::LongAgo(prover) => prover,
        };
        for number in 0..MAX_PROVERS as u32 {
            assert_eq!(note(number), address(number));
        }
        assert_eq!(note(u32::MAX), ProverName::others());
        assert_eq!(note(1), address(1));
        assert!(asked.0.lock().unwrap().len() <= MAX_PROVERS + 1);
    }
}
