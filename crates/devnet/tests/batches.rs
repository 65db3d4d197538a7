//! Batches of the devnet, judged by the verifier.

use std::{fs::File, path::PathBuf};

use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{BatchInput, Options, verify};
use zksync_types::{ACCOUNT_CODE_STORAGE_ADDRESS, H256, StorageKey};

fn load(transactions: usize) -> Load {
    Load { transactions, cold_reads: 0, l1_transactions: 0 }
}

#[test]
fn ten_batches_in_a_row_verify_each_on_the_root_of_the_one_before() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let mut root = chain.root();
    for _ in 0..10 {
        let sealed = chain.seal(load(20)).unwrap();
        let verified = verify(sealed.input, Options::default()).unwrap();
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
    // Of every ten transactions one writes three fresh slots in a frame that is rolled back and then the last of them
    // once more; of every twenty one reverts as a whole after writing two.
    assert_eq!(verify(sealed.input, Options::default()).unwrap().rolled_back_slots(), 2 * 2 + 2);
}

#[test]
fn cold_reads_come_with_a_path_each() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let sealed = chain.seal(Load { transactions: 2, cold_reads: 5_000, l1_transactions: 0 }).unwrap();
    assert!(sealed.input.merkle_paths.merkle_paths.len() > 5_000);
    let verified = verify(sealed.input, Options::default()).unwrap();
    assert_eq!((verified.root(), verified.transactions()), (sealed.root, 4));
}

#[test]
fn l1_deposits_are_counted_in_the_system_logs() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let sealed = chain.seal(Load { transactions: 5, cold_reads: 0, l1_transactions: 3 }).unwrap();
    let verified = verify(sealed.input, Options::default()).unwrap();
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
            assert!(verify(forged, Options::default()).is_err(), "entry {entry}, written: {written}");
        }
    }
}

/// The folder with real batches, or nothing where `TEE_TEST_DATA` does not name it. CI must have it.
fn data() -> Option<PathBuf> {
    match std::env::var_os("TEE_TEST_DATA") {
        Some(folder) => Some(PathBuf::from(folder).join("era-batches")),
        None if std::env::var_os("CI").is_some() => panic!("TEE_TEST_DATA is not set"),
        None => {
            println!("skipped: TEE_TEST_DATA is not set");
            None
        }
    }
}

/// Where the batch shows no compressor, a deployment's first attempt fails and is undone, as on a node.
#[test]
fn a_chain_builds_on_the_state_that_a_real_batch_shows() {
    let Some(folder) = data() else { return };
    for name in ["v26-transfers-200", "v29-mixed-40", "v29-l1-30", "v29-rollback-30", "v29-chain-3"] {
        let json = zstd::decode_all(File::open(folder.join(format!("{name}.json.zst"))).unwrap()).unwrap();
        let mut chain = Chain::new(Genesis::from_batch(BatchInput::from_json(&json).unwrap()));
        for _ in 0..2 {
            let previous_root = chain.root();
            let sealed = chain.seal(Load { transactions: 20, cold_reads: 30, l1_transactions: 2 }).unwrap();
            let verified = verify(sealed.input, Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((verified.previous_root(), verified.root()), (previous_root, sealed.root), "{name}");
        }
    }
}

#[test]
fn contracts_are_deployed_where_the_genesis_has_a_deployer() {
    let Some(folder) = data() else { return };
    let json = zstd::decode_all(File::open(folder.join("v29-mixed-40.json.zst")).unwrap()).unwrap();
    let mut chain = Chain::new(Genesis::from_batch(BatchInput::from_json(&json).unwrap()));
    let sealed = chain.seal(load(20)).unwrap();
    let code_storage = ACCOUNT_CODE_STORAGE_ADDRESS;
    let claims = &sealed.input.vm_run_data.witness_block_state.is_write_initial;
    let codes = claims.keys().filter(|key| *key.address() == code_storage);
    let written = |key: &StorageKey| {
        let mut paths = sealed.input.merkle_paths.merkle_paths.iter();
        paths.any(|path| path.leaf_hashed_key == key.hashed_key_u256() && path.first_write)
    };
    assert_eq!(codes.filter(|key| written(key)).count(), 1);
}
