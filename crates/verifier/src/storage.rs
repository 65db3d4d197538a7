//! Storage as the run sees it: values that a path proves, and claims that must not decide anything.

use std::collections::HashMap;

use tee_eravm::{Address, Slot, U256};

use crate::{
    H256, Rejection, StorageKey,
    hash::slot_key,
    input::WitnessStorageState,
    machine::{State, storage_key},
    shape::{Leaf, Witness},
};

/// The state before the batch. A slot with a path has the value that its path proves. A slot without one is served from
/// the sequencer's claims; the machine stops where such a claim would decide anything.
pub(crate) struct ProvenState<'a> {
    witness: &'a Witness,
    claims: &'a WitnessStorageState,
    bytecodes: &'a HashMap<H256, Vec<u8>>,
}

impl<'a> ProvenState<'a> {
    pub(crate) fn new(
        witness: &'a Witness,
        claims: &'a WitnessStorageState,
        bytecodes: &'a HashMap<H256, Vec<u8>>,
    ) -> Result<Self, Rejection> {
        let state = Self { witness, claims, bytecodes };
        state.check_claims()?;
        Ok(state)
    }

    /// Checks that the sequencer's claims about slots with a path agree with the path. Forged funds would come in as an
    /// inflated balance beside an honest tree.
    fn check_claims(&self) -> Result<(), Rejection> {
        for (key, got) in &self.claims.read_storage_key {
            if let Some(leaf) = self.leaf_of(key)
                && leaf.value_before() != *got
            {
                return Err(Rejection::WitnessValue { key: *key, got: *got, expected: leaf.value_before() });
            }
        }
        for (key, got) in &self.claims.is_write_initial {
            if let Some(leaf) = self.leaf_of(key)
                && leaf.is_absent_before() != *got
            {
                return Err(Rejection::WitnessInitialWrite { key: *key, got: *got });
            }
        }
        Ok(())
    }

    fn leaf_of(&self, key: &StorageKey) -> Option<&'a Leaf> {
        self.leaf(&key.address().0, &U256::from_be_bytes(key.key().0))
    }

    fn leaf(&self, address: &Address, key: &U256) -> Option<&'a Leaf> {
        position(self.witness, address, key).and_then(|position| self.witness.leaves.get(position))
    }
}

/// The position of a slot's leaf in the witness.
pub(crate) fn position(witness: &Witness, address: &Address, key: &U256) -> Option<usize> {
    witness.position(&primitive_types::U256::from_little_endian(&slot_key(address, &key.to_be_bytes())))
}

impl State for ProvenState<'_> {
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection> {
        if let Some(leaf) = self.leaf(address, key) {
            let value = U256::from_be_bytes(leaf.value_before().0);
            return Ok(Slot { value, is_new: leaf.is_absent_before(), is_proven: true });
        }
        let key = storage_key(address, key);
        // A missing slot must not pass as zero.
        let value = self.claims.read_storage_key.get(&key).ok_or(Rejection::SlotMissing { key })?;
        let is_new = self.claims.is_write_initial.get(&key).copied().unwrap_or_default();
        Ok(Slot { value: U256::from_be_bytes(value.0), is_new, is_proven: false })
    }

    fn leaf_index(&self, address: &Address, key: &U256) -> u64 {
        self.leaf(address, key).and_then(|leaf| leaf.before).map_or(0, |content| content.index)
    }

    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        self.bytecodes.get(&H256(*hash)).map(Vec::as_slice)
    }
}
