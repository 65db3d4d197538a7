//! Random programs over several contracts, mostly valid, compared after each step.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use super::{
    assembly::{Data, Line, Program, line},
    judge::{self, Vm, ours},
    rng::Rng,
    setup::Setup,
    view::{compare_end, compare_journal, compare_memory, compare_state},
    world::{TestWorld, under_construction},
};
use crate::{
    Address, Code, End, HeapGrowth, Machine, Pause, Precompiles, Settings, Slot, Stop, U256,
    instruction::{FLAG_0, FLAG_1, Instruction, Operation as O, Place, VARIANTS, flags},
    instructions::code_key,
};

const PROGRAMS: u64 = 500;
/// The number of steps after which a program is stopped.
const MAX_STEPS: u64 = 20_000;
/// Everything is compared each time that this many steps were made, and at the end.
const STEPS_TO_COMPARE_ALL: u64 = 61;

#[test]
fn random_programs() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let programs = number("EQUAL_PROGRAMS").unwrap_or(PROGRAMS);
    let seed = number("EQUAL_SEED").unwrap_or(0);
    let mut outcomes = BTreeMap::<&str, u64>::new();
    let mut counts = Counts::default();
    for program in number("EQUAL_PROGRAM").map_or(0..programs, |program| program..program + 1) {
        let mut rng = Rng::new(seed.wrapping_mul(0x1_0000_0000_0001) ^ program);
        let setup = setup(&mut rng);
        match run(&setup, &mut counts) {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(difference) => panic!("program {program} of seed {seed}: {difference}"),
        }
    }
    println!("{:>12}  operation", "executed");
    for (operation, count) in &counts.operations {
        println!("{count:>12}  {operation}");
    }
    println!(
        "{} steps, at most {} frames at a time, {} snapshots, no difference; {outcomes:?}",
        counts.steps, counts.depth, counts.snapshots
    );
}

#[derive(Default)]
struct Counts {
    operations: BTreeMap<String, u64>,
    steps: u64,
    snapshots: u64,
    depth: usize,
}

/// Runs both machines to the end, step by step. Returns how the run ended.
fn run(setup: &Setup, counts: &mut Counts) -> Result<&'static str, String> {
    let (mut machine, mut vm) = (setup.machine(), setup.judge());
    let mut world = Rc::clone(&setup.world);
    for step in 0..MAX_STEPS {
        let instruction = next(&machine);
        *counts.operations.entry(format!("{:?}", instruction.variant.operation)).or_default() += 1;
        counts.steps += 1;
        counts.depth = counts.depth.max(vm.local_state.callstack.depth());
        if is_no_decommitment(&machine, &instruction) {
            return Ok("the reference forbids it");
        }
        let at = |difference| format!("step {step}, {instruction:?}: {difference}");
        let pause = match machine.run_one(&mut world) {
            Ok(pause) => pause,
            Err(Stop::Limit(_)) => return Ok("limit"),
            Err(Stop::World(_)) if judge::step(&mut vm).is_err() => return Ok("unknown code"),
            Err(stop) => return Err(at(format!("{stop:?}"))),
        };
        judge::step(&mut vm).map_err(at)?;
        compare_end(pause.as_ref(), &vm).map_err(at)?;
        if let Some(Pause::Ended(end)) = pause {
            compare_journal(&machine, &vm).map_err(at)?;
            run_at_once(setup, &end, &vm)?;
            return Ok(match end {
                End::Returned(_) => "returned",
                End::Reverted(_) => "reverted",
                End::Panicked => "panicked",
            });
        }
        compare_cheaply(&machine, &vm).map_err(at)?;
        if go_and_come_back(&mut machine, &mut world) {
            counts.snapshots += 1;
            compare_all(&machine, &vm).map_err(|difference| at(format!("after a snapshot, {difference}")))?;
        }
        if step % STEPS_TO_COMPARE_ALL == 0 {
            compare_all(&machine, &vm).map_err(at)?;
        }
    }
    compare_all(&machine, &vm)?;
    Ok("too many steps")
}

/// If the first frame is about to call: takes a snapshot, makes the call, and goes back. The state is then that of the
/// reference, which did not move. The call is not followed further, because there is no way back past the end of a
/// frame that was open at the snapshot.
fn go_and_come_back(machine: &mut Machine, world: &mut Rc<TestWorld>) -> bool {
    let instruction = next(machine);
    let calls = matches!(instruction.variant.operation, O::FarCall | O::DelegateCall | O::MimicCall);
    if !machine.frames.is_empty() || !calls || machine.frame.gas < 1_000 {
        return false;
    }
    let Some(snapshot) = machine.snapshot() else { return false };
    while machine.run_one(world).is_ok() && !machine.frames.is_empty() {}
    machine.roll_back(snapshot);
    true
}

fn compare_all(machine: &Machine, vm: &Vm) -> Result<(), String> {
    compare_state(machine, vm)?;
    compare_memory(machine, vm)?;
    compare_journal(machine, vm)
}

/// Runs the same program in the loop that is used in production.
fn run_at_once(setup: &Setup, end: &End, vm: &Vm) -> Result<(), String> {
    let mut machine = setup.machine();
    let mut world = Rc::clone(&setup.world);
    loop {
        match machine.run(&mut world) {
            Ok(Pause::Hook(_)) => {}
            Ok(Pause::Ended(at_once)) if at_once == *end => return compare_journal(&machine, vm),
            other => return Err(format!("step by step {end:?}, at once {other:?}")),
        }
    }
}

/// Compares the registers, the program counter and the gas.
fn compare_cheaply(machine: &Machine, vm: &Vm) -> Result<(), String> {
    let state = &vm.local_state;
    let registers = state.registers.iter().enumerate();
    let same_registers = registers
        .map(|(index, register)| (index + 1, (ours(register.value), register.is_pointer)))
        .all(|(register, value)| machine.register(register) == value);
    let theirs = &state.callstack.current;
    let frame = &machine.frame;
    let is_same = same_registers
        && (frame.pc, frame.sp, frame.gas) == (theirs.pc, theirs.sp, theirs.ergs_remaining)
        && (frame.heap_bound, frame.aux_heap_bound) == (theirs.heap_bound, theirs.aux_heap_bound)
        && (machine.flags & flags::LESS != 0) == state.flags.overflow_or_less_than_flag
        && (machine.flags & flags::EQUAL != 0) == state.flags.equality_flag
        && (machine.flags & flags::GREATER != 0) == state.flags.greater_than_flag
        && machine.frames.len() + machine.near_frames.len() + 1 == state.callstack.depth()
        && machine.journal.pubdata == state.pubdata_revert_counter.0;
    if is_same { Ok(()) } else { compare_state(machine, vm).and(Err("only the cheap comparison sees it".into())) }
}

fn next(machine: &Machine) -> Instruction {
    let instructions = machine.frame.code.instructions();
    *instructions.get(usize::from(machine.frame.pc)).unwrap_or(&Instruction::INVALID)
}

/// Whether the reference would report an error of its own: for code that already lies in the frame's heap, or whose
/// hash is zero after its header.
fn is_no_decommitment(machine: &Machine, instruction: &Instruction) -> bool {
    let key = code_key(machine.register_word(instruction.src0));
    let is_there = machine.decommitted.get(&key) == Some(&machine.frame.heap_page());
    instruction.variant.operation == O::Decommit && (is_there || key.is_zero())
}

/// Contracts that can all call each other, and a first frame in the kernel.
fn setup(rng: &mut Rng) -> Setup {
    let mut world = TestWorld::default();
    let count = 3 + rng.below(5) as usize;
    let addresses: Vec<_> = (0..count).map(|index| contract(rng, index)).collect();
    // A hash states the bytes' length, but here it does not depend on the bytes, so programs can name the hashes of one
    // another.
    let rooms: Vec<_> = (0..count).map(|_| 40 + 4 * rng.below(30)).collect();
    let hashes: Vec<_> = (0..count + 2).map(|index| hash(1, index as u64, 20 + rng.below(100))).collect();
    let evm = hash(2, 99, 9);
    for (address, hash) in addresses.iter().zip(&hashes) {
        let hash = match rng.below(12) {
            0 => under_construction(*hash),
            1 => evm,
            2 => U256::ZERO,
            _ => *hash,
        };
        world.slots.insert((kernel(0x8002), word(address)), Slot { value: hash, is_new: false, is_proven: true });
        world.slots.insert((*address, U256::from(1)), Slot { value: rng.word(), is_new: false, is_proven: true });
    }
    let all = [&hashes[..], &[evm]].concat();
    let writer = |is_kernel| Writer { addresses: &addresses, hashes: &all, is_kernel };
    for (index, hash) in hashes.iter().enumerate() {
        let room = rooms.get(index).copied().unwrap_or(60);
        let bytes = writer(index < 2).program(rng, room as usize, true).bytes();
        world.codes.insert(*hash, Arc::new(Code::new(bytes)));
    }
    world.codes.insert(evm, Arc::new(Code::new((0..32 * 9).map(|_| rng.next() as u8).collect())));
    let settings = Settings {
        default_account: hashes[count],
        evm_emulator: hashes[count + 1],
        hook_offset: Some(64),
        precompiles: Precompiles::All,
        growth: if rng.one_in(3) { HeapGrowth::Always } else { HeapGrowth::Paid },
    };
    let first = Arc::new(Code::new(writer(true).program(rng, 160, false).bytes()));
    let gas = 5_000 << rng.below(9);
    let mut setup = Setup::first_frame(Rc::new(world), settings, first, kernel(0x8001), gas + rng.below(5_000));
    setup.context_value = u128::from(rng.next());
    setup
}

fn hash(version: u8, number: u64, words: u32) -> U256 {
    U256::from_limbs([number, !number, 7, u64::from(version) << 56 | u64::from(words) << 32 | 0xbead])
}

fn kernel(low: u16) -> Address {
    let mut address = [0; 20];
    [address[18], address[19]] = low.to_be_bytes();
    address
}

fn word(address: &Address) -> U256 {
    U256::from_be_slice(address)
}

fn contract(rng: &mut Rng, index: usize) -> Address {
    if index < 2 {
        let addresses = [[0x8009, 0x800b, 0x9000, 0x8010, 0x0002], [0x8011, 0xffff, 0x0001, 0x0006, 0x0100]];
        return kernel(*rng.pick(&addresses[index]));
    }
    let mut address = [0xa0; 20];
    address[19] = index as u8;
    address
}

/// Writes programs.
struct Writer<'a> {
    addresses: &'a [Address],
    hashes: &'a [U256],
    /// Whether to use what only the kernel is allowed to do.
    is_kernel: bool,
}

/// What is probably true at the next instruction.
struct Known {
    /// The first register holds a pointer.
    pointer: bool,
    /// These words of the stack hold pointers, too.
    slots: u8,
}

impl Writer<'_> {
    fn program(&self, rng: &mut Rng, room: usize, is_called: bool) -> Program {
        let mut program = Program::new(room);
        let mut known = Known { pointer: is_called, slots: 0 };
        while !program.is_full(12) {
            self.passage(rng, &mut program, room, &mut known);
        }
        while !program.is_full(3) {
            program.add(line(O::Nop, [0, 0], [0, 0]));
        }
        self.leave(rng, &mut program, &known);
        program
    }

    /// Writes a few instructions that belong together.
    fn passage(&self, rng: &mut Rng, program: &mut Program, room: usize, known: &mut Known) {
        // The first register keeps its pointer, except in rare cases.
        let register = |rng: &mut Rng| if rng.one_in(40) { 1 } else { 2 + rng.below(5) as u8 };
        let (a, b, c) = (register(rng), register(rng), register(rng));
        // Mostly forwards, rarely backwards.
        let here = u32::from(program.here());
        let pc = |rng: &mut Rng| {
            let back = if rng.one_in(12) { 0 } else { here };
            (back + rng.below((room as u32 - 4).saturating_sub(back).max(1))) as u16
        };
        // The first result goes to b and, sometimes, the second to c.
        let second = if rng.one_in(4) { c } else { 0 };
        let kind = match rng.below(24) {
            // Rarely, something that is not allowed.
            12 | 14 | 20 | 21 if !self.is_kernel && !rng.one_in(30) => rng.below(12),
            7..=9 if !known.pointer && !rng.one_in(30) => 16,
            kind => kind,
        };
        match kind {
            0 | 1 => {
                program.load(a, rng.word());
            }
            2 | 3 => self.random(rng, program, &[O::Add, O::Sub, O::Mul, O::Div, O::Xor, O::And, O::Or]),
            4 => self.random(rng, program, &[O::ShiftLeft, O::ShiftRight, O::RotateLeft, O::RotateRight, O::Nop]),
            5 | 6 => {
                let offset = match rng.below(12) {
                    0 => 4096 - 40 + rng.below(50),
                    1 => 4096 + rng.below(3_000) * if rng.one_in(4) { 100 } else { 1 },
                    2 => 64,
                    _ => rng.below(1500),
                };
                let operations = [
                    O::HeapRead,
                    O::HeapWrite,
                    O::HeapWrite,
                    O::AuxHeapRead,
                    O::AuxHeapWrite,
                    O::StaticRead,
                    O::StaticWrite,
                ];
                let count = if self.is_kernel && rng.one_in(4) { 7 } else { 5 };
                let operation = *rng.pick(&operations[..count]);
                let flag = if rng.one_in(3) { FLAG_0 } else { 0 };
                program.load(a, U256::from(offset)).add(line(operation, [a, b], [c, second]).flags(flag));
            }
            7 => {
                let flag = if rng.one_in(3) { FLAG_0 } else { 0 };
                program.add(line(O::PointerRead, [1, 0], [b, second]).flags(flag).condition(0));
            }
            8 => {
                let (operation, word) = match rng.below(3) {
                    0 => (O::PointerAdd, U256::from(rng.below(80))),
                    1 => (O::PointerSub, U256::from(rng.below(10))),
                    _ => (O::PointerShrink, U256::from(rng.below(40))),
                };
                program.load(a, word).add(line(operation, [1, a], [if rng.one_in(2) { 1 } else { b }, second]));
            }
            // Moves pointers to the stack and back.
            9 => {
                let place = rng.below(3) as u16;
                known.slots |= 1 << place;
                program.add(line(O::PointerAdd, [1, 0], [0, 0]).to(Place::StackAbsolute, place));
            }
            10 => {
                let place = rng.below(3) as u16;
                if known.slots >> place & 1 == 0 && !rng.one_in(30) {
                    return;
                }
                program.add(
                    line(O::PointerAdd, [0, 0], [if rng.one_in(2) { 1 } else { b }, 0])
                        .from(Place::StackAbsolute, place),
                );
            }
            11 => {
                program.load(a, U256::from(rng.below(3)));
                let operation = *rng.pick(&[O::StorageRead, O::StorageWrite, O::TransientRead, O::TransientWrite]);
                program.add(match operation {
                    O::StorageRead | O::TransientRead => line(operation, [a, 0], [b, second]),
                    _ => line(operation, [a, b], [0, second]),
                });
            }
            12 => {
                let operation = *rng.pick(&[O::Event, O::ToL1Message]);
                program.add(line(operation, [a, b], [0, second]).flags(if rng.one_in(2) { FLAG_0 } else { 0 }));
            }
            13 => {
                let operations = [
                    O::This,
                    O::Caller,
                    O::CodeAddress,
                    O::Meta,
                    O::ErgsLeft,
                    O::Sp,
                    O::ContextValue,
                    O::SetContextValue,
                ];
                let operation = *rng.pick(&operations[..if self.is_kernel { 8 } else { 7 }]);
                program.add(line(operation, [a, 0], [b, second]));
            }
            14 if rng.one_in(3) => {
                program.add(line(O::IncrementTransactionNumber, [0, 0], [0, 0]));
            }
            14 | 15 => {
                let gas = if rng.one_in(2) { U256::ZERO } else { U256::from(rng.below(20_000)) };
                program.load(a, gas).add(line(O::NearCall, [a, 0], [0, second]).immediates([pc(rng), pc(rng)]));
            }
            16..=19 => {
                let handler = pc(rng);
                self.far_call(rng, program, handler, known);
                known.pointer = true;
            }
            20 => {
                let cost = U256::from(rng.below(3_000));
                program.load(a, *rng.pick(self.hashes)).load(b, cost).add(line(O::Decommit, [a, b], [c, second]));
                if rng.one_in(2) {
                    program.add(line(O::PointerAdd, [c, 0], [1, 0]));
                }
            }
            21 => {
                let costs = U256::from(u64::from(rng.below(3_000)) | u64::from(rng.below(100)) << 32);
                // Offsets and lengths of the input, of the output; the current heap; rounds.
                let small = |rng: &mut Rng| u64::from(rng.below(12)) | u64::from(rng.below(9)) << 32;
                let call = U256::from_limbs([small(rng), small(rng), 0, u64::from(rng.below(4))]);
                program.load(c, call).load(a, costs).add(line(O::PrecompileCall, [c, a], [b, second]));
            }
            22 => {
                program.load(a, U256::from(pc(rng)));
                program.add(line(O::Jump, [a, 0], [0, second]).condition(1 + rng.below(7) as u8));
                if rng.one_in(4) {
                    self.leave(rng, program, known);
                }
            }
            _ if rng.one_in(4) => {
                program.raw(rng.next());
            }
            _ => {}
        }
    }

    fn random(&self, rng: &mut Rng, program: &mut Program, operations: &[O]) {
        let operation = *rng.pick(operations);
        let number = loop {
            let number = rng.below(VARIANTS.len() as u32) as usize;
            if VARIANTS[number].operation == operation {
                break number;
            }
        };
        let mut registers = u64::from(rng.below(1 << 16)) & 0x7777;
        if !rng.one_in(8) {
            // Never into the first register.
            registers |= 0x2200;
        }
        let immediates = u64::from(rng.below(6)) | u64::from(rng.below(6)) << 16;
        let condition = if rng.one_in(4) { u64::from(rng.below(8)) } else { 0 };
        program.raw(number as u64 | condition << 13 | registers << 16 | immediates << 32);
    }

    fn data(&self, rng: &mut Rng) -> Data {
        Data {
            start: rng.below(200),
            length: if rng.one_in(8) { rng.below(6_000) } else { rng.below(300) },
            mode: 2 * rng.below(2) as u8,
            gas: if rng.one_in(2) { u32::MAX } else { rng.below(60_000) },
            shard: u8::from(rng.one_in(30)),
            is_constructor: rng.one_in(12),
            is_system: rng.one_in(4),
        }
    }

    fn far_call(&self, rng: &mut Rng, program: &mut Program, handler: u16, known: &Known) {
        let data = self.data(rng);
        if known.pointer && rng.one_in(3) || rng.one_in(100) {
            self.pack(program, Data { mode: 1, ..data });
        } else {
            program.load(8, data.word());
        }
        program.load(9, word(rng.pick::<Address>(self.addresses)));
        let operations = [O::FarCall, O::FarCall, O::DelegateCall, O::MimicCall];
        let operation = *rng.pick(&operations[..if self.is_kernel { 4 } else { 3 }]);
        if operation == O::MimicCall {
            program.load(15, word(rng.pick::<Address>(self.addresses)));
        }
        let is_static = if rng.one_in(8) { FLAG_0 } else { 0 };
        let shard = if rng.one_in(8) { FLAG_1 } else { 0 };
        program.add(
            line(operation, [8, 9], [0, if rng.one_in(10) { 1 } else { 0 }])
                .flags(is_static | shard)
                .immediates([handler, 0]),
        );
    }

    /// Writes the pointer of the first register to the eighth, with the description of its data.
    fn pack(&self, program: &mut Program, data: Data) {
        program.load(8, data.word() >> 128 << 128).add(line(O::PointerPack, [1, 8], [8, 0]));
    }

    fn leave(&self, rng: &mut Rng, program: &mut Program, known: &Known) {
        let data = self.data(rng);
        if known.pointer && rng.one_in(3) || rng.one_in(100) {
            self.pack(program, Data { mode: 1, ..data });
        } else {
            program.load(8, data.word());
        }
        let operation = *rng.pick(&[O::Return, O::Return, O::Return, O::Revert, O::Panic]);
        let leave: Line = line(operation, [8, 0], [0, 0]);
        program.add(if rng.one_in(10) { leave.flags(FLAG_0).immediates([rng.below(100) as u16, 0]) } else { leave });
    }
}
