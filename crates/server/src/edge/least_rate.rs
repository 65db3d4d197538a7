//! How slowly a peer may send or receive.

use std::{io, time::Duration};

/// A minimum rate in bytes per second, on average over a window of time. Only time spent waiting for the peer counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeastRate {
    pub(crate) bytes_per_sec: u32,
    pub(crate) window: Duration,
}

/// Measures whether a peer keeps up with a rate.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: LeastRate,
    /// The wait in this window so far.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(rate: LeastRate) -> Self {
        Self { rate, waited: Duration::ZERO, bytes: 0 }
    }

    /// How much longer to wait for the peer in this window.
    pub(crate) fn left(&self) -> Duration {
        self.rate.window.saturating_sub(self.waited)
    }

    /// Notes that this many bytes passed after a wait.
    pub(crate) fn note(&mut self, waited: Duration, bytes: usize) {
        self.waited = self.waited.saturating_add(waited);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Begins the next window, or fails if too little passed in this one.
    pub(crate) fn next_window(&mut self) -> io::Result<()> {
        // Nothing at all is too slow for any rate.
        let least = (f64::from(self.rate.bytes_per_sec) * self.rate.window.as_secs_f64()).max(1.0) as u64;
        if self.bytes < least {
            return Err(io::ErrorKind::TimedOut.into());
        }
        *self = Self::new(self.rate);
        Ok(())
    }
}
