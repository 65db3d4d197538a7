//! Checks what somebody publishes about batches: proofs, statements, quotes. Only the processor's manufacturer is trusted.
//!
//! [`published`] asks a publisher for a batch's proofs, [`check`] checks each of them, and [`Examined::weigh`] combines
//! the results. `teectl proofs verify` shows the results to people, and the relayer passes batches that they call
//! proven to contracts.

mod attestations;
mod batch;
mod files;
mod known_builds;
mod proof;
mod rpc;

use serde_json::{Value, json};
use tee_api::{TEE_PROOFS_METHOD, TeeType};

pub use self::{
    attestations::{AsOf, AttestationError, Attestations, Judged, now_secs, time},
    batch::{Examined, Verdict},
    files::{FileError, quote_of_text, read, read_policy, read_root, read_text},
    known_builds::{KnownBuilds, KnownBuildsError},
    proof::{Batch, Checked, Entry, Outcome, Part, Problem, Step, check, check_judged, key_of, quote_of},
    rpc::{Rpc, RpcError},
};

/// The most proofs of a batch that are checked.
const MAX_PROOFS: usize = 64;

/// The entries that a publisher has for a batch, as it sends them: for one type of enclave, or for all.
pub async fn published(publisher: &Rpc, batch: u32, tee_type: Option<TeeType>) -> Result<Vec<Value>, RpcError> {
    let found: Option<Vec<Value>> = publisher.call(TEE_PROOFS_METHOD, json!([batch, tee_type])).await?;
    let mut found = found.unwrap_or_default();
    found.truncate(MAX_PROOFS);
    Ok(found)
}
