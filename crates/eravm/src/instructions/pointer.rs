//! Operations on fat pointers. They panic if an operand is not a pointer or if the result is out of bounds.

use crate::{
    U256,
    instruction::{FLAG_0, Instruction},
    instructions::operands::Destination,
    machine::{Flow, Machine},
    pointer::FatPointer,
};

/// Offsets from here on are out of range.
const MAX_OFFSET: U256 = U256::from_limbs([1 << 32, 0, 0, 0]);

impl Machine {
    /// The two operands: a pointer, and a word that is not a pointer.
    #[inline(always)]
    fn pointer_and_word(&mut self, instruction: &Instruction) -> (Option<(U256, U256)>, Destination) {
        let (first, destination) = self.places(instruction);
        let second = self.register_value(instruction.src1);
        let (pointer, word) = if instruction.variant.flags & FLAG_0 != 0 { (second, first) } else { (first, second) };
        let word = self.unmarked(word);
        let both = (pointer.is_pointer && !word.is_pointer).then_some((pointer.word, word.word));
        (both, destination)
    }

    #[inline(always)]
    fn change_pointer(&mut self, instruction: &Instruction, change: impl Fn(U256, U256) -> Option<U256>) -> Flow {
        let (operands, destination) = self.pointer_and_word(instruction);
        match operands.and_then(|(pointer, word)| change(pointer, word)) {
            Some(result) => {
                self.store(destination, result, true);
                Flow::Next
            }
            None => Flow::Panic,
        }
    }

    pub(crate) fn pointer_add(&mut self, instruction: &Instruction) -> Flow {
        self.change_pointer(instruction, |word, by| move_pointer(word, by, u32::checked_add))
    }

    pub(crate) fn pointer_sub(&mut self, instruction: &Instruction) -> Flow {
        self.change_pointer(instruction, |word, by| move_pointer(word, by, u32::checked_sub))
    }

    /// Combines the pointer with the high half of a word whose low half is zero.
    pub(crate) fn pointer_pack(&mut self, instruction: &Instruction) -> Flow {
        self.change_pointer(instruction, |word, high| {
            let [first, second, ..] = *high.as_limbs();
            (first == 0 && second == 0).then(|| FatPointer::from(word).with_high(high))
        })
    }

    pub(crate) fn pointer_shrink(&mut self, instruction: &Instruction) -> Flow {
        self.change_pointer(instruction, |word, by| {
            let pointer = FatPointer::from(word);
            let length = pointer.length.checked_sub(by.as_limbs()[0] as u32)?;
            Some(FatPointer { length, ..pointer }.with_high(word))
        })
    }
}

fn move_pointer(word: U256, by: U256, operation: impl Fn(u32, u32) -> Option<u32>) -> Option<U256> {
    if by >= MAX_OFFSET {
        return None;
    }
    let pointer = FatPointer::from(word);
    let offset = operation(pointer.offset, by.as_limbs()[0] as u32)?;
    Some(FatPointer { offset, ..pointer }.with_high(word))
}
