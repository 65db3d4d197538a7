//! Programs: instructions by name, followed by constants.

use std::{collections::HashMap, sync::OnceLock};

use crate::{
    FatPointer, U256,
    instruction::{Operation, Place, VARIANTS},
};

/// An instruction that is being built. Registers are numbers; 0 stands for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) operation: Operation,
    pub(super) source: Place,
    pub(super) destination: Place,
    pub(super) flags: u8,
    /// The condition as it is encoded.
    pub(super) condition: u8,
    pub(super) sources: [u8; 2],
    pub(super) destinations: [u8; 2],
    pub(super) immediates: [u16; 2],
}

/// Makes an instruction on registers.
pub(super) fn line(operation: Operation, sources: [u8; 2], destinations: [u8; 2]) -> Line {
    Line {
        operation,
        source: Place::Register,
        destination: Place::Register,
        flags: 0,
        condition: 0,
        sources,
        destinations,
        immediates: [0, 0],
    }
}

impl Line {
    pub(super) fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn condition(self, condition: u8) -> Self {
        Self { condition, ..self }
    }

    pub(super) fn from(self, source: Place, immediate: u16) -> Self {
        Self { source, immediates: [immediate, self.immediates[1]], ..self }
    }

    pub(super) fn to(self, destination: Place, immediate: u16) -> Self {
        Self { destination, immediates: [self.immediates[0], immediate], ..self }
    }

    pub(super) fn immediates(self, immediates: [u16; 2]) -> Self {
        Self { immediates, ..self }
    }

    pub(super) fn encoded(&self) -> u64 {
        static NUMBERS: OnceLock<HashMap<(u8, u8, u8, u8), u64>> = OnceLock::new();
        let numbers = NUMBERS.get_or_init(|| {
            let key = |number: usize| {
                let variant = &VARIANTS[number];
                (variant.operation as u8, variant.source as u8, variant.destination as u8, variant.flags)
            };
            (0..VARIANTS.len()).rev().map(|number| (key(number), number as u64)).collect()
        });
        let key = (self.operation as u8, self.source as u8, self.destination as u8, self.flags);
        let number = numbers.get(&key).copied().unwrap_or_else(|| panic!("no variant {self:?}"));
        let [src0, src1] = self.sources.map(u64::from);
        let [dst0, dst1] = self.destinations.map(u64::from);
        let [imm0, imm1] = self.immediates.map(u64::from);
        number
            | u64::from(self.condition) << 13
            | src0 << 16
            | src1 << 20
            | dst0 << 24
            | dst1 << 28
            | imm0 << 32
            | imm1 << 48
    }
}

/// Code: instructions, then constants from a fixed word on.
#[derive(Debug)]
pub(super) struct Program {
    instructions: Vec<u64>,
    constants: Vec<U256>,
    /// The number of instructions that there is room for.
    room: usize,
}

impl Program {
    pub(super) fn new(room: usize) -> Self {
        Self { instructions: Vec::new(), constants: Vec::new(), room: room.next_multiple_of(4) }
    }

    pub(super) fn is_full(&self, more: usize) -> bool {
        self.instructions.len() + more >= self.room
    }

    pub(super) fn add(&mut self, line: Line) -> &mut Self {
        self.raw(line.encoded())
    }

    pub(super) fn raw(&mut self, encoded: u64) -> &mut Self {
        assert!(self.instructions.len() < self.room, "the program is too long");
        self.instructions.push(encoded);
        self
    }

    /// Puts a constant into a register.
    pub(super) fn load(&mut self, register: u8, value: U256) -> &mut Self {
        let word = self.constants.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        let word = (self.room / 4 + word) as u16;
        self.add(line(Operation::Add, [0, 0], [register, 0]).from(Place::Code, word))
    }

    /// The number of the next instruction.
    pub(super) fn here(&self) -> u16 {
        self.instructions.len() as u16
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<_> = self.instructions.iter().flat_map(|encoded| encoded.to_be_bytes()).collect();
        bytes.resize(self.room * 8, 0);
        bytes.extend(self.constants.iter().flat_map(|constant| constant.to_be_bytes::<32>()));
        if bytes.len() / 32 % 2 == 0 {
            bytes.extend([0; 32]);
        }
        bytes
    }
}

/// The description of the data of a call or a return.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Data {
    pub(super) start: u32,
    pub(super) length: u32,
    /// 0: the heap, 1: a pointer, 2: the auxiliary heap.
    pub(super) mode: u8,
    pub(super) gas: u32,
    pub(super) shard: u8,
    pub(super) is_constructor: bool,
    pub(super) is_system: bool,
}

impl Data {
    pub(super) fn word(self) -> U256 {
        let high = u64::from(self.gas)
            | u64::from(self.mode) << 32
            | u64::from(self.shard) << 40
            | u64::from(self.is_constructor) << 48
            | u64::from(self.is_system) << 56;
        FatPointer { offset: 0, page: 0, start: self.start, length: self.length }.word()
            | U256::from_limbs([0, 0, 0, high])
    }
}
