//! Storage and transient storage of the frame's contract.

use crate::{
    Stop, U256, World,
    instruction::Instruction,
    machine::{Flow, Machine},
};

impl Machine {
    /// Reads a slot. The price is that of a cold one; a warm one gets the difference back.
    pub(crate) fn storage_read<W: World>(
        &mut self,
        world: &mut W,
        instruction: &Instruction,
    ) -> Result<Flow, Stop<W::Fault>> {
        let key = self.register_word(instruction.src0);
        let (value, refund) = self.journal.read(world, &self.frame.address, &key)?;
        self.frame.gas += refund;
        self.set_register(instruction.dst0, value, false);
        Ok(Flow::Next)
    }

    /// Writes a slot, priced in the same way.
    pub(crate) fn storage_write<W: World>(
        &mut self,
        world: &mut W,
        instruction: &Instruction,
    ) -> Result<Flow, Stop<W::Fault>> {
        let (key, value) = self.two_words(instruction);
        let refund = self.journal.write(world, &self.frame.address, &key, value)?;
        self.frame.gas += refund;
        Ok(Flow::Next)
    }

    pub(crate) fn transient_read(&mut self, instruction: &Instruction) -> Flow {
        let key = self.register_word(instruction.src0);
        let value = self.journal.read_transient(&self.frame.address, &key);
        self.set_register(instruction.dst0, value, false);
        Flow::Next
    }

    pub(crate) fn transient_write(&mut self, instruction: &Instruction) -> Flow {
        let (key, value) = self.two_words(instruction);
        self.journal.write_transient(&self.frame.address, &key, value);
        Flow::Next
    }

    /// Both sources, from registers, as instructions that take no pointers see them.
    pub(crate) fn two_words(&self, instruction: &Instruction) -> (U256, U256) {
        (self.register_word(instruction.src0), self.register_word(instruction.src1))
    }
}
