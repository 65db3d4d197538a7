//! Code: a bytecode and its instructions, decoded once.

use std::sync::OnceLock;

use crate::{U256, instruction::Instruction};

/// The most instructions of a code that a program counter of 16 bits can reach.
const MAX_INSTRUCTIONS: usize = 1 << 16;

/// A bytecode. Its instructions are decoded when it is first run, and kept.
#[derive(Debug)]
pub struct Code {
    bytes: Vec<u8>,
    instructions: OnceLock<Vec<Instruction>>,
}

impl Code {
    /// Makes code from the bytes of a bytecode.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, instructions: OnceLock::new() }
    }

    /// The bytes of the bytecode.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its length in words of 32 bytes.
    pub fn words(&self) -> usize {
        self.bytes.len().div_ceil(32)
    }

    /// The instructions: four per word, the first in its highest bytes. All that follow the last one are invalid.
    pub(crate) fn instructions(&self) -> &[Instruction] {
        self.instructions.get_or_init(|| {
            let (groups, _) = self.bytes.as_chunks::<8>();
            groups.iter().take(MAX_INSTRUCTIONS).map(|group| Instruction::decode(u64::from_be_bytes(*group))).collect()
        })
    }

    /// A constant: the word at an index, zero beyond the end.
    #[inline(always)]
    pub(crate) fn word(&self, index: u16) -> U256 {
        let mut bytes = [0; 32];
        self.read(usize::from(index) * 32, &mut bytes);
        U256::from_be_bytes(bytes)
    }

    /// Reads the bytes from `offset` on, with zeros beyond the end.
    #[inline(always)]
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) {
        let from = self.bytes.get(offset..).unwrap_or_default();
        let count = from.len().min(to.len());
        let (known, rest) = to.split_at_mut(count);
        known.copy_from_slice(&from[..count]);
        rest.fill(0);
    }
}
