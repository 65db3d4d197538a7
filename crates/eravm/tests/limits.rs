//! Programs that reach the machine's limits where gas does not bound them, and what a program could do without these
//! limits.

use std::sync::Arc;

use tee_eravm::{Address, Code, HeapGrowth, Limit, Machine, Pause, Precompiles, Settings, Slot, Stop, U256, World};
use zkevm_assembly::{Assembly, zkevm_opcode_defs::decoding::EncodingModeProduction};

/// The page number of the first frame's code. Its heap is the second page after it.
const FIRST_PAGE: u64 = 8;
/// The heap of the first frame that is called.
const CALLED_HEAP: u64 = 2048 + 2;
/// The offset of the hook in the first frame's heap.
const HOOK: u32 = 64;

const KECCAK256: Address = kernel(0x8010);
const SHA256: Address = kernel(0x02);
const ECRECOVER: Address = kernel(0x01);
const PAIRING: Address = kernel(0x08);

const fn kernel(low: u16) -> Address {
    let mut address = [0; 20];
    [address[18], address[19]] = low.to_be_bytes();
    address
}

/// Empty storage, and one code for all accounts, which returns nothing.
struct Empty;

impl World for Empty {
    type Fault = ();

    fn slot(&mut self, _: &Address, _: &U256) -> Result<Slot, ()> {
        Ok(Slot { value: U256::ZERO, is_new: true, is_proven: true })
    }

    fn code(&mut self, _: &U256) -> Result<Arc<Code>, ()> {
        Ok(Arc::new(assemble("ret.ok r0")))
    }

    fn publishing_cost(&self, _: &Slot, _: &U256) -> u32 {
        0
    }

    fn is_free(&self, _: &Address, _: &U256) -> bool {
        false
    }
}

/// A program, with a constant that it can load.
fn assemble_with(constant: U256, text: &str) -> Code {
    let source = format!(
        ".text\n.file \"program\"\n.rodata.cst32\nCONSTANT:\n.cell {constant}\n.text\n.globl __entry\n__entry:\n{text}\n"
    );
    let mut words =
        Assembly::try_from(source).unwrap().compile_to_bytecode_for_mode::<8, EncodingModeProduction>().unwrap();
    if words.len().is_multiple_of(2) {
        words.push([0; 32]);
    }
    Code::new(words.concat())
}

fn assemble(text: &str) -> Code {
    assemble_with(U256::ZERO, text)
}

fn machine(address: Address, code: Code) -> Machine {
    let hash = U256::from_limbs([0, 0, 0, 0x0100_0001_0000_0000]);
    let settings = Settings {
        default_account: hash,
        evm_emulator: hash,
        hook_offset: Some(HOOK),
        growth: HeapGrowth::Paid,
        precompiles: Precompiles::All,
    };
    Machine::new(settings, Arc::new(code), address, u32::MAX, 1 << 10)
}

/// Calls a precompile by its own address. Offsets and lengths are 32 bits each, from the input's offset on; then a word of rounds.
fn precompile(address: Address, abi: [u64; 4]) -> Result<Pause, Stop<()>> {
    let code = assemble_with(U256::from_limbs(abi), "add @CONSTANT[0], r0, r1\nlog.precompile r1, r0, r2\nret.ok r0");
    machine(address, code).run(&mut Empty)
}

fn limited(limit: Limit) -> Result<Pause, Stop<()>> {
    Err(Stop::Limit(limit))
}

#[test]
fn rounds_without_end_are_not_run() {
    assert_eq!(precompile(KECCAK256, [u64::MAX, 0, 0, 0]), limited(Limit::PrecompileRounds));
    assert_eq!(precompile(SHA256, [0, 0, 0, 1 << 60]), limited(Limit::PrecompileRounds));
    assert_eq!(precompile(PAIRING, [0, 0, 0, 1 << 60]), limited(Limit::PrecompileRounds));
}

/// The contract that calls it passes only 0 and 1.
#[test]
fn a_recovery_with_another_v_is_none() {
    let code = assemble("add 2, r0, r1\nst.1 32, r1\nlog.precompile r0, r0, r2\nret.ok r0");
    assert_eq!(machine(ECRECOVER, code).run(&mut Empty), limited(Limit::PrecompileInput));
}

/// Otherwise a different program would run under the hash of the original.
#[test]
fn a_precompile_does_not_write_to_code() {
    assert_eq!(precompile(KECCAK256, [0, 0, FIRST_PAGE << 32, 0]), limited(Limit::WriteToCode));
    assert!(precompile(KECCAK256, [0, 0, (FIRST_PAGE + 2) << 32, 0]).is_ok());
}

/// The heap of a call that has returned is freed. It would read as zeros, unlike in the protocol's machine.
#[test]
fn a_precompile_does_not_read_a_page_that_was_freed() {
    let call = |page: u64| {
        let abi = U256::from_limbs([32 << 32, 0, page, 0]);
        let code = assemble_with(
            abi,
            "add 4096, r0, r2\nfar_call r0, r2, @went_on\nwent_on:\nadd @CONSTANT[0], r0, r1\nlog.precompile r1, r0, r2\nret.ok r0",
        );
        machine(KECCAK256, code).run(&mut Empty)
    };
    assert_eq!(call(CALLED_HEAP), limited(Limit::FreedPage));
    assert!(call(FIRST_PAGE + 2).is_ok());
}

/// If a frame fails after the snapshot, what it wrote before the snapshot cannot be rolled back: its owner must go
/// back.
#[test]
fn a_snapshot_inside_of_a_frame_that_fails_is_not_kept() {
    let program = |end: &str| {
        let code = assemble(&format!(
            "near_call r0, @inner, @failed\nfailed:\nadd 64, r0, r2\nst.1 r2, r2\nret.ok r0\n\
             inner:\nsstore r0, r1\nadd 64, r0, r2\nst.1 r2, r2\n{end}"
        ));
        let mut machine = machine(kernel(0x8001), code);
        assert!(matches!(machine.run(&mut Empty), Ok(Pause::Hook(_))));
        let snapshot = machine.snapshot().unwrap();
        assert!(matches!(machine.run(&mut Empty), Ok(Pause::Hook(_))));
        machine.keep(snapshot)
    };
    assert_eq!(program("ret.panic r0"), Err(Limit::Snapshot));
    assert_eq!(program("ret.ok r0"), Ok(()));
}
