//! Arithmetic, bitwise operations, shifts, jumps. All of them take fat pointers as plain words.

use crate::{
    U256,
    instruction::{FLAG_0, FLAG_1, Instruction},
    instructions::operands::Destination,
    machine::{Flow, Machine},
};

impl Machine {
    #[inline(always)]
    fn words(&mut self, instruction: &Instruction) -> (U256, U256, Destination) {
        let (source, destination) = self.places(instruction);
        let first = self.word(source);
        let second = self.register_word(instruction.src1);
        if instruction.variant.flags & FLAG_1 != 0 {
            (second, first, destination)
        } else {
            (first, second, destination)
        }
    }

    /// Does nothing except move the stack pointer by its operands.
    #[inline(always)]
    pub(crate) fn nop(&mut self, instruction: &Instruction) -> Flow {
        self.move_stack_pointer(instruction);
        Flow::Next
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, instruction: &Instruction) -> Flow {
        let (a, b, destination) = self.words(instruction);
        let (result, overflow) = a.overflowing_add(b);
        self.finish(instruction, destination, result, overflow)
    }

    #[inline(always)]
    pub(crate) fn sub(&mut self, instruction: &Instruction) -> Flow {
        let (a, b, destination) = self.words(instruction);
        let (result, overflow) = a.overflowing_sub(b);
        self.finish(instruction, destination, result, overflow)
    }

    #[inline(always)]
    fn finish(&mut self, instruction: &Instruction, destination: Destination, result: U256, overflow: bool) -> Flow {
        if instruction.variant.flags & FLAG_0 != 0 {
            let equal = result.is_zero();
            self.set_flags(overflow, equal, !equal && !overflow);
        }
        self.store(destination, result, false);
        Flow::Next
    }

    #[inline(always)]
    pub(crate) fn mul(&mut self, instruction: &Instruction) -> Flow {
        let (a, b, destination) = self.words(instruction);
        let (low, high) = full_product(a, b);
        let result = self.finish(instruction, destination, low, !high.is_zero());
        self.set_register(instruction.dst1, high, false);
        result
    }

    /// Computes quotient and remainder. For a divisor of zero both are zero, and the overflow flag is set.
    #[inline(always)]
    pub(crate) fn div(&mut self, instruction: &Instruction) -> Flow {
        let (a, b, destination) = self.words(instruction);
        let (quotient, remainder) = if b.is_zero() { (U256::ZERO, U256::ZERO) } else { a.div_rem(b) };
        if instruction.variant.flags & FLAG_0 != 0 {
            if b.is_zero() {
                self.set_flags(true, false, false);
            } else {
                self.set_flags(false, quotient.is_zero(), remainder.is_zero());
            }
        }
        self.store(destination, quotient, false);
        self.set_register(instruction.dst1, remainder, false);
        Flow::Next
    }

    #[inline(always)]
    pub(crate) fn bitwise(&mut self, instruction: &Instruction, operation: impl Fn(U256, U256) -> U256) -> Flow {
        let (a, b, destination) = self.words(instruction);
        self.finish_logical(instruction, destination, operation(a, b))
    }

    /// Shifts and rotates by the lowest byte.
    #[inline(always)]
    pub(crate) fn shift(&mut self, instruction: &Instruction, operation: impl Fn(U256, usize) -> U256) -> Flow {
        let (value, by, destination) = self.words(instruction);
        let by = usize::from(by.as_limbs()[0] as u8);
        self.finish_logical(instruction, destination, operation(value, by))
    }

    #[inline(always)]
    fn finish_logical(&mut self, instruction: &Instruction, destination: Destination, result: U256) -> Flow {
        if instruction.variant.flags & FLAG_0 != 0 {
            self.set_flags(false, result.is_zero(), false);
        }
        self.store(destination, result, false);
        Flow::Next
    }

    /// Jumps to the lowest 16 bits of the source, and stores the address of the instruction after the jump.
    #[inline(always)]
    pub(crate) fn jump(&mut self, instruction: &Instruction) -> Flow {
        let (source, destination) = self.places(instruction);
        let target = self.word(source).as_limbs()[0] as u16;
        let back = U256::from(std::mem::replace(&mut self.frame.pc, target));
        self.store(destination, back, false);
        Flow::Next
    }
}

/// Returns the low and the high half of a product.
#[inline(always)]
fn full_product(a: U256, b: U256) -> (U256, U256) {
    let mut product = [0_u64; 8];
    for (i, a) in a.as_limbs().iter().enumerate() {
        let mut carry = 0_u128;
        for (j, b) in b.as_limbs().iter().enumerate() {
            let sum = u128::from(product[i + j]) + u128::from(*a) * u128::from(*b) + carry;
            product[i + j] = sum as u64;
            carry = sum >> 64;
        }
        product[i + 4] = carry as u64;
    }
    let [a, b, c, d, e, f, g, h] = product;
    (U256::from_limbs([a, b, c, d]), U256::from_limbs([e, f, g, h]))
}
