//! Parameters of the run: what a node always sets, so that an attacker cannot choose.

use crate::{
    BatchInput, H256, ProtocolVersionId, Rejection, U256,
    input::{L2BlockEnv, L2BlockExecutionData, PubdataValidator, SystemEnv, TxExecutionMode},
    limits::{self, MAX_TRANSACTIONS},
    machine::Layout,
};

/// Protocol versions whose batches are verified. Version 26 is the first with the gateway's system logs. The
/// chains of version 30 do not run EraVM.
const SUPPORTED_VERSIONS: [ProtocolVersionId; 5] = [
    ProtocolVersionId::VERSION_26,
    ProtocolVersionId::VERSION_27,
    ProtocolVersionId::VERSION_28,
    ProtocolVersionId::VERSION_29,
    ProtocolVersionId::VERSION_31,
];

/// The root before the batch, from checked parameters.
pub(crate) struct Parameters {
    pub(crate) previous_root: H256,
}

/// Checks the parameters of the run, of the chain and of the sequence of blocks (except their hashes, which need the
/// transactions' hashes).
pub(crate) fn check(input: &BatchInput) -> Result<Parameters, Rejection> {
    check_environment(input)?;
    check_copies(input)?;
    check_blocks(input)?;
    // All state is proven against the root before the batch. Without it, nothing is proven.
    let previous_root = input.l1_batch_env.previous_batch_hash.ok_or(Rejection::NoPreviousRoot)?;
    Ok(Parameters { previous_root })
}

fn check_environment(input: &BatchInput) -> Result<(), Rejection> {
    let env = &input.system_env;
    // EstimateFee and EthCall skip the validation of accounts: anyone could spend anyone's funds.
    if env.execution_mode != TxExecutionMode::VerifyExecute {
        return Err(Rejection::ExecutionMode { got: env.execution_mode });
    }
    // A smaller limit makes honest transactions halt; nodes set the largest.
    let gas = env.default_validation_computational_gas_limit;
    if gas != u32::MAX {
        return Err(Rejection::ValidationGasLimit { got: gas, expected: u32::MAX });
    }
    // With an enforced base fee the operator charges what it likes, whatever the fee input says.
    if let Some(got) = input.l1_batch_env.enforced_base_fee {
        return Err(Rejection::EnforcedBaseFee { got });
    }
    // zkPorter would take storage from a shard that no root covers.
    if env.zk_porter_available {
        return Err(Rejection::ZkPorterAvailable);
    }
    // Otherwise another version's rules would replace the chain's, or the VM would panic on a version that it does not
    // know.
    if !SUPPORTED_VERSIONS.contains(&env.version) {
        return Err(Rejection::UnsupportedVersion { got: env.version });
    }
    // With less gas the run of a batch ends earlier than the node's.
    if env.bootloader_gas_limit != u32::MAX {
        return Err(Rejection::BootloaderGasLimit { got: env.bootloader_gas_limit, expected: u32::MAX });
    }
    check_publication(input)
}

/// Checks that the input has no parameters that its version does not know. Nothing would read them, but others would
/// see them as the batch's.
fn check_publication(input: &BatchInput) -> Result<(), Rejection> {
    let SystemEnv { version, .. } = input.system_env;
    let has_settlement_layer = version >= ProtocolVersionId::VERSION_31;
    let fits = match input.pubdata_params.validator {
        PubdataValidator::Address(_) => !has_settlement_layer,
        PubdataValidator::CommitmentScheme(_) => has_settlement_layer,
    };
    if !fits {
        return Err(Rejection::PubdataParams { version });
    }
    if has_settlement_layer && input.l1_batch_env.settlement_layer.is_none() {
        return Err(Rejection::NoSettlementLayer { version });
    }
    if !has_settlement_layer && !input.l1_batch_env.interop_fee.is_zero() {
        return Err(Rejection::InteropFee { version });
    }
    Ok(())
}

/// Checks that the redundant copies agree. Otherwise two readers of one input would see two batches.
fn check_copies(input: &BatchInput) -> Result<(), Rejection> {
    let (data, env) = (&input.vm_run_data, &input.system_env);
    let contracts = &env.base_system_smart_contracts;
    let same = |equal: bool, field| if equal { Ok(()) } else { Err(Rejection::CopiesDiffer { field }) };
    let code_words = contracts.bootloader.code.chunks(32);
    let number = |H256(hash): H256| U256::from_big_endian(&hash);
    let evm_emulator = contracts.evm_emulator.as_ref().map(|code| number(code.hash));

    same(data.l1_batch_number == input.l1_batch_env.number, "the batch number")?;
    same(data.protocol_version == env.version, "the protocol version")?;
    same(code_words.eq(data.bootloader_code.iter().map(|word| word.as_slice())), "the bootloader's code")?;
    same(data.default_account_code_hash == number(contracts.default_aa.hash), "the default account's hash")?;
    same(data.evm_emulator_code_hash == evm_emulator, "the EVM emulator's hash")
}

fn check_blocks(input: &BatchInput) -> Result<(), Rejection> {
    let [first, .., last] = input.l2_blocks_execution_data.as_slice() else {
        return Err(Rejection::TooFewBlocks { got: input.l2_blocks_execution_data.len() });
    };
    let transactions = input.transaction_count();
    if transactions > MAX_TRANSACTIONS {
        return Err(Rejection::TooManyTransactions { got: transactions, limit: MAX_TRANSACTIONS });
    }
    limits::check_bootloader_memory(&input.l2_blocks_execution_data, &Layout::of(input.system_env.version))?;
    // The machine takes the first block from the environment and never looks at the list's: they must be the same.
    check_first_block(first, &input.l1_batch_env.first_l2_block)?;
    for (block, next) in input.l2_blocks_execution_data.iter().zip(input.l2_blocks_execution_data.iter().skip(1)) {
        check_next_block(block, next, input.system_env.version)?;
    }
    // The last block closes the batch and is not executed: its transactions would be claimed but never run.
    if !last.txs.is_empty() {
        return Err(Rejection::LastBlockNotEmpty { got: last.txs.len() });
    }
    // The same holds for interop roots: only a block that is executed hands them to the chain.
    if !last.interop_roots.is_empty() {
        return Err(Rejection::LastBlockInteropRoots { got: last.interop_roots.len() });
    }
    Ok(())
}

fn check_first_block(listed: &L2BlockExecutionData, env: &L2BlockEnv) -> Result<(), Rejection> {
    let same = |equal: bool, field| if equal { Ok(()) } else { Err(Rejection::FirstBlock { field }) };
    same(listed.number == env.number, "number")?;
    same(listed.timestamp == env.timestamp, "timestamp")?;
    same(listed.prev_block_hash == env.prev_block_hash, "previous block's hash")?;
    same(listed.virtual_blocks == env.max_virtual_blocks_to_create, "virtual blocks")?;
    same(listed.interop_roots == env.interop_roots, "interop roots")
}

/// Checks the numbers and times of a block and the next, as the system context does.
fn check_next_block(
    block: &L2BlockExecutionData,
    next: &L2BlockExecutionData,
    version: ProtocolVersionId,
) -> Result<(), Rejection> {
    if block.txs.is_empty() {
        return Err(Rejection::EmptyBlock { number: block.number });
    }
    if block.number.checked_add(1) != Some(next.number) {
        return Err(Rejection::BlockNumber { previous: block.number, got: next.number });
    }
    let in_order = if version < ProtocolVersionId::VERSION_29 {
        block.timestamp < next.timestamp
    } else {
        block.timestamp <= next.timestamp
    };
    if !in_order {
        return Err(Rejection::BlockTimestamp { number: next.number, previous: block.timestamp, got: next.timestamp });
    }
    Ok(())
}
