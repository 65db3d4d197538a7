//! Shapes of input that could cost more than an honest batch of their size. The tests check the verdicts; `cargo test
//! --release -p tee-verifier --test attacks -- --ignored --nocapture` shows what each costs per byte.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read},
    process::Command,
    time::Instant,
};

use crate::scene::{chain_blocks, judge};
use serde_bytes::ByteArray;
use tee_devnet::{Account, Action, CONTRACT, Call, Chain, Genesis};
use tee_verifier::{
    Address, BatchInput, H256, InputError, InputForm, L2ChainId, MAX_INPUT_BYTES, MerklePath, ProtocolVersionId,
    StorageKey, U256, era_code_hash,
    input::{ExecuteTransactionCommon, InteropRoot, Kept, Transaction},
    keccak256,
};

struct Shape {
    name: &'static str,
    input: BatchInput,
    /// The check that it fails, if it is not valid.
    expected: Result<(), &'static str>,
}

fn shape(name: &'static str, expected: Result<(), &'static str>, input: BatchInput) -> Shape {
    Shape { name, input, expected }
}

/// The accounts take turns.
fn signed(calls: impl IntoIterator<Item = Call>) -> Vec<Transaction> {
    let mut accounts: Vec<_> = (0..16).map(Account::new).collect();
    let calls = calls.into_iter().zip((0..16).cycle());
    calls.map(|(call, number)| accounts[number].sign(call, 300_u32.into())).collect()
}

fn seal(blocks: Vec<Vec<Transaction>>) -> BatchInput {
    Chain::new(Genesis::sepolia().unwrap()).seal_blocks(blocks).unwrap().input
}

fn transfers(count: usize) -> impl Iterator<Item = Call> {
    (0..count as u64).map(|number| Call::transfer(Address::from_low_u64_be(0xaaaa_0000 + number), U256::one()))
}

fn honest(transactions: usize) -> BatchInput {
    seal(signed(transfers(transactions)).chunks(25).map(<[_]>::to_vec).collect())
}

fn changed(mut input: BatchInput, change: impl FnOnce(&mut BatchInput)) -> BatchInput {
    change(&mut input);
    input
}

/// The path of an absent slot that leaves out all its hashes.
fn bare_path(key: U256) -> MerklePath {
    MerklePath {
        root_hash: ByteArray::new([0; 32]),
        is_write: false,
        first_write: false,
        merkle_paths: vec![],
        leaf_hashed_key: key,
        leaf_enumeration_index: 0,
        value_written: [0; 32],
        value_read: [0; 32],
    }
}

/// A pseudo-random key in the tree.
fn scattered(number: usize) -> U256 {
    U256::from_big_endian(&keccak256(&number.to_be_bytes()))
}

fn last_transaction(input: &mut BatchInput) -> &mut Transaction {
    input.l2_blocks_execution_data.iter_mut().flat_map(|block| &mut block.txs).last().unwrap()
}

/// All shapes, `scale` times as large as a test needs.
fn shapes(scale: usize) -> Vec<Shape> {
    let few = honest(2);
    let many = 500 * scale;
    let with_paths = |keys: &mut dyn Iterator<Item = U256>| {
        changed(few.clone(), |input| input.merkle_paths.merkle_paths.extend(keys.map(bare_path)))
    };
    let slots = |action, transactions: usize, count| {
        let first = |number: usize| 1_000 + (number * count) as u64;
        (0..transactions).map(move |number| Call::storage(action, first(number), count as u64, 1)).collect::<Vec<_>>()
    };
    let reverting = 10 * scale.min(20);
    vec![
        shape("honest transfers", Ok(()), honest(20 * scale)),
        shape(
            "one transaction a block",
            Ok(()),
            seal(signed(transfers(20 * scale)).chunks(1).map(<[_]>::to_vec).collect()),
        ),
        shape("bare paths side by side", Err("previous_root"), with_paths(&mut (0..many).map(U256::from))),
        shape("bare paths all over the tree", Err("previous_root"), with_paths(&mut (0..many).map(scattered))),
        shape(
            "bare paths in pairs",
            Err("previous_root"),
            with_paths(&mut (0..many).map(|number| scattered(number / 2) ^ U256::from(number % 2))),
        ),
        shape(
            "claims about slots that nobody asks for",
            Ok(()),
            changed(few.clone(), |input| {
                let claims = &mut input.vm_run_data.witness_block_state;
                for number in 0..many {
                    let key = StorageKey::new(CONTRACT, H256(keccak256(&number.to_be_bytes())));
                    claims.read_storage_key.insert(key, H256::repeat_byte(1));
                    claims.is_write_initial.insert(key, true);
                }
            }),
        ),
        shape(
            "words for the bootloader's memory",
            Ok(()),
            changed(few.clone(), |input| {
                input.vm_run_data.initial_heap_content = Kept::new(vec![(0, U256::zero()); 10 * many]).unwrap();
            }),
        ),
        shape(
            "refunds and costs that nobody reads",
            Ok(()),
            changed(few.clone(), |input| {
                input.vm_run_data.storage_refunds = Kept::new(vec![0; 30 * many]).unwrap();
                input.vm_run_data.pubdata_costs = Kept::new(vec![0; 30 * many]).unwrap();
            }),
        ),
        shape(
            "bytecodes that nobody runs",
            Ok(()),
            changed(few.clone(), |input| {
                for number in 0..many {
                    let word = keccak256(&number.to_be_bytes());
                    let hash = H256(era_code_hash(&word));
                    input.vm_run_data.used_bytecodes.insert(U256::from_big_endian(hash.as_bytes()), vec![word]);
                }
            }),
        ),
        shape(
            "large bytecodes that nobody runs",
            Ok(()),
            changed(few.clone(), |input| {
                for number in 0..scale {
                    let words = vec![keccak256(&number.to_be_bytes()); 65_535];
                    let hash = H256(era_code_hash(words.as_flattened()));
                    input.vm_run_data.used_bytecodes.insert(U256::from_big_endian(hash.as_bytes()), words);
                }
            }),
        ),
        shape(
            "a bytecode of too many words",
            Err("bytecode_malformed"),
            changed(few.clone(), |input| {
                let code = input.vm_run_data.used_bytecodes.values_mut().next().unwrap();
                code.resize((65_537 * scale) | 1, [0; 32]);
            }),
        ),
        shape(
            "factory dependencies by the thousand",
            Err("transaction_halted"),
            changed(few.clone(), |input| {
                last_transaction(input).execute.factory_deps = vec![vec![0; 32]; many];
                chain_blocks(input);
            }),
        ),
        shape(
            "calldata that fits",
            Err("transaction_halted"),
            changed(few.clone(), |input| {
                last_transaction(input).execute.calldata = vec![0; 20_000 * scale];
                chain_blocks(input);
            }),
        ),
        shape(
            "calldata that does not fit",
            Err("transactions_too_large"),
            changed(few.clone(), |input| {
                last_transaction(input).execute.calldata = vec![0; 70_000_000];
                chain_blocks(input);
            }),
        ),
        shape(
            "a bad signature at the end",
            Err("transaction_halted"),
            changed(honest(20 * scale), |input| {
                let ExecuteTransactionCommon::L2(common) = &mut last_transaction(input).common_data else { return };
                common.signature[1] ^= 1;
                chain_blocks(input);
            }),
        ),
        shape(
            "rolled back slots in one transaction",
            Ok(()),
            seal(vec![signed(slots(Action::WriteAndRevert, 1, 1_000))]),
        ),
        shape(
            "writers beside many rolled back slots of their contract",
            Ok(()),
            seal(vec![signed(
                [slots(Action::WriteAndRevert, reverting, 50), slots(Action::WriteRolledBack, reverting, 50)].concat(),
            )]),
        ),
    ]
}

fn verdict(input: BatchInput) -> Result<(), &'static str> {
    // Where a forged tree's keys lie decides which of the two stops it first.
    judge(input).map(drop).map_err(|check| if check == "siblings_disagree" { "previous_root" } else { check })
}

#[test]
fn hostile_shapes_get_their_verdicts() {
    for Shape { name, input, expected } in shapes(1) {
        assert_eq!(verdict(input), expected, "{name}");
    }
}

/// Not a test: shows what each shape costs.
#[test]
#[ignore = "takes minutes; shows times"]
fn hostile_shapes_cost_what_their_size_allows() {
    let mut honest = None;
    println!("{:60} {:>9} {:>9} {:>9} {:>9} {:>9}", "shape", "CBOR, kB", "ms", "ns/byte", "× honest", "× memory");
    let folder = tempfile::tempdir().unwrap();
    for Shape { name, input, expected } in shapes(40) {
        let file = folder.path().join("shape.cbor");
        input.to_cbor(fs::File::create(&file).unwrap()).unwrap();
        drop(input);
        // In a process that has held nothing before.
        let mut alone = Command::new(env::current_exe().unwrap());
        alone.args(["--ignored", "--exact", "--nocapture", "hostile_shapes::one_shape"]).env(SHAPE, &file);
        let output = String::from_utf8(alone.output().unwrap().stdout).unwrap();
        let line =
            output.lines().find_map(|line| line.strip_prefix(SHAPE)).unwrap_or_else(|| panic!("{name}: {output}"));
        let mut words = line.split_whitespace();
        let mut number = || words.next().unwrap().parse::<f64>().unwrap();
        let (bytes, nanoseconds, memory) = (number(), number(), number());
        let got = words.next().unwrap();
        // At this size, some exceed the limits of lists.
        assert!(
            got == expected.err().unwrap_or("verified") || got == "unreadable" && expected.is_err(),
            "{name}: {got}"
        );
        let cost = nanoseconds / bytes;
        let ratio = cost / *honest.get_or_insert(cost);
        println!(
            "{name:60} {:9.0} {:9.0} {cost:9.1} {ratio:9.2} {:9.2}",
            bytes / 1e3,
            nanoseconds / 1e6,
            memory / bytes
        );
    }
}

const SHAPE: &str = "TEE_SHAPE";

/// Not a test: verifies the file that the environment names, and shows its size, the time, and the memory relative to
/// its bytes.
#[test]
#[ignore = "a part of hostile_shapes_cost_what_their_size_allows"]
fn one_shape() {
    let Some(file) = env::var_os(SHAPE) else { return };
    let cbor = fs::read(file).unwrap();
    let before = start_of_peak();
    let start = Instant::now();
    let verdict = BatchInput::from_cbor(&cbor).map_err(|_| "unreadable").and_then(verdict);
    let nanoseconds = start.elapsed().as_nanos();
    let memory = peak() - before;
    println!("\n{SHAPE} {} {nanoseconds} {memory} {}", cbor.len(), verdict.err().unwrap_or("verified"));
}

/// Resets the kernel's record of the process's peak memory; returns the memory in use now, in bytes.
fn start_of_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

/// The process's peak memory, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn more_paths_than_a_batch_can_touch_are_not_looked_at() {
    let input =
        changed(honest(2), |input| input.merkle_paths.merkle_paths = vec![bare_path(U256::one()); (1 << 20) + 1]);
    assert_eq!(judge(input), Err("too_many_paths"));
}

fn interop_root(sides: usize) -> InteropRoot {
    InteropRoot { chain_id: L2ChainId::from(271_u32), block_number: 1, sides: vec![H256::repeat_byte(1); sides] }
}

#[test]
fn interop_roots_have_the_room_that_the_version_gives_them() {
    let forged = |version, roots: Vec<InteropRoot>| {
        let mut input = honest(1);
        (input.system_env.version, input.vm_run_data.protocol_version) = (version, version);
        input.l1_batch_env.first_l2_block.interop_roots = roots.clone();
        input.l2_blocks_execution_data[0].interop_roots = roots;
        judge(input).unwrap_err()
    };
    assert_eq!(forged(ProtocolVersionId::VERSION_28, vec![interop_root(1)]), "too_many_interop_roots");
    assert_eq!(forged(ProtocolVersionId::VERSION_29, vec![interop_root(1); 101]), "too_many_interop_roots");
    assert_eq!(forged(ProtocolVersionId::VERSION_29, vec![interop_root(2)]), "interop_root_sides");
    assert_eq!(forged(ProtocolVersionId::VERSION_29, vec![interop_root(0)]), "interop_root_sides");
}

/// The machine takes the first block's roots from the environment and never looks at the list's.
#[test]
fn interop_roots_of_the_first_block_are_the_environments() {
    let mut input = honest(1);
    let version = ProtocolVersionId::VERSION_29;
    (input.system_env.version, input.vm_run_data.protocol_version) = (version, version);
    input.l1_batch_env.first_l2_block.interop_roots.push(interop_root(1));
    assert_eq!(judge(input).unwrap_err(), "first_block");
}

/// The last block is not executed: roots there would be listed and reach no contract.
#[test]
fn interop_roots_in_the_block_that_is_not_executed() {
    let mut input = seal(signed(transfers(1)).chunks(1).map(<[_]>::to_vec).collect());
    input.system_env.version = ProtocolVersionId::VERSION_29;
    input.vm_run_data.protocol_version = ProtocolVersionId::VERSION_29;
    let root = interop_root(1);
    input.l2_blocks_execution_data.last_mut().unwrap().interop_roots.push(root);
    assert_eq!(judge(input).unwrap_err(), "last_block_interop_roots");
}

/// At a few bytes each, these would take many times their own size in memory.
#[test]
fn long_lists_of_short_entries_are_not_read() {
    let mut input = honest(1);
    let unreadable = |input: &BatchInput| {
        let (mut json, mut cbor) = (Vec::new(), Vec::new());
        input.to_json(&mut json).unwrap();
        input.to_cbor(&mut cbor).unwrap();
        let json = matches!(BatchInput::from_json(&json), Err(InputError::Json(_)));
        let cbor = matches!(BatchInput::from_cbor(&cbor), Err(InputError::Cbor(_)));
        assert_eq!(json, cbor);
        json
    };
    assert!(!unreadable(&input));
    let many = Kept::new(vec![(0, U256::zero()); (1 << 21) + 1]).unwrap();
    let heap = std::mem::replace(&mut input.vm_run_data.initial_heap_content, many);
    assert!(unreadable(&input));
    input.vm_run_data.initial_heap_content = heap;

    let many: BTreeMap<U256, Vec<[u8; 32]>> = (0..=1 << 16).map(|hash| (U256::from(hash), vec![])).collect();
    let bytecodes = std::mem::replace(&mut input.vm_run_data.used_bytecodes, many);
    assert!(unreadable(&input));
    input.vm_run_data.used_bytecodes = bytecodes;

    let last = input.l2_blocks_execution_data.last().unwrap().clone();
    input.l2_blocks_execution_data.resize(10_002, last);
    assert!(unreadable(&input));
    input.l2_blocks_execution_data.truncate(2);
    assert!(!unreadable(&input));
}

/// Long inputs are read as they arrive, and short ones from memory.
#[test]
fn long_inputs_are_read_like_short_ones() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;

    let mut input = honest(1);
    let mut json = Vec::new();
    input.to_json(&mut json).unwrap();
    let long =
        |rest: &mut dyn Read| BatchInput::read(io::repeat(b' ').take(65 << 20).chain(rest), InputForm::Json, u64::MAX);
    assert_eq!(long(&mut &json[..]).unwrap(), input);
    assert!(matches!(long(&mut json.chain(&b"{}"[..])), Err(InputError::Json(_))));
    assert!(matches!(long(&mut &json[..json.len() - 1]), Err(InputError::Json(_))));
    assert!(matches!(long(&mut json[..9].chain(Broken)), Err(InputError::Read(error)) if is_reset(&error)));
    assert!(matches!(long(&mut io::repeat(b' ')), Err(InputError::TooLarge { limit: MAX_INPUT_BYTES })));

    input.vm_run_data.storage_refunds = Kept::new(vec![0; 65 << 20]).unwrap();
    let mut cbor = Vec::new();
    input.to_cbor(&mut cbor).unwrap();
    let read = |from: &mut dyn Read| BatchInput::read(from, InputForm::Cbor, u64::MAX);
    assert_eq!(read(&mut &cbor[..]).unwrap(), input);
    assert!(matches!(read(&mut cbor.chain(&[0][..])), Err(InputError::TrailingBytes)));
    assert!(matches!(read(&mut &cbor[..cbor.len() - 1]), Err(InputError::Cbor(_))));
    assert!(matches!(read(&mut cbor[..65 << 20].chain(Broken)), Err(InputError::Read(error)) if is_reset(&error)));

    // The largest size that is allowed, and one byte more.
    let limit = json.len() as u64;
    assert!(BatchInput::read(&json[..], InputForm::Json, limit).is_ok());
    for (bytes, form) in [(&json, InputForm::Json), (&cbor, InputForm::Cbor)] {
        let limit = bytes.len() as u64 - 1;
        let less = BatchInput::read(&bytes[..], form, limit);
        assert!(matches!(less, Err(InputError::TooLarge { limit: got }) if got == limit));
    }
}

/// A batch with a bootloader of its own, four instructions per word. Such a batch is bounded, too: by the gas of a
/// batch, and by the machine's limits where gas is no bound.
fn with_bootloader(instructions: &[u64]) -> BatchInput {
    let mut code: Vec<u8> = instructions.iter().flat_map(|instruction| instruction.to_be_bytes()).collect();
    code.resize(3 * 32, 0);
    changed(honest(1), |input| {
        let contract = &mut input.system_env.base_system_smart_contracts.bootloader;
        contract.hash = H256(era_code_hash(&code));
        contract.code = code.clone();
        input.vm_run_data.bootloader_code = code.as_chunks().0.to_vec();
    })
}

#[test]
fn a_bootloader_of_ones_own_is_bounded() {
    const NEAR_CALL: u64 = 1039;
    const ADD_CODE_WORD: u64 = 65;
    const HEAP_WRITE: u64 = 1077;
    let register = |number: u64, shift: u64| number << shift;
    // Calls itself forever.
    assert_eq!(judge(with_bootloader(&[NEAR_CALL])), Err("machine_limit"));
    // Takes the offset from the second word of its code and writes there.
    let far = [ADD_CODE_WORD | register(1, 24) | 1 << 32, HEAP_WRITE | register(1, 16), 0, 0, 0, 0, 0, 0xffff_ff00];
    assert_eq!(judge(with_bootloader(&far)), Err("machine_limit"));
}
