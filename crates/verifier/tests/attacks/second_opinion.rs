//! The legacy VM, which a node takes for the truth, on what the chain is asked to seal.

use std::panic::{self, AssertUnwindSafe};

use tee_devnet::{Chain, SealedBatch};
use tee_reference::legacy_run;
use tee_verifier::{BatchOutcome, H256, StorageKey, input::Transaction, run};

/// Seals blocks next. Asserts that the legacy VM takes them, too, or that neither does, and that they agree on everything that a
/// batch comes to: success, refund and published bytes of each transaction, what is written, and the system logs.
#[track_caller]
pub(crate) fn seal_as_both(chain: &mut Chain, transactions: Vec<Vec<Transaction>>) -> Option<SealedBatch> {
    let blocks = chain.blocks(transactions.clone());
    // It panics on some of what is no transaction of a batch.
    let legacy = panic::catch_unwind(AssertUnwindSafe(|| legacy_run(chain.run_of(&blocks), chain.state())));
    let ours = run(chain.run_of(&blocks), chain.state());
    let (legacy, ours) = match (legacy, ours) {
        (Ok(Ok(legacy)), Ok(ours)) => (legacy, ours),
        (Ok(Err(_)) | Err(_), Err(_)) => return None,
        (Ok(Ok(_)), Err(ours)) => panic!("the legacy VM seals it, ours does not: {ours}"),
        (Ok(Err(legacy)), Ok(_)) => panic!("ours seals it, the legacy VM does not: {legacy}"),
        (Err(_), Ok(_)) => panic!("ours seals it, the legacy VM panics"),
    };
    assert_eq!(ours.transactions, legacy.transactions);
    assert_eq!(writes(&ours), legacy.writes);
    assert_eq!(ours.system_logs, legacy.system_logs);
    Some(chain.seal_blocks(transactions).unwrap())
}

fn writes(outcome: &BatchOutcome) -> Vec<(StorageKey, H256)> {
    let changed = outcome.accesses.iter().filter(|access| access.is_written && access.value != access.before.value);
    let mut writes: Vec<_> = changed
        .map(|access| {
            (StorageKey::new(access.address.into(), H256(access.key.to_be_bytes())), H256(access.value.to_be_bytes()))
        })
        .collect();
    writes.sort_unstable();
    writes
}
