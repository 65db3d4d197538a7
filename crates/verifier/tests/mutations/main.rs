//! Random changes to a batch that verifies. A changed input may be accepted only if its result is the honest one's, and
//! then only in a field that is known to carry no meaning.
//!
//! `TEE_MUTATIONS` sets the number, `TEE_MUTATION_SEED` the sequence:
//! `TEE_MUTATIONS=100000 cargo test --release -p tee-verifier --test mutations -- --nocapture`.

mod random;
#[path = "../scene/mod.rs"]
mod scene;
mod typed;
mod wire;

use std::{
    cell::Cell,
    collections::BTreeMap,
    env,
    panic::{self, AssertUnwindSafe},
    str::FromStr,
    sync::Once,
    thread,
};

use serde_json::Value;
use tee_devnet::{Account, Action, CONTRACT, Call, Chain, Genesis, deposit, upgrade};
use tee_verifier::{Address, BatchInput, ProtocolVersionId, U256, input::Transaction};

use random::Random;
use scene::{chain_blocks, judge};

const DEFAULT_MUTATIONS: u64 = 250;

fn from_environment<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Transactions of all kinds in three blocks: an upgrade, deposits, transfers, reads, writes, and writes that are
/// rolled back.
fn honest() -> BatchInput {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let calls = [
        Call::transfer(Address::repeat_byte(1), U256::from(5)),
        Call::storage(Action::Write, 10, 2, 6),
        Call::storage(Action::Read, 10, 3, 0),
        Call::storage(Action::WriteAndRevert, 11, 3, 7),
        Call::storage(Action::WriteRolledBack, 20, 3, 7),
        Call::transfer(Address::repeat_byte(1), U256::from(8)),
    ];
    let calls = calls.into_iter().zip(0..);
    let l2: Vec<Transaction> = calls.map(|(call, number)| Account::new(number).sign(call, 300_u32.into())).collect();
    let calldata = Call::storage(Action::Write, 5, 1, 1).calldata;
    let first = vec![
        upgrade(ProtocolVersionId::VERSION_26, CONTRACT, calldata),
        deposit(0, Address::repeat_byte(2), U256::from(9)),
        l2[0].clone(),
    ];
    chain.seal_blocks(vec![first, l2[1..4].to_vec(), l2[4..].to_vec()]).unwrap().input
}

/// The result of a random change.
enum Changed {
    /// A change without effect, such as a swap of two equal items.
    Nothing,
    Unreadable,
    Input(Box<BatchInput>),
}

/// Returns the changed field and the result.
type Mutation<'a> = dyn FnMut(&mut Random) -> (String, Changed) + 'a;

/// An input's bytes, to compare: two transactions would count as equal if the hashes that they carry are equal. `None`
/// if a bytecode has lost the length that its encoding needs.
fn encoded(input: &BatchInput) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    input.to_cbor(&mut bytes).ok().map(|()| bytes)
}

/// Catches panics without printing them.
fn quietly<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic)
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    result
}

/// Makes changes, judges each, and asserts that none is accepted except with the honest result and in a field on the
/// list.
fn judge_mutations(honest: &BatchInput, mutation: &mut Mutation<'_>, without_meaning: &[(&str, &str)]) {
    let expected = judge(honest.clone()).unwrap();
    let seed = from_environment("TEE_MUTATION_SEED", 1);
    let mutations = from_environment("TEE_MUTATIONS", DEFAULT_MUTATIONS);
    let mut random = Random(seed);
    let (mut unreadable, mut unchanged, mut rejected) = (0, 0, BTreeMap::<&str, u64>::new());
    let (mut same, mut forged) = (BTreeMap::<String, u64>::new(), Vec::new());
    for number in 0..mutations {
        let (field, changed) = mutation(&mut random);
        let changed = match changed {
            Changed::Input(changed) => *changed,
            Changed::Nothing => {
                unchanged += 1;
                continue;
            }
            Changed::Unreadable => {
                unreadable += 1;
                continue;
            }
        };
        match quietly(|| judge(changed)) {
            Err(_) => forged.push(format!("{field} panics (mutation {number} of seed {seed})")),
            Ok(Err(check)) => *rejected.entry(check).or_default() += 1,
            Ok(Ok(verified)) if verified == expected => *same.entry(field).or_default() += 1,
            Ok(Ok(_)) => forged.push(format!("{field} (mutation {number} of seed {seed})")),
        }
    }
    println!(
        "{mutations} mutations: {unreadable} unreadable, {unchanged} without a change, rejected {rejected:?}, accepted with \
         the same result {same:?}, accepted otherwise {}",
        forged.len()
    );
    assert_eq!(forged, [""; 0], "accepted with another result");
    let unknown: Vec<_> =
        same.keys().filter(|field| !without_meaning.iter().any(|(known, _)| field == known)).collect();
    assert_eq!(unknown, [""; 0], "accepted, and not known to carry no meaning");
}

#[test]
fn an_input_changed_on_the_wire_is_rejected_or_gives_the_same_result() {
    let input = honest();
    let mut json = Vec::new();
    input.to_json(&mut json).unwrap();
    let wire: Value = serde_json::from_slice(&json).unwrap();
    judge_mutations(&input, &mut |random| wire::mutated(&wire, random), wire::WITHOUT_MEANING);
}

/// Every other time, the blocks are made to follow one another again, as an attacker would do.
#[test]
fn an_input_with_a_changed_field_is_rejected_or_gives_the_same_result() {
    let input = honest();
    let honest_bytes = encoded(&input);
    let mut mutation = |random: &mut Random| {
        let mut changed = input.clone();
        let field = typed::mutate(&mut changed, random);
        if random.below(2) == 0 {
            // If a transaction no longer has a hash, they stay as they are.
            let _ = quietly(|| chain_blocks(&mut changed));
        }
        if encoded(&changed) == honest_bytes {
            return (field, Changed::Nothing);
        }
        (field, Changed::Input(Box::new(changed)))
    };
    judge_mutations(&input, &mut mutation, typed::WITHOUT_MEANING);
}
