//! The batch input's wire format a second time, in types with derived decoders, as a comparison for the verifier's own decoding.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_bytes::ByteArray;
use tee_verifier::{
    InputForm, L1BatchNumber, ProtocolVersionId, U256,
    input::{L1BatchEnv, L2BlockExecutionData, PubdataParams, SystemEnv, WitnessStorageState},
};

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the time that it takes")]
pub(super) enum Envelope {
    V1(Box<Input>),
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the time that it takes")]
pub(super) struct Input {
    vm_run_data: RunData,
    merkle_paths: Paths,
    l2_blocks_execution_data: Vec<L2BlockExecutionData>,
    l1_batch_env: L1BatchEnv,
    system_env: SystemEnv,
    pubdata_params: PubdataParams,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the time that it takes")]
struct RunData {
    l1_batch_number: L1BatchNumber,
    used_bytecodes: BTreeMap<U256, Vec<[u8; 32]>>,
    initial_heap_content: Vec<(usize, U256)>,
    protocol_version: ProtocolVersionId,
    bootloader_code: Vec<[u8; 32]>,
    default_account_code_hash: U256,
    evm_emulator_code_hash: Option<U256>,
    storage_refunds: Vec<u32>,
    pubdata_costs: Vec<i32>,
    witness_block_state: WitnessStorageState,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the time that it takes")]
struct Paths {
    merkle_paths: Vec<Path>,
    next_enumeration_index: u64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the time that it takes")]
struct Path {
    root_hash: ByteArray<32>,
    is_write: bool,
    first_write: bool,
    merkle_paths: Vec<ByteArray<32>>,
    leaf_hashed_key: U256,
    leaf_enumeration_index: u64,
    value_written: [u8; 32],
    value_read: [u8; 32],
}

pub(super) fn parse(plain: &[u8], form: InputForm) -> Result<Envelope> {
    Ok(match form {
        InputForm::Json => serde_json::from_slice(plain)?,
        InputForm::Cbor => cbor4ii::serde::from_slice(plain)?,
    })
}
