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
    /// Whether the two above are known to be true. A claim decides nothing: where the run would depend on it, it stops
    /// with [`Stop::UnprovenRead`](crate::Stop) or [`Stop::UnprovenCost`](crate::Stop).
    pub is_proven: bool,
}

/// Storage and code before the run, and the chain's price for changing them.
pub trait World {
    /// Why the world cannot answer. It ends the run.
    type Fault;

    /// A storage slot. A run asks for each slot once.
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Self::Fault>;

    /// The code of a versioned hash with the marker of finished code.
    fn code(&mut self, hash: &U256) -> Result<Arc<Code>, Self::Fault>;

    /// Bytes to publish if the slot goes from the value before the run to this one.
    fn publishing_cost(&self, before: &Slot, value: &U256) -> u32;

    /// Whether accesses to a slot are always warm and never published.
    fn is_free(&self, address: &Address, key: &U256) -> bool;

    /// Whether [`Self::see_call`] should be shown a call from one contract to another.
    fn watches_call(&self, _caller: &Address, _callee: &Address) -> bool {
        false
    }

    /// Shows the data of such a call, which is about to run.
    fn see_call(&mut self, _data: &[u8]) {}
}
