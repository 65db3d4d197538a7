//! Near and far calls.

use std::sync::Arc;

use crate::{
    Address, Code, ERA_CODE_HASH, EVM_CODE_HASH, FatPointer, Limit, Page, Stop, U256, World,
    frame::{Frame, NearFrame, is_kernel, lacks, memory_stipend},
    instruction::{FLAG_0, FLAG_1, Instruction, Operation},
    instructions::{
        context::{address_word, word_address},
        heap::Which,
        log::{at_rest, code_key},
    },
    machine::{FIRST_COLLECTION, Flow, Machine},
    memory::{HeapId, PAGES_PER_FRAME},
};

/// The contract that holds the code hash of each account, under the account's address.
const ACCOUNT_CODE_STORAGE: Address = kernel_address(0x8002);
/// The contract whose callers pay for what it does in their place.
const MSG_VALUE_SIMULATOR: Address = kernel_address(0x8009);
/// The gas that they pay: 14,500 and the decommitment of 100,000 bytes.
const MSG_VALUE_SIMULATOR_GAS: u32 = 14_500 + GAS_PER_CODE_WORD * 100_000 / 32;
/// The most bytes of a call's data that are shown. The longest code has 2 MiB.
const MAX_WATCHED_BYTES: usize = 1 << 22;
/// Gas to decommit one word of code.
const GAS_PER_CODE_WORD: u32 = 4;

const fn kernel_address(low: u16) -> Address {
    let mut address = [0; 20];
    [address[18], address[19]] = low.to_be_bytes();
    address
}

/// Where the data of a call or a return comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarding {
    Heap,
    Pointer,
    AuxHeap,
}

impl Forwarding {
    /// Reads it from the byte that descriptions of calls and of returns have in the same place.
    pub(crate) fn of(abi: U256) -> Self {
        match (abi.as_limbs()[3] >> 32) as u8 {
            1 => Self::Pointer,
            2 => Self::AuxHeap,
            _ => Self::Heap,
        }
    }

    /// The heap that the data is in.
    pub(crate) fn heap(self) -> Option<Which> {
        match self {
            Self::Heap => Some(Which::Heap),
            Self::AuxHeap => Some(Which::AuxHeap),
            Self::Pointer => None,
        }
    }
}

/// The code that a far call will run.
enum Target {
    /// The code of the account's own hash.
    Own(U256),
    DefaultAccount,
    EvmEmulator,
    /// No code: the call panics.
    Nothing,
}

impl Machine {
    /// Continues in the same code, in a new near frame.
    pub(crate) fn near_call(&mut self, instruction: &Instruction) -> Result<Flow, Limit> {
        self.check_depth()?;
        let wanted = self.register_word(instruction.src0).as_limbs()[0] as u32;
        self.reset_flags();
        let frame = &mut self.frame;
        let (passed, kept) = match frame.gas.checked_sub(wanted) {
            Some(kept) if wanted != 0 => (wanted, kept),
            _ => (frame.gas, 0),
        };
        self.near_frames.push(NearFrame {
            pc: frame.pc,
            sp: frame.sp,
            exception_handler: frame.exception_handler,
            gas: kept,
            mark: frame.mark,
        });
        frame.pc = instruction.imm0;
        frame.exception_handler = instruction.imm1;
        frame.gas = passed;
        frame.mark = self.journal.mark();
        frame.near_calls += 1;
        Ok(Flow::Next)
    }

    /// Calls a contract: reads the hash of its code, pays for the data's memory and for the code, and continues there.
    /// If any of these steps fails, the new frame panics at once.
    pub(crate) fn far_call<W: World>(
        &mut self,
        world: &mut W,
        instruction: &Instruction,
    ) -> Result<Flow, Stop<W::Fault>> {
        self.check_depth()?;
        let operation = instruction.variant.operation;
        let abi = self.register_value(instruction.src0);
        let destination = word_address(self.register_word(instruction.src1));
        self.reset_flags();

        let [_, _, _, extra] = *abi.word.as_limbs();
        // Behind the gas: forwarding, shard, constructor, system.
        let [_, _, _, _, _, shard, constructor, system] = extra.to_le_bytes();
        let is_constructor = constructor != 0 && self.frame.is_kernel();
        let is_system = system != 0 && is_kernel(&destination);
        let other_shard = instruction.variant.flags & FLAG_1 != 0 && shard != 0;

        // There is only one shard. The content of others is not even read.
        let code_hash = if other_shard {
            U256::ZERO
        } else {
            self.journal.read(world, &ACCOUNT_CODE_STORAGE, &address_word(&destination))?.0
        };
        let target = target(code_hash, is_constructor, is_kernel(&destination));
        let mut fails = other_shard || matches!(target, Target::Nothing);

        let forwarding = Forwarding::of(abi.word);
        let mut calldata = FatPointer::from(abi.word);
        let is_fresh = forwarding != Forwarding::Pointer;
        fails |= abi.is_pointer == is_fresh;
        fails |= is_fresh && calldata.offset != 0;
        fails |= !calldata.ends() || !calldata.is_slice();
        let ends = calldata.ends();
        match forwarding {
            Forwarding::Pointer => calldata = calldata.narrowed(),
            Forwarding::Heap => calldata.page = self.frame.heap_page(),
            Forwarding::AuxHeap => calldata.page = self.frame.aux_heap_page(),
        }
        if fails {
            calldata = FatPointer::default();
        }
        if let Some(which) = forwarding.heap() {
            // A slice that ends beyond the page costs as much as one that ends with the page.
            let end = if ends { calldata.start.wrapping_add(calldata.length) } else { u32::MAX };
            fails |= !self.grow(which, end, None);
        }
        let mut extra_gas = if is_system && destination == MSG_VALUE_SIMULATOR { MSG_VALUE_SIMULATOR_GAS } else { 0 };
        match self.frame.gas.checked_sub(extra_gas) {
            Some(left) => self.frame.gas = left,
            None => {
                (self.frame.gas, extra_gas) = (0, 0);
                fails = true;
            }
        }
        let is_evm = matches!(target, Target::EvmEmulator);
        let code = if fails { None } else { self.paid_code(world, target)? };
        let fails = code.is_none();

        let wanted = extra as u32;
        let passable = self.frame.gas / 64 * 63;
        let passed = wanted.min(passable);
        self.frame.gas -= passed;
        let gas = passed.saturating_add(extra_gas);

        let (address, caller, context_value) = match operation {
            Operation::DelegateCall => (self.frame.address, self.frame.caller, self.frame.context_value),
            Operation::MimicCall => (destination, word_address(self.registers[IMPLICIT_PARAMETER]), self.context_value),
            _ => (destination, self.frame.address, self.context_value),
        };
        let is_static = self.frame.is_static() || instruction.variant.flags & FLAG_0 != 0;
        // The emulator enforces static calls itself.
        let lacks = lacks(&address, is_static && !is_evm);
        let [code_hash_version, ..] = code_hash.to_be_bytes::<32>();
        let memory_stipend = memory_stipend(&address, code_hash_version);
        let base_page = self.next_base_page;
        self.next_base_page = base_page.checked_add(PAGES_PER_FRAME).ok_or(Limit::Frames)?;
        let code = code.unwrap_or_else(|| Arc::clone(&self.no_code));
        let frame = Frame {
            address,
            caller,
            code_address: destination,
            code,
            stack: self.memory.take_stack(),
            base_page,
            heap: HeapId::NONE,
            aux_heap: HeapId::NONE,
            pc: 0,
            sp: 0,
            exception_handler: instruction.imm0,
            gas,
            lacks,
            context_value,
            heap_bound: memory_stipend,
            aux_heap_bound: memory_stipend,
            mark: self.journal.mark(),
            near_calls: 0,
            pages: Vec::new(),
            next_collection: FIRST_COLLECTION,
        };
        self.frames.push(std::mem::replace(&mut self.frame, frame));
        self.context_value = 0;
        let call_flags = u64::from(is_constructor) | u64::from(is_system) << 1 | u64::from(is_evm && is_static) << 2;
        self.set_call_registers(calldata, call_flags, is_system);
        if operation == Operation::FarCall
            && world.watches_call(&caller, &address)
            && let Some(data) = self.pointed_bytes(calldata.word(), MAX_WATCHED_BYTES)
        {
            world.see_call(&data);
        }
        Ok(if fails { Flow::Panic } else { Flow::Frame })
    }

    /// The first register points to the data, and the second describes the call. The next ten are for system calls. All
    /// others are empty.
    fn set_call_registers(&mut self, calldata: FatPointer, call_flags: u64, is_system: bool) {
        self.registers[1] = calldata.word();
        self.registers[2] = U256::from(call_flags);
        let emptied = if is_system { 13..16 } else { 3..16 };
        self.registers[emptied].fill(U256::ZERO);
        self.pointers = 1 << 1;
    }

    /// The target's code, if the frame can pay for its decommitment. Code that was decommitted before costs nothing.
    fn paid_code<W: World>(&mut self, world: &mut W, target: Target) -> Result<Option<Arc<Code>>, Stop<W::Fault>> {
        let hash = match target {
            Target::Own(hash) => hash,
            Target::DefaultAccount => self.settings.default_account,
            Target::EvmEmulator => self.settings.evm_emulator,
            Target::Nothing => return Ok(None),
        };
        if let Some(page) = self.decommitted.get(&code_key(hash)) {
            if let Some(code) = self.memory.code(*page) {
                return Ok(Some(Arc::clone(code)));
            }
            let code = world.code(&at_rest(hash)).map_err(Stop::World)?;
            return Ok(Some(self.code_in_heap(*page, code)));
        }
        let [_, _, high, low, ..] = hash.to_be_bytes::<32>();
        let cost = GAS_PER_CODE_WORD * u32::from(u16::from_be_bytes([high, low]));
        let Some(left) = self.frame.gas.checked_sub(cost) else { return Ok(None) };
        self.frame.gas = left;
        let code = world.code(&at_rest(hash)).map_err(Stop::World)?;
        self.memory.add_code(self.next_base_page, Arc::clone(&code));
        self.decommitted.insert(code_key(hash), self.next_base_page);
        Ok(Some(code))
    }

    /// The code to run if it was first decommitted into a heap. It runs from there, together with what follows it and
    /// with what was written over it.
    fn code_in_heap(&mut self, page: Page, code: Arc<Code>) -> Arc<Code> {
        let bytes = self.memory.page_bytes(page);
        if let Some((head, rest)) = bytes.split_at_checked(code.bytes().len())
            && head == code.bytes()
            && rest.iter().all(|byte| *byte == 0)
        {
            return code;
        }
        // Decoding instructions is slow compared with checking that they are still the same.
        match self.heap_codes.get(&page) {
            Some(code) if code.bytes() == bytes => Arc::clone(code),
            _ => {
                let code = Arc::new(Code::new(bytes.to_vec()));
                self.heap_codes.insert(page, Arc::clone(&code));
                code
            }
        }
    }
}

/// The register with the caller that a mimic call pretends to have.
const IMPLICIT_PARAMETER: usize = 15;

/// The code that a call runs, by the code hash of its destination.
fn target(code_hash: U256, is_constructor: bool, is_kernel: bool) -> Target {
    let [version, marker, ..] = code_hash.to_be_bytes::<32>();
    let is_hash = matches!(version, ERA_CODE_HASH | EVM_CODE_HASH) && marker <= 1;
    // Only a constructor call can run code under construction; all other calls can run finished code.
    if is_hash && (marker == 1) == is_constructor {
        return if version == EVM_CODE_HASH { Target::EvmEmulator } else { Target::Own(code_hash) };
    }
    if !is_kernel && (is_hash || code_hash.is_zero()) { Target::DefaultAccount } else { Target::Nothing }
}
