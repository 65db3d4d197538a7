//! How slowly a peer may send or take.

use std::{io, time::Duration};

/// So many bytes a second, on average over a window of time in which the peer is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeastRate {
    pub(crate) bytes_per_sec: u32,
    pub(crate) window: Duration,
}

/// How a peer keeps up with a rate.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: LeastRate,
    /// In this window.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(rate: LeastRate) -> Self {
        Self { rate, waited: Duration::ZERO, bytes: 0 }
    }

    /// How much longer the peer may be waited for in this window.
    pub(crate) fn left(&self) -> Duration {
        self.rate.window.saturating_sub(self.waited)
    }

    /// So many bytes went over after a wait.
    pub(crate) fn note(&mut self, waited: Duration, bytes: usize) {
        self.waited = self.waited.saturating_add(waited);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Begins the next window, if enough went over in this one.
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
