//! The facts about its frame that a program may read, and the state of the machine that the kernel may change.

use crate::{
    Address, Stop, U256,
    instruction::Instruction,
    machine::{Flow, Machine},
};

impl Machine {
    pub(crate) fn this(&mut self, instruction: &Instruction) -> Flow {
        self.give(instruction, address_word(&self.frame.address))
    }

    pub(crate) fn caller(&mut self, instruction: &Instruction) -> Flow {
        self.give(instruction, address_word(&self.frame.caller))
    }

    pub(crate) fn code_address(&mut self, instruction: &Instruction) -> Flow {
        self.give(instruction, address_word(&self.frame.code_address))
    }

    pub(crate) fn ergs_left(&mut self, instruction: &Instruction) -> Flow {
        self.give(instruction, U256::from(self.frame.gas))
    }

    pub(crate) fn stack_pointer(&mut self, instruction: &Instruction) -> Flow {
        self.give(instruction, U256::from(self.frame.sp))
    }

    pub(crate) fn read_context_value(&mut self, instruction: &Instruction) -> Flow {
        self.give(instruction, U256::from(self.frame.context_value))
    }

    /// Reads the bytes to publish so far (only to the kernel), the bounds of the heaps, and shards, which are all 0.
    ///
    /// The bytes depend on the values of slots before the run. If one of these values is only claimed, the run stops
    /// here, where it would see them.
    pub(crate) fn meta<F>(&mut self, instruction: &Instruction) -> Result<Flow, Stop<F>> {
        let pubdata = if self.frame.is_kernel() {
            if let Some((address, key)) = self.journal.unproven_write() {
                return Err(Stop::UnprovenCost { address, key });
            }
            self.journal.pubdata as u32
        } else {
            0
        };
        let bounds = u64::from(self.frame.heap_bound) | u64::from(self.frame.aux_heap_bound) << 32;
        Ok(self.give(instruction, U256::from_limbs([u64::from(pubdata), bounds, 0, 0])))
    }

    /// Sets the value that the next far call passes on.
    pub(crate) fn set_context_value(&mut self, instruction: &Instruction) -> Flow {
        let [low, high, ..] = *self.register_word(instruction.src0).as_limbs();
        self.context_value = u128::from(low) | u128::from(high) << 64;
        Flow::Next
    }

    /// Begins the next transaction, with empty transient storage.
    pub(crate) fn increment_transaction_number(&mut self) -> Flow {
        self.transaction = self.transaction.wrapping_add(1);
        self.journal.clear_transient();
        Flow::Next
    }

    fn give(&mut self, instruction: &Instruction, word: U256) -> Flow {
        self.set_register(instruction.dst0, word, false);
        Flow::Next
    }
}

/// An address in the low bytes of a word.
pub(crate) fn address_word(address: &Address) -> U256 {
    U256::from_be_slice(address)
}

/// The low bytes of a word as an address.
pub(crate) fn word_address(word: U256) -> Address {
    let bytes = word.to_be_bytes::<32>();
    let mut address = [0; 20];
    address.copy_from_slice(&bytes[12..]);
    address
}
