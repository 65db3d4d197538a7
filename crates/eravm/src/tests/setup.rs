//! A state from which both machines are built.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

use zk_evm::{
    abstractions::Storage,
    aux_structures::{LogQuery, MemoryPage, PubdataCost, Timestamp},
    block_properties::BlockProperties,
    ethereum_types,
    flags::Flags,
    vm_state::{CallStackEntry, Callstack, PrimitiveValue, Version, VmState},
    witness_trace::DummyTracer,
    zk_evm_abstractions::{precompiles::DefaultPrecompilesProcessor, vm::EventSink},
    zkevm_opcode_defs::system_params::{
        EVENT_AUX_BYTE, L1_MESSAGE_AUX_BYTE, STORAGE_AUX_BYTE, TRANSIENT_STORAGE_AUX_BYTE,
    },
};

use super::{
    judge::{self, JudgeDecommitter, JudgeEvents, JudgeMemory, JudgeStorage, Vm, theirs},
    world::TestWorld,
};
use crate::{
    Address, Code, Event, HeapGrowth, Machine, Page, Settings, U256,
    frame::{Frame, NearFrame, lacks},
    instruction::{ALWAYS, NOT_EQUAL, flags},
    instructions::code_key,
    journal::Journal,
    machine::FIRST_COLLECTION,
    memory::{AUX_HEAP, HEAP, HeapId, Memory, STATIC_PAGE},
};

/// A far call with its near calls, the innermost last.
#[derive(Debug, Clone)]
pub(super) struct Far {
    pub(super) address: Address,
    pub(super) caller: Address,
    pub(super) code_address: Address,
    pub(super) code: Arc<Code>,
    /// The page of the code.
    pub(super) code_page: Page,
    pub(super) base_page: Page,
    pub(super) is_static: bool,
    pub(super) context_value: u128,
    pub(super) heap_bound: u32,
    pub(super) aux_heap_bound: u32,
    pub(super) stack: Vec<(u16, U256, bool)>,
    /// Pages of calls that returned.
    pub(super) pages: Vec<Page>,
    /// At least one: the far call's own.
    pub(super) layers: Vec<Layer>,
}

/// The state of a far or a near call.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) pc: u16,
    pub(super) sp: u16,
    pub(super) exception_handler: u16,
    pub(super) gas: u32,
    /// The actions that it has done.
    pub(super) actions: Vec<Action>,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Read(Address, U256),
    Write(Address, U256, U256),
    Transient(Address, U256, U256),
    NewTransaction,
    Event(Event),
    Log(Event),
    Pubdata(u32),
}

/// A whole state.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) world: Rc<TestWorld>,
    pub(super) settings: Settings,
    pub(super) registers: [(U256, bool); 16],
    /// [`flags::LESS`] and so on.
    pub(super) flags: u8,
    pub(super) context_value: u128,
    pub(super) transaction: u16,
    pub(super) next_base_page: Page,
    pub(super) frames: Vec<Far>,
    /// The contents of heaps, by page and word.
    pub(super) heaps: Vec<(Page, Vec<(u32, U256)>)>,
    /// Code that was decommitted: its hash, the page, and whether the page is a heap.
    pub(super) decommitted: Vec<(U256, Page, bool)>,
}

impl Setup {
    /// The first frame alone, in a world.
    pub(super) fn first_frame(
        world: Rc<TestWorld>,
        settings: Settings,
        code: Arc<Code>,
        address: Address,
        gas: u32,
    ) -> Self {
        Self {
            world,
            settings,
            registers: [(U256::ZERO, false); 16],
            flags: 0,
            context_value: 0,
            transaction: 0,
            next_base_page: crate::memory::SECOND_BASE_PAGE,
            frames: vec![Far {
                address,
                caller: [0; 20],
                code_address: address,
                code,
                code_page: crate::memory::FIRST_BASE_PAGE,
                base_page: crate::memory::FIRST_BASE_PAGE,
                is_static: false,
                context_value: 0,
                heap_bound: u32::MAX,
                aux_heap_bound: u32::MAX,
                stack: Vec::new(),
                pages: Vec::new(),
                layers: vec![Layer { gas, exception_handler: u16::MAX, ..Layer::default() }],
            }],
            heaps: Vec::new(),
            decommitted: Vec::new(),
        }
    }

    /// Our machine in this state.
    pub(super) fn machine(&self) -> Machine {
        let first = &self.frames[0];
        self.fill(Machine::new(self.settings, Arc::clone(&first.code), first.address, 0, 0))
    }

    /// The same, with the stacks of a machine that is no longer needed. Making new stacks takes most of a case's time.
    pub(super) fn machine_in_place_of(&self, used: Machine) -> Machine {
        let first = &self.frames[0];
        let Machine { frame, frames, .. } = used;
        let mut memory = Memory::new();
        memory.add_code(first.base_page, Arc::clone(&first.code));
        let heap = memory.add_heap(first.base_page + HEAP);
        let aux_heap = memory.add_heap(first.base_page + AUX_HEAP);
        for frame in frames.into_iter().chain([frame]) {
            memory.give_back_stack(frame.stack);
        }
        let journal = Journal::default();
        let mut machine = Machine {
            settings: self.settings,
            registers: [U256::ZERO; 16],
            pointers: 0,
            flags: 0,
            frame: self.frame(&mut memory, &journal, first),
            frames: Vec::new(),
            near_frames: Vec::new(),
            memory,
            journal,
            decommitted: HashMap::default(),
            pinned: HashSet::default(),
            heap_codes: HashMap::default(),
            recoveries: HashMap::default(),
            ..used
        };
        (machine.frame.heap, machine.frame.aux_heap) = (heap, aux_heap);
        self.fill(machine)
    }

    fn fill(&self, mut machine: Machine) -> Machine {
        for (hash, page, is_in_heap) in &self.decommitted {
            machine.decommitted.insert(code_key(*hash), *page);
            if *is_in_heap {
                machine.pinned.insert(*page);
            } else {
                machine.memory.add_code(*page, Arc::clone(&self.world.codes[hash]));
            }
        }
        for (index, far) in self.frames.iter().enumerate() {
            if index > 0 {
                let frame = self.frame(&mut machine.memory, &machine.journal, far);
                machine.frames.push(std::mem::replace(&mut machine.frame, frame));
            } else {
                machine.frame.caller = far.caller;
                machine.frame.code_address = far.code_address;
                machine.frame.lacks = lacks(&far.address, far.is_static);
                machine.frame.context_value = far.context_value;
                (machine.frame.heap_bound, machine.frame.aux_heap_bound) = (far.heap_bound, far.aux_heap_bound);
            }
            for (index, value, is_pointer) in &far.stack {
                machine.frame.stack.write(*index, *value, *is_pointer);
            }
            machine.frame.pages.extend(&far.pages);
            for (number, layer) in far.layers.iter().enumerate() {
                if number > 0 {
                    let frame = &mut machine.frame;
                    machine.near_frames.push(NearFrame {
                        pc: frame.pc,
                        sp: frame.sp,
                        exception_handler: frame.exception_handler,
                        gas: frame.gas,
                        mark: frame.mark,
                    });
                    frame.near_calls += 1;
                    frame.mark = machine.journal.mark();
                }
                let frame = &mut machine.frame;
                (frame.pc, frame.sp, frame.exception_handler, frame.gas) =
                    (layer.pc, layer.sp, layer.exception_handler, layer.gas);
                self.act(&mut machine, layer);
            }
        }
        for (page, words) in &self.heaps {
            let heap = machine.memory.heap_id(*page).unwrap_or_else(|| machine.memory.add_heap(*page));
            for (word, value) in words {
                machine.memory.write_heap(heap, word * 32, *value).expect("the heap is small");
            }
            for frame in machine.frames.iter_mut().chain([&mut machine.frame]).filter(|_| *page != STATIC_PAGE) {
                if *page == frame.heap_page() && frame.heap == HeapId::NONE {
                    frame.heap = heap;
                    frame.pages.push(*page);
                }
                if *page == frame.aux_heap_page() && frame.aux_heap == HeapId::NONE {
                    frame.aux_heap = heap;
                    frame.pages.push(*page);
                }
            }
        }
        for (register, (value, is_pointer)) in self.registers.iter().enumerate().skip(1) {
            machine.set_register(register as u8, *value, *is_pointer);
        }
        machine.flags = ALWAYS | self.flags | if self.flags & flags::EQUAL == 0 { NOT_EQUAL } else { 0 };
        machine.context_value = self.context_value;
        machine.transaction = self.transaction;
        machine.next_base_page = self.next_base_page;
        machine
    }

    fn frame(&self, memory: &mut Memory, journal: &Journal, far: &Far) -> Frame {
        Frame {
            address: far.address,
            caller: far.caller,
            code_address: far.code_address,
            code: Arc::clone(&far.code),
            stack: memory.take_stack(),
            base_page: far.base_page,
            heap: HeapId::NONE,
            aux_heap: HeapId::NONE,
            pc: 0,
            sp: 0,
            exception_handler: 0,
            gas: 0,
            lacks: lacks(&far.address, far.is_static),
            context_value: far.context_value,
            heap_bound: far.heap_bound,
            aux_heap_bound: far.aux_heap_bound,
            mark: journal.mark(),
            near_calls: 0,
            pages: Vec::new(),
            next_collection: FIRST_COLLECTION,
        }
    }

    fn act(&self, machine: &mut Machine, layer: &Layer) {
        let journal = &mut machine.journal;
        let mut world = Rc::clone(&self.world);
        for action in &layer.actions {
            match action {
                Action::Read(address, key) => {
                    journal.read(&mut world, address, key).expect("slots are proven");
                }
                Action::Write(address, key, value) => {
                    journal.write(&mut world, address, key, *value).expect("slots are proven");
                }
                Action::Transient(address, key, value) => journal.write_transient(address, key, *value),
                Action::NewTransaction => journal.clear_transient(),
                Action::Event(event) => journal.events.push(*event),
                Action::Log(log) => journal.logs.push(*log),
                Action::Pubdata(bytes) => journal.add_pubdata(*bytes).expect("the bytes are few"),
            }
        }
    }

    /// The reference in this state.
    pub(super) fn judge(&self) -> Vm {
        let mut memory = JudgeMemory::default();
        let mut decommitter = JudgeDecommitter::new(Rc::clone(&self.world));
        let plain = |value| PrimitiveValue { value, is_pointer: false };
        for far in &self.frames {
            for (index, value) in judge::words(far.code.bytes()).into_iter().enumerate() {
                memory.words.insert((far.code_page, index as u32), plain(value));
            }
            for (index, value, is_pointer) in &far.stack {
                let value = PrimitiveValue { value: theirs(*value), is_pointer: *is_pointer };
                memory.words.insert((far.base_page + 1, u32::from(*index)), value);
            }
        }
        for (hash, page, is_in_heap) in &self.decommitted {
            decommitter.pages.insert(judge::normalized(*hash), *page);
            if !is_in_heap {
                for (index, value) in judge::words(self.world.codes[hash].bytes()).into_iter().enumerate() {
                    memory.words.insert((*page, index as u32), plain(value));
                }
            }
        }
        for (page, words) in &self.heaps {
            for (word, value) in words {
                memory.words.insert((*page, *word), plain(theirs(*value)));
            }
        }
        let properties = BlockProperties {
            default_aa_code_hash: theirs(self.settings.default_account),
            evm_emulator_code_hash: theirs(self.settings.evm_emulator),
            zkporter_is_available: false,
        };
        let version = match self.settings.growth {
            HeapGrowth::Always => Version::Initial,
            HeapGrowth::Paid => Version::Version27,
        };
        let mut vm = VmState::empty_state(
            JudgeStorage::new(Rc::clone(&self.world)),
            memory,
            JudgeEvents::default(),
            DefaultPrecompilesProcessor,
            decommitter,
            DummyTracer,
            properties,
            version,
        );
        let state = &mut vm.local_state;
        for (register, (value, is_pointer)) in state.registers.iter_mut().zip(&self.registers[1..]) {
            *register = PrimitiveValue { value: theirs(*value), is_pointer: *is_pointer };
        }
        state.flags = Flags {
            overflow_or_less_than_flag: self.flags & flags::LESS != 0,
            equality_flag: self.flags & flags::EQUAL != 0,
            greater_than_flag: self.flags & flags::GREATER != 0,
        };
        state.context_u128_register = self.context_value;
        state.tx_number_in_block = self.transaction;
        state.memory_page_counter = self.next_base_page;
        // Room for the states of this test instead of four thousand.
        state.callstack = Callstack { current: CallStackEntry::empty_context(), inner: Vec::new() };
        state.callstack.current.ergs_remaining = 0;
        for far in &self.frames {
            for (number, layer) in far.layers.iter().enumerate() {
                let entry = CallStackEntry {
                    this_address: ethereum_types::H160(far.address),
                    msg_sender: ethereum_types::H160(far.caller),
                    code_address: ethereum_types::H160(far.code_address),
                    base_memory_page: MemoryPage(far.base_page),
                    code_page: MemoryPage(far.code_page),
                    sp: layer.sp,
                    pc: layer.pc,
                    exception_handler_location: layer.exception_handler,
                    ergs_remaining: layer.gas,
                    this_shard_id: 0,
                    caller_shard_id: 0,
                    code_shard_id: 0,
                    is_static: far.is_static,
                    is_local_frame: number > 0,
                    context_u128_value: far.context_value,
                    heap_bound: far.heap_bound,
                    aux_heap_bound: far.aux_heap_bound,
                    total_pubdata_spent: PubdataCost(0),
                    stipend: 0,
                };
                vm.start_frame(0, entry);
                act_there(&mut vm, layer);
            }
        }
        vm
    }
}

fn act_there(vm: &mut Vm, layer: &Layer) {
    for action in &layer.actions {
        let cost = match action {
            Action::Read(address, key) => {
                vm.storage.execute_partial_query(0, query(STORAGE_AUX_BYTE, address, key, None)).1
            }
            Action::Write(address, key, value) => {
                vm.storage.execute_partial_query(0, query(STORAGE_AUX_BYTE, address, key, Some(value))).1
            }
            Action::Transient(address, key, value) => {
                vm.storage.execute_partial_query(0, query(TRANSIENT_STORAGE_AUX_BYTE, address, key, Some(value))).1
            }
            Action::NewTransaction => {
                vm.storage.start_new_tx(Timestamp(0));
                PubdataCost(0)
            }
            Action::Event(event) => {
                vm.event_sink.add_partial_query(0, event_query(EVENT_AUX_BYTE, event));
                PubdataCost(0)
            }
            Action::Log(event) => {
                vm.event_sink.add_partial_query(0, event_query(L1_MESSAGE_AUX_BYTE, event));
                PubdataCost(0)
            }
            Action::Pubdata(bytes) => PubdataCost(*bytes as i32),
        };
        vm.add_pubdata_cost(cost);
    }
}

fn query(aux_byte: u8, address: &Address, key: &U256, value: Option<&U256>) -> LogQuery {
    LogQuery {
        timestamp: Timestamp(0),
        tx_number_in_block: 0,
        aux_byte,
        shard_id: 0,
        address: ethereum_types::H160(*address),
        key: theirs(*key),
        read_value: ethereum_types::U256::zero(),
        written_value: theirs(value.copied().unwrap_or_default()),
        rw_flag: value.is_some(),
        rollback: false,
        is_service: false,
    }
}

fn event_query(aux_byte: u8, event: &Event) -> LogQuery {
    LogQuery {
        tx_number_in_block: event.transaction,
        is_service: event.is_first,
        ..query(aux_byte, &event.address, &event.key, Some(&event.value))
    }
}
