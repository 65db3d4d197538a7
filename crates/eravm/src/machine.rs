//! The machine: its state, its loop, and what its owner may do between two steps.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::{
    Access, Address, Code, Event, FatPointer, L2ToL1Log, Limit, Page, Precompiles, Recovery, Stop, U256, World,
    frame::{Frame, NearFrame, lacks},
    instruction::{ALWAYS, FLAG_0, Instruction, NOT_EQUAL, Operation, flags},
    journal::{Journal, Mark},
    memory::{AUX_HEAP, FIRST_BASE_PAGE, HEAP, HeapId, Memory, SECOND_BASE_PAGE},
    precompiles::Recoveries,
};

/// Registers of the machine; the first is always zero.
pub(crate) const REGISTERS: usize = 16;

/// The most frames, far and near, at a time. The specification's limit follows from the gas of a whole batch (32 bits,
/// at 20 per frame) and cannot be reached. A transaction with 80 million gas gets to 3.2 million frames, at 25 per near
/// call.
pub(crate) const MAX_FRAMES: usize = 1 << 22;

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Hash of the code that runs at an account without code.
    pub default_account: U256,
    /// Hash of the code that runs EVM contracts. On a chain without an emulator, that of the default account.
    pub evm_emulator: U256,
    /// A write to this offset of the first frame's heap pauses the run.
    pub hook_offset: Option<u32>,
    /// How a heap's growth is charged for.
    pub growth: HeapGrowth,
    /// Which precompiles there are.
    pub precompiles: Precompiles,
}

/// What happens to a heap's bound if the gas does not suffice to grow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeapGrowth {
    /// The bound moves anyway (protocol versions before 27).
    Always,
    /// The bound stays (from protocol version 27 on).
    Paid,
}

/// Why a run pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// The first frame wrote this to the hook's offset.
    Hook(U256),
    /// The first frame returned. Nothing more can be run.
    Ended(End),
}

/// How the first frame returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It returned these bytes.
    Returned(Vec<u8>),
    /// It reverted with these bytes, and its changes were rolled back.
    Reverted(Vec<u8>),
    /// It panicked, and its changes were rolled back.
    Panicked,
}

/// Where execution continues.
#[derive(Debug)]
pub(crate) enum Flow {
    /// With the next instruction of the same code.
    Next,
    /// In another frame.
    Frame,
    /// The frame panics, as if it had executed a panic instruction.
    Panic,
    /// Nowhere for now.
    Pause(Pause),
}

/// The EraVM.
#[derive(Debug)]
pub struct Machine {
    pub(crate) settings: Settings,
    pub(crate) registers: [U256; REGISTERS],
    /// A bit for each register that holds a fat pointer.
    pub(crate) pointers: u16,
    pub(crate) flags: u8,
    pub(crate) frame: Frame,
    /// The frames that called this one, outermost first.
    pub(crate) frames: Vec<Frame>,
    /// The saved state of the near calls of all frames, outermost first.
    pub(crate) near_frames: Vec<NearFrame>,
    pub(crate) context_value: u128,
    pub(crate) transaction: u16,
    pub(crate) next_base_page: Page,
    pub(crate) memory: Memory,
    pub(crate) journal: Journal,
    /// For each code, the page of its first decommitment. The key is its hash without the first four bytes.
    pub(crate) decommitted: HashMap<U256, Page, RandomState>,
    /// Heaps that hold decommitted code. They stay readable.
    pub(crate) pinned: HashSet<Page, RandomState>,
    /// Code that was run from such a heap and differs from what was decommitted.
    pub(crate) heap_codes: HashMap<Page, Arc<Code>, RandomState>,
    pub(crate) recoveries: Recoveries,
    /// The code of a frame that panics before its first instruction.
    pub(crate) no_code: Arc<Code>,
    /// While there is a snapshot: what the journal must keep to get back to it.
    pub(crate) floor: Option<Floor>,
}

/// The journal's part of a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    mark: Mark,
    /// Whether a frame failed that began before the snapshot. Its earlier changes were kept so that the machine can go
    /// back, and it can do nothing else.
    is_broken: bool,
}

/// A point between two transactions to which the machine can go back.
#[derive(Debug)]
pub struct Snapshot {
    registers: [U256; REGISTERS],
    pointers: u16,
    flags: u8,
    frame: Frame,
    near_frames: Vec<NearFrame>,
    context_value: u128,
    transaction: u16,
    next_base_page: Page,
    mark: Mark,
    decommitted: HashSet<U256, RandomState>,
}

impl Machine {
    /// A machine that will run `code` at `address`, with `gas` and a heap of `heap_bytes`, which is paid for.
    pub fn new(settings: Settings, code: Arc<Code>, address: Address, gas: u32, heap_bytes: usize) -> Self {
        let mut memory = Memory::new();
        let journal = Journal::default();
        memory.add_code(FIRST_BASE_PAGE, Arc::clone(&code));
        let heap = memory.add_heap_with_capacity(FIRST_BASE_PAGE + HEAP, heap_bytes);
        let aux_heap = memory.add_heap(FIRST_BASE_PAGE + AUX_HEAP);
        let frame = Frame {
            address,
            caller: [0; 20],
            code_address: address,
            code,
            stack: memory.take_stack(),
            base_page: FIRST_BASE_PAGE,
            heap,
            aux_heap,
            pc: 0,
            sp: 0,
            exception_handler: u16::MAX,
            gas,
            lacks: lacks(&address, false),
            context_value: 0,
            heap_bound: u32::MAX,
            aux_heap_bound: u32::MAX,
            mark: journal.mark(),
            near_calls: 0,
            pages: Vec::new(),
            next_collection: FIRST_COLLECTION,
        };
        // By convention, the calldata of the first frame is an empty slice of the page before its own.
        let calldata = FatPointer { page: FIRST_BASE_PAGE - 1, ..FatPointer::default() };
        let mut registers = [U256::ZERO; REGISTERS];
        registers[1] = calldata.word();
        Self {
            settings,
            registers,
            pointers: 1 << 1,
            flags: ALWAYS | NOT_EQUAL,
            frame,
            frames: Vec::new(),
            near_frames: Vec::new(),
            context_value: 0,
            transaction: 0,
            next_base_page: SECOND_BASE_PAGE,
            memory,
            journal,
            decommitted: HashMap::default(),
            pinned: HashSet::default(),
            heap_codes: HashMap::default(),
            recoveries: HashMap::default(),
            no_code: Arc::new(Code::new(Vec::new())),
            floor: None,
        }
    }

    /// Runs until the first frame returns or writes to the hook.
    ///
    /// # Errors
    ///
    /// A [`Stop`] ends the run. The state is meaningless after it.
    pub fn run<W: World>(&mut self, world: &mut W) -> Result<Pause, Stop<W::Fault>> {
        loop {
            // Held here, so that the instructions stay in place while the machine changes.
            let code = Arc::clone(&self.frame.code);
            let instructions = code.instructions();
            loop {
                let pc = usize::from(self.frame.pc);
                let instruction = instructions.get(pc).unwrap_or(&Instruction::INVALID);
                match self.step(world, instruction)? {
                    Flow::Next => {}
                    Flow::Frame => break,
                    Flow::Panic => match self.panic_next()? {
                        Flow::Pause(pause) => return Ok(pause),
                        _ => break,
                    },
                    Flow::Pause(pause) => return Ok(pause),
                }
            }
        }
    }

    /// Executes one instruction, and the panic that follows if it failed: [`Self::run`] step by step.
    #[cfg(all(test, equal))]
    pub(crate) fn run_one<W: World>(&mut self, world: &mut W) -> Result<Option<Pause>, Stop<W::Fault>> {
        let code = Arc::clone(&self.frame.code);
        let instruction = code.instructions().get(usize::from(self.frame.pc)).unwrap_or(&Instruction::INVALID);
        let flow = match self.step(world, instruction)? {
            Flow::Panic => self.panic_next()?,
            flow => flow,
        };
        Ok(if let Flow::Pause(pause) = flow { Some(pause) } else { None })
    }

    /// Executes one instruction: one cycle of the specification.
    #[inline(always)]
    fn step<W: World>(&mut self, world: &mut W, instruction: &Instruction) -> Result<Flow, Stop<W::Fault>> {
        let variant = &instruction.variant;
        let price = u32::from(variant.price);
        if self.frame.gas < price || variant.needs & self.frame.lacks != 0 {
            return Ok(self.refuse(instruction));
        }
        self.frame.gas -= price;
        self.frame.pc = self.frame.pc.wrapping_add(1);
        if instruction.condition & self.flags == 0 {
            return Ok(Flow::Next);
        }
        let flow = self.execute(world, instruction)?;
        // An instruction that is executed and has no second result clears that register.
        if instruction.dst1 != 0 && !has_second_result(instruction, &flow) {
            self.set_register(instruction.dst1, U256::ZERO, false);
        }
        Ok(flow)
    }

    #[inline(always)]
    fn execute<W: World>(&mut self, world: &mut W, instruction: &Instruction) -> Result<Flow, Stop<W::Fault>> {
        use Operation as O;
        let flow = match instruction.variant.operation {
            O::Nop => self.nop(instruction),
            O::Add => self.add(instruction),
            O::Sub => self.sub(instruction),
            O::Mul => self.mul(instruction),
            O::Div => self.div(instruction),
            O::Xor => self.bitwise(instruction, |a, b| a ^ b),
            O::And => self.bitwise(instruction, |a, b| a & b),
            O::Or => self.bitwise(instruction, |a, b| a | b),
            O::ShiftLeft => self.shift(instruction, |value, by| value << by),
            O::ShiftRight => self.shift(instruction, |value, by| value >> by),
            O::RotateLeft => self.shift(instruction, |value, by| value.rotate_left(by)),
            O::RotateRight => self.shift(instruction, |value, by| value.rotate_right(by)),
            O::Jump => self.jump(instruction),
            O::PointerAdd => self.pointer_add(instruction),
            O::PointerSub => self.pointer_sub(instruction),
            O::PointerPack => self.pointer_pack(instruction),
            O::PointerShrink => self.pointer_shrink(instruction),
            O::HeapRead => self.heap_read(instruction),
            O::HeapWrite => self.heap_write(instruction)?,
            O::AuxHeapRead => self.aux_heap_read(instruction),
            O::AuxHeapWrite => self.aux_heap_write(instruction)?,
            O::PointerRead => self.pointer_read(instruction),
            O::StaticRead => self.static_read(instruction),
            O::StaticWrite => self.static_write(instruction)?,
            O::This => self.this(instruction),
            O::Caller => self.caller(instruction),
            O::CodeAddress => self.code_address(instruction),
            O::Meta => return self.meta(instruction),
            O::ErgsLeft => self.ergs_left(instruction),
            O::Sp => self.stack_pointer(instruction),
            O::ContextValue => self.read_context_value(instruction),
            O::SetContextValue => self.set_context_value(instruction),
            O::AuxMutating => Flow::Next,
            O::IncrementTransactionNumber => self.increment_transaction_number(),
            O::StorageRead => return self.storage_read(world, instruction),
            O::StorageWrite => return self.storage_write(world, instruction),
            O::TransientRead => self.transient_read(instruction),
            O::TransientWrite => self.transient_write(instruction),
            O::Event => self.event(instruction),
            O::ToL1Message => self.message_to_l1(instruction),
            O::PrecompileCall => self.precompile_call(instruction)?,
            O::Decommit => return self.decommit(world, instruction),
            O::NearCall => self.near_call(instruction)?,
            O::FarCall | O::DelegateCall | O::MimicCall => return self.far_call(world, instruction),
            O::Return | O::Revert | O::Panic => self.ret(instruction),
            O::Invalid => Flow::Panic,
        };
        Ok(flow)
    }

    /// Panics in place of an instruction that may not be executed or that the gas does not suffice for.
    #[cold]
    fn refuse(&mut self, instruction: &Instruction) -> Flow {
        let price = u32::from(instruction.variant.price);
        // An invalid instruction costs all remaining gas.
        let is_invalid = instruction.variant.operation == Operation::Invalid;
        self.frame.gas = if is_invalid { 0 } else { self.frame.gas.saturating_sub(price) };
        self.panic()
    }

    /// Panics after an instruction that failed: one more cycle, with its own price.
    #[cold]
    pub(crate) fn panic_next<F>(&mut self) -> Result<Flow, Stop<F>> {
        let price = u32::from(crate::instruction::PANIC_PRICE);
        self.frame.gas = self.frame.gas.saturating_sub(price);
        Ok(self.panic())
    }

    /// Fails if there are more frames than any honest batch can have.
    pub(crate) fn check_depth(&self) -> Result<(), Limit> {
        if self.frames.len() + self.near_frames.len() >= MAX_FRAMES { Err(Limit::Frames) } else { Ok(()) }
    }

    #[inline(always)]
    pub(crate) fn set_register(&mut self, register: u8, value: U256, pointer: bool) {
        let register = usize::from(register & 0xf);
        if register != 0 {
            self.registers[register] = value;
            self.pointers = self.pointers & !(1 << register) | u16::from(pointer) << register;
        }
    }

    #[inline(always)]
    pub(crate) fn set_flags(&mut self, less: bool, equal: bool, greater: bool) {
        let not_equal = if equal { flags::EQUAL } else { NOT_EQUAL };
        self.flags = ALWAYS | not_equal | if less { flags::LESS } else { 0 } | if greater { flags::GREATER } else { 0 };
    }

    pub(crate) fn reset_flags(&mut self) {
        self.flags = ALWAYS | NOT_EQUAL;
    }
}

/// The number of a frame's pages from which it pays to search for those that nothing reaches.
pub(crate) const FIRST_COLLECTION: usize = 64;

/// Whether the instruction gave its second result.
#[inline(always)]
fn has_second_result(instruction: &Instruction, flow: &Flow) -> bool {
    use Operation as O;
    match instruction.variant.operation {
        O::Mul | O::Div => true,
        O::HeapRead | O::AuxHeapRead | O::PointerRead | O::StaticRead => {
            instruction.variant.flags & FLAG_0 != 0 && matches!(flow, Flow::Next)
        }
        _ => false,
    }
}

/// What a machine's owner may read and change between two steps.
impl Machine {
    /// A word of the first frame's heap.
    pub fn heap_word(&self, index: u32) -> U256 {
        index.checked_mul(32).map_or(U256::ZERO, |offset| self.memory.read_heap(self.first_heap(), offset))
    }

    /// Sets a word of the first frame's heap.
    ///
    /// # Errors
    ///
    /// [`Limit::Memory`] if the heap would become too large.
    pub fn set_heap_word(&mut self, index: u32, value: U256) -> Result<(), Limit> {
        let offset = index.checked_mul(32).ok_or(Limit::Memory)?;
        let heap = self.first_heap();
        self.memory.note_undo(heap, offset);
        self.memory.write_heap(heap, offset, value)
    }

    /// A register, and whether it holds a fat pointer. The first register is zero.
    pub fn register(&self, index: usize) -> (U256, bool) {
        (self.registers.get(index).copied().unwrap_or_default(), self.pointers >> index & 1 == 1)
    }

    /// The bytes that a fat pointer points to. `None` if there are more than `limit`.
    pub(crate) fn pointed_bytes(&self, pointer: U256, limit: usize) -> Option<Vec<u8>> {
        let pointer = FatPointer::from(pointer);
        let length = usize::try_from(pointer.length.checked_sub(pointer.offset)?).ok()?;
        if length > limit {
            return None;
        }
        let mut bytes = vec![0; length];
        let start = pointer.start as usize + pointer.offset as usize;
        self.memory.read_bytes(pointer.page, start, &mut bytes);
        Some(bytes)
    }

    /// Gas that the current frame has left.
    pub fn gas(&self) -> u32 {
        self.frame.gas
    }

    /// Events so far, without those that were rolled back.
    pub fn events(&self) -> &[Event] {
        &self.journal.events
    }

    /// The events of a run that has ended.
    pub fn into_events(self) -> Vec<Event> {
        self.journal.events
    }

    /// Logs to L1 so far, without those that were rolled back.
    pub fn logs(&self) -> &[L2ToL1Log] {
        &self.journal.logs
    }

    /// Bytes to publish for the changes of storage so far.
    ///
    /// If a slot's value before the run is only claimed, and a write to it was not rolled back, this number is only
    /// claimed, too: see [`Self::unproven_write`].
    pub fn pubdata(&self) -> i32 {
        self.journal.pubdata
    }

    /// A slot with a write that was not rolled back, although its value before the run is only claimed.
    pub fn unproven_write(&self) -> Option<(Address, U256)> {
        self.journal.unproven_write()
    }

    /// All slots that the run touched, including accesses that were rolled back.
    pub fn accesses(&self) -> impl Iterator<Item = Access> {
        self.journal.accesses()
    }

    /// A slot's value, if the run has touched it.
    pub fn current_value(&self, address: &Address, key: &U256) -> Option<U256> {
        self.journal.current(address, key)
    }

    /// Hashes of all code that was run or read, each without its first four bytes.
    pub fn decommitted(&self) -> impl Iterator<Item = &U256> {
        self.decommitted.keys()
    }

    /// The number of the current transaction in the batch.
    pub fn transaction(&self) -> u16 {
        self.transaction
    }

    /// Gives the machine the result of a recovery that was made elsewhere. It is used if a program asks for exactly
    /// this recovery.
    pub fn add_recovery(&mut self, recovery: Recovery) {
        self.recoveries.insert(recovery.input(), recovery);
    }

    /// Makes a snapshot: a point to go back to. This is possible only in the first frame, and for one snapshot at a
    /// time. There is no way back past the end of the first frame, or of a near call in it that is open now: what these
    /// roll back is gone.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        if !self.frames.is_empty() || self.memory.can_undo() {
            return None;
        }
        self.memory.begin_undo(self.next_base_page);
        self.journal.begin_undo_warm();
        let mark = self.journal.mark();
        self.floor = Some(Floor { mark, is_broken: false });
        Some(Snapshot {
            registers: self.registers,
            pointers: self.pointers,
            flags: self.flags,
            frame: self.frame.clone(),
            near_frames: self.near_frames.clone(),
            context_value: self.context_value,
            transaction: self.transaction,
            next_base_page: self.next_base_page,
            mark,
            decommitted: self.decommitted.keys().copied().collect(),
        })
    }

    /// Goes back to a snapshot, also after a run that ended in a [`Stop`]. Whatever has become warm or was decommitted
    /// since then no longer is.
    pub fn roll_back(&mut self, snapshot: Snapshot) {
        let Snapshot { registers, pointers, flags, frame, near_frames, .. } = snapshot;
        (self.registers, self.pointers, self.flags) = (registers, pointers, flags);
        self.memory.undo();
        let last = std::mem::replace(&mut self.frame, frame);
        let frames = std::mem::take(&mut self.frames);
        for frame in frames.into_iter().chain([last]) {
            for page in frame.pages {
                if !self.frame.pages.contains(&page) && !self.pinned.contains(&page) {
                    self.memory.free(page);
                }
            }
            self.memory.give_back_stack(frame.stack);
        }
        self.near_frames = near_frames;
        self.context_value = snapshot.context_value;
        self.transaction = snapshot.transaction;
        self.next_base_page = snapshot.next_base_page;
        self.floor = None;
        self.journal.roll_back(snapshot.mark);
        self.journal.undo_warm();
        let decommitted = std::mem::take(&mut self.decommitted);
        for (hash, page) in decommitted {
            if snapshot.decommitted.contains(&hash) {
                self.decommitted.insert(hash, page);
            } else if self.pinned.remove(&page) {
                // The content of the first frame's own heap is back already.
                if page != self.frame.heap_page() {
                    self.memory.free(page);
                }
            } else {
                self.memory.remove_code(page);
            }
        }
    }

    /// Gives up a snapshot and keeps what was done since.
    ///
    /// # Errors
    ///
    /// [`Limit::Snapshot`] if a frame has failed that began before the snapshot: then the machine could only go back.
    pub fn keep(&mut self, snapshot: Snapshot) -> Result<(), Limit> {
        drop(snapshot);
        self.memory.end_undo();
        self.journal.end_undo_warm();
        if self.floor.take().is_some_and(|floor| floor.is_broken) { Err(Limit::Snapshot) } else { Ok(()) }
    }

    /// Rolls back the changes of a frame that fails.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        match &mut self.floor {
            Some(floor) if mark.is_before(&floor.mark) => {
                floor.is_broken = true;
                self.journal.roll_back(floor.mark);
            }
            _ => self.journal.roll_back(mark),
        }
    }

    /// Forgets how to undo what was done so far, if nothing can go back there any more.
    pub fn forget_undo(&mut self) {
        if self.frames.is_empty() && self.near_frames.is_empty() && !self.memory.can_undo() {
            self.journal.forget_undo();
            self.frame.mark = self.journal.mark();
        }
    }

    fn first_heap(&self) -> HeapId {
        self.frames.first().unwrap_or(&self.frame).heap
    }
}
