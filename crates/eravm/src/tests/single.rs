//! One instruction over random states.
//!
//! States that no program can reach are not made: fat pointers to stacks, or to pages of frames that are further in
//! than their holder; near calls that differ from their far call in more than position and gas; a decommitment of code
//! that already lies in the same frame's heap, or whose hash is zero after its header, which the reference reports as
//! an error of its own. Precompiles are compared elsewhere: here no frame has the address of one.

use std::{cmp::Ordering, collections::BTreeMap, rc::Rc, sync::Arc};

use super::{
    judge,
    rng::Rng,
    setup::{Action, Far, Layer, Setup},
    view::{compare_end, compare_journal, compare_memory, compare_state},
    world::{TestWorld, under_construction},
};
use crate::{
    Address, Code, Event, FatPointer, HeapGrowth, Machine, Page, Pause, Precompiles, Settings, Slot, Stop, U256,
    instruction::{Instruction, NEEDS_KERNEL, Operation, VARIANTS},
    instructions::code_key,
    memory::{FIRST_BASE_PAGE, SECOND_BASE_PAGE, STATIC_PAGE},
};

const CASES: u64 = 200_000;

#[test]
fn single_instructions() {
    let cases = std::env::var("EQUAL_CASES").map_or(CASES, |cases| cases.parse().expect("EQUAL_CASES is a number"));
    let only = std::env::var("EQUAL_CASE").ok().map(|case| case.parse::<u64>().expect("EQUAL_CASE is a number"));
    let seed = std::env::var("EQUAL_SEED").map_or(0, |seed| seed.parse().expect("EQUAL_SEED is a number"));
    let places = Places::new();
    let mut counts = BTreeMap::<String, Counts>::new();
    let mut limits = 0_u64;
    let mut used = None;
    for case in only.map_or(0..cases, |case| case..case + 1) {
        let (operation, outcome) = places.compare(seed, case, &mut used);
        match outcome {
            Ok(Outcome::Limit) => limits += 1,
            Ok(outcome) => {
                let count = counts.entry(format!("{operation:?}")).or_default();
                count.all += 1;
                count.into_frames += u64::from(outcome == Outcome::Entered);
                count.out_of_frames += u64::from(outcome == Outcome::Left);
            }
            Err(difference) => panic!("case {case} of seed {seed}, {operation:?}: {difference}"),
        }
    }
    println!("{:>10} {:>10} {:>10}  operation", "compared", "into frame", "out of it");
    for (operation, count) in &counts {
        println!("{:>10} {:>10} {:>10}  {operation}", count.all, count.into_frames, count.out_of_frames);
    }
    let all: u64 = counts.values().map(|count| count.all).sum();
    println!("{all:>10} in all, no difference; {limits} more stopped at a limit of ours or at unknown code");
}

#[derive(Default)]
struct Counts {
    all: u64,
    into_frames: u64,
    out_of_frames: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// There are as many frames as before.
    Stayed,
    /// There are more.
    Entered,
    /// There are fewer.
    Left,
    Limit,
}

/// What all cases have in common.
struct Places {
    world: Rc<TestWorld>,
    addresses: Vec<Address>,
    hashes: Vec<U256>,
    codes: Vec<U256>,
    default_account: U256,
    evm_emulator: U256,
    /// Numbers of variants, by operation.
    variants: Vec<Vec<u64>>,
}

fn address(kernel: bool, low: u16) -> Address {
    let mut address = if kernel { [0; 20] } else { [0x5a; 20] };
    [address[18], address[19]] = low.to_be_bytes();
    address
}

impl Places {
    fn new() -> Self {
        let mut rng = Rng::new(77);
        let mut world = TestWorld::default();
        let mut bytes = |words: usize| (0..words * 32).map(|_| rng.next() as u8).collect::<Vec<_>>();
        let codes: Vec<_> =
            [1, 3, 9, 33].iter().enumerate().map(|(n, words)| world.add_code(1, n as u64, bytes(*words))).collect();
        let evm = world.add_code(2, 20, bytes(5));
        let default_account = world.add_code(1, 10, bytes(7));
        let evm_emulator = world.add_code(1, 11, bytes(11));
        let header = |byte: usize, value: u64| (codes[0] & !(U256::from(0xff) << byte)) | U256::from(value) << byte;
        let hashes = vec![
            codes[0],
            codes[1],
            codes[2],
            codes[3],
            under_construction(codes[0]),
            under_construction(codes[2]),
            evm,
            under_construction(evm),
            U256::ZERO,
            header(248, 3),
            header(240, 2),
            header(248, 0),
            header(248, 2),
            default_account,
        ];
        let mut addresses = Vec::new();
        for (index, hash) in hashes.iter().enumerate() {
            for kernel in [false, true] {
                let address = address(kernel, 0x8001 + index as u16);
                let mut word = [0; 32];
                word[12..].copy_from_slice(&address);
                let slot = Slot { value: *hash, is_new: false, is_proven: true };
                world.slots.insert((self::address(true, 0x8002), U256::from_be_bytes(word)), slot);
                addresses.push(address);
            }
        }
        // The address with its own price is called often. Its code has EVM hashes in half of the worlds.
        addresses.extend([address(true, 0x8009); 3]);
        for (index, address) in addresses.iter().enumerate() {
            for key in 0..2_u64 {
                let slot = Slot { value: U256::from(index as u64 * key), is_new: false, is_proven: true };
                world.slots.insert((*address, U256::from(key)), slot);
            }
        }
        let mut by_operation = BTreeMap::<u8, Vec<u64>>::new();
        for (number, variant) in VARIANTS.iter().enumerate() {
            by_operation.entry(variant.operation as u8).or_default().push(number as u64);
        }
        Self {
            world: Rc::new(world),
            addresses,
            hashes,
            codes,
            default_account,
            evm_emulator,
            variants: by_operation.into_values().collect(),
        }
    }

    fn compare(&self, seed: u64, case: u64, used: &mut Option<Machine>) -> (Operation, Result<Outcome, String>) {
        let mut rng = Rng::new(seed.wrapping_mul(0x1_0000_0000_0001) ^ case);
        let (setup, instruction) = Generator { places: self, rng: &mut rng }.case();
        let operation = instruction.variant.operation;
        let outcome = compare(&setup, &instruction, used)
            .map_err(|difference| format!("{instruction:?}\n{difference}\n{setup:x?}"));
        (operation, outcome)
    }
}

fn compare(setup: &Setup, instruction: &Instruction, used: &mut Option<Machine>) -> Result<Outcome, String> {
    let mut machine = match used.take() {
        Some(used) => setup.machine_in_place_of(used),
        None => setup.machine(),
    };
    let mut vm = setup.judge();
    compare_state(&machine, &vm).map_err(|difference| format!("before: {difference}"))?;
    let (hash, _) = setup.registers[usize::from(instruction.src0)];
    if instruction.variant.operation == Operation::Decommit && code_key(hash).is_zero() {
        return Ok(Outcome::Limit);
    }
    let depth = machine.frames.len() + machine.near_frames.len();
    let mut world = Rc::clone(&setup.world);
    let pause = match machine.run_one(&mut world) {
        Ok(pause) => pause,
        Err(Stop::Limit(_)) => return Ok(Outcome::Limit),
        Err(Stop::World(_)) if judge::step(&mut vm).is_err() => return Ok(Outcome::Limit),
        Err(stop) => return Err(format!("{stop:?}")),
    };
    judge::step(&mut vm)?;
    compare_end(pause.as_ref(), &vm)?;
    if !matches!(pause, Some(Pause::Ended(_))) {
        compare_state(&machine, &vm)?;
        compare_memory(&machine, &vm)?;
    }
    compare_journal(&machine, &vm)?;
    let depth_now = machine.frames.len() + machine.near_frames.len();
    *used = Some(machine);
    Ok(match depth_now.cmp(&depth) {
        _ if vm.execution_has_ended() => Outcome::Left,
        Ordering::Less => Outcome::Left,
        Ordering::Equal => Outcome::Stayed,
        Ordering::Greater => Outcome::Entered,
    })
}

/// The word as a possible fat pointer: to one of the pages, with its end within the page.
fn possible(word: U256, pages: &[Page]) -> U256 {
    let mut pointer = FatPointer::from(word);
    if !pages.contains(&pointer.page) {
        pointer.page = 0;
    }
    pointer.length = pointer.length.min(u32::MAX - pointer.start);
    pointer.with_high(word)
}

struct Generator<'a> {
    places: &'a Places,
    rng: &'a mut Rng,
}

impl Generator<'_> {
    fn case(&mut self) -> (Setup, Instruction) {
        let places = self.places;
        let variants = self.rng.pick(&places.variants);
        let number = *self.rng.pick(variants);
        let variant = &VARIANTS[number as usize];
        let registers = self.registers_of_operands();
        let condition = if self.rng.one_in(3) { u64::from(self.rng.below(8)) } else { 0 };
        let unused = if self.rng.one_in(50) { u64::from(self.rng.below(4)) } else { 0 };
        let immediates = [self.immediate(), self.immediate()];
        let [src0, src1, dst0, dst1] = registers;
        let encoded = number
            | unused << 11
            | condition << 13
            | src0 << 16
            | src1 << 20
            | dst0 << 24
            | dst1 << 28
            | immediates[0] << 32
            | immediates[1] << 48;
        let instruction = Instruction::decode(encoded);

        let mut setup = self.frames(variant.needs & NEEDS_KERNEL != 0);
        let held = self.pages_of(&setup, setup.frames.len() - 1);
        for register in 1..16 {
            setup.registers[register] = self.value(&held, variant.operation, &setup, false);
        }
        for (register, is_first) in [(src0 as usize, true), (src1 as usize, false)] {
            if register != 0 && !self.rng.one_in(5) {
                setup.registers[register] = self.operand(&held, &setup, variant.operation, is_first);
            }
        }
        self.stacks(&mut setup, &instruction);
        for (value, is_pointer) in &mut setup.registers {
            if *is_pointer {
                *value = possible(*value, &held);
            }
        }
        for frame in 0..setup.frames.len() {
            let held = self.pages_of(&setup, frame);
            for (_, value, is_pointer) in &mut setup.frames[frame].stack {
                if *is_pointer {
                    *value = possible(*value, &held);
                }
            }
        }
        self.code(&mut setup, encoded);
        let price = u32::from(variant.price);
        let gas = self.gas(price);
        if let Some(layer) = setup.frames.last_mut().and_then(|far| far.layers.last_mut()) {
            layer.gas = gas;
        }
        (setup, instruction)
    }

    fn registers_of_operands(&mut self) -> [u64; 4] {
        // Few different registers, so that operands are often the same.
        std::array::from_fn(|_| if self.rng.one_in(3) { self.rng.below(16) } else { self.rng.below(4) }.into())
    }

    fn immediate(&mut self) -> u64 {
        match self.rng.below(4) {
            0 => 0,
            1 => u64::from(self.rng.below(8)),
            2 => u64::from(self.rng.below(1 << 16)),
            _ => u64::from((1 << 16) - 1 - self.rng.below(4)),
        }
    }

    fn gas(&mut self, price: u32) -> u32 {
        match self.rng.below(10) {
            0 | 1 => (price + self.rng.below(5)).saturating_sub(2),
            2 => price + self.rng.below(200),
            3 => price + self.rng.below(10_000),
            4 => self.rng.below(1 << 31),
            5 => price + 30_000 + self.rng.below(1_000),
            _ => self.rng.below(1 << 20),
        }
    }

    /// Frames with their actions and their heaps' contents.
    fn frames(&mut self, needs_kernel: bool) -> Setup {
        let places = self.places;
        let growth = if self.rng.one_in(3) { HeapGrowth::Always } else { HeapGrowth::Paid };
        let settings = Settings {
            default_account: places.default_account,
            evm_emulator: if self.rng.one_in(2) { places.evm_emulator } else { places.default_account },
            hook_offset: self.rng.one_in(4).then(|| self.rng.below(64)),
            precompiles: Precompiles::All,
            growth,
        };
        let depth = 1 + self.rng.below(4) as usize;
        let mut next = SECOND_BASE_PAGE + 8 * self.rng.below(3);
        let mut frames = Vec::new();
        let mut heaps = Vec::new();
        for index in 0..depth {
            let base_page = if index == 0 {
                FIRST_BASE_PAGE
            } else {
                next += 8;
                next - 8
            };
            let mut pages = Vec::new();
            for _ in 0..self.rng.below(3) {
                // The heap of a finished call that returned a pointer to it.
                pages.push(next + 2 + self.rng.below(2));
                next += 8;
            }
            let wants_kernel =
                index + 1 == depth && if needs_kernel { !self.rng.one_in(8) } else { self.rng.one_in(3) };
            let address = loop {
                let address = *self.rng.pick(&places.addresses);
                if index + 1 < depth || (address[0] == 0) == wants_kernel {
                    break address;
                }
            };
            for page in pages.iter().chain(&[base_page + 2, base_page + 3]) {
                if !self.rng.one_in(3) {
                    heaps.push((*page, self.heap()));
                }
            }
            let mut layers: Vec<_> = (0..1 + self.rng.below(3)).map(|_| self.layer()).collect();
            if index == 0 {
                // This tells it how the run ends.
                layers[0].exception_handler = u16::MAX;
            }
            frames.push(Far {
                address,
                caller: *self.rng.pick(&places.addresses),
                code_address: *self.rng.pick(&places.addresses),
                code: Arc::clone(&places.world.codes[self.rng.pick(&places.codes)]),
                code_page: base_page,
                base_page,
                is_static: self.rng.one_in(4),
                context_value: if self.rng.one_in(2) { 0 } else { u128::from(self.rng.next()) << self.rng.below(64) },
                heap_bound: self.bound(),
                aux_heap_bound: self.bound(),
                stack: Vec::new(),
                pages,
                layers,
            });
        }
        if self.rng.one_in(3) {
            heaps.push((STATIC_PAGE, self.heap()));
        }
        let mut decommitted = Vec::new();
        for hash in &places.codes {
            match self.rng.below(4) {
                // By a call that has returned.
                0 => {
                    decommitted.push((*hash, next, false));
                    next += 8;
                }
                // Into the heap of a call that has returned.
                1 if self.rng.one_in(2) => {
                    let mut words = self.heap();
                    let code = judge::words(places.world.codes[hash].bytes());
                    words.extend(code.iter().enumerate().map(|(index, word)| (index as u32, judge::ours(*word))));
                    heaps.push((next + 2, words));
                    decommitted.push((*hash, next + 2, true));
                    next += 8;
                }
                _ => {}
            }
        }
        Setup {
            world: Rc::clone(&places.world),
            settings,
            registers: [(U256::ZERO, false); 16],
            flags: self.rng.below(8) as u8,
            context_value: if self.rng.one_in(2) { 0 } else { u128::from(self.rng.next()) << self.rng.below(64) },
            transaction: if self.rng.one_in(20) { u16::MAX } else { self.rng.below(5) as u16 },
            next_base_page: next,
            frames,
            heaps,
            decommitted,
        }
    }

    fn heap(&mut self) -> Vec<(u32, U256)> {
        (0..self.rng.below(6)).map(|_| (self.rng.below(40), self.rng.u256())).collect()
    }

    fn bound(&mut self) -> u32 {
        match self.rng.below(6) {
            0 => 4096,
            1 => u32::MAX - self.rng.below(64),
            2 if self.rng.one_in(20) => 1 << 21,
            _ => self.rng.below(2048),
        }
    }

    fn layer(&mut self) -> Layer {
        let actions = (0..self.rng.below(4)).map(|_| self.action()).collect();
        Layer {
            pc: self.rng.below(1 << 16) as u16,
            sp: self.stack_pointer(),
            exception_handler: self.rng.below(1 << 16) as u16,
            gas: self.rng.below(1 << 20),
            actions,
        }
    }

    fn stack_pointer(&mut self) -> u16 {
        match self.rng.below(4) {
            0 => 0,
            1 => self.rng.below(1 << 16) as u16,
            2 => u16::MAX - self.rng.below(3) as u16,
            _ => self.rng.below(100) as u16,
        }
    }

    fn action(&mut self) -> Action {
        let address = *self.rng.pick(&self.places.addresses);
        let key = self.key();
        let event = Event {
            address,
            is_first: self.rng.one_in(2),
            transaction: self.rng.below(3) as u16,
            key,
            value: self.rng.word(),
        };
        match self.rng.below(9) {
            0 | 1 => Action::Read(address, key),
            2 | 3 => Action::Write(address, key, self.rng.word()),
            4 => Action::Transient(address, key, self.rng.word()),
            5 => Action::NewTransaction,
            6 => Action::Event(event),
            7 => Action::Log(event),
            _ => Action::Pubdata(self.rng.below(1000)),
        }
    }

    fn key(&mut self) -> U256 {
        U256::from(self.rng.below(4))
    }

    /// Pages that a frame may hold pointers to.
    fn pages_of(&self, setup: &Setup, frame: usize) -> Vec<Page> {
        let mut pages = vec![0];
        for far in &setup.frames[..=frame] {
            pages.extend([far.base_page + 2, far.base_page + 3]);
            pages.extend(&far.pages);
        }
        pages.extend(setup.decommitted.iter().map(|(_, page, _)| *page));
        pages
    }

    fn pointer(&mut self, pages: &[Page]) -> U256 {
        let page = *self.rng.pick(pages);
        if page == 0 {
            return U256::ZERO;
        }
        let start = match self.rng.below(6) {
            0 => 0,
            1 => u32::MAX - self.rng.below(100),
            _ => self.rng.below(600),
        };
        let length = match self.rng.below(6) {
            0 => 0,
            1 => u32::MAX - start,
            2 => 32 * self.rng.below(8),
            _ => self.rng.below(600),
        }
        .min(u32::MAX - start);
        let offset = match self.rng.below(6) {
            0 | 1 => 0,
            2 => length.saturating_sub(self.rng.below(64)),
            3 => length.saturating_add(self.rng.below(3)),
            4 => u32::MAX - self.rng.below(64),
            _ => self.rng.below(length.saturating_add(1).max(1)),
        };
        FatPointer { offset, page, start, length }.word()
    }

    /// Any value, and whether it is a pointer.
    fn value(&mut self, pages: &[Page], operation: Operation, setup: &Setup, is_first: bool) -> (U256, bool) {
        match self.rng.below(4) {
            0 => {
                let high = if self.rng.one_in(2) { U256::ZERO } else { self.rng.u256() >> 128 << 128 };
                (self.pointer(pages) | high, true)
            }
            1 => self.operand(pages, setup, operation, is_first),
            _ => (self.rng.word(), false),
        }
    }

    /// A source that suits the operation.
    fn operand(&mut self, pages: &[Page], setup: &Setup, operation: Operation, is_first: bool) -> (U256, bool) {
        use Operation as O;
        let far = setup.frames.last().expect("there is a frame");
        match operation {
            O::HeapRead | O::HeapWrite | O::AuxHeapRead | O::AuxHeapWrite | O::StaticRead | O::StaticWrite
                if is_first =>
            {
                let bound = if self.rng.one_in(2) { far.heap_bound } else { far.aux_heap_bound };
                let offset = match self.rng.below(8) {
                    0 => u64::from(bound) + 32 - u64::from(self.rng.below(66)).min(u64::from(bound)),
                    1 => u64::from(u32::MAX) - u64::from(self.rng.below(70)),
                    2 => u64::from(u32::MAX) + u64::from(self.rng.below(70)),
                    3 => u64::from(self.rng.below(3000)),
                    _ => u64::from(self.rng.below(1200)),
                };
                let word = U256::from(offset)
                    | if self.rng.one_in(20) { U256::from(1) << self.rng.below(256) as usize } else { U256::ZERO };
                (word, self.rng.one_in(20))
            }
            O::PointerRead if is_first => (self.pointer(pages), !self.rng.one_in(10)),
            O::PointerAdd | O::PointerSub | O::PointerPack | O::PointerShrink => {
                if is_first != self.rng.one_in(4) {
                    (
                        self.pointer(pages)
                            | if self.rng.one_in(2) { U256::ZERO } else { self.rng.u256() >> 128 << 128 },
                        true,
                    )
                } else if operation == O::PointerPack {
                    (self.rng.u256() >> 128 << 128, false)
                } else if self.rng.one_in(2) {
                    (U256::from(self.rng.below(600)), false)
                } else {
                    (self.rng.word(), self.rng.one_in(20))
                }
            }
            O::FarCall | O::DelegateCall | O::MimicCall if !is_first => {
                let mut word = [0; 32];
                // The first ones can be called.
                let addresses =
                    &self.places.addresses[..if self.rng.one_in(2) { 10 } else { self.places.addresses.len() }];
                word[12..].copy_from_slice(self.rng.pick::<Address>(addresses));
                if self.rng.one_in(5) {
                    word[..12].fill(self.rng.next() as u8);
                }
                (U256::from_be_bytes(word), self.rng.one_in(10))
            }
            O::FarCall | O::DelegateCall | O::MimicCall | O::Return | O::Revert | O::Panic => self.description(pages),
            O::StorageRead | O::StorageWrite | O::TransientRead | O::TransientWrite => {
                (if self.rng.one_in(10) { self.rng.word() } else { self.key() }, self.rng.one_in(10))
            }
            O::Decommit if is_first => {
                let own = setup.decommitted.iter().find(|(_, page, _)| *page == far.base_page + 2);
                assert!(own.is_none(), "no state has code in the current heap");
                (*self.rng.pick(&self.places.hashes), self.rng.one_in(20))
            }
            O::PrecompileCall if is_first => {
                let page = |rng: &mut Rng| {
                    if rng.one_in(2) { 0 } else { u64::from(*rng.pick(&[far.base_page + 2, far.base_page + 3])) }
                };
                let pages = page(self.rng) | page(self.rng) << 32;
                (U256::from_limbs([self.rng.next(), self.rng.next(), pages, self.rng.next()]), false)
            }
            O::Decommit | O::PrecompileCall => {
                let cost = self.gas(0);
                let bytes = if self.rng.one_in(2) { 0 } else { u64::from(self.rng.below(100_000)) };
                (U256::from(u64::from(cost) | bytes << 32) | self.rng.word() << 64, self.rng.one_in(20))
            }
            O::NearCall => (U256::from(self.gas(0)) | self.rng.word() << 32, self.rng.one_in(10)),
            _ => (self.rng.word(), self.rng.one_in(4)),
        }
    }

    /// The description of a call's or a return's data.
    fn description(&mut self, pages: &[Page]) -> (U256, bool) {
        let is_pointer = self.rng.one_in(2);
        let gas = match self.rng.below(4) {
            0 => u32::MAX,
            1 => 0,
            _ => self.gas(0),
        };
        let mode = match self.rng.below(10) {
            0 => self.rng.below(256),
            1 => 1,
            2 => 0,
            _ if is_pointer => 1,
            _ => 2 * self.rng.below(2),
        };
        let byte = |rng: &mut Rng| if rng.one_in(4) { 1 + rng.below(255) } else { 0 };
        let high = u64::from(gas)
            | u64::from(mode) << 32
            | u64::from(self.rng.one_in(8)) << 40
            | u64::from(byte(self.rng)) << 48
            | u64::from(byte(self.rng)) << 56;
        let pointer = if is_pointer {
            self.pointer(pages)
        } else {
            let length = if self.rng.one_in(10) { u32::MAX - self.rng.below(500) } else { self.rng.below(3000) };
            let start = if self.rng.one_in(10) { self.rng.below(3000) } else { self.rng.below(800) };
            let offset = if self.rng.one_in(10) { self.rng.below(10) } else { 0 };
            FatPointer { offset, page: self.rng.below(10), start, length }.word()
        };
        (pointer | U256::from_limbs([0, 0, self.rng.next(), high]), is_pointer)
    }

    /// Words on the stacks, most of them where the instruction reads.
    fn stacks(&mut self, setup: &mut Setup, instruction: &Instruction) {
        for index in 0..setup.frames.len() {
            let pages = self.pages_of(setup, index);
            let is_last = index + 1 == setup.frames.len();
            let mut places: Vec<_> = (0..self.rng.below(4)).map(|_| self.rng.below(1 << 16) as u16).collect();
            if is_last {
                let sp = setup.frames[index].layers.last().expect("a frame has a layer").sp;
                let low = |register: u8| setup.registers[usize::from(register)].0.as_limbs()[0] as u16;
                let source = low(instruction.src0).wrapping_add(instruction.imm0);
                let destination = low(instruction.dst0).wrapping_add(instruction.imm1);
                places.extend([source, sp.wrapping_sub(source), destination, sp.wrapping_sub(destination)]);
            }
            for place in places {
                let (value, is_pointer) = self.value(&pages, instruction.variant.operation, setup, true);
                setup.frames[index].stack.push((place, value, is_pointer));
            }
        }
    }

    /// The current frame's code, with the instruction in its place.
    fn code(&mut self, setup: &mut Setup, encoded: u64) {
        let instructions = if self.rng.one_in(2000) { 1 << 16 } else { 32 };
        let pc = match self.rng.below(10) {
            0 => instructions - 1,
            _ => self.rng.below(instructions),
        };
        let mut bytes = vec![0; instructions as usize * 8];
        for chunk in bytes.chunks_mut(8).take(64) {
            chunk.copy_from_slice(&self.rng.next().to_be_bytes());
        }
        bytes[pc as usize * 8..][..8].copy_from_slice(&encoded.to_be_bytes());
        if let Some(far) = setup.frames.last_mut() {
            far.code = Arc::new(Code::new(bytes));
            if let Some(layer) = far.layers.last_mut() {
                layer.pc = pc as u16;
            }
        }
    }
}
