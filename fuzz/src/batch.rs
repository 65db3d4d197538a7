//! Decoders of batch inputs, and of the two blobs that a zksync-era node stores for a batch.

use serde::{Serialize, de::DeserializeOwned};
use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{BatchInput, InputForm, MerklePaths, Options, U256, VmRunData, input::Kept};

/// `{"V1": …}` in JSON, and then the verifier.
pub fn batch_json(data: &[u8]) {
    if let Ok(input) = BatchInput::from_json(data) {
        follow(input);
    }
}

/// The same in CBOR.
pub fn batch_cbor(data: &[u8]) {
    if let Ok(input) = BatchInput::from_cbor(data) {
        follow(input);
    }
}

/// The same in CBOR under zstd, as the prover receives it.
pub fn batch_zstd(data: &[u8]) {
    let Ok(plain) = zstd::Decoder::with_buffer(data) else { return };
    let _ = BatchInput::read(plain, InputForm::Cbor, u64::MAX);
}

/// A decoded input reads back from both forms, and its verification ends.
fn follow(input: BatchInput) {
    let (mut json, mut cbor) = (Vec::new(), Vec::new());
    input.to_json(&mut json).expect("what was decoded can be encoded as JSON");
    input.to_cbor(&mut cbor).expect("what was decoded can be encoded as CBOR");
    assert!(BatchInput::from_json(&json).is_ok_and(|again| again == input), "JSON gives another input");
    assert!(BatchInput::from_cbor(&cbor).is_ok_and(|again| again == input), "CBOR gives another input");
    let _ = tee_verifier::verify(input, &Options::danger_any_code());
}

/// `vm_run_data_{n}.cbor` and `merkle_tree_paths_{n}.cbor` of a zksync-era node's object store.
pub fn era_blobs(data: &[u8]) {
    read_back::<VmRunData>(data);
    read_back::<MerklePaths>(data);
}

fn read_back<T: DeserializeOwned + Serialize + PartialEq>(cbor: &[u8]) {
    let Ok(value) = cbor4ii::serde::from_slice::<T>(cbor) else { return };
    let again = cbor4ii::serde::to_vec(Vec::new(), &value).expect("what was decoded can be encoded");
    assert!(cbor4ii::serde::from_slice::<T>(&again).is_ok_and(|again| again == value), "another value");
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    vec![encoded(|input, to| input.to_json(to))]
}

pub(crate) fn cbor_seeds() -> Vec<Vec<u8>> {
    vec![encoded(|input, to| input.to_cbor(to))]
}

pub(crate) fn zstd_seeds() -> Vec<Vec<u8>> {
    let compressed = cbor_seeds().into_iter().map(|cbor| zstd::encode_all(&cbor[..], zstd::DEFAULT_COMPRESSION_LEVEL));
    compressed.map(|seed| seed.expect("memory takes it")).collect()
}

pub(crate) fn era_blob_seeds() -> Vec<Vec<u8>> {
    let BatchInput { vm_run_data, merkle_paths, .. } = fragment();
    let encoded = [cbor4ii::serde::to_vec(vec![], &vm_run_data), cbor4ii::serde::to_vec(vec![], &merkle_paths)];
    encoded.map(|blob| blob.expect("memory takes it")).into()
}

fn encoded(write: impl FnOnce(&BatchInput, &mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&fragment(), &mut bytes).expect("memory takes it");
    bytes
}

/// A batch of the devnet with a little of everything: small enough to be changed byte by byte.
fn fragment() -> BatchInput {
    let mut input = second_batch(Load { transactions: 1, cold_reads: 0, l1_transactions: 1 });
    let data = &mut input.vm_run_data;
    data.used_bytecodes = data.used_bytecodes.pop_first().into_iter().collect();
    data.used_bytecodes.values_mut().for_each(|code| code.truncate(1));
    data.initial_heap_content = Kept::new([(0, U256::zero()), (7, U256::MAX)]).expect("memory takes it");
    data.bootloader_code.truncate(1);
    data.storage_refunds = Kept::new([0, 2_000]).expect("memory takes it");
    data.pubdata_costs = Kept::new([-1, 65]).expect("memory takes it");
    let claims = &mut data.witness_block_state;
    claims.read_storage_key = claims.read_storage_key.drain().take(2).collect();
    claims.is_write_initial = claims.is_write_initial.drain().take(2).collect();
    input.merkle_paths.merkle_paths.truncate(3);
    input.merkle_paths.merkle_paths.iter_mut().for_each(|path| path.merkle_paths.truncate(2));
    let contracts = &mut input.system_env.base_system_smart_contracts;
    contracts.bootloader.code.truncate(32);
    contracts.default_aa.code.truncate(32);
    input
}

/// A batch of the devnet's own traffic, after one with the recorded transaction alone.
pub(crate) fn second_batch(load: Load) -> BatchInput {
    let mut chain = Chain::new(Genesis::sepolia().expect("the recorded run is there"));
    let mut seal = |load| chain.seal(load).expect("the devnet's traffic makes batches").input;
    seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 });
    seal(load)
}
