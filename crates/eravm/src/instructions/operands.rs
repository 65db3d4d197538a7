//! Operands: where an instruction reads its sources and puts its first result.

use crate::{
    U256,
    instruction::{Instruction, Place},
    machine::Machine,
    pointer::erased,
};

/// A word, and whether it is a fat pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) word: U256,
    pub(crate) is_pointer: bool,
}

/// Where the first result goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination {
    Register(u8),
    Stack(u16),
}

impl Machine {
    #[inline(always)]
    pub(crate) fn register_value(&self, register: u8) -> Value {
        let register = usize::from(register & 0xf);
        Value { word: self.registers[register], is_pointer: self.pointers >> register & 1 == 1 }
    }

    /// A register, as an instruction that takes no pointers sees it.
    #[inline(always)]
    pub(crate) fn register_word(&self, register: u8) -> U256 {
        self.word(self.register_value(register))
    }

    /// A value, as an instruction that takes no pointers sees it: outside the kernel, the page is hidden.
    #[inline(always)]
    pub(crate) fn word(&self, value: Value) -> U256 {
        if value.is_pointer && !self.frame.is_kernel() { erased(value.word) } else { value.word }
    }

    /// The same for an instruction that looks at the mark: outside the kernel, the mark is removed.
    #[inline(always)]
    pub(crate) fn unmarked(&self, value: Value) -> Value {
        Value { word: self.word(value), is_pointer: value.is_pointer && self.frame.is_kernel() }
    }

    /// The first source and the first destination, wherever they are. The stack pointer moves for the source, then for
    /// the destination, and only then is the source read.
    #[inline(always)]
    pub(crate) fn places(&mut self, instruction: &Instruction) -> (Value, Destination) {
        // Most sources are in registers.
        let source = match instruction.variant.source {
            Place::Register => None,
            place => Some((place, self.source_index(instruction, place))),
        };
        let destination = match instruction.variant.destination {
            Place::Register => Destination::Register(instruction.dst0),
            place => Destination::Stack(self.destination_index(instruction, place)),
        };
        let value = match source {
            None => self.register_value(instruction.src0),
            Some((Place::Immediate, _)) => Value { word: U256::from(instruction.imm0), is_pointer: false },
            Some((Place::Code, index)) => Value { word: self.frame.code.word(index), is_pointer: false },
            Some((_, index)) => {
                let (word, is_pointer) = self.frame.stack.read(index);
                Value { word, is_pointer }
            }
        };
        (value, destination)
    }

    /// Moves the stack pointer as source and destination require, without reading anything.
    #[inline(always)]
    pub(crate) fn move_stack_pointer(&mut self, instruction: &Instruction) {
        self.source_index(instruction, instruction.variant.source);
        self.destination_index(instruction, instruction.variant.destination);
    }

    #[inline(always)]
    fn source_index(&mut self, instruction: &Instruction, place: Place) -> u16 {
        let address = self.low_16(instruction.src0).wrapping_add(instruction.imm0);
        match place {
            Place::PushPop => {
                self.frame.sp = self.frame.sp.wrapping_sub(address);
                self.frame.sp
            }
            Place::StackRelative => self.frame.sp.wrapping_sub(address),
            Place::StackAbsolute | Place::Code | Place::Register | Place::Immediate => address,
        }
    }

    #[inline(always)]
    fn destination_index(&mut self, instruction: &Instruction, place: Place) -> u16 {
        let address = self.low_16(instruction.dst0).wrapping_add(instruction.imm1);
        match place {
            Place::PushPop => {
                let index = self.frame.sp;
                self.frame.sp = index.wrapping_add(address);
                index
            }
            Place::StackRelative => self.frame.sp.wrapping_sub(address),
            Place::StackAbsolute | Place::Code | Place::Register | Place::Immediate => address,
        }
    }

    #[inline(always)]
    fn low_16(&self, register: u8) -> u16 {
        self.registers[usize::from(register & 0xf)].as_limbs()[0] as u16
    }

    /// Puts the first result where it belongs.
    #[inline(always)]
    pub(crate) fn store(&mut self, destination: Destination, word: U256, is_pointer: bool) {
        match destination {
            Destination::Register(register) => self.set_register(register, word, is_pointer),
            Destination::Stack(index) => self.frame.stack.write(index, word, is_pointer),
        }
    }
}
