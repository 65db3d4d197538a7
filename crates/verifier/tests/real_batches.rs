//! Real batch inputs, as zksync-era's own types wrote them, and the root that each must give.

use std::{fs, io::BufReader, path::PathBuf};

use tee_devnet::{Chain, Genesis, Load};
use tee_reference::reference_root;
use tee_verifier::{Address, BatchInput, H256, MerklePaths, Options, StorageKey, VerifiedBatch, VmRunData, verify};

/// Batches of versions that the published virtual machine knows.
const OLDER: [&str; 10] = [
    "v26-sepolia",
    "v26-transfers-200",
    "v29-chain-1",
    "v29-chain-2",
    "v29-chain-3",
    "v29-l1-30",
    "v29-mixed-40",
    "v29-mixed-400",
    "v29-mixed-2000",
    "v29-rollback-30",
];

/// Batches of version 31.
const VERSION_31: [&str; 10] = [
    "v31-chain-1",
    "v31-chain-2",
    "v31-chain-3",
    "v31-deposits",
    "v31-interop",
    "v31-mix40",
    "v31-mix40-per-path",
    "v31-rolledback",
    "v31-transfers400",
    "v31-validium",
];

fn all() -> impl Iterator<Item = &'static str> {
    OLDER.into_iter().chain(VERSION_31)
}

/// The folder with real batches; `None` if `TEE_TEST_DATA` does not name it. CI must have it.
fn data() -> Option<PathBuf> {
    test_skips::data().map(|folder| folder.join("era-batches"))
}

fn load(folder: &std::path::Path, name: &str) -> BatchInput {
    let compressed = fs::read(folder.join(format!("{name}.json.zst"))).unwrap();
    BatchInput::from_json(&zstd::decode_all(&compressed[..]).unwrap()).unwrap()
}

fn root(folder: &std::path::Path, name: &str) -> H256 {
    fs::read_to_string(folder.join(format!("{name}.root"))).unwrap().trim().parse().unwrap()
}

fn verified(folder: &std::path::Path, name: &str) -> VerifiedBatch {
    verify(load(folder, name), &Options::danger_any_code()).unwrap_or_else(|rejection| panic!("{name}: {rejection}"))
}

#[test]
fn real_batches_verify_and_give_their_roots() {
    let Some(folder) = data() else { return };
    for name in all() {
        assert_eq!(verified(&folder, name).root(), root(&folder, name), "{name}");
    }
}

/// The legacy VM and each path folded in turn give the same root.
#[test]
fn the_reference_agrees_on_every_root() {
    let Some(folder) = data() else { return };
    for name in OLDER {
        assert_eq!(reference_root(&load(&folder, name)).unwrap(), root(&folder, name), "{name}");
    }
}

#[test]
fn batches_of_a_chain_start_where_the_one_before_ended() {
    let Some(folder) = data() else { return };
    for version in ["v29", "v31"] {
        let chain = [1, 2, 3].map(|number| verified(&folder, &format!("{version}-chain-{number}")));
        for pair in chain.windows(2) {
            assert_eq!(pair[1].previous_root(), pair[0].root());
            assert_eq!(pair[1].previous_index(), pair[0].index());
            assert_eq!(pair[1].number().0, pair[0].number().0 + 1);
        }
    }
}

#[test]
fn slots_written_only_in_what_was_rolled_back_need_no_path() {
    let Some(folder) = data() else { return };
    assert_eq!(verified(&folder, "v29-rollback-30").rolled_back_slots(), 8);
}

#[test]
fn system_logs_tell_the_l1_transactions() {
    let Some(folder) = data() else { return };
    let batch = verified(&folder, "v29-l1-30");
    assert_eq!((batch.transactions(), batch.l1_transactions()), (30, 6));
    // A log is shard, service flag, transaction, sender (24 bytes in all), key, value.
    let log = |key: u8| {
        let logs = batch.system_logs().chunks(88);
        let mut of_key = logs.filter(|log| H256::from_slice(&log[24..56]) == H256::from_low_u64_be(key.into()));
        H256::from_slice(&of_key.next().unwrap()[56..])
    };
    let chained_hash = "73ea7b919e963822d5210addfb790cc2feb07b06568cd225097a40e8ef878189";
    assert_eq!([log(2), log(3)], [chained_hash.parse().unwrap(), H256::from_low_u64_be(6)]);
}

#[test]
fn json_and_cbor_round_trips_keep_every_value() {
    let Some(folder) = data() else { return };
    for name in all() {
        let input = load(&folder, name);
        let (mut json, mut cbor) = (Vec::new(), Vec::new());
        input.to_json(&mut json).unwrap();
        input.to_cbor(&mut cbor).unwrap();
        let from_json = BatchInput::from_json(&json).unwrap();
        assert_eq!(from_json, input, "{name}");
        let from_cbor = BatchInput::from_cbor(&cbor).unwrap();
        assert_eq!(from_cbor, input, "{name}");
    }
}

#[test]
fn blobs_of_a_node_s_object_store_read_as_the_same_values() {
    let Some(folder) = data() else { return };
    let input = load(&folder, "v29-mixed-40");
    let blob = |name: &str| BufReader::new(fs::File::open(folder.join(name)).unwrap());
    let run_data: VmRunData = cbor4ii::serde::from_reader(blob("vm_run_data_1.cbor")).unwrap();
    let paths: MerklePaths = cbor4ii::serde::from_reader(blob("merkle_tree_paths_1.cbor")).unwrap();
    assert_eq!(run_data, input.vm_run_data);
    assert_eq!(paths, input.merkle_paths);
}

/// If the batch shows no compressor, a deployment's first attempt fails and is undone, as on a node. Most batches of
/// version 31 show too little of the compressor for anything to be published.
#[test]
fn a_chain_builds_on_the_state_that_a_real_batch_shows() {
    let Some(folder) = data() else { return };
    for name in ["v26-transfers-200", "v29-mixed-40", "v29-l1-30", "v29-rollback-30", "v29-chain-3", "v31-validium"] {
        let mut chain = Chain::new(Genesis::from_batch(load(&folder, name)));
        for _ in 0..2 {
            let previous_root = chain.root();
            let sealed = chain.seal(Load { transactions: 20, cold_reads: 30, l1_transactions: 2 });
            let sealed = sealed.unwrap_or_else(|error| panic!("{name}: {error}"));
            let verified =
                verify(sealed.input, &Options::danger_any_code()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((verified.previous_root(), verified.root()), (previous_root, sealed.root), "{name}");
        }
    }
}

#[test]
fn contracts_are_deployed_where_the_genesis_has_a_deployer() {
    let Some(folder) = data() else { return };
    let mut chain = Chain::new(Genesis::from_batch(load(&folder, "v29-mixed-40")));
    let sealed = chain.seal(Load { transactions: 20, cold_reads: 0, l1_transactions: 0 }).unwrap();
    let code_storage = Address::from_low_u64_be(0x8002);
    let claims = &sealed.input.vm_run_data.witness_block_state.is_write_initial;
    let codes = claims.keys().filter(|key| *key.address() == code_storage);
    let written = |key: &StorageKey| {
        let mut paths = sealed.input.merkle_paths.merkle_paths.iter();
        paths.any(|path| path.leaf_hashed_key == key.hashed_key_u256() && path.first_write)
    };
    assert_eq!(codes.filter(|key| written(key)).count(), 1);
}
