//! Random numbers from a seed, the same on every machine.

use crate::U256;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u32) as usize]
    }

    pub(super) fn u256(&mut self) -> U256 {
        U256::from_limbs([self.next(), self.next(), self.next(), self.next()])
    }

    /// A word as in real programs: often small, often at an edge.
    pub(super) fn word(&mut self) -> U256 {
        let edge = match self.below(10) {
            0 => U256::ZERO,
            1 => U256::from(self.below(4)),
            2 | 3 => U256::from(self.below(1 << 12)),
            4 => U256::from(u64::from(u32::MAX) - 64 + u64::from(self.below(80))),
            5 => U256::from(1) << self.below(256) as usize,
            6 => U256::MAX >> self.below(256) as usize,
            7 => U256::MAX - U256::from(self.below(40)),
            8 => U256::from(self.next()),
            _ => self.u256(),
        };
        if self.one_in(8) { edge.wrapping_add(U256::from(self.below(3))).wrapping_sub(U256::from(1)) } else { edge }
    }
}
