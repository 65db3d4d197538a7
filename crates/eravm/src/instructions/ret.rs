//! Returns, reverts and panics.
//!
//! **Which pages are freed.** A fat pointer can only be in a register or on a stack. When a far call returns, all
//! registers except the first are emptied, and its stack is gone; the first register points to the data that it
//! returns. Pointers to its pages, and to pages of what it called, only ever went down, to calls that have returned, or
//! up, by that one pointer. So of all pages that were made since the call began, only the one that it returns a pointer
//! to can still be reached. It becomes one of the caller's pages, and all others are freed. Code stays, even where it
//! was decommitted into a heap.

use std::collections::HashSet;

use crate::{
    FatPointer, U256,
    instruction::{FLAG_0, Instruction, Operation, flags},
    instructions::{call::Forwarding, operands::Value},
    machine::{End, FIRST_COLLECTION, Flow, Machine, Pause},
};

/// The most bytes that the first frame may return; the rest is cut off.
const MAX_END_BYTES: usize = 1 << 16;

/// How a frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Return,
    Revert,
    Panic,
}

impl Machine {
    pub(crate) fn ret(&mut self, instruction: &Instruction) -> Flow {
        let way = match instruction.variant.operation {
            Operation::Return => Way::Return,
            Operation::Revert => Way::Revert,
            _ => Way::Panic,
        };
        let data = self.register_value(instruction.src0);
        let label = (instruction.variant.flags & FLAG_0 != 0).then_some(instruction.imm0);
        self.leave(way, data, label)
    }

    /// Panics without a panic instruction of the program.
    pub(crate) fn panic(&mut self) -> Flow {
        self.leave(Way::Panic, Value { word: U256::ZERO, is_pointer: false }, None)
    }

    fn leave(&mut self, way: Way, data: Value, label: Option<u16>) -> Flow {
        self.reset_flags();
        if self.frame.near_calls > 0 { self.leave_near(way, label) } else { self.leave_far(way, data) }
    }

    fn leave_near(&mut self, way: Way, label: Option<u16>) -> Flow {
        // Each near call of this frame has saved its state.
        let Some(outer) = self.near_frames.pop() else { return Flow::Frame };
        let failed = way != Way::Return;
        if failed {
            self.take_back(self.frame.mark);
        }
        let frame = &mut self.frame;
        frame.near_calls -= 1;
        let handler = std::mem::replace(&mut frame.exception_handler, outer.exception_handler);
        frame.pc = label.unwrap_or(if failed { handler } else { outer.pc });
        frame.sp = outer.sp;
        frame.gas = frame.gas.saturating_add(outer.gas);
        frame.mark = outer.mark;
        self.mark_panic(way);
        Flow::Next
    }

    fn leave_far(&mut self, way: Way, data: Value) -> Flow {
        let (way, returned) = self.returned(way, data);
        let failed = way != Way::Return;
        if failed {
            self.take_back(self.frame.mark);
        }
        if self.frames.is_empty() {
            return Flow::Pause(Pause::Ended(self.end(way, returned)));
        }
        self.registers.fill(U256::ZERO);
        self.registers[1] = returned.word();
        self.pointers = 1 << 1;
        self.context_value = 0;
        if let Some(caller) = self.frames.pop() {
            let frame = std::mem::replace(&mut self.frame, caller);
            self.frame.gas = self.frame.gas.saturating_add(frame.gas);
            if failed {
                self.frame.pc = frame.exception_handler;
            }
            for page in frame.pages {
                if page == returned.page {
                    self.frame.pages.push(page);
                } else if !self.pinned.contains(&page) {
                    self.memory.free(page);
                }
            }
            self.memory.give_back_stack(frame.stack);
        }
        self.mark_panic(way);
        if self.frame.pages.len() >= self.frame.next_collection {
            self.collect();
        }
        Flow::Frame
    }

    /// How the frame really ends and what it returns, after checking that the data is well formed and its memory is
    /// paid for.
    fn returned(&mut self, mut way: Way, data: Value) -> (Way, FatPointer) {
        let forwarding = Forwarding::of(data.word);
        let mut pointer = FatPointer::from(data.word);
        let is_fresh = forwarding != Forwarding::Pointer;
        let ends = pointer.ends();
        let is_well_formed = data.is_pointer != is_fresh
            && !(is_fresh && pointer.offset != 0)
            && ends
            && pointer.is_slice()
            // Data that an older frame passed down must not be returned up: its owner could change it unnoticed.
            && (is_fresh || pointer.page >= self.frame.base_page || self.frame.is_kernel());
        if !is_well_formed {
            way = Way::Panic;
        }
        if way == Way::Panic {
            pointer = FatPointer::default();
        } else {
            match forwarding {
                Forwarding::Pointer => pointer = pointer.narrowed(),
                Forwarding::Heap => pointer.page = self.frame.heap_page(),
                Forwarding::AuxHeap => pointer.page = self.frame.aux_heap_page(),
            }
        }
        if let Some(which) = forwarding.heap() {
            let end = if ends { pointer.start.wrapping_add(pointer.length) } else { u32::MAX };
            if !self.grow(which, end, None) {
                return (Way::Panic, FatPointer::default());
            }
            if pointer.length > 0 {
                // A heap that was never written to exists too.
                self.own_heap(which);
            }
        }
        (way, pointer)
    }

    fn end(&self, way: Way, returned: FatPointer) -> End {
        let mut bytes = vec![0; (returned.length as usize).min(MAX_END_BYTES)];
        self.memory.read_bytes(returned.page, returned.start as usize, &mut bytes);
        match way {
            Way::Return => End::Returned(bytes),
            Way::Revert => End::Reverted(bytes),
            Way::Panic => End::Panicked,
        }
    }

    fn mark_panic(&mut self, way: Way) {
        if way == Way::Panic {
            self.flags |= flags::LESS;
        }
    }

    /// Frees pages that were returned to this frame if no pointer in its registers or on its stack points to them any
    /// more.
    fn collect(&mut self) {
        if !self.memory.can_undo() {
            let registers = (1..16).filter(|register| self.pointers >> register & 1 == 1);
            let named: HashSet<_> = registers
                .map(|register| self.registers[register])
                .chain(self.frame.stack.pointers())
                .map(|pointer| FatPointer::from(pointer).page)
                .chain([self.frame.heap_page(), self.frame.aux_heap_page()])
                .collect();
            let pages = std::mem::take(&mut self.frame.pages);
            for page in pages {
                if named.contains(&page) {
                    self.frame.pages.push(page);
                } else if !self.pinned.contains(&page) {
                    self.memory.free(page);
                }
            }
        }
        self.frame.next_collection = (self.frame.pages.len() * 2).max(FIRST_COLLECTION);
    }
}
