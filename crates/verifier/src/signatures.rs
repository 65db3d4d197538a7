//! Signatures of transactions, checked beside the VM and in parallel.
//!
//! The VM spends a good part of its time on `ecrecover`. It can be told to take the initiator for recovered wherever the
//! call's input is the one that it computes itself from the transaction. That is sound only if each signature that it
//! would so skip recovers to the initiator, over the very hash that the VM computes.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use zksync_types::{
    Address, ExecuteTransactionCommon, H256, L2ChainId, Transaction,
    block::L2BlockExecutionData,
    bytecode::validate_bytecode,
    get_code_key,
    l2::{L2Tx, TransactionType},
    transaction_request::TransactionRequest,
    web3::keccak256,
};

use crate::{BatchInput, Rejection, shape::Witness};

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

/// Checks each signature that the VM would skip and gives the hash of each transaction, in order.
///
/// Sets `unsettled` as soon as it finds one that does not recover: then the VM must judge the signatures itself, and a run
/// that skipped them is void.
pub(crate) fn check(
    blocks: &[L2BlockExecutionData],
    chain_id: L2ChainId,
    witness: &Witness,
    unsettled: &AtomicBool,
) -> Result<Vec<H256>, Rejection> {
    let transactions: Vec<_> = transactions(blocks).enumerate().collect();
    // One core is the VM's.
    let workers = thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
    let chunk = transactions.len().div_ceil(workers).max(1);
    let hashes: Vec<Result<Vec<H256>, Rejection>> = thread::scope(|scope| {
        let check_chunk = |chunk: &[(usize, &Transaction)]| {
            chunk
                .iter()
                .map(|&(index, transaction)| {
                    let checked = check_transaction(transaction, chain_id, witness).ok_or_else(|| {
                        let reason = "its hash cannot be computed".to_owned();
                        Rejection::MalformedTransaction { index, reason }
                    })?;
                    if !checked.settled {
                        unsettled.store(true, Ordering::Relaxed);
                    }
                    Ok(checked.hash)
                })
                .collect()
        };
        let workers: Vec<_> = transactions.chunks(chunk).map(|chunk| scope.spawn(move || check_chunk(chunk))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
    });
    let hashes: Vec<Vec<H256>> = hashes.into_iter().collect::<Result<_, _>>()?;
    Ok(hashes.concat())
}

struct Checked {
    /// Whether the VM may skip the signature if it would.
    settled: bool,
    hash: H256,
}

fn check_transaction(transaction: &Transaction, chain_id: L2ChainId, witness: &Witness) -> Option<Checked> {
    let common = match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => common,
        // L1 judges these, through the system logs: they carry no signature.
        ExecuteTransactionCommon::L1(common) => return Some(Checked { settled: true, hash: common.canonical_tx_hash }),
        ExecuteTransactionCommon::ProtocolUpgrade(common) => {
            return Some(Checked { settled: true, hash: common.canonical_tx_hash });
        }
    };
    let l2 = L2Tx {
        execute: transaction.execute.clone(),
        common_data: common.clone(),
        received_timestamp_ms: 0,
        raw_bytes: transaction.raw_bytes.clone(),
    };
    let (signed, hash) = hashes(l2, chain_id)?;
    let initiator = common.initiator_address;
    let settled = signature_that_vm_skips(&common.signature)
        .is_none_or(|(id, r_and_s)| has_code(initiator, witness) || recover(id, r_and_s, signed) == Some(initiator));
    Some(Checked { settled, hash })
}

/// Whether the account has code of its own before the batch. For such accounts the VM skips nothing.
fn has_code(account: Address, witness: &Witness) -> bool {
    let leaf = witness.position(&get_code_key(&account).hashed_key_u256()).and_then(|leaf| witness.leaves.get(leaf));
    leaf.is_some_and(|leaf| !leaf.value_before().is_zero())
}

/// The hash that the initiator signs and the transaction's own, computed as the VM does.
fn hashes(transaction: L2Tx, chain_id: L2ChainId) -> Option<(H256, H256)> {
    // The chain's own code unwraps here and there on what a decoded transaction can hold; such a one is malformed.
    panic::catch_unwind(AssertUnwindSafe(|| {
        let mut request = TransactionRequest::from(transaction);
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
