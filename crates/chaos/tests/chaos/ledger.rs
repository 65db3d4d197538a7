//! A record of what was done and said during a run, to be compared with the state at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tee_api::PublicKey;
use tee_verifier::H256;

/// What is known about a run. Everything that takes part in it shares this.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Default)]
pub(crate) struct Entries {
    /// Good batches, and the root of each.
    pub(crate) roots: BTreeMap<u32, H256>,
    /// Batches that nobody must sign.
    pub(crate) poison: BTreeSet<u32>,
    /// Batches that a prover found correct.
    pub(crate) verified: BTreeSet<u32>,
    /// Proofs that were acknowledged to a prover.
    pub(crate) acknowledged: BTreeSet<(u32, PublicKey)>,
    /// Keys that sign wrong roots.
    pub(crate) forgers: BTreeSet<PublicKey>,
    /// Programs that ended although nobody ended them.
    pub(crate) ended_by_themselves: Vec<String>,
    /// How often each thing happened.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Ledger {
    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, what: impl Into<String>) {
        *self.entries().counts.entry(what.into()).or_default() += 1;
    }

    /// Takes in a line of a prover's log.
    pub(crate) fn heard(&self, key: PublicKey, said: &Value) {
        let batch = || said["span"]["number"].as_u64().and_then(|number| u32::try_from(number).ok());
        let (Some(message), Some(batch)) = (said["fields"]["message"].as_str(), batch()) else { return };
        match message {
            "verified" => drop(self.entries().verified.insert(batch)),
            "submitted" => drop(self.entries().acknowledged.insert((batch, key))),
            _ => {}
        }
    }

    pub(crate) fn ended_by_itself(&self, name: &str) {
        self.entries().ended_by_themselves.push(name.to_owned());
    }
}
