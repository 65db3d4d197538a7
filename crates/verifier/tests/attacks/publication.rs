//! Deployments. The legacy VM, which nodes rely on, judges which publications fail and are undone.

use std::collections::BTreeMap;

use tee_devnet::{Account, Action, CONTRACT, Call, Chain, Genesis, deposit, slots};
use tee_verifier::{
    Address, BatchInput, H256, U256, era_code_hash,
    input::{ExecuteTransactionCommon, Transaction},
    keccak256,
};

use crate::{contracts::version_29, scene::judge, second_opinion::seal_as_both};

/// The system contract that deploys.
const DEPLOYER: u64 = 0x8006;
const WORD: usize = 32;

/// A chain with the real deployer, compressor and registry of known codes.
fn chain() -> Option<Chain> {
    version_29().map(Genesis::from_batch).map(Chain::new)
}

/// A bytecode that nobody has seen: its words are all alike except one, or its chunks never repeat.
fn code(words: usize, compressible: bool, salt: u64) -> Vec<u8> {
    let mut code = vec![0; words * WORD];
    if !compressible {
        for (number, chunk) in code.chunks_mut(WORD).enumerate() {
            chunk.copy_from_slice(&keccak256(&[salt.to_be_bytes(), (number as u64).to_be_bytes()].concat()));
        }
    }
    code[words * WORD - 8..].copy_from_slice(&salt.to_be_bytes());
    code
}

fn deployment(code: Vec<u8>) -> Call {
    let number = |number| H256::from_low_u64_be(number).0;
    // No salt, the hash, and the place and number of the constructor's arguments.
    let arguments = [number(0), era_code_hash(&code), number(0x60), number(0)];
    let calldata = [&keccak256(b"create(bytes32,bytes32,bytes)")[..4], arguments.as_flattened()].concat();
    Call { to: Address::from_low_u64_be(DEPLOYER), value: U256::zero(), calldata, factory_deps: vec![code] }
}

/// A call from an account's first nonce.
fn signed(chain: &Chain, account: u32, call: Call, gas_limit: u64) -> Transaction {
    let mut account = Account::new(account);
    let mut transaction = account.transaction(call);
    if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data {
        common.fee.gas_limit = gas_limit.into();
    }
    account.sign_transaction(transaction, chain.system().chain_id)
}

#[track_caller]
fn sealed(chain: &Chain, transactions: Vec<Transaction>) -> Option<(BatchInput, H256)> {
    let sealed = seal_as_both(&mut chain.clone(), vec![transactions])?;
    Some((sealed.input, sealed.root))
}

/// Whether the batch writes that the code is known.
fn publishes(input: &BatchInput, code: &[u8]) -> bool {
    let key = slots::known_code(&H256(era_code_hash(code))).hashed_key_u256();
    input.merkle_paths.merkle_paths.iter().any(|path| path.leaf_hashed_key == key && path.is_write)
}

/// Gas limits at which validation, publication, and construction each run out, and sizes on both sides of what can be
/// compressed.
#[test]
fn deployments_of_all_sizes_and_gas_limits_end_as_the_legacy_vm_has_them() {
    let Some(chain) = chain() else { return };
    let mut ends: BTreeMap<(usize, bool), [usize; 3]> = BTreeMap::new();
    for (words, compressible) in [(33, false), (201, true), (201, false), (2_001, true)] {
        for step in 0..11_u64 {
            // 240,000 to 26 million.
            let gas_limit = (0..step).fold(240_000, |gas, _| gas * 8 / 5);
            let code = code(words, compressible, step);
            let attacked = signed(&chain, 0, deployment(code.clone()), gas_limit);
            let after = signed(&chain, 1, Call::transfer(Address::repeat_byte(0x22), U256::one()), 30_000_000);
            let end = match sealed(&chain, vec![attacked, after]) {
                None => 0,
                Some((input, root)) => {
                    let end = 1 + usize::from(publishes(&input, &code));
                    let verdict = judge(input).map(|verified| verified.root());
                    assert_eq!(verdict, Ok(root), "{words} words, compressible: {compressible}, gas {gas_limit}");
                    end
                }
            };
            ends.entry((words, compressible)).or_default()[end] += 1;
        }
    }
    println!("by words and kind: not sealed, undone, published: {ends:?}");
    let all: Vec<usize> = (0..3).map(|end| ends.values().map(|ends| ends[end]).sum()).collect();
    assert!(all[1] > 5 && all[2] > 5, "{all:?}");
}

/// Dependencies that repeat, that are known already, and that a later transaction publishes once more.
#[test]
fn known_and_repeated_dependencies_end_as_the_legacy_vm_has_them() {
    let Some(chain) = chain() else { return };
    let (one, other) = (code(33, false, 1), code(101, true, 2));
    let with = |codes: &[&Vec<u8>]| Call {
        factory_deps: codes.iter().map(|code| (*code).clone()).collect(),
        ..deployment(codes[0].clone())
    };
    let calls = [
        (with(&[&one, &one]), 700_000),
        (with(&[&one, &one, &other]), 30_000_000),
        (with(&[&other, &one]), 30_000_000),
        (with(&[&other]), 500_000),
        (with(&[&code(201, false, 3), &one]), 900_000),
        (with(&[&code(201, false, 3), &one]), 30_000_000),
    ];
    let calls = calls.into_iter().zip(0..);
    let transactions = calls.map(|((call, gas_limit), account)| signed(&chain, account, call, gas_limit)).collect();
    let (input, root) = sealed(&chain, transactions).unwrap();
    assert!(publishes(&input, &one) && publishes(&input, &other));
    assert_eq!(judge(input).map(|verified| verified.root()), Ok(root));
}

/// Compressed, they would fill more than their region of the bootloader's memory. Behind it lie the number and the
/// chained hash of L1 transactions, which the system logs tell L1.
#[test]
fn dependencies_larger_than_their_place_write_over_nothing() {
    let Some(chain) = chain() else { return };
    let deposit = || deposit(0, Address::repeat_byte(0x33), U256::exp10(18));
    let logs = |more: Vec<Transaction>| {
        let (input, root) = sealed(&chain, [vec![deposit()], more].concat()).unwrap();
        let verified = judge(input).unwrap();
        assert_eq!(verified.root(), root);
        let log = |key: u64| {
            let mut logs = verified.system_logs().chunks(88);
            let found =
                logs.find(|log| log[2..24].ends_with(&[0x80, 1]) && log[24..56] == H256::from_low_u64_be(key).0);
            H256::from_slice(&found.unwrap()[56..])
        };
        [log(2), log(3)]
    };
    let honest = logs(vec![signed(&chain, 1, Call::transfer(Address::repeat_byte(0x22), U256::one()), 30_000_000)]);
    assert_eq!(honest[1], H256::from_low_u64_be(1));
    for words in [65_535, 49_153] {
        let factory_deps = (0..3).map(|salt| code(words, true, salt)).collect();
        let call = Call { factory_deps, ..Call::transfer(Address::repeat_byte(0x22), U256::one()) };
        assert_eq!(logs(vec![signed(&chain, 0, call, 1_000_000)]), honest, "{words}");
    }
}

/// The first attempt finds the code missing and is undone. What stood in for the missing code must not run later
/// either.
#[test]
fn code_left_out_of_an_attempt_that_is_undone_never_runs_as_something_else() {
    let Some(chain) = chain() else { return };
    let call = |action| Call::storage(action, 100, 2, 1);
    let with_dependency = |action| Call { factory_deps: vec![code(33, true, 1)], ..call(action) };
    for (first, later) in [
        (with_dependency(Action::Write), call(Action::Write)),
        (with_dependency(Action::Read), call(Action::Write)),
        (with_dependency(Action::WriteAndRevert), call(Action::Read)),
    ] {
        for gas_limit in [1_000_000, 30_000_000] {
            let transactions =
                vec![signed(&chain, 0, first.clone(), gas_limit), signed(&chain, 1, later.clone(), 30_000_000)];
            let Some((mut input, _)) = sealed(&chain, transactions) else { continue };
            assert!(judge(input.clone()).is_ok());
            let hash = H256(chain.prove(&slots::account_code(&CONTRACT).hashed_key_u256()).value_read);
            assert!(input.vm_run_data.used_bytecodes.remove(&U256::from_big_endian(hash.as_bytes())).is_some());
            assert_eq!(judge(input).unwrap_err(), "bytecode_missing", "gas {gas_limit}");
        }
    }
}
