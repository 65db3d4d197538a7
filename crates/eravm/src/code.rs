//! Code: a bytecode and its instructions, decoded once.

use std::sync::OnceLock;

use crate::{U256, instruction::Instruction};

/// The code's instructions that a program counter of 16 bits can reach.
const MAX_INSTRUCTIONS: usize = 1 << 16;

/// A bytecode. Instructions are decoded when it is first run, and kept.
#[derive(Debug)]
pub struct Code {
    bytes: Vec<u8>,
    instructions: OnceLock<Vec<Instruction>>,
}

impl Code {
    /// From the bytes of a bytecode.
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

    /// Four instructions to a word, the first in its highest bytes. Behind the last one all are invalid.
    pub(crate) fn instructions(&self) -> &[Instruction] {
        self.instructions.get_or_init(|| {
            let (groups, _) = self.bytes.as_chunks::<8>();
            groups.iter().take(MAX_INSTRUCTIONS).map(|group| Instruction::decode(u64::from_be_bytes(*group))).collect()
        })
    }

    /// A constant: the word at an index, zero behind the end.
    #[inline(always)]
    pub(crate) fn word(&self, index: u16) -> U256 {
        let mut bytes = [0; 32];
        self.read(usize::from(index) * 32, &mut bytes);
        U256::from_be_bytes(bytes)
    }

    /// The bytes from `offset` on, zeros behind the end.
    #[inline(always)]
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) {
        let from = self.bytes.get(offset..).unwrap_or_default();
        let count = from.len().min(to.len());
        let (known, rest) = to.split_at_mut(count);
        known.copy_from_slice(&from[..count]);
        rest.fill(0);
    }
}
