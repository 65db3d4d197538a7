//! How much a server does, from the difference between two readings of its counters.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::Serialize;

/// The period of a rate.
const WINDOW: Duration = Duration::from_secs(60);
/// How many readings are kept: as many as a wide terminal shows.
const MAX_READINGS: usize = 240;

/// A server's counters since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counters {
    pub(super) handed_out: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
}

/// Counters by time.
#[derive(Debug, Default)]
pub(super) struct Rates(VecDeque<(Instant, Counters)>);

/// Rates per minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PerMinute {
    pub(super) handed_out: f64,
    pub(super) accepted: f64,
    pub(super) refused: f64,
}

impl Rates {
    pub(super) fn add(&mut self, at: Instant, counters: Counters) {
        if self.0.back().is_some_and(|(_, before)| !counters.follow(before)) {
            // The server was restarted, or another one answers.
            self.0.clear();
        }
        self.0.push_back((at, counters));
        if self.0.len() > MAX_READINGS {
            self.0.pop_front();
        }
    }

    /// Over the last minute, or as long as there are readings. `None` before there are two.
    pub(super) fn per_minute(&self) -> Option<PerMinute> {
        let (last_at, last) = self.0.back()?;
        let since = |at: &Instant| last_at.saturating_duration_since(*at);
        let (first_at, first) = self.0.iter().find(|(at, _)| since(at) <= WINDOW)?;
        let secs = since(first_at).as_secs_f64();
        let rate = |last: u64, first: u64| last.saturating_sub(first) as f64 * 60.0 / secs;
        (secs > 0.0).then(|| PerMinute {
            handed_out: rate(last.handed_out, first.handed_out),
            accepted: rate(last.accepted, first.accepted),
            refused: rate(last.refused, first.refused),
        })
    }

    /// Proofs accepted between successive readings, the latest last.
    pub(super) fn accepted(&self) -> Vec<u64> {
        let later = self.0.iter().skip(1);
        self.0
            .iter()
            .zip(later)
            .map(|((_, before), (_, after))| after.accepted.saturating_sub(before.accepted))
            .collect()
    }
}

impl Counters {
    fn follow(&self, before: &Self) -> bool {
        self.handed_out >= before.handed_out && self.accepted >= before.accepted && self.refused >= before.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(accepted: u64) -> Counters {
        Counters { handed_out: 2 * accepted, accepted, refused: 0 }
    }

    #[test]
    fn a_rate_is_of_the_last_minute() {
        let start = Instant::now();
        let mut rates = Rates::default();
        assert_eq!(rates.per_minute(), None);
        for (secs, accepted) in [(0, 1000), (100, 1100), (130, 1110), (160, 1130)] {
            rates.add(start + Duration::from_secs(secs), counted(accepted));
        }
        let rate = rates.per_minute().unwrap();
        assert_eq!((rate.handed_out, rate.accepted, rate.refused), (60.0, 30.0, 0.0));
        assert_eq!(rates.accepted(), [100, 10, 20]);
    }

    #[test]
    fn a_server_that_starts_anew_starts_the_rates_anew() {
        let start = Instant::now();
        let mut rates = Rates::default();
        rates.add(start, counted(50));
        rates.add(start + Duration::from_secs(2), counted(1));
        assert_eq!((rates.per_minute(), rates.accepted().len()), (None, 0));
        rates.add(start + Duration::from_secs(2), counted(2));
        assert_eq!(rates.per_minute(), None, "no time has passed");
        rates.add(start + Duration::from_secs(62), counted(4));
        assert_eq!(rates.per_minute().unwrap().accepted, 3.0);
    }
}
