//! The clever forger: a sequencer that runs on a forged state, over the honest chain's tree, and then repairs
//! everything that the verifier compares. It wants a signature for a step from the honest root before the batch to a
//! root with its loot.

use std::sync::LazyLock;

use crate::scene::judge;
use serde_bytes::ByteArray;
use tee_devnet::{Account, Action, CONTRACT, Call, Chain, Genesis, slots};
use tee_verifier::{Address, BatchInput, H256, MerklePath, StorageKey, U256, input::Transaction};

/// The honest chain after its first batch.
struct Honest {
    chain: Chain,
    /// The batch that it sealed.
    first_batch: BatchInput,
    /// The batch's only transaction, a transfer of the replayed account.
    transfer: Transaction,
}

/// The contract that knows batches and blocks.
const SYSTEM_CONTEXT: u64 = 0x800b;
const POOR: u32 = 0;
const REPLAYED: u32 = 1;
const CALLER: u32 = 2;
/// What the poor account has; its transaction tries to send a hundred times as much.
const POOR_WEI: u64 = 10_u64.pow(18);
const STORED: u64 = 7;

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let transfer = sign(&mut Account::new(REPLAYED), Call::transfer(Address::repeat_byte(0xaa), U256::exp10(18)));
    let first_batch = chain.seal_blocks(vec![vec![transfer.clone()]]).unwrap().input;
    chain.set_slot(&slots::balance(&Account::new(POOR).address()), H256::from_low_u64_be(POOR_WEI));
    chain.set_slot(&slot(STORED), H256::from_low_u64_be(1));
    Honest { chain, first_batch, transfer }
});

fn sign(account: &mut Account, call: Call) -> Transaction {
    account.sign(call, 300_u32.into())
}

/// A slot of the traffic contract.
fn slot(number: u64) -> StorageKey {
    StorageKey::new(CONTRACT, H256::from_low_u64_be(number))
}

/// What is forged: a slot, its value, and the transaction that takes advantage of it.
struct Loot {
    key: StorageKey,
    value: H256,
    transaction: Transaction,
    /// Batch numbers left out.
    skipped_batches: u32,
}

impl Loot {
    /// Funds from nothing.
    fn balance() -> Self {
        let mut thief = Account::new(POOR);
        Self {
            key: slots::balance(&thief.address()),
            value: word(U256::exp10(24)),
            transaction: sign(&mut thief, Call::transfer(Address::repeat_byte(0xbb), U256::exp10(20))),
            skipped_batches: 0,
        }
    }

    /// A contract's storage: the value that is read is written to another slot.
    fn storage() -> Self {
        let copy = Call::storage(Action::Copy, STORED, 0, STORED + 1);
        Self {
            key: slot(STORED),
            value: H256::repeat_byte(0x99),
            transaction: sign(&mut Account::new(CALLER), copy),
            skipped_batches: 0,
        }
    }

    /// A contract's code: with another system contract's code in its place, the call does nothing.
    fn code() -> Self {
        let empty = slots::account_code(&Address::from_low_u64_be(0x8001)).hashed_key_u256();
        Self {
            key: slots::account_code(&CONTRACT),
            value: H256(HONEST.chain.prove(&empty).value_read),
            transaction: sign(&mut Account::new(CALLER), Call::storage(Action::Write, 50, 2, 5)),
            skipped_batches: 0,
        }
    }

    /// A nonce that is set back: the account's transfer is made once more.
    fn nonce() -> Self {
        Self {
            key: slots::nonces(&Account::new(REPLAYED).address()),
            value: H256::zero(),
            transaction: HONEST.transfer.clone(),
            skipped_batches: 0,
        }
    }

    /// What the chain knows of its own last batch: one batch is left out.
    fn system() -> Self {
        let number = HONEST.first_batch.l1_batch_env.number.0;
        // The system context packs the last batch's number above its timestamp.
        let (key, value) = HONEST
            .first_batch
            .vm_run_data
            .witness_block_state
            .read_storage_key
            .keys()
            .filter(|key| *key.address() == Address::from_low_u64_be(SYSTEM_CONTEXT))
            .map(|key| (*key, U256::from_big_endian(&HONEST.chain.prove(&key.hashed_key_u256()).value_read)))
            .find(|(_, value)| value >> 128 == number.into())
            .expect("the number of the last batch");
        Self {
            key,
            value: word(value + (U256::one() << 128)),
            transaction: sign(&mut Account::new(CALLER), Call::transfer(Address::repeat_byte(0xcc), U256::one())),
            skipped_batches: 1,
        }
    }

    /// The batch as the forger's sequencer seals it: everything in it agrees, except the root before it.
    fn sealed(&self) -> BatchInput {
        let mut chain = HONEST.chain.clone();
        chain.set_slot(&self.key, self.value);
        let environment = chain.environment_mut();
        environment.previous_batch_hash = Some(HONEST.chain.root());
        environment.number.0 += self.skipped_batches;
        chain.seal_blocks(vec![vec![self.transaction.clone()]]).unwrap().input
    }

    fn path<'a>(&self, input: &'a mut BatchInput) -> &'a mut MerklePath {
        let key = self.key.hashed_key_u256();
        let mut paths = input.merkle_paths.merkle_paths.iter_mut();
        paths.find(|path| path.leaf_hashed_key == key).expect("the run touches the forged slot")
    }
}

/// Makes the hashes of each path those of the honest tree before the batch.
fn honest_hashes(input: &mut BatchInput) {
    for path in &mut input.merkle_paths.merkle_paths {
        path.merkle_paths = HONEST.chain.prove(&path.leaf_hashed_key).merkle_paths;
    }
}

/// Makes values and indices honest, too.
fn honest_leaves(input: &mut BatchInput) {
    honest_hashes(input);
    for path in &mut input.merkle_paths.merkle_paths {
        let honest = HONEST.chain.prove(&path.leaf_hashed_key);
        path.value_read = honest.value_read;
        if !path.first_write {
            path.leaf_enumeration_index = honest.leaf_enumeration_index;
        }
    }
}

/// Makes the sequencer's claims honest, too.
fn honest_claims(input: &mut BatchInput) {
    honest_leaves(input);
    for (key, value) in &mut input.vm_run_data.witness_block_state.read_storage_key {
        *value = H256(HONEST.chain.prove(&key.hashed_key_u256()).value_read);
    }
}

fn word(number: U256) -> H256 {
    let mut bytes = [0; 32];
    number.to_big_endian(&mut bytes);
    H256(bytes)
}

fn nothing(_: &Loot, _: &mut BatchInput) {}

fn repair_hashes(_: &Loot, input: &mut BatchInput) {
    honest_hashes(input);
}

fn repair_leaves(_: &Loot, input: &mut BatchInput) {
    honest_leaves(input);
}

fn repair_claims(_: &Loot, input: &mut BatchInput) {
    honest_claims(input);
}

/// Drops the path, as of a slot that was written and rolled back.
fn drop_path(loot: &Loot, input: &mut BatchInput) {
    honest_leaves(input);
    let key = loot.key.hashed_key_u256();
    input.merkle_paths.merkle_paths.retain(|path| path.leaf_hashed_key != key);
}

fn forge_index(loot: &Loot, input: &mut BatchInput) {
    honest_hashes(input);
    loot.path(input).leaf_enumeration_index -= 1;
}

/// Restores the leaf and its hashes, and says that the batch writes nothing.
fn keep_reads_only(_: &Loot, input: &mut BatchInput) {
    honest_claims(input);
    for path in &mut input.merkle_paths.merkle_paths {
        let before = HONEST.chain.prove(&path.leaf_hashed_key);
        *path = before;
    }
}

/// Says that an existing leaf is absent: a first write takes the place of its real content.
fn hide_as_first_write(loot: &Loot, input: &mut BatchInput) {
    honest_hashes(input);
    let index = input.merkle_paths.next_enumeration_index;
    let path = loot.path(input);
    (path.is_write, path.first_write, path.value_read) = (true, true, [0; 32]);
    path.leaf_enumeration_index = index;
    let claims = &mut input.vm_run_data.witness_block_state;
    claims.read_storage_key.insert(loot.key, H256::zero());
    claims.is_write_initial.insert(loot.key, true);
}

/// Adds a forged leaf of the same key for the run, beside the honest leaf for the tree.
fn add_second_leaf(loot: &Loot, input: &mut BatchInput) {
    honest_leaves(input);
    let mut second = loot.path(input).clone();
    second.value_read = loot.value.0;
    input.merkle_paths.merkle_paths.push(second);
}

/// Shows the honest leaf under the key beside its own.
fn move_leaf(loot: &Loot, input: &mut BatchInput) {
    honest_leaves(input);
    let forged = MerklePath { value_read: loot.value.0, ..loot.path(input).clone() };
    loot.path(input).leaf_hashed_key ^= U256::one();
    input.merkle_paths.merkle_paths.push(forged);
}

/// Makes the path one hash short, so that each hash stands for the level above its own and the first path's fills the
/// gap.
fn shift_siblings(loot: &Loot, input: &mut BatchInput) {
    honest_hashes(input);
    loot.path(input).merkle_paths.remove(0);
}

/// Puts the forged leaf first, where it defines the hashes that later paths leave out.
fn define_shared_hashes(loot: &Loot, input: &mut BatchInput) {
    honest_hashes(input);
    let mut forged = loot.path(input).clone();
    forged.merkle_paths = vec![ByteArray::new([7; 32]); 256];
    let key = loot.key.hashed_key_u256();
    let paths = &mut input.merkle_paths.merkle_paths;
    paths.retain(|path| path.leaf_hashed_key != key);
    paths.iter_mut().for_each(|path| drop(path.merkle_paths.drain(..200)));
    paths.insert(0, forged);
}

type Repair = fn(&Loot, &mut BatchInput);

#[track_caller]
fn each_is_rejected(loot: &Loot, expected: &[(Repair, &str)]) {
    let sealed = loot.sealed();
    let verdicts: Vec<_> = expected
        .iter()
        .map(|(repair, _)| {
            let mut forged = sealed.clone();
            repair(loot, &mut forged);
            judge(forged).map(|verified| verified.root())
        })
        .collect();
    let expected: Vec<_> = expected.iter().map(|(_, check)| Err(*check)).collect();
    assert_eq!(verdicts, expected);
}

/// Every repair with the check that it fails. Where only what is written is forged, the run itself gives the forger
/// away; how depends on the loot.
fn verdicts(shared_hashes: &'static str, run: &'static str, reads_only: &'static str) -> [(Repair, &'static str); 12] {
    [
        (nothing, "previous_root"),
        (repair_hashes, "previous_root"),
        (repair_leaves, "witness_value"),
        (drop_path, "read_without_path"),
        (forge_index, "previous_root"),
        (hide_as_first_write, "previous_root"),
        (add_second_leaf, "duplicate_leaf"),
        (move_leaf, "previous_root"),
        (shift_siblings, "previous_root"),
        (define_shared_hashes, shared_hashes),
        (repair_claims, run),
        (keep_reads_only, reads_only),
    ]
}

#[test]
fn an_inflated_balance_is_never_spent() {
    let expected = verdicts("siblings_disagree", "transaction_halted", "transaction_halted");
    each_is_rejected(&Loot::balance(), &expected);
}

#[test]
fn a_forged_storage_value_is_never_copied() {
    let expected = verdicts("siblings_disagree", "written_value", "write_without_path");
    each_is_rejected(&Loot::storage(), &expected);
}

/// The forger's sequencer never ran the contract's real code, so its witness lacks it.
#[test]
fn another_contract_s_code_never_runs() {
    let expected = verdicts("siblings_disagree", "bytecode_missing", "bytecode_missing");
    each_is_rejected(&Loot::code(), &expected);
}

#[test]
fn a_transaction_is_never_replayed() {
    let expected = verdicts("previous_root", "transaction_halted", "transaction_halted");
    each_is_rejected(&Loot::nonce(), &expected);
}

#[test]
fn no_batch_is_left_out() {
    each_is_rejected(&Loot::system(), &verdicts("siblings_disagree", "transaction_halted", "transaction_halted"));
}

/// The same repairs on an honest run: all paths are taken before the batch, as the forger does it.
#[test]
fn an_honest_batch_survives_the_same_repairs() {
    for loot in [Loot::balance(), Loot::storage(), Loot::code(), Loot::nonce(), Loot::system()] {
        let mut chain = HONEST.chain.clone();
        let call = Call::storage(Action::Copy, STORED, 0, STORED + 1);
        let sealed = chain.seal_blocks(vec![vec![sign(&mut Account::new(CALLER), call)]]).unwrap();
        let expected = judge(sealed.input.clone()).unwrap();
        assert_eq!(expected.root(), sealed.root);
        for repair in [nothing, repair_hashes, repair_leaves, repair_claims] {
            let mut repaired = sealed.input.clone();
            repair(&loot, &mut repaired);
            assert_eq!(judge(repaired), Ok(expected.clone()));
        }
    }
}

/// A chain that was forged from the start proves only what follows from its own root, and the result says so.
#[test]
fn a_forged_tree_leads_from_a_forged_root_alone() {
    let loot = Loot::balance();
    let mut chain = HONEST.chain.clone();
    chain.set_slot(&loot.key, loot.value);
    let forged_root = chain.root();
    let sealed = chain.seal_blocks(vec![vec![loot.transaction]]).unwrap();
    assert_eq!(judge(sealed.input).unwrap().previous_root(), forged_root);
    assert_ne!(forged_root, HONEST.chain.root());
}
