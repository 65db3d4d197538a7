//! What rejections leave behind: no thread, no memory. It is its own test binary, so that nothing else runs beside it.

mod scene;

use std::fs;

use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{
    BatchInput, H256, L2ChainId, ProtocolVersionId,
    input::{ExecuteTransactionCommon, TxExecutionMode},
};

use scene::{chain_blocks, judge};

/// Rejections in a round; one leaked input alone is more than a megabyte.
const ROUNDS: usize = 40;
/// What allocators keep for themselves.
const SLACK_KB: usize = 24_000;

type Forgery = (&'static str, fn(&mut BatchInput));

/// Forgeries for every stage of the verification, with the stages' threads.
const FORGERIES: [Forgery; 17] = [
    ("execution_mode", |input| input.system_env.execution_mode = TxExecutionMode::EthCall),
    ("unsupported_version", |input| input.system_env.version = ProtocolVersionId::new(25)),
    ("copies_differ", |input| input.vm_run_data.bootloader_code[0][0] ^= 1),
    ("too_few_blocks", |input| input.l2_blocks_execution_data.truncate(1)),
    ("bytecode_hash", |input| input.vm_run_data.used_bytecodes.values_mut().next().unwrap()[0][31] ^= 1),
    ("malformed_transaction", |input| {
        let blocks = input.l2_blocks_execution_data.iter_mut();
        blocks.flat_map(|block| &mut block.txs).last().unwrap().execute.contract_address = None;
    }),
    ("block_hash", |input| input.l2_blocks_execution_data[1].prev_block_hash = H256::zero()),
    ("no_paths", |input| input.merkle_paths.merkle_paths.clear()),
    ("path_too_long", |input| {
        let path = &mut input.merkle_paths.merkle_paths[0].merkle_paths;
        path.extend(path.clone());
    }),
    ("witness_value", |input| {
        input.vm_run_data.witness_block_state.read_storage_key.values_mut().for_each(|value| value.0[0] ^= 1);
    }),
    ("previous_root", |input| input.l1_batch_env.previous_batch_hash = Some(H256::zero())),
    ("bytecode_missing", |input| {
        let default = input.vm_run_data.default_account_code_hash;
        input.vm_run_data.used_bytecodes.retain(|hash, _| *hash == default);
    }),
    ("transaction_halted", |input| {
        last_signature(input)[7] ^= 1;
        chain_blocks(input);
    }),
    ("transaction_halted", |input| {
        input.l1_batch_env.number.0 += 1;
        input.vm_run_data.l1_batch_number.0 += 1;
    }),
    ("batch_tip_failed", |input| {
        input.system_env.chain_id = L2ChainId::from(301_u32);
        chain_blocks(input);
    }),
    ("unproven_cost", |input| drop(input.merkle_paths.merkle_paths.pop())),
    ("insertion_index", |input| input.merkle_paths.next_enumeration_index += 1),
];

fn last_signature(input: &mut BatchInput) -> &mut Vec<u8> {
    let transaction = input.l2_blocks_execution_data.iter_mut().flat_map(|block| &mut block.txs).last().unwrap();
    let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data else { panic!("not signed") };
    &mut common.signature
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn resident_kb() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn rejections_leave_no_thread_and_no_memory_behind() {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    chain.seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 }).unwrap();
    let honest = chain.seal(Load { transactions: 10, cold_reads: 0, l1_transactions: 2 }).unwrap().input;
    assert!(judge(honest.clone()).is_ok());
    let round = || {
        for (check, forge) in FORGERIES {
            let mut forged = honest.clone();
            forge(&mut forged);
            assert_eq!(judge(forged), Err(check));
        }
    };
    // First, everything that is made once and kept.
    (0..5).for_each(|_| round());
    let (threads_before, resident_before) = (threads(), resident_kb());
    (0..ROUNDS).for_each(|_| round());
    let (threads_after, resident_after) = (threads(), resident_kb());
    println!("{} rejections: {resident_before} kB before, {resident_after} kB after", ROUNDS * FORGERIES.len());
    assert_eq!(threads_after, threads_before);
    assert!(resident_after < resident_before + SLACK_KB, "{resident_before} kB before, {resident_after} kB after");
}
