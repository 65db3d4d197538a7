//! Signatures of transactions, checked ahead of the VM and in parallel.
//!
//! The VM spends a good part of its time on `ecrecover`. It can be told to take the initiator for recovered wherever the
//! call's input is the one that it computes itself from the transaction. That is sound only if each signature that it
//! would so skip recovers to the initiator, over the very hash that the VM computes.

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
};

use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use zksync_types::{
    Address, ExecuteTransactionCommon, H256, L2ChainId, Transaction,
    bytecode::validate_bytecode,
    l2::{L2Tx, TransactionType},
    transaction_request::TransactionRequest,
    web3::keccak256,
};

use crate::{BatchInput, Rejection};

/// What the transactions' signatures say.
pub(crate) struct Signatures {
    /// Whether every signature that the VM would skip is right.
    pub(crate) all_recover: bool,
    /// The hash of each transaction, in order.
    pub(crate) transaction_hashes: Vec<H256>,
}

struct Checked {
    recovers: bool,
    hash: H256,
}

/// Checks each transaction's form and signature.
pub(crate) fn check(input: &BatchInput) -> Result<Signatures, Rejection> {
    let chain_id = input.system_env.chain_id;
    let evm_emulator = input.system_env.base_system_smart_contracts.evm_emulator.is_some();
    let transactions: Vec<_> = input.l2_blocks_execution_data.iter().flat_map(|block| &block.txs).enumerate().collect();

    let threads = thread::available_parallelism().map_or(1, usize::from);
    let chunk = transactions.len().div_ceil(threads).max(1);
    let checked: Vec<Result<Vec<Checked>, Rejection>> = thread::scope(|scope| {
        let workers: Vec<_> = transactions
            .chunks(chunk)
            .map(|chunk| {
                scope.spawn(move || {
                    chunk
                        .iter()
                        .map(|(index, transaction)| check_transaction(*index, transaction, chain_id, evm_emulator))
                        .collect()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
    });

    let mut signatures = Signatures { all_recover: true, transaction_hashes: Vec::with_capacity(transactions.len()) };
    for checked in checked {
        for Checked { recovers, hash } in checked? {
            signatures.all_recover &= recovers;
            signatures.transaction_hashes.push(hash);
        }
    }
    Ok(signatures)
}

fn check_transaction(
    index: usize,
    transaction: &Transaction,
    chain_id: L2ChainId,
    evm_emulator: bool,
) -> Result<Checked, Rejection> {
    let malformed = |reason: &str| Rejection::MalformedTransaction { index, reason: reason.to_owned() };
    // The VM panics on both.
    if transaction.execute.contract_address.is_none() && !evm_emulator {
        return Err(malformed("no recipient, and the chain has no EVM emulator"));
    }
    if transaction.execute.factory_deps.iter().any(|code| validate_bytecode(code).is_err()) {
        return Err(malformed("a factory dependency is not a bytecode"));
    }
    let common = match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => common,
        // L1 judges these, through the system logs: they carry no signature.
        ExecuteTransactionCommon::L1(common) => return Ok(Checked { recovers: true, hash: common.canonical_tx_hash }),
        ExecuteTransactionCommon::ProtocolUpgrade(common) => {
            return Ok(Checked { recovers: true, hash: common.canonical_tx_hash });
        }
    };
    // A transaction of a user that the bootloader would run as one from L1: without any signature.
    if matches!(
        common.transaction_type,
        TransactionType::PriorityOpTransaction | TransactionType::ProtocolUpgradeTransaction
    ) {
        return Err(malformed("an L2 transaction of an L1 transaction's type"));
    }
    let l2 = L2Tx {
        execute: transaction.execute.clone(),
        common_data: common.clone(),
        received_timestamp_ms: 0,
        raw_bytes: transaction.raw_bytes.clone(),
    };
    let (signed, hash) = hashes(l2, chain_id).ok_or_else(|| malformed("its hash cannot be computed"))?;
    // The VM skips nothing for other signatures.
    let recovers = signature_that_vm_skips(&common.signature)
        .is_none_or(|(id, r_and_s)| recover(id, r_and_s, signed) == Some(common.initiator_address));
    Ok(Checked { recovers, hash })
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

/// Who signed; nobody where r or s is out of range.
fn recover(id: i32, r_and_s: &[u8], signed: H256) -> Option<Address> {
    let signature = RecoverableSignature::from_compact(r_and_s, RecoveryId::from_i32(id).ok()?).ok()?;
    let message = Message::from_slice(signed.as_bytes()).ok()?;
    let key = SECP256K1.recover_ecdsa(&message, &signature).ok()?;
    let hash = keccak256(key.serialize_uncompressed().get(1..)?);
    Some(Address::from_slice(hash.get(12..)?))
}
