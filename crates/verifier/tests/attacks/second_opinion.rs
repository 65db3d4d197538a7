//! The verdict of the legacy VM, which nodes rely on, on what the chain is asked to seal.

use std::panic::{self, AssertUnwindSafe};

use tee_devnet::{Chain, SealedBatch};
use tee_reference::legacy_run;
use tee_verifier::{BatchOutcome, H256, StorageKey, input::Transaction, run, storage_key};

/// Seals blocks next. Asserts that both the chain and the legacy VM take them, or neither, and that they agree on the
/// whole outcome: success, refund, published bytes and gas left of each transaction, the values written, the system
/// logs and the events.
#[track_caller]
pub(crate) fn seal_as_both(chain: &mut Chain, transactions: Vec<Vec<Transaction>>) -> Option<SealedBatch> {
    opinions(chain, transactions).unwrap_or_else(|disagreement| panic!("{disagreement}"))
}

/// The same, with a disagreement as an error.
pub(crate) fn opinions(chain: &mut Chain, transactions: Vec<Vec<Transaction>>) -> Result<Option<SealedBatch>, String> {
    let blocks = chain.blocks(transactions.clone());
    // It panics on some inputs that are no transaction of a batch.
    let legacy = panic::catch_unwind(AssertUnwindSafe(|| legacy_run(chain.run_of(&blocks), chain.state())));
    let ours = run(chain.run_of(&blocks), chain.state());
    let (legacy, ours) = match (legacy, ours) {
        (Ok(Ok(legacy)), Ok(ours)) => (legacy, ours),
        (Ok(Err(_)) | Err(_), Err(_)) => return Ok(None),
        (Ok(Ok(_)), Err(ours)) => return Err(format!("the legacy VM seals it, ours does not: {ours}")),
        (Ok(Err(legacy)), Ok(_)) => return Err(format!("ours seals it, the legacy VM does not: {legacy:?}")),
        (Err(_), Ok(_)) => return Err("ours seals it, the legacy VM panics".to_owned()),
    };
    same("transactions", &ours.transactions, &legacy.transactions)?;
    same("writes", &writes(&ours), &legacy.writes)?;
    same("system logs", &ours.system_logs, &legacy.system_logs)?;
    same("events", &ours.events, &legacy.events)?;
    Ok(Some(chain.seal_blocks(transactions).map_err(|error| error.to_string())?))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, legacy: &T) -> Result<(), String> {
    if ours == legacy { Ok(()) } else { Err(format!("{what}: ours {ours:?}, the legacy VM's {legacy:?}")) }
}

fn writes(outcome: &BatchOutcome) -> Vec<(StorageKey, H256)> {
    let changed = outcome.accesses.iter().filter(|access| access.is_written && access.value != access.before.value);
    let mut writes: Vec<_> =
        changed.map(|access| (storage_key(&access.address, &access.key), H256(access.value.to_be_bytes()))).collect();
    writes.sort_unstable();
    writes
}
