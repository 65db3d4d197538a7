//! Signatures of transactions, checked beside the VM and in parallel.
//!
//! The VM spends a good part of its time on `ecrecover`. It can be told to take the initiator for recovered wherever the
//! call's input is the one that it computes itself from the transaction. That is sound only for a signature that was found
//! to recover to the initiator, over the very hash that the VM computes: any other the VM is left to check itself.

use std::{
    iter::Flatten,
    panic::{self, AssertUnwindSafe},
    sync::mpsc::{self, Receiver, Sender},
    thread, vec,
};

use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use zksync_types::{
    Address, ExecuteTransactionCommon, H256, L2ChainId, Transaction,
    block::L2BlockExecutionData,
    bytecode::validate_bytecode,
    l2::{L2Tx, L2TxCommonData, TransactionType},
    transaction_request::TransactionRequest,
    web3::keccak256,
};

use crate::{BatchInput, Rejection};

fn transactions(blocks: &[L2BlockExecutionData]) -> impl Iterator<Item = &Transaction> {
    blocks.iter().flat_map(|block| &block.txs)
}

/// Checks what needs no hashing: forms that the VM panics on or takes for another kind of transaction.
pub(crate) fn check_forms(input: &BatchInput) -> Result<(), Rejection> {
    let evm_emulator = input.system_env.base_system_smart_contracts.evm_emulator.is_some();
    transactions(&input.l2_blocks_execution_data).enumerate().try_for_each(|(index, transaction)| {
        check_form(transaction, evm_emulator)
            .map_err(|reason| Rejection::MalformedTransaction { index, reason: reason.to_owned() })
    })
}

fn check_form(transaction: &Transaction, evm_emulator: bool) -> Result<(), &'static str> {
    // The VM panics on both.
    if transaction.execute.contract_address.is_none() && !evm_emulator {
        return Err("no recipient, and the chain has no EVM emulator");
    }
    if transaction.execute.factory_deps.iter().any(|code| validate_bytecode(code).is_err()) {
        return Err("a factory dependency is not a bytecode");
    }
    // A transaction of a user that the bootloader would run as one from L1: without any signature.
    match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => match common.transaction_type {
            TransactionType::PriorityOpTransaction | TransactionType::ProtocolUpgradeTransaction => {
                Err("an L2 transaction of an L1 transaction's type")
            }
            _ => Ok(()),
        },
        ExecuteTransactionCommon::L1(_) | ExecuteTransactionCommon::ProtocolUpgrade(_) => Ok(()),
    }
}

/// The checks of all signatures, to be made on threads of their own, and where their results come in.
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

/// Checks that were not yet made.
pub(crate) struct Checks<'a> {
    shares: Vec<Share<'a>>,
    chain_id: L2ChainId,
}

/// What one thread checks.
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

/// The results of [`Checks`], in the order of the transactions. A thread that panicked would leave some out, but then its panic is
/// passed on by [`Checks::make`], and nothing comes of the run.
pub(crate) struct Verdicts {
    incoming: Flatten<vec::IntoIter<Receiver<Option<Checked>>>>,
    /// Those of the transactions so far.
    hashes: Vec<H256>,
    /// The first transaction without a hash; nothing is said of those behind it.
    malformed: Option<usize>,
}

impl Verdicts {
    /// Whether the VM may skip the signature of the next transaction. Waits until it is known.
    pub(crate) fn next_is_settled(&mut self) -> Result<bool, Rejection> {
        if self.malformed.is_none()
            && let Some(Checked { settled, hash }) = self.incoming.next().flatten()
        {
            self.hashes.push(hash);
            return Ok(settled);
        }
        let index = *self.malformed.get_or_insert(self.hashes.len());
        Err(Rejection::MalformedTransaction { index, reason: "its hash cannot be computed".to_owned() })
    }

    /// The hashes of all transactions.
    pub(crate) fn into_hashes(mut self, transactions: usize) -> Result<Vec<H256>, Rejection> {
        while self.hashes.len() < transactions {
            self.next_is_settled()?;
        }
        Ok(self.hashes)
    }
}

struct Checked {
    settled: bool,
    hash: H256,
}

fn check_transaction(transaction: &Transaction, chain_id: L2ChainId) -> Option<Checked> {
    let common = match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => common,
        // L1 judges these, through the system logs: they carry no signature.
        ExecuteTransactionCommon::L1(common) => return Some(Checked { settled: true, hash: common.canonical_tx_hash }),
        ExecuteTransactionCommon::ProtocolUpgrade(common) => {
            return Some(Checked { settled: true, hash: common.canonical_tx_hash });
        }
    };
    let (signed, hash) = hashes(transaction, common, chain_id)?;
    let settled = signature_that_vm_skips(&common.signature)
        .is_none_or(|(id, r_and_s)| recover(id, r_and_s, signed) == Some(common.initiator_address));
    Some(Checked { settled, hash })
}

/// The hash that the initiator signs and the transaction's own, computed as the VM does.
fn hashes(transaction: &Transaction, common: &L2TxCommonData, chain_id: L2ChainId) -> Option<(H256, H256)> {
    let l2 = L2Tx {
        execute: transaction.execute.clone(),
        // The encoding that a node received counts for nothing.
        common_data: L2TxCommonData {
            nonce: common.nonce,
            fee: common.fee.clone(),
            initiator_address: common.initiator_address,
            signature: common.signature.clone(),
            transaction_type: common.transaction_type,
            input: None,
            paymaster_params: common.paymaster_params.clone(),
        },
        received_timestamp_ms: 0,
        raw_bytes: transaction.raw_bytes.clone(),
    };
    // The chain's own code unwraps here and there on what a decoded transaction can hold; such a one is malformed.
    panic::catch_unwind(AssertUnwindSafe(|| {
        let mut request = TransactionRequest::from(l2);
        request.chain_id = Some(chain_id.as_u64());
        request.get_signed_and_tx_hashes().ok()
    }))
    .ok()
    .flatten()
}

/// Recovery id, and r ‖ s, of a signature that the VM would skip: 65 bytes with v = 27 or 28 (`parse_signature` of its
/// `TransactionData`).
fn signature_that_vm_skips(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (v, r_and_s) = bytes.split_last().filter(|(_, rest)| rest.len() == 64)?;
    match v {
        27 => Some((0, r_and_s)),
        28 => Some((1, r_and_s)),
        _ => None,
    }
}

/// Who signed; nobody where r or s is out of range, or s in the upper half: whether that counts is for the VM to say.
fn recover(id: i32, r_and_s: &[u8], signed: H256) -> Option<Address> {
    let signature = RecoverableSignature::from_compact(r_and_s, RecoveryId::from_i32(id).ok()?).ok()?;
    let (standard, mut low) = (signature.to_standard(), signature.to_standard());
    low.normalize_s();
    if low != standard {
        return None;
    }
    let message = Message::from_slice(signed.as_bytes()).ok()?;
    let key = SECP256K1.recover_ecdsa(&message, &signature).ok()?;
    let hash = keccak256(key.serialize_uncompressed().get(1..)?);
    Some(Address::from_slice(hash.get(12..)?))
}
