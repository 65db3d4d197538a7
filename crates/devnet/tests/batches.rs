//! Batches of the devnet, judged by the verifier.

use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{H256, Options, verify};

fn load(transactions: usize) -> Load {
    Load { transactions, cold_reads: 0, l1_transactions: 0 }
}

#[test]
fn ten_batches_in_a_row_verify_each_on_the_root_of_the_one_before() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let mut root = chain.root();
    for _ in 0..10 {
        let sealed = chain.seal(load(20)).unwrap();
        let verified = verify(sealed.input, &Options::danger_any_code()).unwrap();
        assert_eq!(verified.previous_root(), root);
        assert_eq!(verified.root(), sealed.root);
        root = sealed.root;
    }
}

#[test]
fn the_mix_rolls_back_writes_that_have_no_path() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    chain.seal(load(20)).unwrap();
    let sealed = chain.seal(load(20)).unwrap();
    // Of every ten transactions, one writes three fresh slots in a frame that is rolled back, and then the last of them
    // once more. Of every twenty, one writes two slots and reverts completely.
    assert_eq!(verify(sealed.input, &Options::danger_any_code()).unwrap().rolled_back_slots(), 2 * 2 + 2);
}

/// Its accounts have sent transactions before.
#[test]
fn a_chain_goes_on_from_a_batch_of_the_devnet() {
    let mut first = Chain::new(Genesis::sepolia().unwrap());
    first.seal(load(20)).unwrap();
    let shown = first.seal(load(20)).unwrap().input;
    let mut chain = Chain::new(Genesis::from_batch(shown));
    for _ in 0..2 {
        let sealed = chain.seal(Load { transactions: 20, cold_reads: 100, l1_transactions: 5 }).unwrap();
        assert_eq!(verify(sealed.input, &Options::danger_any_code()).unwrap().root(), sealed.root);
    }
}

#[test]
fn cold_reads_come_with_a_path_each() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let sealed = chain.seal(Load { transactions: 2, cold_reads: 5_000, l1_transactions: 0 }).unwrap();
    assert!(sealed.input.merkle_paths.merkle_paths.len() > 5_000);
    let verified = verify(sealed.input, &Options::danger_any_code()).unwrap();
    assert_eq!((verified.root(), verified.transactions()), (sealed.root, 4));
}

#[test]
fn l1_deposits_are_counted_in_the_system_logs() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let sealed = chain.seal(Load { transactions: 5, cold_reads: 0, l1_transactions: 3 }).unwrap();
    let verified = verify(sealed.input, &Options::danger_any_code()).unwrap();
    assert_eq!((verified.transactions(), verified.l1_transactions()), (8, 3));
    // Key 3 of the system logs: the number of L1 transactions.
    let mut logs = verified.system_logs().chunks(88);
    let log = logs.find(|log| log[24..56] == H256::from_low_u64_be(3).0).unwrap();
    assert_eq!(H256::from_slice(&log[56..]), H256::from_low_u64_be(3));
}

#[test]
fn any_other_value_of_a_read_or_a_write_is_rejected() {
    let sealed = Chain::new(Genesis::sepolia().unwrap()).seal(load(10)).unwrap();
    for entry in 0..sealed.input.merkle_paths.merkle_paths.len() {
        for written in [false, true] {
            let mut forged = sealed.input.clone();
            let path = &mut forged.merkle_paths.merkle_paths[entry];
            if written {
                path.value_written[31] ^= 1
            } else {
                path.value_read[31] ^= 1
            }
            assert!(verify(forged, &Options::danger_any_code()).is_err(), "entry {entry}, written: {written}");
        }
    }
}
