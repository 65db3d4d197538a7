//! EVM transactions: contracts of the EVM, run by the chain's emulator. The judge is the legacy VM, which nodes rely
//! on.
//!
//! No batch at hand has everything that they need. State and system contracts are version 29's; the emulator is from a
//! node of version 31. Four contracts that no batch shows have stand-ins: the emulator's gas manager (0x8013), which
//! serves every caller; the store of EVM hashes (0x8015) and the predeploys' manager (0x8014), which answer zero; and
//! the oracle of code (0x8012).

use std::sync::LazyLock;

use tee_devnet::{Account, Call, Chain, Genesis, slots};
use tee_verifier::{
    Address, BatchInput, H256, StorageKey, U256,
    input::{ExecuteTransactionCommon, Transaction, TransactionType},
    keccak256,
};

use crate::{
    contracts::{assemble, era_batch, place, version_29},
    scene::judge,
    second_opinion::seal_as_both,
};

const DEPLOYER: u64 = 0x8006;
const ACCOUNT: u32 = 3;
const FACTORY: Address = Address::repeat_byte(0xfa);

static CHAIN: LazyLock<Option<Chain>> = LazyLock::new(|| {
    let mut shown = version_29()?;
    let emulator = era_batch("v31-mix40")?.system_env.base_system_smart_contracts.evm_emulator;
    shown.system_env.base_system_smart_contracts.evm_emulator = Some(emulator.unwrap());
    place(&mut shown, FACTORY, &assemble(include_str!("factory.asm")));
    place(&mut shown, Address::from_low_u64_be(0x8012), &assemble(include_str!("code_oracle.asm")));
    place(&mut shown, Address::from_low_u64_be(0x8013), &assemble(include_str!("gas_manager.asm")));
    for address in [0x8014, 0x8015] {
        place(&mut shown, Address::from_low_u64_be(address), &assemble(include_str!("zero.asm")));
    }
    let mut chain = Chain::new(Genesis::from_batch(shown));
    // Which code may be deployed: 1 means EraVM and EVM code.
    let number = H256::from_low_u64_be;
    chain.set_slot(&StorageKey::new(Address::from_low_u64_be(DEPLOYER), number(1)), number(1));
    Some(chain)
});

/// An account's transaction of an Ethereum type; without a recipient it deploys.
fn transaction(nonce: u32, to: Option<Address>, calldata: Vec<u8>, gas_limit: u64) -> Transaction {
    let mut account = Account::new(ACCOUNT);
    let call = Call { calldata, ..Call::transfer(Address::zero(), U256::zero()) };
    let mut transaction = account.transaction(call);
    transaction.execute.contract_address = to;
    if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data {
        common.nonce = nonce;
        common.transaction_type = TransactionType::EIP1559Transaction;
        common.fee.gas_limit = gas_limit.into();
    }
    account.sign_transaction(transaction, 270_u32.into())
}

/// The address of an account's first deployment: from the RLP of its address and its nonce.
fn deployed(nonce: u8) -> Address {
    let nonce = if nonce == 0 { 0x80 } else { nonce };
    let encoded = [&[0xd6, 0x94], Account::new(ACCOUNT).address().as_bytes(), &[nonce]].concat();
    Address::from_slice(&keccak256(&encoded)[12..])
}

/// The code of a contract that adds one to its first slot.
const COUNTER: [u8; 10] = [0x60, 1, 0x60, 0, 0x54, 1, 0x60, 0, 0x55, 0];

/// The init code that deploys this code.
fn init_code(code: &[u8]) -> Vec<u8> {
    let length = code.len() as u8;
    [&[0x60, length, 0x60, 12, 0x60, 0, 0x39, 0x60, length, 0x60, 0, 0xf3], code].concat()
}

/// Whether a hash is that of EVM code.
fn is_evm_code(hash: &U256) -> bool {
    hash.byte(31) == 2
}

/// Asserts that chain, verifier and legacy VM agree.
#[track_caller]
fn sealed(chain: &mut Chain, transactions: Vec<Transaction>) -> Option<BatchInput> {
    let sealed = seal_as_both(chain, vec![transactions])?;
    assert_eq!(judge(sealed.input.clone()).map(|verified| verified.root()), Ok(sealed.root));
    Some(sealed.input)
}

fn slot(chain: &Chain, address: Address, number: u64) -> U256 {
    let key = StorageKey::new(address, H256::from_low_u64_be(number)).hashed_key_u256();
    U256::from_big_endian(&chain.prove(&key).value_read)
}

fn first_slot(chain: &Chain, address: Address) -> U256 {
    slot(chain, address, 0)
}

fn is_deployed(chain: &Chain, address: Address) -> bool {
    chain.prove(&slots::account_code(&address).hashed_key_u256()).value_read != [0; 32]
}

/// Calls a contract, calls it as one that may change nothing, runs its code as its own, asks for its size, and creates
/// an empty contract. The answers go into slots 1 to 5.
fn caller_of(contract: Address) -> Vec<u8> {
    // With 50,000 of the EVM's gas: a call that fails burns all of it.
    let call = |arguments: usize, operation: u8| {
        [&[0x60, 0].repeat(arguments)[..], &push(contract), &[0x62, 0, 0xc3, 0x50, operation]].concat()
    };
    let told = [
        call(5, 0xf1),
        call(4, 0xfa),
        call(4, 0xf4),
        [&push(contract)[..], &[0x3b]].concat(),
        // The last five bytes of a word: code that deploys nothing.
        vec![0x64, 0x60, 0, 0x60, 0, 0xf3, 0x60, 0, 0x52, 0x60, 5, 0x60, 27, 0x60, 0, 0xf0],
    ];
    told.into_iter().zip(1..).flat_map(|(told, number)| [told, vec![0x60, number, 0x55]].concat()).collect()
}

fn push(address: Address) -> Vec<u8> {
    [&[0x73], address.as_bytes()].concat()
}

#[test]
fn a_contract_of_the_evm_is_deployed_and_called_as_the_legacy_vm_has_it() {
    let Some(mut chain) = CHAIN.clone() else { return };
    let call = |nonce| transaction(nonce, Some(deployed(0)), vec![], 30_000_000);
    let deploy = transaction(0, None, init_code(&COUNTER), 60_000_000);
    let input = sealed(&mut chain, vec![deploy, call(1), call(2)]).unwrap();
    assert_eq!(first_slot(&chain, deployed(0)), 2.into());
    assert!(input.vm_run_data.used_bytecodes.keys().any(is_evm_code));
    // Code that the batch did not deploy must be in its input.
    let mut input = sealed(&mut chain, vec![call(3)]).unwrap();
    assert_eq!(first_slot(&chain, deployed(0)), 3.into());
    input.vm_run_data.used_bytecodes.retain(|hash, _| !is_evm_code(hash));
    assert_eq!(judge(input).unwrap_err(), "bytecode_missing");
}

/// A node keeps no code whose deployment is undone, so its input lacks the code, although it ran. Any user can make
/// this happen.
#[test]
fn code_that_is_deployed_called_and_undone_is_known_from_its_deployment() {
    let Some(mut chain) = CHAIN.clone() else { return };
    let code = init_code(&COUNTER);
    let head = [H256::from_low_u64_be(0x20).0, H256::from_low_u64_be(code.len() as u64).0].concat();
    let mut padded = code.clone();
    padded.resize(code.len().next_multiple_of(32), 0);
    let create = [&keccak256(b"createEVM(bytes)")[..4], &head, &padded].concat();
    let sealed = seal_as_both(&mut chain, vec![vec![transaction(0, Some(FACTORY), create, 60_000_000)]]).unwrap();
    let mut input = sealed.input;
    let all = input.vm_run_data.used_bytecodes.len();
    input.vm_run_data.used_bytecodes.retain(|hash, _| !is_evm_code(hash));
    assert_eq!(input.vm_run_data.used_bytecodes.len(), all - 1);
    assert_eq!(judge(input).map(|verified| verified.root()), Ok(sealed.root));
}

/// EVM contracts call each other with each other's gas, as on the legacy VM: first with enough of it, then with less
/// and less.
#[test]
fn contracts_of_the_evm_call_create_and_fail_each_other_as_the_legacy_vm_has_it() {
    let Some(mut chain) = CHAIN.clone() else { return };
    let (counter, caller) = (deployed(0), deployed(1));
    let deployments = vec![
        transaction(0, None, init_code(&COUNTER), 60_000_000),
        transaction(1, None, init_code(&caller_of(counter)), 60_000_000),
    ];
    sealed(&mut chain, deployments).unwrap();
    assert!(is_deployed(&chain, counter) && is_deployed(&chain, caller));
    let call = |gas_limit| transaction(2, Some(caller), vec![], gas_limit);
    let mut counts = Vec::new();
    for step in 0..14 {
        let mut chain = chain.clone();
        let in_batch = sealed(&mut chain, vec![call((0..step).fold(72_000_000, |gas, _| gas * 7 / 10))]).is_some();
        if step == 0 {
            let told = [1, 2, 3, 4].map(|number| slot(&chain, caller, number).as_u64());
            assert_eq!(told, [1, 0, 1, COUNTER.len() as u64]);
            assert!(!slot(&chain, caller, 5).is_zero());
        }
        counts.push(in_batch.then(|| (first_slot(&chain, counter).as_u64(), first_slot(&chain, caller).as_u64())));
    }
    println!("what the called one counted, and the caller with its code: {counts:?}");
    assert!(counts.starts_with(&[Some((1, 1))]) && counts.contains(&Some((0, 0))), "{counts:?}");
}

#[test]
fn deployments_that_fail_end_as_the_legacy_vm_has_them() {
    let Some(chain) = CHAIN.clone() else { return };
    let mut ends = Vec::new();
    let sweep = (0..14_u64).map(|step| (init_code(&COUNTER), (0..step).fold(60_000, |gas, _| gas * 8 / 5)));
    // Reverts, an invalid instruction, code with a first byte that is not allowed, nothing, an endless loop, code that
    // is too long.
    let failing = [
        vec![0x60, 0, 0x60, 0, 0xfd],
        vec![0xfe],
        init_code(&[0xef, 1]),
        vec![],
        vec![0x5b, 0x60, 0, 0x56],
        vec![0x62, 0, 0x80, 0, 0x60, 0, 0xf3],
    ];
    let failing = failing.into_iter().map(|code| (code, 20_000_000));
    for (code, gas_limit) in sweep.chain(failing) {
        let mut chain = chain.clone();
        let after = Account::new(4).sign(Call::transfer(Address::repeat_byte(1), U256::one()), 270_u32.into());
        let input = sealed(&mut chain, vec![transaction(0, None, code, gas_limit), after]);
        ends.push(input.map(|_| is_deployed(&chain, deployed(0))));
    }
    println!("in the batch, and deployed: {ends:?}");
    assert!(ends.contains(&None) && ends.contains(&Some(false)) && ends.contains(&Some(true)), "{ends:?}");
}
