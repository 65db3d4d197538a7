//! The chain's state as a batch's run sees it: slots, code, and what changes cost.

use std::{collections::HashMap, sync::Arc};

use tee_eravm::{Address, Code, Slot, U256, World};

use crate::{
    H256, Rejection,
    machine::{events::kernel_address, pubdata},
};

pub(crate) const BOOTLOADER: Address = kernel_address(0x8001);
const KNOWN_CODES_STORAGE: Address = kernel_address(0x8004);
const BASE_TOKEN: Address = kernel_address(0x800a);
const SYSTEM_CONTEXT: Address = kernel_address(0x800b);

/// The chain's state before a batch.
pub trait State {
    /// A storage slot.
    ///
    /// # Errors
    ///
    /// What is not known is a rejection, never zero.
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection>;

    /// The index of a slot's leaf in the tree; 0 where it has none.
    fn leaf_index(&self, address: &Address, key: &U256) -> u64;

    /// The code of a hash.
    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]>;
}

impl<S: State> State for &mut S {
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection> {
        (**self).slot(address, key)
    }

    fn leaf_index(&self, address: &Address, key: &U256) -> u64 {
        (**self).leaf_index(address, key)
    }

    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        (**self).bytecode(hash)
    }
}

/// The state, and the code that came with the batch's own transactions.
#[derive(Debug)]
pub(crate) struct ChainWorld<S> {
    pub(crate) state: S,
    /// Code that was asked for, by hash.
    codes: HashMap<U256, Arc<Code>>,
    /// Dependencies of transactions, by hash.
    dependencies: HashMap<[u8; 32], Vec<u8>>,
    /// The slot of the bootloader's balance, which is never published.
    bootloader_balance: U256,
}

impl<S: State> ChainWorld<S> {
    pub(crate) fn new(state: S) -> Self {
        let mut balance = [0; 64];
        if let Some(address) = balance.get_mut(12..32) {
            address.copy_from_slice(&BOOTLOADER);
        }
        Self {
            state,
            codes: HashMap::new(),
            dependencies: HashMap::new(),
            bootloader_balance: U256::from_be_bytes(crate::hash::keccak256(&balance)),
        }
    }

    pub(crate) fn add_dependency(&mut self, hash: [u8; 32], code: &[u8]) {
        self.dependencies.entry(hash).or_insert_with(|| code.to_vec());
    }

    /// The bytes of a code, wherever it came from.
    pub(crate) fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        self.dependencies.get(hash).map(Vec::as_slice).or_else(|| self.state.bytecode(hash))
    }

    /// Hashes of the code that was asked for.
    pub(crate) fn code_hashes(&self) -> Vec<H256> {
        self.codes.keys().map(|hash| H256(hash.to_be_bytes())).collect()
    }

    /// Whether a code was known before the batch. The operator's word is enough: it decides only whether the operator publishes the
    /// code in compressed form, and that it may decide as it likes.
    pub(crate) fn was_known(&mut self, hash: &[u8; 32]) -> bool {
        let slot = self.state.slot(&KNOWN_CODES_STORAGE, &U256::from_be_bytes(*hash));
        slot.is_ok_and(|slot| !slot.value.is_zero())
    }

    /// The slot that tells whether a code is known.
    pub(crate) fn known_slot(hash: &[u8; 32]) -> (Address, U256) {
        (KNOWN_CODES_STORAGE, U256::from_be_bytes(*hash))
    }
}

impl<S: State> World for ChainWorld<S> {
    type Fault = Rejection;

    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection> {
        self.state.slot(address, key)
    }

    fn code(&mut self, hash: &U256) -> Result<Arc<Code>, Rejection> {
        if let Some(code) = self.codes.get(hash) {
            return Ok(Arc::clone(code));
        }
        let bytes = hash.to_be_bytes::<32>();
        // Nothing stands in for code that is missing.
        let code = self.bytecode(&bytes).ok_or(Rejection::BytecodeMissing { hash: H256(bytes) })?;
        let code = Arc::new(Code::new(code.to_vec()));
        self.codes.insert(*hash, Arc::clone(&code));
        Ok(code)
    }

    fn publishing_cost(&self, before: &Slot, value: &U256) -> u32 {
        pubdata::cost(before.is_new, before.value, *value)
    }

    fn is_free(&self, address: &Address, key: &U256) -> bool {
        *address == SYSTEM_CONTEXT || (*address == BASE_TOKEN && *key == self.bootloader_balance)
    }
}
