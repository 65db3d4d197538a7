//! Programs for the EraVM.

use std::{collections::HashMap, sync::Arc};

use tee_eravm::{
    Access, Address, Code, Event, HeapGrowth, Machine, Pause, Precompiles, Settings, Slot, Stop, U256, World,
};

/// The most gas of a run.
const MAX_GAS: u32 = 1 << 20;
/// Words of each contract; the bytes after them belong to the next one.
const CONTRACT_WORDS: usize = 9;
/// The most contracts. The first half of them is in the kernel.
const MAX_CONTRACTS: usize = 6;
/// The number of instruction variants. Higher numbers are invalid.
const VARIANTS: u64 = 1_104;

/// Runs bytes as the code of a few contracts that can call one another. A run ends, and in the same way each time.
pub fn machine(data: &[u8]) {
    let Some((gas, bytes)) = data.split_first_chunk::<4>() else { return };
    let gas = u32::from_le_bytes(*gas) % MAX_GAS;
    let growth = if gas.is_multiple_of(2) { HeapGrowth::Paid } else { HeapGrowth::Always };
    assert_eq!(run(bytes, gas, growth), run(bytes, gas, growth), "the same program ran in two ways");
}

/// The state after a run.
type Left = (Result<Pause, Stop<UnknownCode>>, u32, Vec<Access>, Vec<Event>, Vec<Event>, i32);

fn run(bytes: &[u8], gas: u32, growth: HeapGrowth) -> Left {
    let mut world = Contracts::new(bytes);
    let hashes = world.hashes.clone();
    let first = hashes
        .first()
        .and_then(|hash| world.codes.get(hash))
        .map_or_else(|| Arc::new(Code::new(Vec::new())), Arc::clone);
    let of = |index: usize| hashes.get(index).copied().unwrap_or(code_hash(0));
    let settings = Settings {
        default_account: of(1),
        evm_emulator: of(2),
        hook_offset: Some(64),
        precompiles: Precompiles::All,
        growth,
    };
    let mut machine = Machine::new(settings, first, address(0), gas, 4096);
    let ended = loop {
        match machine.run(&mut world) {
            // Each costs gas.
            Ok(Pause::Hook(_)) => {}
            ended => break ended,
        }
    };
    let (events, logs) = (machine.events().to_vec(), machine.logs().to_vec());
    (ended, machine.gas(), machine.accesses().collect(), events, logs, machine.pubdata())
}

/// Code that no contract has.
#[derive(Debug, PartialEq, Eq)]
struct UnknownCode;

struct Contracts {
    codes: HashMap<U256, Arc<Code>>,
    hashes: Vec<U256>,
}

impl Contracts {
    fn new(bytes: &[u8]) -> Self {
        let mut contracts = Self { codes: HashMap::new(), hashes: Vec::new() };
        for (index, bytes) in bytes.chunks(CONTRACT_WORDS * 32).take(MAX_CONTRACTS).enumerate() {
            let (instructions, _) = bytes.as_chunks::<8>();
            let code = instructions.iter().flat_map(|bytes| valid(u64::from_le_bytes(*bytes)).to_be_bytes()).collect();
            let hash = code_hash(index as u64);
            contracts.codes.insert(hash, Arc::new(Code::new(code)));
            contracts.hashes.push(hash);
        }
        contracts
    }
}

/// Makes the variant's number a valid one in most cases. Registers then have any numbers that are allowed.
fn valid(encoded: u64) -> u64 {
    let number = encoded & 0x7ff;
    if number == 0x7ff { encoded } else { (encoded & !0x7ff) | (number % VARIANTS) }
}

fn code_hash(index: u64) -> U256 {
    U256::from_limbs([index + 1, 2, 3, 1 << 56 | (CONTRACT_WORDS as u64) << 32 | 4])
}

/// Small numbers, so that programs find them: 1 and 2 are precompiles.
fn address(index: usize) -> Address {
    let mut address = [0; 20];
    address[19] = index as u8;
    if index >= MAX_CONTRACTS / 2 {
        address[17] = 1;
    }
    address
}

impl World for Contracts {
    type Fault = UnknownCode;

    fn slot(&mut self, contract: &Address, key: &U256) -> Result<Slot, UnknownCode> {
        let is_code_storage = contract[18..] == [0x80, 0x02];
        let index =
            (0..self.hashes.len()).find(|index| is_code_storage && U256::from_be_slice(&address(*index)) == *key);
        let value = index.and_then(|index| self.hashes.get(index)).copied().unwrap_or_default();
        Ok(Slot { value, is_new: value.is_zero(), is_proven: true })
    }

    fn code(&mut self, hash: &U256) -> Result<Arc<Code>, UnknownCode> {
        self.codes.get(hash).map(Arc::clone).ok_or(UnknownCode)
    }

    fn publishing_cost(&self, before: &Slot, _: &U256) -> u32 {
        if before.is_new { 65 } else { 33 }
    }

    fn is_free(&self, _: &Address, _: &U256) -> bool {
        false
    }
}

/// Contracts of instructions of all kinds.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let seeds = (0..16_u32).map(|seed| {
        let gas = (1 << 12) << (seed % 8);
        let words = (0..MAX_CONTRACTS * CONTRACT_WORDS * 4).map(|_| {
            // No condition, few different registers, small immediates.
            let instruction = next();
            if seed % 4 == 0 { instruction } else { instruction & 0x000f_001f_7777_07ff }
        });
        let words: Vec<_> = words.collect();
        [gas + seed]
            .map(u32::to_le_bytes)
            .concat()
            .into_iter()
            .chain(words.into_iter().flat_map(u64::to_le_bytes))
            .collect()
    });
    seeds.collect()
}
