//! The machine's requests to the world around it.

use std::sync::Arc;

use crate::{Code, U256};

/// An address of 20 bytes.
pub type Address = [u8; 20];

/// A storage slot before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its value.
    pub value: U256,
    /// Whether the slot was never written: its first write is published with the whole key.
    pub is_new: bool,
    /// Whether the two above are known to be true. What is only claimed decides nothing: where the run would see it,
    /// it stops with [`Stop::UnprovenRead`](crate::Stop) or [`Stop::UnprovenCost`](crate::Stop).
    pub is_proven: bool,
}

/// Storage and code before the run, and what the chain charges for changing them.
pub trait World {
    /// Why something cannot be had. Ends the run.
    type Fault;

    /// A storage slot. Asked once a slot and run.
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Self::Fault>;

    /// The code of a versioned hash, its marker set to "at rest".
    fn code(&mut self, hash: &U256) -> Result<Arc<Code>, Self::Fault>;

    /// Bytes to publish if the slot goes from the value before the run to this one.
    fn publishing_cost(&self, before: &Slot, value: &U256) -> u32;

    /// Whether accesses to a slot are always warm and never published.
    fn is_free(&self, address: &Address, key: &U256) -> bool;

    /// Whether calls of one contract by another are of interest.
    fn watches_call(&self, _caller: &Address, _callee: &Address) -> bool {
        false
    }

    /// The data of such a call, which begins.
    fn see_call(&mut self, _data: &[u8]) {}
}
