//! Storage as the run sees it: values that a path proves, and a record of what was asked for.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use zksync_types::{Address, H256, StorageKey, StorageValue, get_code_key, witness_block_state::WitnessStorageState};
use zksync_vm_interface::storage::ReadStorage;

use crate::{Rejection, shape::Witness};

/// The state before the batch. A slot with a path has the value that its path proves. A slot without one is served from
/// the sequencer's claims, and the run must show that the claim decided nothing: it is written, never read, and rolled
/// back.
pub(crate) struct ProvenStorage<'a> {
    witness: &'a Witness,
    claims: &'a WitnessStorageState,
    bytecodes: &'a HashMap<H256, Vec<u8>>,
    slots: HashMap<StorageKey, Slot>,
    /// The contracts that have unproven slots.
    unproven_contracts: HashSet<Address>,
    unproven_count: usize,
    /// The unproven slots that became known since they were last taken.
    fresh: Vec<StorageKey>,
    /// The unproven slots whose value was asked for since the last check.
    asked: Vec<StorageKey>,
    /// For each leaf of the witness whether the run asked for it.
    touched: Vec<bool>,
    /// The first thing that the run needed and the witness lacks. The VM is served a stand-in, so its result is void.
    fault: Option<Rejection>,
    /// Code that the run asked for and the witness lacks. Something else ran in its place, and will whenever it is called.
    missing_code: HashSet<H256>,
    /// An unproven slot whose cost of publishing the run could see.
    cost: Option<StorageKey>,
    /// Set while the storage is asked only to learn whether the VM has a value of its own.
    probe: Option<Probe>,
    /// The slot with the code of the account whose signature the VM must not skip.
    distrusted: Option<StorageKey>,
}

#[derive(Clone, Copy)]
enum Slot {
    Proven {
        leaf: usize,
    },
    /// `reads` counts `read_value` less `is_write_initial`. The VM calls the first alone to read a slot and both, in this
    /// order, before the first write to one: the difference is the number of true reads.
    Unproven {
        value: H256,
        initial_write: bool,
        reads: i64,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Probe {
    Waiting,
    Asked,
}

impl<'a> ProvenStorage<'a> {
    pub(crate) fn new(
        witness: &'a Witness,
        claims: &'a WitnessStorageState,
        bytecodes: &'a HashMap<H256, Vec<u8>>,
    ) -> Result<Self, Rejection> {
        let storage = Self {
            witness,
            claims,
            bytecodes,
            slots: HashMap::with_capacity(witness.leaves.len()),
            unproven_contracts: HashSet::new(),
            unproven_count: 0,
            fresh: Vec::new(),
            asked: Vec::new(),
            touched: vec![false; witness.leaves.len()],
            fault: None,
            missing_code: HashSet::new(),
            cost: None,
            probe: None,
            distrusted: None,
        };
        storage.check_claims()?;
        Ok(storage)
    }

    /// The sequencer's claims about slots that have a path must agree with it: an inflated balance beside an honest tree
    /// is how forged funds get in.
    fn check_claims(&self) -> Result<(), Rejection> {
        for (key, got) in &self.claims.read_storage_key {
            if let Some(leaf) = self.leaf(key).and_then(|leaf| self.witness.leaves.get(leaf))
                && leaf.value_before() != *got
            {
                return Err(Rejection::WitnessValue { key: *key, got: *got, expected: leaf.value_before() });
            }
        }
        for (key, got) in &self.claims.is_write_initial {
            if let Some(leaf) = self.leaf(key).and_then(|leaf| self.witness.leaves.get(leaf))
                && leaf.is_absent_before() != *got
            {
                return Err(Rejection::WitnessInitialWrite { key: *key, got: *got });
            }
        }
        Ok(())
    }

    /// The position of a slot's leaf in the witness.
    pub(crate) fn leaf(&self, key: &StorageKey) -> Option<usize> {
        self.witness.position(&key.hashed_key_u256())
    }

    /// Whether the run asked for each leaf of the witness.
    pub(crate) fn touched(&self) -> &[bool] {
        &self.touched
    }

    /// Number of slots that were served from claims.
    pub(crate) fn unproven_count(&self) -> usize {
        self.unproven_count
    }

    /// Whether a slot was served from claims.
    pub(crate) fn is_unproven(&self, key: &StorageKey) -> bool {
        matches!(self.slots.get(key), Some(Slot::Unproven { .. }))
    }

    /// Whether a contract has slots that were served from claims.
    pub(crate) fn has_unproven(&self, contract: &Address) -> bool {
        self.unproven_contracts.contains(contract)
    }

    /// The unproven slots that became known since the last call.
    pub(crate) fn take_fresh(&mut self) -> Vec<StorageKey> {
        std::mem::take(&mut self.fresh)
    }

    /// Fails if the run asked for what the witness lacks, or truly read a slot without a path.
    pub(crate) fn check(&mut self) -> Result<(), Rejection> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        while let Some(key) = self.asked.last() {
            if self.reads(key) > 0 {
                return Err(Rejection::ReadWithoutPath { key: *key });
            }
            self.asked.pop();
        }
        Ok(())
    }

    /// Fails if the run could see what a write to a slot without a path costs to publish.
    pub(crate) fn check_costs(&self) -> Result<(), Rejection> {
        self.cost.map_or(Ok(()), |key| Err(Rejection::UnprovenCost { key }))
    }

    /// Notes that the run could see what a write to this slot costs to publish.
    pub(crate) fn note_cost(&mut self, key: StorageKey) {
        self.cost.get_or_insert(key);
    }

    /// Whether the run asked for this code, ever, and the witness lacks it.
    pub(crate) fn is_missing(&self, code: &H256) -> bool {
        self.missing_code.contains(code)
    }

    /// Forgets what was asked for since the last check that passed, for that was undone. That a slot is known stays: the VM
    /// remembers its value, too. So does missing code, of which the VM keeps the stand-in.
    pub(crate) fn forget_unchecked(&mut self) {
        (self.fault, self.cost) = (None, None);
        for key in std::mem::take(&mut self.asked) {
            if let Some(Slot::Unproven { reads, .. }) = self.slots.get_mut(&key) {
                *reads = 0;
            }
        }
    }

    fn reads(&self, key: &StorageKey) -> i64 {
        match self.slots.get(key) {
            Some(Slot::Unproven { reads, .. }) => *reads,
            Some(Slot::Proven { .. }) | None => 0,
        }
    }

    /// From now until [`Self::end_probe`], reads are not served, only noticed.
    pub(crate) fn begin_probe(&mut self) {
        self.probe = Some(Probe::Waiting);
    }

    /// Whether the storage was asked since [`Self::begin_probe`]: if not, the VM holds a value of its own.
    pub(crate) fn end_probe(&mut self) -> bool {
        self.probe.take() == Some(Probe::Asked)
    }

    /// From now until [`Self::trust_again`] the account seems to have code of its own. The VM's wrapper asks for that before
    /// each transaction, and where it is so leaves the signature to the VM.
    pub(crate) fn distrust(&mut self, account: Address) {
        self.distrusted = Some(get_code_key(&account));
    }

    /// The VM itself reads what the slot holds.
    pub(crate) fn trust_again(&mut self) {
        self.distrusted = None;
    }

    fn set_fault(&mut self, fault: Rejection) {
        self.fault.get_or_insert(fault);
    }

    fn slot(&mut self, key: &StorageKey) -> Slot {
        if let Some(slot) = self.slots.get(key) {
            return *slot;
        }
        let slot = match self.leaf(key) {
            Some(leaf) => {
                if let Some(touched) = self.touched.get_mut(leaf) {
                    *touched = true;
                }
                Slot::Proven { leaf }
            }
            None => self.claim(key),
        };
        self.slots.insert(*key, slot);
        slot
    }

    /// Counts a read of an unproven slot, or takes one back that turned out to be part of a write.
    fn count_read(&mut self, key: &StorageKey, change: i64) {
        if let Some(Slot::Unproven { reads, .. }) = self.slots.get_mut(key) {
            *reads = reads.saturating_add(change);
        }
    }

    /// A slot without a path, as the sequencer claims it.
    fn claim(&mut self, key: &StorageKey) -> Slot {
        let value = self.claims.read_storage_key.get(key).copied();
        let initial_write = self.claims.is_write_initial.get(key).copied();
        if value.is_none() {
            // A missing slot must not pass as a zero one.
            self.set_fault(Rejection::SlotMissing { key: *key });
        }
        self.unproven_contracts.insert(*key.address());
        self.unproven_count = self.unproven_count.saturating_add(1);
        self.fresh.push(*key);
        Slot::Unproven { value: value.unwrap_or_default(), initial_write: initial_write.unwrap_or_default(), reads: 0 }
    }
}

impl ReadStorage for ProvenStorage<'_> {
    fn read_value(&mut self, key: &StorageKey) -> StorageValue {
        if self.probe.is_some() {
            self.probe = Some(Probe::Asked);
            return H256::zero();
        }
        if self.distrusted.as_ref() == Some(key) {
            return H256::repeat_byte(0xff);
        }
        match self.slot(key) {
            Slot::Unproven { value, reads, .. } => {
                if reads == 0 {
                    self.asked.push(*key);
                }
                self.count_read(key, 1);
                value
            }
            Slot::Proven { leaf } => self.witness.leaves.get(leaf).map(|leaf| leaf.value_before()).unwrap_or_default(),
        }
    }

    fn is_write_initial(&mut self, key: &StorageKey) -> bool {
        match self.slot(key) {
            Slot::Unproven { initial_write, .. } => {
                self.count_read(key, -1);
                initial_write
            }
            Slot::Proven { leaf } => self.witness.leaves.get(leaf).is_none_or(|leaf| leaf.is_absent_before()),
        }
    }

    fn load_factory_dep(&mut self, hash: H256) -> Option<Vec<u8>> {
        let code = self.bytecodes.get(&hash).cloned();
        if code.is_none() {
            self.missing_code.insert(hash);
            self.set_fault(Rejection::BytecodeMissing { hash });
        }
        // The VM panics on `None`; one word of zeros is a program that fails at once.
        Some(code.unwrap_or_else(|| vec![0; 32]))
    }

    fn get_enumeration_index(&mut self, key: &StorageKey) -> Option<u64> {
        let leaf = self.witness.leaves.get(self.leaf(key)?)?;
        leaf.before.map(|content| content.index)
    }
}

impl fmt::Debug for ProvenStorage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvenStorage").finish_non_exhaustive()
    }
}
