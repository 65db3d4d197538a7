//! Storage and code before a run, the same for both machines.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use crate::{Address, Code, Slot, U256, World, instructions::code_key};

/// Storage and code. Slots that are missing are new and zero.
#[derive(Default)]
pub(super) struct TestWorld {
    pub(super) slots: HashMap<(Address, U256), Slot>,
    pub(super) codes: HashMap<U256, Arc<Code>>,
}

/// A code hash that is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownCode;

impl TestWorld {
    pub(super) fn value(&self, address: &Address, key: &U256) -> Slot {
        let new = Slot { value: U256::ZERO, is_new: true, is_proven: true };
        self.slots.get(&(*address, *key)).copied().unwrap_or(new)
    }

    pub(super) fn cost(before: &Slot, value: &U256) -> u32 {
        let changed = before.value ^ *value;
        let bytes = 32 - changed.leading_zeros() as u32 / 8;
        1 + bytes + if before.is_new { 32 } else { 5 }
    }

    pub(super) fn is_free_slot(address: &Address, key: &U256) -> bool {
        address[18..] == [0x80, 0x0b] && key.bit(0)
    }

    /// Adds code under a hash made from a number, and returns that hash.
    pub(super) fn add_code(&mut self, version: u8, number: u64, bytes: Vec<u8>) -> U256 {
        let words = bytes.len().div_ceil(32) as u64;
        let header = u64::from(version) << 56 | words << 32;
        let hash = U256::from_limbs([number, !number, 0x1234_5678_9abc_def0, header | 0x00c0_ffee]);
        self.codes.insert(hash, Arc::new(Code::new(bytes)));
        hash
    }
}

impl std::fmt::Debug for TestWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestWorld").finish_non_exhaustive()
    }
}

impl World for Rc<TestWorld> {
    type Fault = UnknownCode;

    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, UnknownCode> {
        Ok(self.value(address, key))
    }

    fn code(&mut self, hash: &U256) -> Result<Arc<Code>, UnknownCode> {
        let known = self.codes.iter().find(|(known, _)| code_key(**known) == code_key(*hash));
        known.map(|(_, code)| Arc::clone(code)).ok_or(UnknownCode)
    }

    fn publishing_cost(&self, before: &Slot, value: &U256) -> u32 {
        TestWorld::cost(before, value)
    }

    fn is_free(&self, address: &Address, key: &U256) -> bool {
        TestWorld::is_free_slot(address, key)
    }
}

/// A code hash with the marker of code under construction.
pub(super) fn under_construction(hash: U256) -> U256 {
    hash | U256::from_limbs([0, 0, 0, 1 << 48])
}
