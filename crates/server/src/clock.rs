//! The time, either the real one or the one that a test sets.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where the server takes the time from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock. If a PostgreSQL database is shared, the database's time is used.
    #[default]
    System,
    /// The same, with this machine's clock wrong by this many milliseconds, for tests.
    Wrong(i64),
    /// The database's.
    Database(DatabaseClock),
    /// A clock that moves only when told to.
    Manual(ManualClock),
}

/// The time of a database that several servers share. Between two queries it advances with this machine's monotonic clock, which
/// changes of the system's clock do not affect.
#[derive(Debug, Clone)]
pub struct DatabaseClock(Arc<Mutex<Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    now_ms: i64,
    /// How far this machine's clock was ahead.
    skew_ms: i64,
    /// How wrong a test makes this machine's clock.
    wrong_by_ms: i64,
}

/// A clock for tests. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }
}

impl Clock {
    /// Replaces this machine's clock with the database's, which was read just now. Other clocks stay.
    pub(crate) fn of_database(self, now_ms: i64) -> Self {
        let wrong_by_ms = match self {
            Self::System => 0,
            Self::Wrong(by_ms) => by_ms,
            Self::Database(_) | Self::Manual(_) => return self,
        };
        Self::Database(DatabaseClock(Arc::new(Mutex::new(Asked::new(now_ms, wrong_by_ms)))))
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::System => system_ms(),
            Self::Wrong(by_ms) => system_ms().saturating_add(*by_ms),
            Self::Database(clock) => clock.now_ms(),
            Self::Manual(ManualClock(now)) => now.load(Ordering::SeqCst),
        }
    }
}

impl DatabaseClock {
    fn now_ms(&self) -> i64 {
        let asked = self.asked();
        asked.now_ms.saturating_add(millis(asked.at.elapsed()))
    }

    /// Sets the time that the database returned just now.
    pub(crate) fn set(&self, now_ms: i64) {
        let mut asked = self.asked();
        *asked = Asked::new(now_ms, asked.wrong_by_ms);
    }

    /// How many milliseconds this machine's clock was ahead when the database was asked.
    pub(crate) fn skew_ms(&self) -> i64 {
        self.asked().skew_ms
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn new(now_ms: i64, wrong_by_ms: i64) -> Self {
        let skew_ms = system_ms().saturating_add(wrong_by_ms).saturating_sub(now_ms);
        Self { at: Instant::now(), now_ms, skew_ms, wrong_by_ms }
    }
}

fn system_ms() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Formats a time in milliseconds since 1970 as it is written in JSON, `2025-04-03T08:13:30.123Z`.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
