//! Why a run ends before its program does.

use std::{error::Error, fmt};

use crate::{Address, U256};

/// Why a run ends before its program does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop<F> {
    /// The world could not answer.
    World(F),
    /// The run reads a slot whose value is only claimed.
    UnprovenRead {
        /// The contract.
        address: Address,
        /// The slot.
        key: U256,
    },
    /// The run asks for the number of bytes to publish, while a write remains to a slot whose value before the run is
    /// only claimed.
    UnprovenCost {
        /// The contract.
        address: Address,
        /// The slot.
        key: U256,
    },
    /// The run needs more than the machine has.
    Limit(Limit),
}

/// Limits where gas does not bound a run. No honest batch reaches one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The heaps are larger than any transaction can pay for.
    Memory,
    /// There are more open calls than any transaction can pay for.
    Frames,
    /// A precompile is asked for more rounds than its input can have.
    PrecompileRounds,
    /// A precompile is given input that the contract that calls it would never pass.
    PrecompileInput,
    /// A precompile call names a page that was freed.
    FreedPage,
    /// A precompile would write to code.
    WriteToCode,
    /// The bytes to publish do not fit their counter.
    Pubdata,
    /// A frame failed that began before a snapshot, and the snapshot's changes were to be kept.
    Snapshot,
}

impl<F> From<Limit> for Stop<F> {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "the heaps become too large",
            Self::Frames => "too many nested calls",
            Self::PrecompileRounds => "a precompile call asks for too many rounds",
            Self::PrecompileInput => "a precompile gets an input that its contract never gives it",
            Self::FreedPage => "a precompile call names a memory page that was freed",
            Self::WriteToCode => "a precompile call would write to code",
            Self::Snapshot => "a frame that began before the transaction failed",
            Self::Pubdata => "the count of bytes to publish overflows",
        })
    }
}

impl Error for Limit {}
