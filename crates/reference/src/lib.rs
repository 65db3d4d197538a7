//! A second opinion on a batch, for tests and benchmarks, by the method of zksync-era's own verifier.
//!
//! The published legacy VM runs the batch over the sequencer's values, and each Merkle path is folded in turn against
//! the root that the one before left. It is slow, it checks far less than the verifier, and it shares nothing with it
//! except the input's form: it is good for comparing roots and times, not for trust.

mod fold;
mod legacy;
mod published;

pub use self::{
    fold::{ReferenceError, reference_root},
    legacy::{LegacyOutcome, RunError, legacy_run},
};
