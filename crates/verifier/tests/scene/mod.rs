//! What an attacker does to every batch: make its blocks follow one another again, and see what the verifier says.

use tee_verifier::{BatchInput, Options, VerifiedBatch, verify};
use zksync_types::{
    ExecuteTransactionCommon, H256, L2ChainId, Transaction, block::L2BlockHasher, l2::L2Tx,
    transaction_request::TransactionRequest,
};

/// The verdict, by the name of the check that failed.
pub(crate) fn judge(input: BatchInput) -> Result<VerifiedBatch, &'static str> {
    verify(input, &Options::danger_any_code()).map_err(|rejection| rejection.check())
}

/// Makes the blocks follow one another again, by hash.
pub(crate) fn chain_blocks(input: &mut BatchInput) {
    let version = input.system_env.version;
    for next in 1..input.l2_blocks_execution_data.len() {
        let block = &input.l2_blocks_execution_data[next - 1];
        let mut hasher = L2BlockHasher::new(block.number, block.timestamp, block.prev_block_hash);
        block.txs.iter().for_each(|transaction| hasher.push_tx_hash(hash(transaction, input.system_env.chain_id)));
        input.l2_blocks_execution_data[next].prev_block_hash = hasher.finalize(version);
    }
}

/// A transaction's hash, of what is in it now; zero where it has none.
pub(crate) fn hash(transaction: &Transaction, chain_id: L2ChainId) -> H256 {
    let ExecuteTransactionCommon::L2(_) = &transaction.common_data else { return transaction.hash() };
    let mut request = TransactionRequest::from(L2Tx::try_from(transaction.clone()).unwrap());
    request.chain_id = Some(chain_id.as_u64());
    request.get_tx_hash().unwrap_or_default()
}
