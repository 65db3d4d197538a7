//! Fat pointers: a slice of a memory page in the low 128 bits of a word.

use crate::{Page, U256};

/// A slice of a memory page, and a position in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FatPointer {
    /// The position, counted from the start.
    pub offset: u32,
    /// The page.
    pub page: Page,
    /// Where the slice starts in the page.
    pub start: u32,
    /// Its length.
    pub length: u32,
}

impl FatPointer {
    /// Whether the slice ends within the page.
    pub(crate) fn ends(&self) -> bool {
        self.start.checked_add(self.length).is_some()
    }

    /// Whether the position is in the slice or at its end.
    pub(crate) fn is_slice(&self) -> bool {
        self.offset <= self.length
    }

    /// The slice from the position on.
    pub(crate) fn narrowed(self) -> Self {
        Self {
            offset: 0,
            page: self.page,
            start: self.start.wrapping_add(self.offset),
            length: self.length.wrapping_sub(self.offset),
        }
    }

    /// The pointer in the low half of an otherwise empty word.
    #[inline(always)]
    pub fn word(self) -> U256 {
        let first = u64::from(self.offset) | u64::from(self.page) << 32;
        let second = u64::from(self.start) | u64::from(self.length) << 32;
        U256::from_limbs([first, second, 0, 0])
    }

    /// The pointer in the low half of a word with the high half of `high`.
    pub(crate) fn with_high(self, high: U256) -> U256 {
        let [low, second, ..] = *self.word().as_limbs();
        let [_, _, third, fourth] = *high.as_limbs();
        U256::from_limbs([low, second, third, fourth])
    }
}

impl From<U256> for FatPointer {
    #[inline(always)]
    fn from(value: U256) -> Self {
        let [first, second, ..] = *value.as_limbs();
        Self { offset: first as u32, page: (first >> 32) as u32, start: second as u32, length: (second >> 32) as u32 }
    }
}

/// A pointer as a program outside the kernel sees it as a number: without page and start.
#[inline(always)]
pub(crate) fn erased(value: U256) -> U256 {
    let [first, second, third, fourth] = *value.as_limbs();
    U256::from_limbs([first & 0xffff_ffff, second & !0xffff_ffff, third, fourth])
}
