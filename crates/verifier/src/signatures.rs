//! Signatures of transactions, checked beside the VM and in parallel.
//!
//! Recovering signers would take a good part of the machine's time. The machine receives recoveries that were made
//! elsewhere, and uses one if a program asks for exactly the same. The result is the same either way.

use std::{
    iter::Flatten,
    sync::mpsc::{self, Receiver, Sender},
    thread, vec,
};

use tee_eravm::Recovery;

use crate::{
    BatchInput, H256, L2ChainId, Rejection,
    hash::is_bytecode,
    input::{ExecuteTransactionCommon, L2BlockExecutionData, Transaction},
    transaction_hash::{l1_transaction_hash, transaction_hashes},
};

fn transactions(blocks: &[L2BlockExecutionData]) -> impl Iterator<Item = &Transaction> {
    blocks.iter().flat_map(|block| &block.txs)
}

/// Makes the checks that need no hashing: a transaction must have a form that a chain allows, and must not pass for
/// another kind of transaction.
pub(crate) fn check_forms(input: &BatchInput) -> Result<(), Rejection> {
    let evm_emulator = input.system_env.base_system_smart_contracts.evm_emulator.is_some();
    transactions(&input.l2_blocks_execution_data).enumerate().try_for_each(|(index, transaction)| {
        check_form(transaction, evm_emulator)
            .map_err(|reason| Rejection::MalformedTransaction { index, reason: reason.to_owned() })
    })
}

fn check_form(transaction: &Transaction, evm_emulator: bool) -> Result<(), &'static str> {
    if transaction.execute.contract_address.is_none() && !evm_emulator {
        return Err("it has no recipient, and the chain has no EVM emulator");
    }
    if transaction.execute.factory_deps.iter().any(|code| !is_bytecode(code)) {
        return Err("a factory dependency is not a bytecode");
    }
    Ok(())
}

/// The checks of all signatures, to be made on other threads, and the receiver of their results.
pub(crate) fn checks(blocks: &[L2BlockExecutionData], chain_id: L2ChainId) -> (Checks<'_>, Verdicts) {
    let transactions: Vec<_> = transactions(blocks).collect();
    // One core is the VM's.
    let workers = thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
    let share = transactions.len().div_ceil(workers).max(1);
    let (shares, results): (Vec<_>, Vec<_>) = transactions
        .chunks(share)
        .map(|share| {
            let (results, incoming) = mpsc::channel();
            (Share { transactions: share.to_vec(), results }, incoming)
        })
        .unzip();
    (
        Checks { shares, chain_id },
        Verdicts { incoming: results.into_iter().flatten(), hashes: Vec::new(), malformed: None },
    )
}

/// Checks that are still to be made.
pub(crate) struct Checks<'a> {
    shares: Vec<Share<'a>>,
    chain_id: L2ChainId,
}

/// The checks of one thread.
struct Share<'a> {
    transactions: Vec<&'a Transaction>,
    results: Sender<Option<Checked>>,
}

impl Checks<'_> {
    pub(crate) fn make(self) {
        let chain_id = self.chain_id;
        thread::scope(|scope| {
            for Share { transactions, results } in self.shares {
                scope.spawn(move || {
                    for transaction in transactions {
                        if results.send(check_transaction(transaction, chain_id)).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
}

/// The results of [`Checks`], in the order of the transactions. If a thread panics, its results are incomplete, but
/// [`Checks::make`] passes the panic on, and the run has no result.
pub(crate) struct Verdicts {
    incoming: Flatten<vec::IntoIter<Receiver<Option<Checked>>>>,
    /// The hashes of the transactions so far.
    hashes: Vec<H256>,
    /// The first transaction without a hash. Those after it were not examined.
    malformed: Option<usize>,
}

impl Verdicts {
    /// The recovery of the next transaction's signer, if it has a signature of the usual kind. Waits until it is made.
    pub(crate) fn next_recovery(&mut self) -> Result<Option<Recovery>, Rejection> {
        if self.malformed.is_none()
            && let Some(Checked { recovery, hash }) = self.incoming.next().flatten()
        {
            self.hashes.push(hash);
            return Ok(recovery);
        }
        let index = *self.malformed.get_or_insert(self.hashes.len());
        Err(Rejection::MalformedTransaction { index, reason: "its hash is missing or wrong".to_owned() })
    }

    /// The hashes of all transactions.
    pub(crate) fn into_hashes(mut self, transactions: usize) -> Result<Vec<H256>, Rejection> {
        while self.hashes.len() < transactions {
            self.next_recovery()?;
        }
        Ok(self.hashes)
    }
}

struct Checked {
    recovery: Option<Recovery>,
    hash: H256,
}

fn check_transaction(transaction: &Transaction, chain_id: L2ChainId) -> Option<Checked> {
    let common = match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => common,
        // L1 judges these, through the system logs: they carry no signature.
        ExecuteTransactionCommon::L1(common) => return l1_checked(transaction, common.canonical_tx_hash),
        ExecuteTransactionCommon::ProtocolUpgrade(common) => return l1_checked(transaction, common.canonical_tx_hash),
    };
    let hashes = transaction_hashes(common, &transaction.execute, chain_id)?;
    Some(Checked { recovery: recovery(&common.signature, hashes.signed), hash: hashes.transaction })
}

/// Checks that a transaction from L1 has the hash of its encoding. With another hash, the chained blocks would not be
/// those of the run.
fn l1_checked(transaction: &Transaction, claimed: H256) -> Option<Checked> {
    let hash = l1_transaction_hash(transaction);
    (hash == claimed).then_some(Checked { recovery: None, hash })
}

/// The recovery that the default account will ask for, if the signature has 65 bytes with v = 27 or 28. Any other
/// signature is for its account to judge.
fn recovery(signature: &[u8], signed: H256) -> Option<Recovery> {
    let (r, rest) = signature.split_first_chunk()?;
    let (s, v) = rest.split_first_chunk()?;
    let v = match v {
        [27] => 0,
        [28] => 1,
        _ => return None,
    };
    Some(Recovery::new(signed.0, v, *r, *s))
}
