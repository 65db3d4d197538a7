//! How long a query waits for the database. That is less than the patience of a scraper (10 s) or a prover, so that each learns that it is
//! down.

use std::time::Duration;

use tokio::time::timeout;

/// The wait for a connection.
pub(super) const ACQUIRE: Duration = Duration::from_secs(3);

/// The wait for an answer, including the wait for a connection.
pub(super) const ANSWER: Duration = Duration::from_secs(6);

/// How long SQLite waits for other processes that write to its file, in milliseconds.
pub(super) const SQLITE_BUSY_MS: u32 = 4000;

/// Bounds the wait for a database.
pub(super) trait Within<T> {
    /// The same future, which ends with an error if the database does not answer in time.
    async fn within(self) -> Result<T, sqlx::Error>;
}

impl<T, F: Future<Output = Result<T, sqlx::Error>>> Within<T> for F {
    async fn within(self) -> Result<T, sqlx::Error> {
        timeout(ANSWER, self).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

/// Whether an error means that the database is unavailable now, rather than that the query was wrong.
pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            match code.parse::<i32>() {
                // PostgreSQL's classes: connection, resources, operator intervention. Some of these codes are numbers too.
                _ if code.len() == 5 => ["08", "53", "57"].iter().any(|class| code.starts_with(class)),
                // SQLite's codes: busy, no memory, interrupted, I/O, full, cannot open. The low byte is the kind.
                Ok(code) => [5, 7, 9, 10, 13, 14].contains(&(code & 0xff)),
                Err(_) => false,
            }
        }
        _ => false,
    }
}
