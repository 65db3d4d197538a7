//! Reads and writes of memory: the frame's two heaps, the data of fat pointers, static memory.

use crate::{
    Limit, U256,
    instruction::{FLAG_0, Instruction, Place},
    instructions::operands::Value,
    machine::{Flow, HeapGrowth, Machine, Pause},
    memory::{HeapId, STATIC_PAGE},
    pointer::FatPointer,
};

/// The last offset that can be read or written (`MAX_OFFSET_TO_DEREF` of the specification).
const MAX_OFFSET: u32 = u32::MAX - 32;

/// One of a frame's two heaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Heap,
    AuxHeap,
}

impl Machine {
    #[inline(always)]
    pub(crate) fn heap_read(&mut self, instruction: &Instruction) -> Flow {
        self.read(instruction, Which::Heap)
    }

    pub(crate) fn aux_heap_read(&mut self, instruction: &Instruction) -> Flow {
        self.read(instruction, Which::AuxHeap)
    }

    #[inline(always)]
    pub(crate) fn heap_write(&mut self, instruction: &Instruction) -> Result<Flow, Limit> {
        self.write(instruction, Which::Heap)
    }

    pub(crate) fn aux_heap_write(&mut self, instruction: &Instruction) -> Result<Flow, Limit> {
        self.write(instruction, Which::AuxHeap)
    }

    #[inline(always)]
    fn read(&mut self, instruction: &Instruction, which: Which) -> Flow {
        let source = self.offset_operand(instruction);
        let Some(offset) = self.grown_to(which, source.word) else { return Flow::Panic };
        let heap = match which {
            Which::Heap => self.frame.heap,
            Which::AuxHeap => self.frame.aux_heap,
        };
        let word = self.memory.read_heap(heap, offset);
        self.finish_read(instruction, source, word);
        Flow::Next
    }

    #[inline(always)]
    fn write(&mut self, instruction: &Instruction, which: Which) -> Result<Flow, Limit> {
        let source = self.offset_operand(instruction);
        let value = self.register_word(instruction.src1);
        let Some(offset) = self.grown_to(which, source.word) else { return Ok(Flow::Panic) };
        let heap = self.own_heap(which);
        let is_first = self.frames.is_empty();
        if is_first {
            self.memory.note_undo(heap, offset);
        }
        self.memory.write_heap(heap, offset, value)?;
        if instruction.variant.flags & FLAG_0 != 0 {
            self.set_register(instruction.dst0, incremented(source.word), false);
        }
        if is_first && which == Which::Heap && self.settings.hook_offset == Some(offset) {
            return Ok(Flow::Pause(Pause::Hook(value)));
        }
        Ok(Flow::Next)
    }

    /// Reads the data of a fat pointer, with zeros beyond its end. Reading beyond the end is allowed; an offset that is
    /// out of range is not.
    #[inline(always)]
    pub(crate) fn pointer_read(&mut self, instruction: &Instruction) -> Flow {
        let source = self.register_value(instruction.src0);
        let pointer = FatPointer::from(source.word);
        let Some(end) = pointer.offset.checked_add(32).filter(|_| source.is_pointer) else { return Flow::Panic };
        let word = if pointer.offset < pointer.length {
            let word = self.memory.read_page(pointer.page, pointer.start.wrapping_add(pointer.offset));
            let beyond = end.saturating_sub(pointer.length) % 32 * 8;
            (word >> beyond as usize) << beyond as usize
        } else {
            U256::ZERO
        };
        self.finish_read(instruction, source, word);
        Flow::Next
    }

    pub(crate) fn static_read(&mut self, instruction: &Instruction) -> Flow {
        let source = self.offset_operand(instruction);
        let Some(offset) = self.static_offset(source.word) else { return Flow::Panic };
        let word = self.memory.read_page(STATIC_PAGE, offset);
        self.finish_read(instruction, source, word);
        Flow::Next
    }

    pub(crate) fn static_write(&mut self, instruction: &Instruction) -> Result<Flow, Limit> {
        let source = self.offset_operand(instruction);
        let value = self.register_word(instruction.src1);
        let Some(offset) = self.static_offset(source.word) else { return Ok(Flow::Panic) };
        let heap = self.memory.heap_id(STATIC_PAGE).unwrap_or_else(|| self.memory.add_heap(STATIC_PAGE));
        self.memory.note_undo(heap, offset);
        self.memory.write_heap(heap, offset, value)?;
        if instruction.variant.flags & FLAG_0 != 0 {
            self.set_register(instruction.dst0, incremented(source.word), false);
        }
        Ok(Flow::Next)
    }

    /// An offset into static memory, which has no bound to pay for. Only the older rule takes all gas if the offset is
    /// out of range.
    fn static_offset(&mut self, offset: U256) -> Option<u32> {
        let offset = in_range(offset);
        if offset.is_none() && self.settings.growth == HeapGrowth::Always {
            self.frame.gas = 0;
        }
        offset
    }

    #[inline(always)]
    fn offset_operand(&self, instruction: &Instruction) -> Value {
        match instruction.variant.source {
            Place::Immediate => Value { word: U256::from(instruction.imm0), is_pointer: false },
            _ => self.register_value(instruction.src0),
        }
    }

    /// Stores the results. The first is the word; the second, if wanted, is the next offset, with the mark of the
    /// operand that it comes from.
    #[inline(always)]
    fn finish_read(&mut self, instruction: &Instruction, source: Value, word: U256) {
        self.set_register(instruction.dst0, word, false);
        if instruction.variant.flags & FLAG_0 != 0 {
            self.set_register(instruction.dst1, incremented(source.word), source.is_pointer);
        }
    }

    /// The offset of an access of 32 bytes, after paying for the heap's growth up to its end. `None` is a panic.
    #[inline(always)]
    fn grown_to(&mut self, which: Which, offset: U256) -> Option<u32> {
        let Some(offset) = in_range(offset) else {
            // This offset is so large that the price exceeds any gas.
            self.grow(which, offset_end(offset), Some(u32::MAX));
            return None;
        };
        let end = offset + 32;
        let bound = match which {
            Which::Heap => self.frame.heap_bound,
            Which::AuxHeap => self.frame.aux_heap_bound,
        };
        (end <= bound || self.grow(which, end, None)).then_some(offset)
    }

    /// Pays for a heap's growth up to `end`, or the given cost. If the gas does not suffice, none is left.
    #[cold]
    pub(crate) fn grow(&mut self, which: Which, end: u32, cost: Option<u32>) -> bool {
        let frame = &mut self.frame;
        let bound = match which {
            Which::Heap => &mut frame.heap_bound,
            Which::AuxHeap => &mut frame.aux_heap_bound,
        };
        let cost = cost.unwrap_or_else(|| end.saturating_sub(*bound));
        let paid = frame.gas.checked_sub(cost);
        frame.gas = paid.unwrap_or(0);
        if paid.is_some() || self.settings.growth == HeapGrowth::Always {
            *bound = (*bound).max(end);
        }
        paid.is_some()
    }

    /// A heap of the current frame, ready to be written.
    #[inline(always)]
    pub(crate) fn own_heap(&mut self, which: Which) -> HeapId {
        let (id, page) = match which {
            Which::Heap => (self.frame.heap, self.frame.heap_page()),
            Which::AuxHeap => (self.frame.aux_heap, self.frame.aux_heap_page()),
        };
        if id != HeapId::NONE {
            return id;
        }
        let id = self.memory.add_heap(page);
        self.frame.pages.push(page);
        match which {
            Which::Heap => self.frame.heap = id,
            Which::AuxHeap => self.frame.aux_heap = id,
        }
        id
    }
}

#[inline(always)]
fn in_range(offset: U256) -> Option<u32> {
    let [low, b, c, d] = *offset.as_limbs();
    (low <= u64::from(MAX_OFFSET) && b | c | d == 0).then_some(low as u32)
}

/// The end of an access that is out of range, truncated to 32 bits.
fn offset_end(offset: U256) -> u32 {
    (offset.as_limbs()[0] as u32).wrapping_add(32)
}

/// The operand with its lowest 32 bits advanced to the next word.
#[inline(always)]
fn incremented(word: U256) -> U256 {
    let [first, b, c, d] = *word.as_limbs();
    let moved = u64::from((first as u32).wrapping_add(32));
    U256::from_limbs([first & !0xffff_ffff | moved, b, c, d])
}
