//! Takes over the batches of a zksync-era node, without locking anything there.
//!
//! What the database lacks is fetched, the lowest first. A batch that cannot be had is tried again later and later, and holds
//! nothing else up. All that is needed after a restart is the table of batches.

mod node;

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until};

use self::node::{MirrorError, Node};
use crate::{AddedBatch, MirrorConfig, Store};

/// How many batches are fetched at a time.
const FETCHES: usize = 4;

/// How many numbers are looked up in the database at a time.
const WINDOW: u32 = 1000;

/// How often the node is asked for new batches.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is left to do.
#[derive(Debug, Default)]
struct Progress {
    /// All below are in the database or due later.
    next: u32,
    /// Batches that could not be had.
    later: BTreeMap<u32, Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

/// Follows the node for ever.
pub(crate) async fn follow(store: Store, config: MirrorConfig) {
    tracing::info!("taking over a node's batches");
    let mut progress = Progress { next: config.first_batch, ..Progress::default() };
    let mut pause = FIRST_PAUSE;
    let node = loop {
        match Node::new(&config) {
            Ok(node) => break node,
            Err(error) => {
                tracing::error!(%error, "cannot take over batches");
                sleep(LONGEST_PAUSE).await;
            }
        }
    };
    loop {
        match progress.catch_up(&store, &node).await {
            Ok(()) => {
                pause = FIRST_PAUSE;
                let due = progress.later.values().map(|retry| retry.at).min();
                let poll = Instant::now() + POLL_INTERVAL;
                sleep_until(due.map_or(poll, |due| due.min(poll))).await;
            }
            Err(error) => {
                tracing::warn!(%error, pause_secs = pause.as_secs(), "cannot take over batches for now");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Progress {
    /// Takes over all that the node has and that is due.
    async fn catch_up(&mut self, store: &Store, node: &Node) -> Result<(), MirrorError> {
        let present = node.present_batches().await?;
        let (Some(oldest), Some(latest)) = (present.oldest_batch, present.latest_batch) else { return Ok(()) };
        self.next = self.next.max(oldest);
        // What the node no longer has is not waited for.
        self.later = self.later.split_off(&oldest);
        let now = Instant::now();
        let due: Vec<u32> = self.later.iter().filter(|(_, retry)| retry.at <= now).map(|(number, _)| *number).collect();
        self.take_over(store, node, due).await?;
        while self.next <= latest {
            let end = latest.min(self.next.saturating_add(WINDOW - 1));
            let lacking = store.storage.lacking_batches(self.next, end).await?;
            self.take_over(store, node, lacking).await?;
            let Some(next) = end.checked_add(1) else { break };
            self.next = next;
        }
        Ok(())
    }

    /// Takes these over, several at a time. An error is the node's or our own; a batch's own fault puts it off.
    async fn take_over(&mut self, store: &Store, node: &Node, numbers: Vec<u32>) -> Result<(), MirrorError> {
        let fetch = |number| {
            let (store, node) = (store.clone(), node.clone());
            async move { (number, take_over(&store, &node, number).await) }
        };
        let mut fetches = stream::iter(numbers).map(fetch).buffer_unordered(FETCHES);
        while let Some((number, taken)) = fetches.next().await {
            match taken {
                Ok(added) => {
                    self.later.remove(&number);
                    if added == AddedBatch::New {
                        tracing::info!(batch = number, "batch taken over");
                    }
                }
                Err(error) if error.is_of_batch() => {
                    let pause =
                        self.later.get(&number).map_or(FIRST_PAUSE, |retry| (retry.pause * 2).min(LONGEST_PAUSE));
                    tracing::warn!(batch = number, %error, pause_secs = pause.as_secs(), "batch not taken over");
                    self.later.insert(number, Retry { at: Instant::now() + pause, pause });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn take_over(store: &Store, node: &Node, number: u32) -> Result<AddedBatch, MirrorError> {
    if !store.storage.lacking_batches(number, number).await?.contains(&number) {
        // Another server was faster.
        return Ok(AddedBatch::Known);
    }
    let details = node.batch_details(number).await?;
    let batch = node.batch(number, details).await?;
    Ok(store.add_encoded(batch).await?)
}
