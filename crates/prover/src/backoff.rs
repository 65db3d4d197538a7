//! How long to wait before trying again.

use crate::config::Config;
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tee_api::ClientError;

/// The longest `Retry-After` that counts when a server is asked for work, so that no answer stops a prover permanently.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Waits that grow with each fault.
#[derive(Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    multiplier: f64,
    max: Duration,
    longest_retry_after: Duration,
    next: Duration,
}

impl Backoff {
    /// For faults.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            initial: config.initial_retry_backoff,
            multiplier: config.retry_backoff_multiplier,
            max: config.max_backoff,
            longest_retry_after: LONGEST_RETRY_AFTER,
            next: config.initial_retry_backoff,
        }
    }

    /// For a server that has nothing to do.
    pub(crate) fn idle(config: &Config) -> Self {
        Self { max: config.max_idle_poll.min(config.max_backoff), ..Self::new(config) }
    }

    /// For a finished proof or a report. A server's `Retry-After` counts only up to `max_backoff`, since a proof is worth sending even then.
    pub(crate) fn delivery(config: &Config) -> Self {
        Self { longest_retry_after: config.max_backoff, ..Self::new(config) }
    }

    /// How long to leave a server alone after an error: what it refuses now, it will also refuse a second later.
    pub(crate) fn after(&mut self, error: &ClientError) -> Duration {
        match error {
            ClientError::Network { retry_after, .. } => self.next(*retry_after),
            ClientError::Answer(_) => self.next(None),
            ClientError::Refused { .. } => jittered(self.max),
        }
    }

    /// The next wait, at least as long as the server asks for.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let wait = self.next.min(self.max);
        self.next = Duration::try_from_secs_f64(wait.as_secs_f64() * self.multiplier).unwrap_or(self.max).min(self.max);
        jittered(wait).max(retry_after.unwrap_or_default().min(self.longest_retry_after))
    }

    /// Resets the wait after a success: the next fault waits briefly again.
    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }
}

/// A random wait between half of `wait` and all of it, so that provers that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    // The standard library's hasher has a random key, which is random enough here.
    let random = RandomState::new().hash_one(());
    wait.mul_f64(0.5 + random as f64 / u64::MAX as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tee_verifier::Pins;

    fn config() -> Config {
        Config {
            initial_retry_backoff: Duration::from_secs(1),
            retry_backoff_multiplier: 2.0,
            max_backoff: Duration::from_secs(5),
            ..Config::new("http://127.0.0.1:1", Pins::danger_any_code())
        }
    }

    #[test]
    fn waits_grow_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(&config());
        for whole in [1, 2, 4, 5, 5] {
            let wait = backoff.next(None);
            assert!(
                wait <= Duration::from_secs(whole) && wait >= Duration::from_secs(whole) / 2,
                "{wait:?} of {whole}"
            );
        }
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_secs(1));
    }

    #[test]
    fn the_servers_wish_is_honoured_within_reason() {
        let mut backoff = Backoff::new(&config());
        assert_eq!(backoff.next(Some(Duration::from_secs(77))), Duration::from_secs(77));
        assert_eq!(backoff.next(Some(Duration::MAX)), LONGEST_RETRY_AFTER);
    }

    #[test]
    fn a_proof_that_is_made_waits_no_longer_than_after_a_fault() {
        let mut backoff = Backoff::delivery(&config());
        assert_eq!(backoff.next(Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(backoff.next(Some(Duration::from_secs(3600))), config().max_backoff);
    }
}
