//! Contracts of these tests, on a chain with all system contracts.

use std::fs;

use tee_devnet::slots;
use tee_verifier::{Address, BatchInput, H256, U256, era_code_hash};
use zkevm_assembly::{Assembly, zkevm_opcode_defs::decoding::EncodingModeProduction};

/// A node's batch of version 29, whose state a chain can continue. CI must have the folder.
pub(crate) fn version_29() -> Option<BatchInput> {
    era_batch("v29-mixed-40")
}

/// A batch of a node.
pub(crate) fn era_batch(name: &str) -> Option<BatchInput> {
    let file = test_skips::data()?.join("era-batches").join(format!("{name}.json.zst"));
    let json = zstd::decode_all(&fs::read(file).unwrap()[..]).unwrap();
    Some(BatchInput::from_json(&json).unwrap())
}

/// The code of an assembly text, with an odd number of words.
pub(crate) fn assemble(text: &str) -> Vec<u8> {
    let assembly = Assembly::try_from(text.to_owned());
    let mut words = assembly.unwrap().compile_to_bytecode_for_mode::<8, EncodingModeProduction>().unwrap();
    if words.len().is_multiple_of(2) {
        words.push([0; 32]);
    }
    words.concat()
}

/// Makes a batch show a contract.
pub(crate) fn place(input: &mut BatchInput, address: Address, code: &[u8]) {
    let hash = H256(era_code_hash(code));
    let data = &mut input.vm_run_data;
    data.used_bytecodes.insert(U256::from_big_endian(hash.as_bytes()), code.as_chunks::<32>().0.to_vec());
    let slots = &mut data.witness_block_state.read_storage_key;
    slots.insert(slots::account_code(&address), hash);
    slots.insert(slots::known_code(&hash), H256::from_low_u64_be(1));
}
