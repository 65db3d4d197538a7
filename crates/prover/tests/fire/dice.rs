//! Randomness that can be repeated.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// Takes the seed from an environment variable, or a new one each time. Prints it, so that a failure can be
    /// repeated.
    pub(crate) fn throw(variable: &str) -> Self {
        let seed =
            std::env::var(variable).map_or_else(|_| RandomState::new().hash_one(()), |text| text.parse().unwrap());
        println!("{variable}={seed}");
        Self(seed)
    }

    /// The dice of a seed.
    #[allow(dead_code, reason = "not every test has seeds of its own")]
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
