//! The work of a node around its virtual machine when it runs a batch.
//!
//! - `run`: the batch from its first transaction to the bootloader's end; start here.
//! - `layout`: the layout of the bootloader's heap, by protocol version.
//! - `transaction`, `bytecodes`, `abi`: how transactions and their dependencies are written there.
//! - `refund`: what the operator gives back.
//! - `events`, `pubdata`: the data for L1 at the batch's end.
//! - `world`: storage and code as the machine asks for them.

mod abi;
mod bytecodes;
mod events;
mod layout;
mod pubdata;
mod refund;
mod run;
mod transaction;
mod world;

use tee_eravm::{Address, Limit, Stop, U256};

pub(crate) use self::events::merged;
pub use self::{events::ContractEvent, run::TransactionOutcome, world::State};
pub(crate) use self::{
    layout::{INTEROP_ROOT_WORDS, Layout},
    pubdata::Publication,
    refund::{Fees, base_fee},
    run::{BatchRun, Block, Finished, Parameters},
    transaction::BootloaderTransaction,
};
use crate::{H256, Rejection, StorageKey};

/// The slot for an address and key of the machine.
pub fn storage_key(address: &Address, key: &U256) -> StorageKey {
    StorageKey::new((*address).into(), H256(key.to_be_bytes()))
}

impl From<Stop<Rejection>> for Rejection {
    fn from(stop: Stop<Rejection>) -> Self {
        match stop {
            Stop::World(rejection) => rejection,
            Stop::UnprovenRead { address, key } => Self::ReadWithoutPath { key: storage_key(&address, &key) },
            Stop::UnprovenCost { address, key } => Self::UnprovenCost { key: storage_key(&address, &key) },
            Stop::Limit(limit) => limit.into(),
        }
    }
}

impl From<Limit> for Rejection {
    fn from(limit: Limit) -> Self {
        Self::MachineLimit { limit }
    }
}
