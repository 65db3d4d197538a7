//! Completes inputs whose batch a prover rejected because a slot has no path (`unproven_cost`): it asks the chain's node for the
//! paths and queues the batch again.
//!
//! The state is in the database: `wanted` after a prover's report, then `completed` or `given_up`.

use std::time::Duration;

use tee_api::chain;
use tee_verifier::{BatchInput, CompletionError, InputForm, Rejection, add_read_paths, slots_without_path};
use thiserror::Error;
use tokio::time::sleep;

use crate::{
    batches::{AddBatchError, NodeRpc, NodeRpcError, add, add::blocking},
    database::WantedCompletion,
    metrics::{CompletionOutcome, Metrics},
    service::Service,
};

/// How often the database is asked for completions that other servers or the time made due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a failure, for example while the database is down.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Nobody else tries a completion within this time. Two attempts at once would do no harm.
const IN_HAND_MS: i64 = 120 * 1000;

/// A completion is given up after this many failures, which takes about four hours.
const MAX_ATTEMPTS: i64 = 50;

const FIRST_PAUSE_MS: i64 = 1000;

const LONGEST_PAUSE_MS: i64 = 300 * 1000;

/// Why an input cannot be completed.
#[derive(Debug, Error)]
pub enum CompleteError {
    /// The batch is rejected, whatever paths its input has.
    #[error("{check}: {0}", check = .0.check())]
    Rejected(#[from] Rejection),
    /// There is no state before the batch.
    #[error("the chain's first batch has no batch before it")]
    FirstBatch,
    /// The node does not return the paths.
    #[error("the node's JSON-RPC")]
    Node(#[from] NodeRpcError),
    /// The node returns paths that do not fit.
    #[error("the node's answer does not fit the batch")]
    Path(#[from] CompletionError),
}

impl CompleteError {
    /// Whether another attempt may succeed.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Node(_) | Self::Path(_))
    }
}

/// Why a stored input was not completed.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Complete(#[from] CompleteError),
    #[error("the input already has a path for every slot that its batch touches")]
    NothingMissing,
    #[error("the batch does not exist")]
    NoBatch,
    #[error("the input was replaced in the meantime")]
    Replaced,
    #[error("cannot read the input: {0}")]
    Input(String),
    #[error(transparent)]
    Store(#[from] AddBatchError),
    #[error("database")]
    Database(#[from] sqlx::Error),
}

impl Failure {
    fn may_pass(&self) -> bool {
        match self {
            Self::Complete(error) => error.may_pass(),
            Self::Replaced | Self::Input(_) | Self::Store(_) | Self::Database(_) => true,
            Self::NothingMissing | Self::NoBatch => false,
        }
    }
}

/// Adds a read path for each slot that a batch touches and that has no path in its input. Returns the input and the number of added paths.
pub async fn complete(input: BatchInput, node: &NodeRpc) -> Result<(BatchInput, usize), CompleteError> {
    let before = input.l1_batch_env.number.0.checked_sub(1).ok_or(CompleteError::FirstBatch)?;
    let (mut input, slots) = blocking(move || {
        let slots = slots_without_path(&input);
        (input, slots)
    })
    .await;
    let slots = slots?;
    let paths = node.slot_paths(&slots, before).await?;
    let input = blocking(move || add_read_paths(&mut input, paths).map(|()| input)).await?;
    Ok((input, slots.len()))
}

/// Never returns. Holds one input at a time in memory.
pub(crate) async fn run(service: Service, node: NodeRpc, metrics: Metrics) {
    let wanted = service.database.completion_wanted();
    loop {
        let pause = match complete_next(&service, &node, &metrics).await {
            Ok(true) => continue,
            Ok(false) => LOOK_INTERVAL,
            Err(error) => {
                tracing::error!(%error, "cannot complete inputs");
                PAUSE_AFTER_FAILURE
            }
        };
        tokio::select! {
            () = wanted.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Completes an input that is due. False if none is.
async fn complete_next(service: &Service, node: &NodeRpc, metrics: &Metrics) -> Result<bool, sqlx::Error> {
    let now_ms = service.clock.now_ms();
    let taken = service.database.take_completion(now_ms, now_ms.saturating_add(IN_HAND_MS)).await?;
    let Some(WantedCompletion { number: batch, attempts }) = taken else { return Ok(false) };
    let error = match complete_stored(service, batch, node).await {
        Ok(paths) => {
            tracing::info!(batch, paths, "completed the batch's input and queued the batch again");
            metrics.completions[&CompletionOutcome { outcome: "completed" }].inc();
            return Ok(true);
        }
        Err(error) => error,
    };
    let now_ms = service.clock.now_ms();
    let again_at_ms = (error.may_pass() && attempts < MAX_ATTEMPTS).then(|| now_ms.saturating_add(pause_ms(attempts)));
    let error = chain(&error);
    match again_at_ms {
        Some(_) => tracing::warn!(batch, attempts, error, "cannot complete the batch's input yet"),
        None => tracing::error!(batch, attempts, error, "cannot complete the batch's input, and gave it up"),
    }
    let outcome = if again_at_ms.is_some() { "failed" } else { "given_up" };
    metrics.completions[&CompletionOutcome { outcome }].inc();
    service.database.fail_completion(batch, error, again_at_ms, now_ms).await?;
    Ok(true)
}

/// Returns how many paths were added.
async fn complete_stored(service: &Service, number: u32, node: &NodeRpc) -> Result<usize, Failure> {
    let known = service.database.batch(number).await?.ok_or(Failure::NoBatch)?;
    let input = add::read_known(service, &known, InputForm::Cbor).await?.map_err(Failure::Input)?;
    let (input, paths) = complete(input, node).await?;
    if paths == 0 {
        return Err(Failure::NothingMissing);
    }
    match add::replace_by_completion(service, number, known, input).await? {
        true => Ok(paths),
        false => Err(Failure::Replaced),
    }
}

/// Doubles the pause with each attempt, up to a limit.
fn pause_ms(attempts: i64) -> i64 {
    let times = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or_default();
    (FIRST_PAUSE_MS << times).min(LONGEST_PAUSE_MS)
}
