//! Forged inputs: each test changes one thing in a batch that verifies, and expects exactly the check that stops it.

mod scene;

use std::collections::BTreeSet;

use serde_bytes::ByteArray;
use tee_devnet::{Chain, Genesis, Load, slots};
use tee_verifier::{
    BatchInput, H256, L2ChainId, MerklePath, Options, Pins, ProtocolVersionId, U256,
    input::{
        CommitmentScheme, ExecuteTransactionCommon, PubdataValidator, SettlementLayer, SettlementLayerKind,
        Transaction, TransactionType, TxExecutionMode,
    },
    verify,
};

use scene::{chain_blocks, judge};

/// Ten transactions of the mix and two deposits. The last path is that of a write.
fn honest() -> BatchInput {
    second_batch(Load { transactions: 10, cold_reads: 0, l1_transactions: 2 })
}

/// A batch of the devnet's own traffic, after one with the recorded transaction alone.
fn second_batch(load: Load) -> BatchInput {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    chain.seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 }).unwrap();
    chain.seal(load).unwrap().input
}

/// Asserts that the honest batch verifies and that the forged one fails exactly this check.
#[track_caller]
fn rejected(check: &str, forge: impl FnOnce(&mut BatchInput)) {
    let mut input = honest();
    forge(&mut input);
    assert_eq!(judge(input).map(|verified| verified.root()), Err(check));
}

fn paths(input: &mut BatchInput) -> &mut Vec<MerklePath> {
    &mut input.merkle_paths.merkle_paths
}

fn path(input: &mut BatchInput, wanted: impl Fn(&MerklePath) -> bool) -> &mut MerklePath {
    paths(input).iter_mut().find(|path| wanted(path)).unwrap()
}

fn is_update(path: &MerklePath) -> bool {
    path.is_write && !path.first_write
}

fn is_read(path: &MerklePath) -> bool {
    !path.is_write
}

fn is_absent(path: &MerklePath) -> bool {
    is_read(path) && path.leaf_enumeration_index == 0
}

fn l2_transaction(input: &mut BatchInput) -> &mut Transaction {
    let transactions = input.l2_blocks_execution_data.iter_mut().flat_map(|block| &mut block.txs);
    transactions.into_iter().find(|tx| matches!(tx.common_data, ExecuteTransactionCommon::L2(_))).unwrap()
}

#[test]
fn the_honest_batch_verifies() {
    let verified = judge(honest()).unwrap();
    assert_eq!((verified.transactions(), verified.l1_transactions()), (12, 2));
    assert!(verified.rolled_back_slots() > 0);
}

mod shape {
    use super::*;

    #[test]
    fn a_witness_without_paths() {
        rejected("no_paths", |input| paths(input).clear());
    }

    #[test]
    fn a_path_longer_than_the_tree_is_deep() {
        rejected("path_too_long", |input| paths(input)[1].merkle_paths = vec![ByteArray::new([0; 32]); 300]);
    }

    #[test]
    fn a_first_path_that_leaves_hashes_out() {
        rejected("previous_root", |input| paths(input)[0].merkle_paths.truncate(255));
    }

    #[test]
    fn a_read_marked_as_first_write() {
        rejected("read_marked_first_write", |input| path(input, is_absent).first_write = true);
    }

    #[test]
    fn an_update_of_an_absent_leaf() {
        rejected("update_without_index", |input| path(input, is_update).leaf_enumeration_index = 0);
    }

    #[test]
    fn an_absent_leaf_with_a_value() {
        rejected("absent_leaf_with_value", |input| path(input, is_absent).value_read[31] = 1);
    }

    #[test]
    fn a_leaf_that_occurs_twice() {
        rejected("duplicate_leaf", |input| {
            let twice = paths(input)[3].clone();
            paths(input).push(twice);
        });
    }

    #[test]
    fn new_leaves_with_each_others_indices() {
        rejected("insertion_index", |input| {
            let mut inserts = paths(input).iter_mut().filter(|path| path.first_write);
            let (one, other) = (inserts.next().unwrap(), inserts.next().unwrap());
            std::mem::swap(&mut one.leaf_enumeration_index, &mut other.leaf_enumeration_index);
        });
    }

    #[test]
    fn leaf_indices_at_the_end_of_their_range() {
        rejected("index_overflow", |input| {
            input.merkle_paths.next_enumeration_index = u64::MAX;
            path(input, |path| path.first_write).leaf_enumeration_index = u64::MAX;
        });
    }

    #[test]
    fn another_next_index() {
        rejected("insertion_index", |input| input.merkle_paths.next_enumeration_index += 1);
    }

    /// Counted from too low a number, the new leaves fit, but would get indices that other leaves have.
    #[test]
    fn a_next_index_that_an_existing_leaf_has() {
        for lower in [1, 2, 20] {
            rejected("index_not_free", |input| {
                let existing = |path: &&MerklePath| !path.first_write;
                let highest = input.merkle_paths.merkle_paths.iter().filter(existing);
                let highest = highest.map(|path| path.leaf_enumeration_index).max().unwrap();
                let next = &mut input.merkle_paths.next_enumeration_index;
                let shift = *next - highest + lower - 1;
                *next -= shift;
                let inserts = paths(input).iter_mut().filter(|path| path.first_write);
                inserts.for_each(|path| path.leaf_enumeration_index -= shift);
            });
        }
    }

    /// The path is valid: a larger batch over the same state shows it before its first write.
    #[test]
    fn a_path_of_a_slot_that_the_run_never_touches() {
        let batch = |transactions| second_batch(Load { transactions, cold_reads: 0, l1_transactions: 0 });
        let mut input = batch(1);
        let (small, large) = (input.merkle_paths.merkle_paths.clone(), batch(10).merkle_paths.merkle_paths);
        let known = |path: &MerklePath| small.iter().any(|known| known.leaf_hashed_key == path.leaf_hashed_key);
        let mut foreign =
            large.iter().take_while(|path| is_read(path)).find(|path| !known(path)).expect("a foreign read").clone();
        let left_out = 256 - foreign.merkle_paths.len();
        foreign.merkle_paths.splice(0..0, large[0].merkle_paths[..left_out].to_vec());

        paths(&mut input).push(foreign);
        assert_eq!(judge(input), Err("untouched_leaf"));
    }

    #[test]
    fn the_last_path_dropped() {
        rejected("unproven_cost", |input| {
            let last = paths(input).pop().unwrap();
            assert!(last.is_write);
        });
    }

    /// A missing write is noticed where the slot is read, or where the bootloader asks what is to be published.
    #[test]
    fn each_written_path_dropped() {
        let input = honest();
        let written =
            (0..input.merkle_paths.merkle_paths.len()).filter(|at| input.merkle_paths.merkle_paths[*at].is_write);
        let verdicts: BTreeSet<_> = written
            .map(|at| {
                let mut forged = input.clone();
                // The compact form of all other paths depends on the first one.
                let lost = paths(&mut forged).remove(at);
                if at == 0 {
                    let next = &mut paths(&mut forged)[0].merkle_paths;
                    let left_out = 256 - next.len();
                    next.splice(0..0, lost.merkle_paths[..left_out].to_vec());
                }
                judge(forged).unwrap_err()
            })
            .collect();
        assert!(verdicts.contains("unproven_cost"), "{verdicts:?}");
        assert!(verdicts.contains("read_without_path"), "{verdicts:?}");
    }

    #[test]
    fn a_write_shown_as_a_read() {
        rejected("write_without_path", |input| {
            let path = path(input, is_update);
            (path.is_write, path.value_written) = (false, [0; 32]);
        });
    }

    #[test]
    fn a_read_shown_as_a_write() {
        rejected("path_without_write", |input| path(input, |path| is_read(path) && !is_absent(path)).is_write = true);
    }

    #[test]
    fn a_read_with_a_written_value() {
        rejected("read_with_written_value", |input| path(input, is_read).value_written[0] = 1);
    }

    #[test]
    fn another_written_value() {
        rejected("written_value", |input| path(input, is_update).value_written[31] ^= 1);
    }
}

mod state {
    use super::*;

    #[test]
    fn a_slot_that_is_read_without_a_path() {
        let mut input = second_batch(Load { transactions: 1, cold_reads: 10, l1_transactions: 0 });
        assert!(paths(&mut input).pop().is_some_and(|path| is_absent(&path)));
        assert_eq!(judge(input), Err("read_without_path"));
    }

    #[test]
    fn a_rolled_back_slot_that_the_witness_does_not_know() {
        rejected("slot_missing", |input| {
            let proven: Vec<U256> = paths(input).iter().map(|path| path.leaf_hashed_key).collect();
            let claims = &mut input.vm_run_data.witness_block_state.read_storage_key;
            let before = claims.len();
            claims.retain(|key, _| proven.contains(&key.hashed_key_u256()));
            assert!(claims.len() < before);
        });
    }

    #[test]
    fn a_balance_inflated_beside_an_honest_tree() {
        rejected("witness_value", |input| {
            let ExecuteTransactionCommon::L2(common) = &l2_transaction(input).common_data else { unreachable!() };
            let key = slots::balance(&common.initiator_address);
            let claims = &mut input.vm_run_data.witness_block_state.read_storage_key;
            *claims.get_mut(&key).unwrap() = H256::repeat_byte(0x0f);
        });
    }

    #[test]
    fn an_existing_slot_claimed_to_be_new() {
        rejected("witness_initial_write", |input| {
            let update = path(input, is_update).leaf_hashed_key;
            let claims = &mut input.vm_run_data.witness_block_state.is_write_initial;
            *claims.iter_mut().find(|(key, _)| key.hashed_key_u256() == update).unwrap().1 = true;
        });
    }

    #[test]
    fn another_root_before() {
        rejected("previous_root", |input| input.l1_batch_env.previous_batch_hash = Some(H256::repeat_byte(1)));
    }

    #[test]
    fn another_value_before() {
        rejected("previous_root", |input| {
            let path = path(input, |path| path.value_read != [0; 32]);
            path.value_read[31] ^= 1;
            let (leaf, value) = (path.leaf_hashed_key, H256(path.value_read));
            let claims = &mut input.vm_run_data.witness_block_state.read_storage_key;
            *claims.iter_mut().find(|(key, _)| key.hashed_key_u256() == leaf).unwrap().1 = value;
        });
    }

    /// Only hashes over no touched leaf are used; the others do not matter.
    #[test]
    fn any_changed_hash_is_rejected_or_changes_nothing() {
        let honest = honest();
        let expected = judge(honest.clone()).unwrap();
        let mut rejections = BTreeSet::new();
        for entry in (0..honest.merkle_paths.merkle_paths.len()).step_by(7) {
            for from_top in 1..=honest.merkle_paths.merkle_paths[entry].merkle_paths.len().min(12) {
                let mut forged = honest.clone();
                let hashes = &mut paths(&mut forged)[entry].merkle_paths;
                let at = hashes.len() - from_top;
                hashes[at] = ByteArray::new([7; 32]);
                match judge(forged) {
                    Ok(verified) => assert_eq!(verified, expected),
                    Err(check) => drop(rejections.insert(check)),
                }
            }
        }
        assert!(rejections.contains("siblings_disagree"));
        assert!(rejections.is_subset(&BTreeSet::from(["previous_root", "siblings_disagree"])), "{rejections:?}");
    }
}

mod code {
    use super::*;

    #[test]
    fn code_replaced_under_an_unchanged_hash() {
        rejected("bytecode_hash", |input| {
            input.vm_run_data.used_bytecodes.values_mut().next().unwrap()[0][31] ^= 1;
        });
    }

    #[test]
    fn a_bootloader_replaced_under_an_unchanged_hash() {
        rejected("bytecode_hash", |input| {
            input.system_env.base_system_smart_contracts.bootloader.code[40] ^= 1;
            input.vm_run_data.bootloader_code[1][8] ^= 1;
        });
    }

    #[test]
    fn a_bytecode_of_an_even_number_of_words() {
        rejected("bytecode_malformed", |input| {
            input.vm_run_data.used_bytecodes.values_mut().next().unwrap().push([0; 32]);
        });
    }

    #[test]
    fn a_bytecode_of_an_unknown_kind() {
        rejected("bytecode_malformed", |input| {
            let (hash, code) = input.vm_run_data.used_bytecodes.pop_first().unwrap();
            input.vm_run_data.used_bytecodes.insert(hash | (U256::from(7) << 248), code);
        });
    }

    #[test]
    fn a_bytecode_left_out() {
        // Any except the default account's, which is in the environment as well.
        let default = honest().vm_run_data.default_account_code_hash;
        let codes: Vec<U256> =
            honest().vm_run_data.used_bytecodes.into_keys().filter(|hash| *hash != default).collect();
        for hash in codes {
            rejected("bytecode_missing", |input| drop(input.vm_run_data.used_bytecodes.remove(&hash)));
        }
    }

    #[test]
    fn copies_that_differ() {
        let forgeries: [fn(&mut BatchInput); 5] = [
            |input| input.vm_run_data.l1_batch_number.0 += 1,
            |input| input.vm_run_data.protocol_version = ProtocolVersionId::VERSION_27,
            |input| input.vm_run_data.bootloader_code[0][0] ^= 1,
            |input| input.vm_run_data.default_account_code_hash += U256::one(),
            |input| input.vm_run_data.evm_emulator_code_hash = Some(U256::one()),
        ];
        for forge in forgeries {
            rejected("copies_differ", forge);
        }
    }
}

mod parameters {
    use super::*;

    #[test]
    fn execution_modes_that_skip_the_validation_of_accounts() {
        for mode in [TxExecutionMode::EstimateFee, TxExecutionMode::EthCall] {
            rejected("execution_mode", |input| input.system_env.execution_mode = mode);
        }
    }

    #[test]
    fn another_validation_gas_limit() {
        rejected("validation_gas_limit", |input| input.system_env.default_validation_computational_gas_limit = 1 << 20);
    }

    #[test]
    fn an_enforced_base_fee() {
        rejected("enforced_base_fee", |input| input.l1_batch_env.enforced_base_fee = Some(1));
    }

    #[test]
    fn zk_porter() {
        rejected("zk_porter_available", |input| input.system_env.zk_porter_available = true);
    }

    #[test]
    fn a_version_that_is_not_supported() {
        for version in [5, 25, 30, 32, u16::MAX].map(ProtocolVersionId::new) {
            rejected("unsupported_version", |input| {
                input.system_env.version = version;
                input.vm_run_data.protocol_version = version;
            });
        }
    }

    #[test]
    fn no_root_before() {
        rejected("no_previous_root", |input| input.l1_batch_env.previous_batch_hash = None);
    }

    #[test]
    fn another_bootloader_gas_limit() {
        rejected("bootloader_gas_limit", |input| input.system_env.bootloader_gas_limit -= 1);
    }

    #[test]
    fn another_chain_than_the_configured() {
        let options = |chain_id| Options { pins: Pins::DangerAnyCode { chain_id: Some(chain_id) } };
        assert_eq!(verify(honest(), &options(301)).unwrap_err().check(), "chain_id");
        assert_eq!(verify(honest(), &options(300)).unwrap().chain_id(), L2ChainId::from(300_u32));
    }

    /// The state knows the chain, and the blocks' hashes then differ.
    #[test]
    fn another_chain_where_none_is_configured() {
        rejected("batch_tip_failed", |input| {
            input.system_env.chain_id = L2ChainId::from(301_u32);
            chain_blocks(input);
        });
    }

    /// Each version has its own way to publish.
    #[test]
    fn another_versions_way_to_publish() {
        rejected("pubdata_params", |input| {
            input.pubdata_params.validator = PubdataValidator::CommitmentScheme(CommitmentScheme::PubdataKeccak256);
        });
        rejected("pubdata_params", |input| {
            let version = ProtocolVersionId::VERSION_31;
            (input.system_env.version, input.vm_run_data.protocol_version) = (version, version);
        });
    }

    #[test]
    fn a_settlement_layer_left_out_and_a_fee_that_the_version_does_not_know() {
        rejected("no_settlement_layer", |input| {
            let version = ProtocolVersionId::VERSION_31;
            (input.system_env.version, input.vm_run_data.protocol_version) = (version, version);
            input.pubdata_params.validator = PubdataValidator::CommitmentScheme(CommitmentScheme::PubdataKeccak256);
        });
        rejected("interop_fee", |input| input.l1_batch_env.interop_fee = U256::one());
        // Nodes of version 31 name the settlement layer in batches of earlier versions, too.
        let mut input = honest();
        input.l1_batch_env.settlement_layer = Some(SettlementLayer { kind: SettlementLayerKind::L1, chain_id: 9 });
        assert_eq!(judge(input), judge(honest()));
    }

    #[test]
    fn another_batch_number() {
        rejected("transaction_halted", |input| {
            input.l1_batch_env.number.0 += 1;
            input.vm_run_data.l1_batch_number.0 += 1;
        });
    }
}

mod blocks {
    use super::*;

    #[test]
    fn too_few() {
        rejected("too_few_blocks", |input| input.l2_blocks_execution_data.clear());
        rejected("too_few_blocks", |input| input.l2_blocks_execution_data.truncate(1));
    }

    #[test]
    fn more_transactions_than_fit_a_batch() {
        rejected("too_many_transactions", |input| {
            let transaction = l2_transaction(input).clone();
            input.l2_blocks_execution_data[0].txs = vec![transaction; 10_001];
        });
    }

    #[test]
    fn a_first_block_that_is_not_the_environments() {
        let forgeries: [fn(&mut BatchInput); 4] = [
            |input| input.l1_batch_env.first_l2_block.number += 1,
            |input| input.l1_batch_env.first_l2_block.timestamp += 1,
            |input| input.l1_batch_env.first_l2_block.prev_block_hash = H256::zero(),
            |input| input.l1_batch_env.first_l2_block.max_virtual_blocks_to_create += 1,
        ];
        for forge in forgeries {
            rejected("first_block", forge);
        }
    }

    #[test]
    fn a_number_left_out() {
        rejected("block_number", |input| input.l2_blocks_execution_data[1].number = 7);
    }

    #[test]
    fn two_blocks_of_one_time() {
        rejected("block_timestamp", |input| {
            input.l2_blocks_execution_data[1].timestamp = input.l2_blocks_execution_data[0].timestamp;
        });
    }

    #[test]
    fn a_block_that_follows_another_than_the_one_before() {
        rejected("block_hash", |input| input.l2_blocks_execution_data[1].prev_block_hash = H256::zero());
    }

    #[test]
    fn an_empty_block_in_between() {
        rejected("empty_block", |input| input.l2_blocks_execution_data[0].txs.clear());
    }

    #[test]
    fn transactions_in_the_block_that_is_not_executed() {
        rejected("last_block_not_empty", |input| {
            let transaction = l2_transaction(input).clone();
            input.l2_blocks_execution_data.last_mut().unwrap().txs.push(transaction);
        });
    }
}

mod transactions {
    use super::*;

    /// The signature of the last L2 transaction, so that all others stay as they are.
    fn signature(input: &mut BatchInput) -> &mut Vec<u8> {
        let ExecuteTransactionCommon::L2(common) = &mut last_l2_transaction(input).common_data else { unreachable!() };
        &mut common.signature
    }

    fn last_l2_transaction(input: &mut BatchInput) -> &mut Transaction {
        input.l2_blocks_execution_data.iter_mut().flat_map(|block| &mut block.txs).last().unwrap()
    }

    #[test]
    fn without_a_recipient() {
        rejected("malformed_transaction", |input| l2_transaction(input).execute.contract_address = None);
    }

    #[test]
    fn with_a_dependency_that_is_no_bytecode() {
        rejected("malformed_transaction", |input| l2_transaction(input).execute.factory_deps = vec![vec![1, 2, 3]]);
    }

    #[test]
    fn of_a_user_under_the_types_of_l1() {
        for l1_type in [TransactionType::PriorityOpTransaction, TransactionType::ProtocolUpgradeTransaction] {
            rejected("malformed_transaction", |input| {
                let ExecuteTransactionCommon::L2(common) = &mut l2_transaction(input).common_data else {
                    unreachable!()
                };
                common.transaction_type = l1_type;
            });
        }
    }

    /// Checked ahead of the VM, which then judges for itself and halts.
    #[test]
    fn with_a_bad_signature() {
        let forgeries: [fn(&mut Vec<u8>); 5] = [
            |signature| signature[10] ^= 1,
            |signature| signature[64] ^= 27 ^ 28,
            |signature| signature[64] = 29,
            |signature| signature.truncate(64),
            |signature| signature[..64].fill(0),
        ];
        for forge in forgeries {
            rejected("transaction_halted", |input| {
                forge(signature(input));
                chain_blocks(input);
            });
        }
    }

    #[test]
    fn without_a_signature() {
        rejected("transaction_halted", |input| {
            signature(input).clear();
            chain_blocks(input);
        });
        // The hash of a transaction of an Ethereum type covers its signature.
        rejected("malformed_transaction", |input| {
            signature(input).clear();
            if let ExecuteTransactionCommon::L2(common) = &mut last_l2_transaction(input).common_data {
                common.transaction_type = TransactionType::EIP1559Transaction;
            }
        });
    }

    #[test]
    fn changed_after_it_was_signed() {
        rejected("transaction_halted", |input| {
            last_l2_transaction(input).execute.value += U256::one();
            chain_blocks(input);
        });
    }

    /// The new sender is the next transaction's, so the witness has all that the run needs.
    #[test]
    fn in_another_senders_name() {
        rejected("transaction_halted", |input| {
            let transactions = input.l2_blocks_execution_data.iter_mut().flat_map(|block| &mut block.txs);
            let mut l2 = transactions.filter_map(|transaction| match &mut transaction.common_data {
                ExecuteTransactionCommon::L2(common) => Some(common),
                _ => None,
            });
            let (one, other) = (l2.next().unwrap(), l2.next().unwrap());
            one.initiator_address = other.initiator_address;
            chain_blocks(input);
        });
    }

    #[test]
    fn from_l1_under_a_hash_that_is_not_its_own() {
        rejected("malformed_transaction", |input| {
            let transaction = &mut input.l2_blocks_execution_data[0].txs[1];
            let ExecuteTransactionCommon::L1(common) = &mut transaction.common_data else { unreachable!() };
            common.canonical_tx_hash = H256::repeat_byte(1);
            chain_blocks(input);
        });
    }

    /// With a deposit left out or invented, it is a different batch, whose writes are not the witness's.
    #[test]
    fn from_l1_left_out() {
        let mut input = honest();
        input.l2_blocks_execution_data[0].txs.remove(1);
        chain_blocks(&mut input);
        assert!(judge(input).is_err());
    }
}
