//! Steps that follow every attack: make the batch's blocks follow one another again, and get the verifier's verdict.

use tee_verifier::{
    BatchInput, H256, L2ChainId, Options, VerifiedBatch,
    input::{ExecuteTransactionCommon, Transaction},
    transaction_hashes, verify,
};

/// The verdict, by the name of the check that failed.
pub(crate) fn judge(input: BatchInput) -> Result<VerifiedBatch, &'static str> {
    verify(input, &Options::danger_any_code()).map_err(|rejection| rejection.check())
}

/// Makes the blocks follow one another again, by hash.
pub(crate) fn chain_blocks(input: &mut BatchInput) {
    for next in 1..input.l2_blocks_execution_data.len() {
        let block = &input.l2_blocks_execution_data[next - 1];
        let hashes = block.txs.iter().map(|transaction| hash(transaction, input.system_env.chain_id));
        input.l2_blocks_execution_data[next].prev_block_hash = block.hash(hashes);
    }
}

/// The hash of a transaction's present fields; zero if it has none.
pub(crate) fn hash(transaction: &Transaction, chain_id: L2ChainId) -> H256 {
    match &transaction.common_data {
        ExecuteTransactionCommon::L1(common) => common.canonical_tx_hash,
        ExecuteTransactionCommon::ProtocolUpgrade(common) => common.canonical_tx_hash,
        ExecuteTransactionCommon::L2(common) => transaction_hashes(common, &transaction.execute, chain_id)
            .map(|hashes| hashes.transaction)
            .unwrap_or_default(),
    }
}
