//! Slots without a path: a node's batch with such slots is verified, and they cannot be abused.

use std::sync::LazyLock;

use tee_devnet::{Account, Action, CONTRACT, Call, Chain, Genesis, SealedBatch};
use tee_verifier::{
    Address, BatchInput, CompletionError, H256, MerklePath, SlotPath, StorageKey, U256, add_read_paths, completes,
    input::{ExecuteTransactionCommon, Transaction},
    slots_without_path,
};

use crate::scene::judge;

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    // Slots that exist before the batch.
    (0..3).for_each(|number| chain.set_slot(&slot(EXISTING + number), H256::from_low_u64_be(70 + number)));
    chain
});

/// The first of three slots that hold 70, 71, 72.
const EXISTING: u64 = 700;

fn slot(number: u64) -> StorageKey {
    StorageKey::new(CONTRACT, H256::from_low_u64_be(number))
}

/// A batch of calls, each from a different account.
fn batch(calls: Vec<Call>) -> BatchInput {
    let mut chain = CHAIN.clone();
    let calls = calls.into_iter().zip(0..);
    let transactions: Vec<Transaction> =
        calls.map(|(call, number)| Account::new(number).sign(call, 300_u32.into())).collect();
    let sealed = chain.seal_blocks(transactions.chunks(4).map(<[_]>::to_vec).collect()).unwrap();
    sealed.input
}

fn transfer() -> Call {
    Call::transfer(Address::repeat_byte(0xdd), U256::from(3))
}

fn has_path(input: &BatchInput, number: u64) -> bool {
    let key = slot(number).hashed_key_u256();
    input.merkle_paths.merkle_paths.iter().any(|path| path.leaf_hashed_key == key)
}

/// Takes a slot's path away, as of a slot that was rolled back, and claims a value for it.
fn pretend_rolled_back(input: &mut BatchInput, number: u64, claim: u64) {
    let (paths, key) = (&mut input.merkle_paths.merkle_paths, slot(number).hashed_key_u256());
    let at = paths.iter().position(|path| path.leaf_hashed_key == key).expect("a slot with a path");
    // Later paths leave out what they share with the first, so the first must stay.
    assert_ne!(at, 0);
    paths.remove(at);
    claim_value(input, number, claim);
}

fn claim_value(input: &mut BatchInput, number: u64, claim: u64) {
    let claims = &mut input.vm_run_data.witness_block_state;
    claims.read_storage_key.insert(slot(number), H256::from_low_u64_be(claim));
    claims.is_write_initial.insert(slot(number), claim == 0);
}

#[test]
fn a_batch_with_rolled_back_slots_of_all_kinds_verifies() {
    let input = batch(vec![
        transfer(),
        // Three slots of whole transactions; two of these revert on the same one.
        Call::storage(Action::WriteAndRevert, 100, 2, 1),
        Call::storage(Action::WriteAndRevert, 101, 2, 9),
        // Two slots of an inner frame; the third stays written.
        Call::storage(Action::WriteRolledBack, 200, 3, 1),
        // Rolled back once, then written to stay.
        Call::storage(Action::WriteAndRevert, 300, 1, 1),
        Call::storage(Action::Write, 300, 1, 2),
        // Rolled back once, then read.
        Call::storage(Action::WriteAndRevert, 400, 1, 1),
        Call::storage(Action::Read, 400, 1, 0),
        // Written to stay, then rolled back.
        Call::storage(Action::Write, 500, 1, 1),
        Call::storage(Action::WriteAndRevert, 500, 1, 2),
        // Existing slots: one only rolled back, one rolled back and copied.
        Call::storage(Action::WriteAndRevert, EXISTING, 2, 1),
        Call::storage(Action::Copy, EXISTING + 1, 0, 600),
        transfer(),
    ]);
    for (number, expected) in [
        (100, false),
        (101, false),
        (102, false),
        (200, false),
        (201, false),
        (202, true),
        (300, true),
        (400, true),
        (500, true),
        (600, true),
        (EXISTING, false),
        (EXISTING + 1, true),
    ] {
        assert_eq!(has_path(&input, number), expected, "slot {number}");
    }
    let verified = judge(input.clone()).unwrap();
    assert_eq!(verified.rolled_back_slots(), 3 + 2 + 1);
    assert_eq!(Ok(verified.root()), tee_reference::reference_root(&input).map_err(|error| error.to_string()));
}

#[test]
fn a_claim_about_a_rolled_back_slot_decides_nothing() {
    let input = batch(vec![transfer(), Call::storage(Action::WriteAndRevert, EXISTING, 2, 1), transfer()]);
    let expected = judge(input.clone()).unwrap();
    assert_eq!(expected.rolled_back_slots(), 2);
    for claim in [0, 1, 70, u64::MAX] {
        for initial in [false, true] {
            let mut claimed = input.clone();
            claim_value(&mut claimed, EXISTING, claim);
            claimed.vm_run_data.witness_block_state.is_write_initial.insert(slot(EXISTING), initial);
            assert_eq!(judge(claimed), Ok(expected.clone()), "{claim}, initial: {initial}");
        }
    }
}

#[test]
fn a_rolled_back_slot_that_a_later_transaction_reads_needs_its_path() {
    let reverted = Call::storage(Action::WriteAndRevert, EXISTING, 2, 1);
    for reader in [
        Call::storage(Action::Copy, EXISTING + 1, 0, 600),
        Call::storage(Action::Read, EXISTING + 1, 1, 0),
        Call::storage(Action::Read, EXISTING, 3, 0),
    ] {
        let mut input = batch(vec![reverted.clone(), reader, reverted.clone()]);
        // A value other than the one that its path proves; and without the path, whether true or not.
        let mut forged = input.clone();
        claim_value(&mut forged, EXISTING + 1, 5);
        assert_eq!(judge(forged).unwrap_err(), "witness_value");
        for claim in [0, 5, 71] {
            let mut forged = input.clone();
            pretend_rolled_back(&mut forged, EXISTING + 1, claim);
            assert_eq!(judge(forged).unwrap_err(), "read_without_path", "{claim}");
        }
        // Claimed to be absent, while its path proves that it exists.
        input.vm_run_data.witness_block_state.is_write_initial.insert(slot(EXISTING + 1), true);
        assert_eq!(judge(input).unwrap_err(), "witness_initial_write");
    }
}

/// If the claim equals what is written, the write seems to change nothing.
#[test]
fn a_slot_that_is_written_for_good_needs_its_path() {
    let calls = [
        // Written alone; before and after a rolled back write; written again in a frame that is not rolled back.
        vec![Call::storage(Action::Write, EXISTING, 2, 5)],
        vec![Call::storage(Action::WriteAndRevert, EXISTING, 2, 1), Call::storage(Action::Write, EXISTING, 2, 5)],
        vec![Call::storage(Action::Write, EXISTING, 2, 5), Call::storage(Action::WriteAndRevert, EXISTING, 2, 1)],
        vec![Call::storage(Action::WriteRolledBack, EXISTING, 2, 4)],
        // Written, and then written back to the claimed old value.
        vec![Call::storage(Action::Write, EXISTING, 2, 5), Call::storage(Action::Write, EXISTING, 2, 7)],
    ];
    for (batch_number, calls) in calls.into_iter().enumerate() {
        let input = batch([vec![transfer()], calls, vec![transfer()]].concat());
        for claim in [0, 4, 5, 6, 7, 8, 70, 71] {
            let mut forged = input.clone();
            pretend_rolled_back(&mut forged, EXISTING + 1, claim);
            // The bootloader asks what the writes cost to publish before anything else depends on them.
            assert_eq!(judge(forged).unwrap_err(), "unproven_cost", "batch {batch_number}, {claim}");
        }
    }
}

#[test]
fn a_rolled_back_slot_that_nobody_claims_to_know_is_not_taken_for_zero() {
    let mut input = batch(vec![Call::storage(Action::WriteAndRevert, 100, 2, 1)]);
    input.vm_run_data.witness_block_state.read_storage_key.remove(&slot(100));
    assert_eq!(judge(input).unwrap_err(), "slot_missing");
}

/// The cost of a slot without a path is a claim. Only the kernel sees it.
#[test]
fn a_contract_does_not_see_what_its_writes_cost_to_publish() {
    let verdict = |action| judge(batch(vec![Call::storage(action, 100, 2, 1)])).map(|batch| batch.rolled_back_slots());
    assert_eq!(verdict(Action::WriteAndRevert), Ok(2));
    assert_eq!(verdict(Action::WriteMeasureAndRevert), Ok(2));
}

/// The whole attack. In the forger's state a hundred slots are absent, so writing them costs so much that the
/// transaction fails. They are rolled back and have no path, so nothing shows that the honest chain's state is
/// different.
#[test]
fn a_transaction_is_never_made_to_fail_by_an_invented_cost() {
    const SLOTS: u64 = 100;
    let mut honest = Chain::new(Genesis::sepolia().unwrap());
    let forged = honest.clone();
    (0..SLOTS).for_each(|number| honest.set_slot(&slot(number), H256::from_low_u64_be(u64::MAX / 2 + number)));
    // Adds one to each slot.
    let call = Call::storage(Action::Write, 0, SLOTS, u64::MAX / 2 + 1);
    let seal = |chain: &Chain, gas_limit: u64| {
        let mut chain = chain.clone();
        chain.environment_mut().previous_batch_hash = Some(honest.root());
        chain.seal_blocks(vec![vec![with_gas_limit(&call, gas_limit)]]).map(|sealed| sealed.input).ok()
    };
    // The smallest gas limit with which it succeeds on the honest state.
    let limits = (1..1_000).map(|step| step * 100_000);
    let mut runs = limits.filter_map(|limit| Some((limit, seal(&honest, limit)?)));
    let (gas_limit, truth) = runs.find(|(_, input)| has_path(input, 0)).unwrap();
    assert_eq!(judge(truth).unwrap().rolled_back_slots(), 0);

    let mut lie = seal(&forged, gas_limit).unwrap();
    assert!(!has_path(&lie, 0));
    for path in &mut lie.merkle_paths.merkle_paths {
        path.merkle_paths = honest.prove(&path.leaf_hashed_key).merkle_paths;
        if path.first_write {
            path.leaf_enumeration_index += SLOTS;
        }
    }
    lie.merkle_paths.next_enumeration_index += SLOTS;
    assert_eq!(judge(lie).unwrap_err(), "unproven_cost");
}

/// A batch of honest users, whose transactions fail because of 200 writes and too small a gas limit, with other causes
/// of slots without a path.
fn batch_without_paths() -> SealedBatch {
    let write = Call::storage(Action::Write, 1_000, WRITES, 1 << 40);
    let with = |gas_limit: u64| {
        let calls = [
            Call::storage(Action::WriteAndRevert, 100, 2, 1),
            Call::storage(Action::WriteAndRevert, EXISTING, 2, 1),
            Call::storage(Action::Write, EXISTING + 1, 1, 3),
        ];
        let others = calls.into_iter().zip(1..).map(|(call, account)| Account::new(account).sign(call, 300_u32.into()));
        CHAIN.clone().seal_blocks(vec![[with_gas_limit(&write, gas_limit)].into_iter().chain(others).collect()]).ok()
    };
    let mut sealed = (1..1_000).filter_map(|step| with(step * 100_000));
    let last = slot(1_000 + WRITES - 1);
    sealed.find(|sealed| sealed.input.vm_run_data.witness_block_state.read_storage_key.contains_key(&last)).unwrap()
}

const WRITES: u64 = 200;

/// A slot of the state before the batch.
fn slot_path(key: StorageKey) -> SlotPath {
    let MerklePath { leaf_enumeration_index: index, value_read, merkle_paths, .. } =
        CHAIN.prove(&key.hashed_key_u256());
    SlotPath { key, index, value: H256(value_read), path: merkle_paths.into_iter().map(|hash| *hash).collect() }
}

/// A transaction that really fails because its writes cost too much to publish leaves slots without a path. The state
/// before the batch has paths for them, and an input that carries these, too, is proven.
#[test]
fn a_transaction_that_fails_for_its_cost_is_proven_with_further_paths() {
    let SealedBatch { input, root, .. } = batch_without_paths();
    assert!(!has_path(&input, 1_000));
    assert_eq!(judge(input.clone()).unwrap_err(), "unproven_cost");

    let missing = slots_without_path(&input).unwrap();
    let expected = (0..2).map(|number| slot(100 + number)).chain([slot(EXISTING)]);
    assert_eq!(missing, expected.chain((0..WRITES).map(|number| slot(1_000 + number))).collect::<Vec<_>>());
    let mut completed = input.clone();
    add_read_paths(&mut completed, missing.iter().copied().map(slot_path).collect()).unwrap();
    let verified = judge(completed.clone()).unwrap();
    assert_eq!((verified.root(), verified.rolled_back_slots()), (root, 0));
    assert_eq!(slots_without_path(&completed), Ok(vec![]));
    // Exactly the slots on which the cost of a failing transaction depends are needed.
    let of_the_writes = missing.iter().filter(|key| key.key().to_low_u64_be() >= 1_000);
    let mut enough = input.clone();
    add_read_paths(&mut enough, of_the_writes.copied().map(slot_path).collect()).unwrap();
    assert_eq!(judge(enough.clone()).map(|verified| (verified.root(), verified.rolled_back_slots())), Ok((root, 3)));
    enough.merkle_paths.merkle_paths.pop();
    assert_eq!(judge(enough).unwrap_err(), "unproven_cost");

    // A path either proves the truth or is invalid.
    completed.merkle_paths.merkle_paths.last_mut().unwrap().merkle_paths[0][0] ^= 1;
    assert!(["previous_root", "siblings_disagree"].contains(&judge(completed).unwrap_err()));
}

/// Both forms leave out hashes at a path's start: those that equal the first path's, or those of empty subtrees.
#[test]
fn further_paths_are_added_in_the_forms_that_an_input_can_have() {
    let SealedBatch { input, root, .. } = batch_without_paths();
    let missing = slots_without_path(&input).unwrap();
    let mut of_empty_subtrees = input.clone();
    for path in &mut of_empty_subtrees.merkle_paths.merkle_paths {
        // As many as they have after the first of those that the batch changes, whose path is whole.
        let whole = CHAIN.prove(&path.leaf_hashed_key).merkle_paths;
        let absent = CHAIN.prove(&slot(u64::MAX).hashed_key_u256()).merkle_paths;
        let left_out = whole.iter().zip(&absent).take_while(|(hash, empty)| hash == empty).count();
        path.merkle_paths = whole[left_out.min(200)..].to_vec();
    }
    for mut input in [input, of_empty_subtrees] {
        let own = input.merkle_paths.merkle_paths.len();
        let given = missing.iter().copied().map(slot_path).map(|mut slot| {
            // As nodes return them.
            slot.path.drain(..150);
            slot
        });
        add_read_paths(&mut input, given.collect()).unwrap();
        assert!(input.merkle_paths.merkle_paths[own..].iter().all(|path| path.merkle_paths.len() < 40));
        assert_eq!(judge(input).map(|verified| verified.root()), Ok(root));
    }
}

/// The node that is asked for paths is not trusted.
#[test]
fn a_path_of_another_state_is_not_added() {
    let SealedBatch { input, .. } = batch_without_paths();
    let (absent, existing) = (slot_path(slot(1_000)), slot_path(slot(EXISTING)));
    let lies = [
        SlotPath { value: H256::from_low_u64_be(1), index: 1, ..absent.clone() },
        SlotPath { value: H256::from_low_u64_be(71), ..existing.clone() },
        SlotPath { index: existing.index + 1, ..existing.clone() },
        SlotPath { index: 0, ..existing.clone() },
        SlotPath { key: slot(EXISTING + 1), ..existing.clone() },
        SlotPath { path: vec![[1; 32]; 256], ..absent.clone() },
        SlotPath { path: vec![], ..absent.clone() },
    ];
    for lie in lies {
        let mut completed = input.clone();
        let refused = add_read_paths(&mut completed, vec![absent.clone(), lie.clone()]).unwrap_err();
        assert!(matches!(refused, CompletionError::OtherRoot { key, .. } if key == lie.key), "{refused}");
        assert_eq!(completed, input);
    }
    let mut completed = input.clone();
    let long = SlotPath { path: vec![[0; 32]; 257], ..absent };
    let refused = add_read_paths(&mut completed, vec![long]);
    assert_eq!(refused, Err(CompletionError::PathTooLong { key: slot(1_000), got: 257 }));
    completed.l1_batch_env.previous_batch_hash = None;
    assert_eq!(add_read_paths(&mut completed, vec![existing]), Err(CompletionError::NoPreviousRoot));
}

#[test]
fn an_input_completes_another_if_it_has_further_reads_and_nothing_else() {
    let SealedBatch { input, .. } = batch_without_paths();
    let mut completed = input.clone();
    add_read_paths(&mut completed, vec![slot_path(slot(1_000)), slot_path(slot(EXISTING))]).unwrap();
    assert!(completes(&completed, &input));
    assert!(!completes(&input, &completed) && !completes(&input, &input));
    let changes: [fn(&mut BatchInput); 5] = [
        |input| input.merkle_paths.merkle_paths.last_mut().unwrap().is_write = true,
        |input| input.merkle_paths.merkle_paths[1].value_read[0] ^= 1,
        |input| input.merkle_paths.next_enumeration_index += 1,
        |input| input.l1_batch_env.timestamp += 1,
        |input| drop(input.l2_blocks_execution_data.pop()),
    ];
    for change in changes {
        let mut other = completed.clone();
        change(&mut other);
        assert!(!completes(&other, &input));
    }
}

fn with_gas_limit(call: &Call, gas_limit: u64) -> Transaction {
    let mut account = Account::new(0);
    let mut transaction = account.transaction(call.clone());
    if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data {
        common.fee.gas_limit = gas_limit.into();
    }
    account.sign_transaction(transaction, 300_u32.into())
}
