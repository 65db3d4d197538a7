//! Batches that look unlike others: upgrades, deposits, interop roots, each supported protocol version.

use tee_devnet::{Account, Action, CONTRACT, Call, Chain, Genesis, deposit, slots, upgrade};
use tee_verifier::{
    Address, H256, L2ChainId, ProtocolVersionId, U256, VerifiedBatch,
    input::{InteropRoot, Transaction},
    l1_transaction_hash,
};

use crate::{
    contracts,
    scene::{chain_blocks, judge},
    second_opinion::seal_as_both,
};

/// The contract that keeps other chains' roots.
const INTEROP_ROOT_STORAGE: u64 = 0x10008;

fn transfer(chain: &Chain) -> Transaction {
    Account::new(0).sign(Call::transfer(Address::repeat_byte(0x22), U256::one()), chain.system().chain_id)
}

fn deposit_of(serial_id: u64) -> Transaction {
    deposit(serial_id, Address::repeat_byte(0x33), U256::exp10(18))
}

fn writing_upgrade() -> Transaction {
    upgrade(ProtocolVersionId::VERSION_26, CONTRACT, Call::storage(Action::Write, 5, 2, 1).calldata)
}

fn sepolia(version: ProtocolVersionId) -> Chain {
    Chain::new(Genesis::sepolia().unwrap().with_version(version))
}

/// A chain of Version29 with its full contracts, which the recorded runs do not hold.
fn version_29() -> Option<Chain> {
    contracts::version_29().map(Genesis::from_batch).map(Chain::new)
}

/// Asserts that verifier and legacy VM agree with the chain.
#[track_caller]
fn verified(chain: &mut Chain, blocks: Vec<Vec<Transaction>>) -> VerifiedBatch {
    let sealed = seal_as_both(chain, blocks).unwrap();
    let verified = judge(sealed.input).unwrap();
    assert_eq!(verified.root(), sealed.root);
    verified
}

/// A system log's value: shard, service flag, transaction and sender (24 bytes in all), key, value.
fn system_log(batch: &VerifiedBatch, key: u64) -> Option<H256> {
    let mut logs = batch.system_logs().chunks(88);
    let log = logs.find(|log| log[24..56] == H256::from_low_u64_be(key).0)?;
    Some(H256::from_slice(&log[56..]))
}

#[test]
fn every_supported_version_agrees_with_the_reference() {
    let versions = [ProtocolVersionId::VERSION_26, ProtocolVersionId::VERSION_27, ProtocolVersionId::VERSION_28];
    for mut chain in versions.map(sepolia).into_iter().chain(version_29()) {
        let blocks = vec![vec![deposit_of(0), transfer(&chain)], vec![deposit_of(1)]];
        let batch = verified(&mut chain, blocks);
        assert_eq!(batch.protocol_version(), chain.system().version);
        assert_eq!((batch.transactions(), batch.l1_transactions()), (3, 2));
    }
}

/// The system logs tell L1 which upgrade it was, and how many deposits there were.
#[test]
fn an_upgrade_and_deposits_are_executed_and_told() {
    let mut chain = sepolia(ProtocolVersionId::VERSION_26);
    let (upgrade, transfer) = (writing_upgrade(), transfer(&chain));
    let hash = l1_transaction_hash(&upgrade);
    let batch = verified(&mut chain, vec![vec![upgrade], vec![deposit_of(0), transfer], vec![deposit_of(1)]]);
    assert_eq!((batch.transactions(), batch.l1_transactions()), (4, 3));
    assert_eq!(system_log(&batch, 3), Some(H256::from_low_u64_be(2)));
    let upgrades: Vec<_> = (0..20).filter(|key| system_log(&batch, *key) == Some(hash)).collect();
    assert_eq!(upgrades, [7]);
}

#[test]
fn an_upgrade_left_out_or_done_twice_is_another_batch() {
    let mut chain = sepolia(ProtocolVersionId::VERSION_26);
    let transfer = transfer(&chain);
    let input = chain.seal_blocks(vec![vec![writing_upgrade(), transfer]]).unwrap().input;
    let judged = |forge: fn(&mut Vec<Transaction>)| {
        let mut forged = input.clone();
        forge(&mut forged.l2_blocks_execution_data[0].txs);
        chain_blocks(&mut forged);
        judge(forged).map(|batch| batch.root())
    };
    assert!(judged(|_| {}).is_ok());
    assert_eq!(judged(|transactions| drop(transactions.remove(0))), Err("written_value"));
    assert_eq!(judged(|transactions| transactions.swap(0, 1)), Err("transaction_halted"));
    assert_eq!(judged(|transactions| transactions.insert(0, transactions[0].clone())), Err("transaction_halted"));
}

/// The bootloader hands the roots to a contract and hashes them into a system log for L1.
#[test]
fn interop_roots_are_executed_and_told() {
    let Some(mut chain) = version_29() else { return };
    // The batch behind this state never called the contract that stores them, so an empty one stands in for it.
    let empty = slots::account_code(&Address::from_low_u64_be(0x8001)).hashed_key_u256();
    let empty = H256(chain.prove(&empty).value_read);
    chain.set_slot(&slots::account_code(&Address::from_low_u64_be(INTEROP_ROOT_STORAGE)), empty);
    let root_of_another_chain = |number: u32| InteropRoot {
        chain_id: L2ChainId::from(271_u32),
        block_number: number,
        sides: vec![H256::from_low_u64_be(number.into())],
    };
    let told = [0, 1, 3].map(|count| {
        let mut chain = chain.clone();
        chain.environment_mut().first_l2_block.interop_roots = (1..=count).map(root_of_another_chain).collect();
        let transfer = transfer(&chain);
        let batch = verified(&mut chain, vec![vec![transfer], vec![deposit_of(0)]]);
        system_log(&batch, 7).unwrap()
    });
    assert!(told[0].is_zero() && !told[1].is_zero() && told[1] != told[2], "{told:?}");
}
