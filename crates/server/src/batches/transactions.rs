//! Which transactions an input has, so that people find a batch by one of them.

use tee_verifier::{
    BatchInput, H256, L2ChainId,
    input::{ExecuteTransactionCommon, Transaction},
    l1_transaction_hash, transaction_hashes,
};

use crate::database::TransactionRow;

/// The most transactions of a batch (`MAX_TXS_IN_BATCH` of the VM). An input with more cannot be proven; the rest of it is left out.
const MAX_TRANSACTIONS: usize = 10_000;

/// The transactions of an input, in the order in which they run. Those without a hash, which cannot run, are left out.
pub(super) fn of(input: &BatchInput) -> Vec<TransactionRow> {
    let transactions = input.l2_blocks_execution_data.iter().flat_map(|block| &block.txs).take(MAX_TRANSACTIONS);
    let row = |(position, transaction)| {
        Some(TransactionRow { position, hash: hash(transaction, input.system_env.chain_id)? })
    };
    (1..).zip(transactions).filter_map(row).collect()
}

/// The hash by which a transaction is known. It is computed: nothing has verified yet what the input claims.
fn hash(transaction: &Transaction, chain_id: L2ChainId) -> Option<H256> {
    match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => {
            transaction_hashes(common, &transaction.execute, chain_id).map(|hashes| hashes.transaction)
        }
        ExecuteTransactionCommon::L1(_) | ExecuteTransactionCommon::ProtocolUpgrade(_) => {
            Some(l1_transaction_hash(transaction))
        }
    }
}
