//! A few contracts, written by hand and run in both machines.

use std::{rc::Rc, sync::Arc};

use super::{
    assembly::{Data, Program, line},
    judge,
    setup::Setup,
    view::{compare_end, compare_journal, compare_memory, compare_state},
    world::{TestWorld, under_construction},
};
use crate::{
    Address, Code, End, HeapGrowth, Machine, Pause, Precompiles, Settings, Slot, U256, instruction::Operation as O,
};

/// An address of a user.
pub(super) const fn user(number: u8) -> Address {
    let mut address = [0xcc; 20];
    address[19] = number;
    address
}

/// An address of the kernel.
pub(super) const fn kernel(low: u16) -> Address {
    let mut address = [0; 20];
    [address[18], address[19]] = low.to_be_bytes();
    address
}

pub(super) fn word(address: Address) -> U256 {
    U256::from_be_slice(&address)
}

pub(super) struct Scene {
    world: TestWorld,
    codes: u64,
    pub(super) gas: u32,
    pub(super) growth: HeapGrowth,
    default_account: U256,
}

/// A finished run.
pub(super) struct Finished {
    pub(super) machine: Machine,
    pub(super) end: End,
}

impl Finished {
    /// What a contract wrote to a slot.
    pub(super) fn slot(&self, address: Address, key: u64) -> U256 {
        self.machine.current_value(&address, &U256::from(key)).unwrap_or_default()
    }
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut world = TestWorld::default();
        let mut program = Program::new(8);
        program.add(line(O::Return, [0, 0], [0, 0]));
        let default_account = world.add_code(1, 1_000, program.bytes());
        Self { world, codes: 0, gas: 2_000_000, growth: HeapGrowth::Paid, default_account }
    }

    pub(super) fn contract(&mut self, address: Address, program: &Program) -> U256 {
        self.codes += 1;
        let hash = self.world.add_code(1, self.codes, program.bytes());
        self.code_hash(address, hash);
        hash
    }

    pub(super) fn code_hash(&mut self, address: Address, hash: U256) {
        let slot = Slot { value: hash, is_new: false, is_proven: true };
        self.world.slots.insert((kernel(0x8002), word(address)), slot);
    }

    pub(super) fn default_account(&mut self, program: &Program) {
        self.codes += 1;
        self.default_account = self.world.add_code(1, self.codes, program.bytes());
    }

    pub(super) fn evm_contract_under_construction(&mut self, address: Address) {
        let hash = self.world.add_code(2, 2_000, vec![0; 32]);
        self.code_hash(address, under_construction(hash));
    }

    /// Runs the program as the first frame, in the kernel, and compares everything after each step.
    pub(super) fn run(self, first: &Program) -> Finished {
        let settings = Settings {
            default_account: self.default_account,
            evm_emulator: self.default_account,
            hook_offset: None,
            precompiles: Precompiles::All,
            growth: self.growth,
        };
        let world = Rc::new(self.world);
        let code = Arc::new(Code::new(first.bytes()));
        let setup = Setup::first_frame(Rc::clone(&world), settings, code, kernel(0x8001), self.gas);
        let (mut machine, mut vm) = (setup.machine(), setup.judge());
        let mut world = world;
        for step in 0..1_000_000 {
            let at = (step, machine.frame.address, machine.frame.pc);
            let pause = machine.run_one(&mut world).unwrap_or_else(|stop| panic!("{at:x?}: {stop:?}"));
            judge::step(&mut vm).unwrap_or_else(|error| panic!("{at:x?}: {error}"));
            let compared = compare_end(pause.as_ref(), &vm).and_then(|()| compare_journal(&machine, &vm));
            compared.unwrap_or_else(|difference| panic!("{at:x?}: {difference}"));
            if let Some(Pause::Ended(end)) = pause {
                return Finished { machine, end };
            }
            compare_state(&machine, &vm)
                .and_then(|()| compare_memory(&machine, &vm))
                .unwrap_or_else(|difference| panic!("{at:x?}: {difference}"));
        }
        panic!("the program does not end");
    }
}

impl Program {
    /// Stores a register, using the seventh register.
    pub(super) fn store(&mut self, key: u64, register: u8) -> &mut Self {
        self.load(7, U256::from(key)).add(line(O::StorageWrite, [7, register], [0, 0]))
    }

    /// Stores a number, using two registers.
    pub(super) fn store_number(&mut self, key: u64, value: u64) -> &mut Self {
        self.load(6, U256::from(value)).store(key, 6)
    }

    /// Calls an address with data, using the registers before the last. A failure continues at `handler`.
    pub(super) fn call(&mut self, operation: O, address: Address, data: Data, handler: u16) -> &mut Self {
        self.load(13, data.word()).load(14, word(address));
        self.add(line(operation, [13, 14], [0, 0]).immediates([handler, 0]))
    }

    /// The same with the pointer in a register as data.
    pub(super) fn call_forwarding(&mut self, address: Address, pointer: u8, data: Data, handler: u16) -> &mut Self {
        self.load(14, word(address)).pack(pointer, data);
        self.add(line(O::FarCall, [13, 14], [0, 0]).immediates([handler, 0]))
    }

    /// Puts a pointer with the description of its data into the thirteenth register.
    pub(super) fn pack(&mut self, pointer: u8, data: Data) -> &mut Self {
        let high = Data { mode: 1, ..data }.word() >> 128 << 128;
        self.load(13, high).add(line(O::PointerPack, [pointer, 13], [13, 0]))
    }

    /// Returns data of the heap.
    pub(super) fn give(&mut self, data: Data) -> &mut Self {
        self.load(13, data.word()).add(line(O::Return, [13, 0], [0, 0]))
    }

    /// Returns nothing.
    pub(super) fn stop(&mut self) -> &mut Self {
        self.add(line(O::Return, [0, 0], [0, 0]))
    }

    /// Writes a number to the heap.
    pub(super) fn write(&mut self, offset: u32, value: u64) -> &mut Self {
        self.load(5, U256::from(offset)).load(6, U256::from(value)).add(line(O::HeapWrite, [5, 6], [0, 0]))
    }
}
