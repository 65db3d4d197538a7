//! The kernel's outputs and requests: events, messages to L1, precompiles, decommitments.

use crate::{
    ERA_CODE_HASH, EVM_CODE_HASH, Event, FatPointer, Limit, Page, Stop, U256, World,
    instruction::{FLAG_0, Instruction},
    instructions::heap::Which,
    machine::{Flow, Machine},
    memory::{HeapId, SECOND_BASE_PAGE, STATIC_PAGE, UNMAPPED_PAGE},
    precompiles::{self, PrecompileCall},
};

/// Length of the pointer to decommitted code: the memory that a frame of the kernel gets for free. The caller narrows
/// it.
const DECOMMITTED_BYTES: u32 = 1 << 21;

impl Machine {
    pub(crate) fn event(&mut self, instruction: &Instruction) -> Flow {
        let event = self.log(instruction);
        self.journal.events.push(event);
        Flow::Next
    }

    pub(crate) fn message_to_l1(&mut self, instruction: &Instruction) -> Flow {
        let log = self.log(instruction);
        self.journal.logs.push(log);
        Flow::Next
    }

    fn log(&self, instruction: &Instruction) -> Event {
        let (key, value) = self.two_words(instruction);
        Event {
            address: self.frame.address,
            is_first: instruction.variant.flags & FLAG_0 != 0,
            transaction: self.transaction,
            key,
            value,
        }
    }

    /// Runs the precompile of the frame's address over memory. The second source holds the price. The result is 1, or 0
    /// if the gas does not suffice; then no gas is left.
    pub(crate) fn precompile_call(&mut self, instruction: &Instruction) -> Result<Flow, Limit> {
        let (abi, costs) = self.two_words(instruction);
        let costs = costs.as_limbs()[0];
        let (gas, pubdata) = (costs as u32, (costs >> 32) as u32);
        let Some(left) = self.frame.gas.checked_sub(gas) else {
            self.frame.gas = 0;
            self.set_register(instruction.dst0, U256::ZERO, false);
            return Ok(Flow::Next);
        };
        self.frame.gas = left;
        let own_heap = self.frame.heap_page();
        let call = PrecompileCall::new(abi, own_heap);
        self.check_readable(call.read_page)?;
        self.make_writable(call.write_page)?;
        precompiles::call(self.settings.precompiles, &self.frame.address, &call, &mut self.memory, &self.recoveries)?;
        self.journal.add_pubdata(pubdata).ok_or(Limit::Pubdata)?;
        self.set_register(instruction.dst0, U256::from(1), false);
        Ok(Flow::Next)
    }

    /// Fails for a page that was freed. It reads as if it had never been written, and no result may depend on that.
    fn check_readable(&self, page: Page) -> Result<(), Limit> {
        if self.memory.has(page) || self.is_live(page) { Ok(()) } else { Err(Limit::FreedPage) }
    }

    /// Whether a page without content belongs to an open frame, or to no frame so far.
    fn is_live(&self, page: Page) -> bool {
        page < SECOND_BASE_PAGE
            || page >= self.next_base_page
            || self.frames.iter().chain([&self.frame]).any(|frame| page - page % 8 == frame.base_page)
    }

    /// Makes a heap for a page that has none yet, and adds it to the frame that it belongs to.
    fn make_writable(&mut self, page: Page) -> Result<(), Limit> {
        if page == self.frame.heap_page() {
            self.own_heap(Which::Heap);
        } else if page == self.frame.aux_heap_page() {
            self.own_heap(Which::AuxHeap);
        } else if !self.memory.has(page) {
            self.check_readable(page)?;
            let id = self.memory.add_heap(page);
            for frame in &mut self.frames {
                let (heap, aux_heap) = (frame.heap_page(), frame.aux_heap_page());
                if page == heap && frame.heap == HeapId::NONE {
                    frame.heap = id;
                    frame.pages.push(page);
                } else if page == aux_heap && frame.aux_heap == HeapId::NONE {
                    frame.aux_heap = id;
                    frame.pages.push(page);
                }
            }
        }
        Ok(())
    }

    /// Puts a bytecode into memory. A fresh one fills the current heap; a repeated one is where the first one went, and
    /// its cost is given back. The result is a pointer, or 0 if the source is no hash of code or the gas does not
    /// suffice; then no gas is left.
    pub(crate) fn decommit<W: World>(
        &mut self,
        world: &mut W,
        instruction: &Instruction,
    ) -> Result<Flow, Stop<W::Fault>> {
        let (hash, cost) = self.two_words(instruction);
        let cost = cost.as_limbs()[0] as u32;
        let left = self.frame.gas.checked_sub(cost);
        self.frame.gas = left.unwrap_or(0);
        let [version, marker, ..] = hash.to_be_bytes::<32>();
        let is_code = matches!(version, ERA_CODE_HASH | EVM_CODE_HASH) && marker <= 1;
        if left.is_none() || !is_code {
            self.set_register(instruction.dst0, U256::ZERO, false);
            return Ok(Flow::Next);
        }
        let page = match self.decommitted.get(&code_key(hash)) {
            Some(page) => {
                self.frame.gas += cost;
                *page
            }
            None => {
                let code = world.code(&at_rest(hash)).map_err(Stop::World)?;
                let page = self.frame.heap_page();
                let heap = self.own_heap(Which::Heap);
                for (index, bytes) in code.bytes().chunks(32).enumerate() {
                    let mut word = [0; 32];
                    word[..bytes.len()].copy_from_slice(bytes);
                    if self.frames.is_empty() {
                        self.memory.note_undo(heap, index as u32 * 32);
                    }
                    self.memory.write_heap(heap, index as u32 * 32, U256::from_be_bytes(word))?;
                }
                self.decommitted.insert(code_key(hash), page);
                self.pinned.insert(page);
                page
            }
        };
        let pointer = FatPointer { offset: 0, page, start: 0, length: DECOMMITTED_BYTES };
        self.set_register(instruction.dst0, pointer.word(), true);
        Ok(Flow::Next)
    }
}

/// The part of a code's hash that distinguishes it from others: without version, marker and length.
pub(crate) fn code_key(hash: U256) -> U256 {
    let [a, b, c, d] = *hash.as_limbs();
    U256::from_limbs([a, b, c, d & 0xffff_ffff])
}

/// The hash with the marker of code that is not being constructed.
pub(crate) fn at_rest(hash: U256) -> U256 {
    let [a, b, c, d] = *hash.as_limbs();
    U256::from_limbs([a, b, c, d & !(0xff << 48)])
}

const _: () = assert!(UNMAPPED_PAGE < SECOND_BASE_PAGE && STATIC_PAGE < SECOND_BASE_PAGE);
