//! The reference, with storage, memory, logs and decommitments that keep the same as the protocol's sequencer.

use std::{collections::HashMap, rc::Rc};

use foldhash::fast::RandomState;
use zk_evm::{
    aux_structures::{DecommittmentQuery, LogQuery, MemoryPage, MemoryQuery, PubdataCost, Timestamp},
    ethereum_types,
    tracing::{AfterDecodingData, AfterExecutionData, BeforeExecutionData, Tracer, VmLocalStateData},
    vm_state::{PrimitiveValue, VmState},
    witness_trace::DummyTracer,
    zk_evm_abstractions::{
        precompiles::DefaultPrecompilesProcessor,
        vm::{DecommittmentProcessor, EventSink, Memory, MemoryType, Storage, StorageAccessRefund},
    },
    zkevm_opcode_defs::{
        VersionedHashNormalizedPreimage,
        system_params::{STORAGE_AUX_BYTE, TRANSIENT_STORAGE_AUX_BYTE},
    },
};

use super::world::TestWorld;
use crate::{Address, Slot, U256};

pub(super) type Vm =
    VmState<JudgeStorage, JudgeMemory, JudgeEvents, DefaultPrecompilesProcessor<false>, JudgeDecommitter, DummyTracer>;

pub(super) fn theirs(value: U256) -> ethereum_types::U256 {
    ethereum_types::U256(value.into_limbs())
}

pub(super) fn ours(value: ethereum_types::U256) -> U256 {
    U256::from_limbs(value.0)
}

/// Executes one instruction, and the panic that follows if it failed.
pub(super) fn step(vm: &mut Vm) -> Result<(), String> {
    vm.cycle(&mut Silent).map_err(|error| error.to_string())?;
    if vm.local_state.pending_exception {
        vm.cycle(&mut Silent).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A tracer that does nothing.
#[derive(Debug)]
struct Silent;

impl Tracer for Silent {
    type SupportedMemory = JudgeMemory;

    fn before_decoding(&mut self, _: VmLocalStateData<'_>, _: &JudgeMemory) {}
    fn after_decoding(&mut self, _: VmLocalStateData<'_>, _: AfterDecodingData, _: &JudgeMemory) {}
    fn before_execution(&mut self, _: VmLocalStateData<'_>, _: BeforeExecutionData, _: &JudgeMemory) {}
    fn after_execution(&mut self, _: VmLocalStateData<'_>, _: AfterExecutionData, _: &JudgeMemory) {}
}

#[derive(Debug, Clone)]
pub(super) struct JudgeSlot {
    pub(super) before: Slot,
    pub(super) value: U256,
    pub(super) writes: u32,
    paid: u32,
    was_read: bool,
    was_written: bool,
}

#[derive(Debug)]
enum Undo {
    Write { slot: (Address, U256), value: U256, paid: u32 },
    Transient { slot: (Address, U256), value: U256 },
}

/// Storage as a node keeps it: a slot that was touched stays warm, and a write is undone with its frame.
#[derive(Debug)]
pub(super) struct JudgeStorage {
    pub(super) world: Rc<TestWorld>,
    pub(super) slots: HashMap<(Address, U256), JudgeSlot, RandomState>,
    pub(super) transient: HashMap<(Address, U256), U256, RandomState>,
    undo: Vec<Undo>,
    frames: Vec<usize>,
}

impl JudgeStorage {
    pub(super) fn new(world: Rc<TestWorld>) -> Self {
        Self { world, slots: HashMap::default(), transient: HashMap::default(), undo: Vec::new(), frames: Vec::new() }
    }

    fn slot(&mut self, slot: (Address, U256)) -> &mut JudgeSlot {
        let world = &self.world;
        self.slots.entry(slot).or_insert_with(|| {
            let before = world.value(&slot.0, &slot.1);
            JudgeSlot { before, value: before.value, writes: 0, paid: 0, was_read: false, was_written: false }
        })
    }
}

impl Storage for JudgeStorage {
    fn get_access_refund(&mut self, _: u32, query: &LogQuery) -> StorageAccessRefund {
        assert_eq!(query.aux_byte, STORAGE_AUX_BYTE);
        let key = (query.address.0, ours(query.key));
        let is_free = TestWorld::is_free_slot(&key.0, &key.1);
        let slot = self.slot(key);
        let ergs = match query.rw_flag {
            false if slot.was_read || is_free => 1970,
            true if slot.was_written || is_free => 5440,
            true if slot.was_read => 2000,
            _ => return StorageAccessRefund::Cold,
        };
        StorageAccessRefund::Warm { ergs }
    }

    fn execute_partial_query(&mut self, _: u32, mut query: LogQuery) -> (LogQuery, PubdataCost) {
        assert_eq!(query.shard_id, 0);
        let key = (query.address.0, ours(query.key));
        if query.aux_byte == TRANSIENT_STORAGE_AUX_BYTE {
            let value = self.transient.get(&key).copied().unwrap_or_default();
            query.read_value = theirs(value);
            if query.rw_flag {
                self.undo.push(Undo::Transient { slot: key, value });
                self.transient.insert(key, ours(query.written_value));
            }
            return (query, PubdataCost(0));
        }
        let is_free = TestWorld::is_free_slot(&key.0, &key.1);
        let slot = self.slot(key);
        slot.was_read = true;
        query.read_value = theirs(slot.value);
        if !query.rw_flag {
            return (query, PubdataCost(0));
        }
        let undo = Undo::Write { slot: key, value: slot.value, paid: slot.paid };
        slot.was_written = true;
        slot.writes += 1;
        slot.value = ours(query.written_value);
        let mut change = 0;
        if !is_free {
            let cost = if slot.value == slot.before.value { 0 } else { TestWorld::cost(&slot.before, &slot.value) };
            change = cost as i32 - slot.paid as i32;
            slot.paid = cost;
        }
        self.undo.push(undo);
        (query, PubdataCost(change))
    }

    fn start_frame(&mut self, _: Timestamp) {
        self.frames.push(self.undo.len());
    }

    fn finish_frame(&mut self, _: Timestamp, panicked: bool) {
        let start = self.frames.pop().expect("a frame has begun");
        if !panicked {
            return;
        }
        for undo in self.undo.drain(start..).rev() {
            match undo {
                Undo::Write { slot, value, paid } => {
                    let slot = self.slots.get_mut(&slot).expect("it was written");
                    (slot.value, slot.paid) = (value, paid);
                    slot.writes -= 1;
                }
                Undo::Transient { slot, value } => {
                    self.transient.insert(slot, value);
                }
            }
        }
    }

    fn start_new_tx(&mut self, _: Timestamp) {
        for (slot, value) in self.transient.drain() {
            self.undo.push(Undo::Transient { slot, value });
        }
    }
}

/// All pages by number and word; nothing is ever freed.
#[derive(Debug, Default)]
pub(super) struct JudgeMemory {
    pub(super) words: HashMap<(u32, u32), PrimitiveValue, RandomState>,
}

impl JudgeMemory {
    pub(super) fn word(&self, page: u32, index: u32) -> PrimitiveValue {
        self.words.get(&(page, index)).copied().unwrap_or(PrimitiveValue::empty())
    }

    fn query(&mut self, mut query: MemoryQuery) -> MemoryQuery {
        let place = (query.location.page.0, query.location.index.0);
        if query.rw_flag {
            self.words.insert(place, PrimitiveValue { value: query.value, is_pointer: query.value_is_pointer });
        } else {
            let word = self.word(place.0, place.1);
            (query.value, query.value_is_pointer) = (word.value, word.is_pointer);
        }
        query
    }
}

impl Memory for JudgeMemory {
    fn execute_partial_query(&mut self, _: u32, query: MemoryQuery) -> MemoryQuery {
        match query.location.memory_type {
            MemoryType::Stack => {}
            MemoryType::Code => unreachable!("code has queries of its own"),
            _ => assert!(!query.value_is_pointer),
        }
        self.query(query)
    }

    fn specialized_code_query(&mut self, _: u32, query: MemoryQuery) -> MemoryQuery {
        assert_eq!(query.location.memory_type, MemoryType::Code);
        self.query(query)
    }

    fn read_code_query(&self, _: u32, mut query: MemoryQuery) -> MemoryQuery {
        assert_eq!(query.location.memory_type, MemoryType::Code);
        query.value = self.word(query.location.page.0, query.location.index.0).value;
        query
    }
}

/// Events and logs that were not rolled back.
#[derive(Debug, Default)]
pub(super) struct JudgeEvents {
    pub(super) queries: Vec<LogQuery>,
    frames: Vec<usize>,
}

impl EventSink for JudgeEvents {
    fn add_partial_query(&mut self, _: u32, query: LogQuery) {
        self.queries.push(query);
    }

    fn start_frame(&mut self, _: Timestamp) {
        self.frames.push(self.queries.len());
    }

    fn finish_frame(&mut self, panicked: bool, _: Timestamp) {
        let start = self.frames.pop().expect("a frame has begun");
        if panicked {
            self.queries.truncate(start);
        }
    }
}

/// Code by the hash without its first four bytes.
#[derive(Debug)]
pub(super) struct JudgeDecommitter {
    world: Rc<TestWorld>,
    pub(super) pages: HashMap<[u8; 28], u32, RandomState>,
}

impl JudgeDecommitter {
    pub(super) fn new(world: Rc<TestWorld>) -> Self {
        Self { world, pages: HashMap::default() }
    }
}

/// A hash without its first four bytes.
pub(super) fn normalized(hash: U256) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes.copy_from_slice(&hash.to_be_bytes::<32>()[4..]);
    bytes
}

/// Code as the reference keeps it.
pub(super) fn words(code: &[u8]) -> Vec<ethereum_types::U256> {
    code.chunks(32)
        .map(|bytes| {
            let mut word = [0; 32];
            word[..bytes.len()].copy_from_slice(bytes);
            ethereum_types::U256::from_big_endian(&word)
        })
        .collect()
}

impl DecommittmentProcessor for JudgeDecommitter {
    fn prepare_to_decommit(
        &mut self,
        _: u32,
        mut query: DecommittmentQuery,
    ) -> Result<DecommittmentQuery, anyhow::Error> {
        let VersionedHashNormalizedPreimage(hash) = query.normalized_preimage;
        match self.pages.get(&hash) {
            Some(page) => {
                query.is_fresh = false;
                query.memory_page = MemoryPage(*page);
            }
            None => query.is_fresh = true,
        }
        Ok(query)
    }

    fn decommit_into_memory<M: Memory>(
        &mut self,
        cycle: u32,
        query: DecommittmentQuery,
        memory: &mut M,
    ) -> Result<Option<Vec<ethereum_types::U256>>, anyhow::Error> {
        use zk_evm::aux_structures::{MemoryIndex, MemoryLocation};
        let VersionedHashNormalizedPreimage(hash) = query.normalized_preimage;
        let known = self.world.codes.iter().find(|(known, _)| normalized(**known) == hash);
        let Some((_, code)) = known else { return Err(anyhow::Error::msg("unknown code")) };
        self.pages.insert(hash, query.memory_page.0);
        for (index, word) in words(code.bytes()).iter().enumerate() {
            let location = MemoryLocation {
                memory_type: MemoryType::Code,
                page: query.memory_page,
                index: MemoryIndex(index as u32),
            };
            let write = MemoryQuery {
                timestamp: query.timestamp,
                location,
                value: *word,
                value_is_pointer: false,
                rw_flag: true,
            };
            memory.specialized_code_query(cycle, write);
        }
        Ok(None)
    }
}
