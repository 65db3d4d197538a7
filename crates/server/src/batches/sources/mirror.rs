//! Copies the batches of a zksync-era node, without locking anything there.
//!
//! Fetches the batches that the database lacks, the lowest first. A batch that cannot be fetched, or takes long, affects only itself:
//! it is tried again with growing pauses and holds nothing else up. After a restart the table of batches is the only state
//! that is needed.

mod node;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tee_api::chain;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use self::node::{MirrorError, Node};
use crate::{batches::AddedBatch, config::MirrorConfig, metrics::Metrics, service::Service};

/// How many batches are fetched at a time.
const FETCHES: usize = 4;

/// How many numbers are looked up in the database at a time.
const WINDOW: u32 = 1000;

/// How often the node is asked for new batches.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The remaining work.
#[derive(Debug, Default)]
struct Progress {
    /// The highest batch that the node has.
    latest: Option<u32>,
    /// All batches below this were looked up in the database; `None` after the highest number, when nothing is left to look up.
    next: Option<u32>,
    /// Those that the database lacked.
    lacking: VecDeque<u32>,
    /// Those that are being fetched.
    in_hand: BTreeSet<u32>,
    /// Those that could not be fetched.
    later: BTreeMap<u32, Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

/// Follows the node forever.
pub(crate) async fn follow(service: Service, config: MirrorConfig, metrics: Metrics) {
    tracing::info!("mirroring a node's batches");
    let node = loop {
        match Node::new(&config) {
            Ok(node) => break node,
            Err(error) => {
                tracing::error!(error = chain(&error), "cannot mirror batches");
                sleep(LONGEST_PAUSE).await;
            }
        }
    };
    let mut progress = Progress { next: Some(config.first_batch), ..Progress::default() };
    let mut fetches = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    let mut poll_at = Instant::now();
    let mut node_answers = true;
    loop {
        if Instant::now() >= poll_at {
            poll_at = Instant::now() + POLL_INTERVAL;
            match progress.poll(&node).await {
                Ok(()) => {
                    if !node_answers {
                        progress.later.values_mut().for_each(|retry| retry.at = Instant::now());
                    }
                    (node_answers, pause) = (true, FIRST_PAUSE);
                }
                Err(error) => {
                    node_answers = false;
                    tracing::warn!(
                        error = chain(&error),
                        pause_secs = pause.as_secs(),
                        "cannot ask the node for batches"
                    );
                    poll_at = Instant::now() + pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        while node_answers && fetches.len() < FETCHES {
            match progress.take(&service).await {
                Ok(Some(number)) => {
                    let (service, node) = (service.clone(), node.clone());
                    fetches.spawn(async move { (number, take_over(&service, &node, number).await) });
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for missing batches");
                    break;
                }
            }
        }
        metrics.mirror_lag_batches.set(progress.lag());
        metrics.mirror_put_off_batches.set(progress.later.len());
        // A batch that is due waits for a fetch to end, or for the node to answer.
        let due = if node_answers && fetches.len() < FETCHES { progress.due() } else { None };
        tokio::select! {
            Some(fetched) = fetches.join_next() => match fetched {
                Ok((number, taken)) => progress.note(number, taken),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = sleep_until(due.map_or(poll_at, |due| due.min(poll_at))) => {}
        }
    }
}

impl Progress {
    /// Asks which batches the node has.
    async fn poll(&mut self, node: &Node) -> Result<(), MirrorError> {
        let present = node.present_batches().await?;
        let (Some(oldest), Some(latest)) = (present.oldest_batch, present.latest_batch) else { return Ok(()) };
        self.latest = Some(latest);
        self.next = self.next.map(|next| next.max(oldest));
        // Batches that the node no longer has are dropped.
        self.later = self.later.split_off(&oldest);
        self.lacking.retain(|number| *number >= oldest);
        Ok(())
    }

    /// The next batch to fetch: one that is due again, or the lowest missing one.
    async fn take(&mut self, service: &Service) -> Result<Option<u32>, sqlx::Error> {
        let now = Instant::now();
        let again = self.later.iter().find(|(number, retry)| retry.at <= now && !self.in_hand.contains(number));
        if let Some((number, _)) = again {
            let number = *number;
            self.in_hand.insert(number);
            return Ok(Some(number));
        }
        while self.lacking.is_empty() {
            let (Some(next), Some(latest)) = (self.next, self.latest) else { return Ok(None) };
            if next > latest {
                return Ok(None);
            }
            let end = latest.min(next.saturating_add(WINDOW - 1));
            self.lacking = service.database.lacking_batches(next, end).await?.into();
            self.next = end.checked_add(1);
        }
        let number = self.lacking.pop_front();
        self.in_hand.extend(number);
        Ok(number)
    }

    fn note(&mut self, number: u32, taken: Result<AddedBatch, MirrorError>) {
        self.in_hand.remove(&number);
        match taken {
            Ok(added) => {
                self.later.remove(&number);
                if added == AddedBatch::New {
                    tracing::info!(batch = number, "mirrored a batch");
                }
            }
            Err(error) => {
                let pause = match self.later.get(&number) {
                    _ if error.is_gone() => LONGEST_PAUSE,
                    None => FIRST_PAUSE,
                    Some(retry) => (retry.pause * 2).min(LONGEST_PAUSE),
                };
                tracing::warn!(
                    batch = number,
                    error = chain(&error),
                    pause_secs = pause.as_secs(),
                    "cannot mirror a batch yet"
                );
                self.later.insert(number, Retry { at: Instant::now() + pause, pause });
            }
        }
    }

    /// When the first of the batches that could not be fetched is due again.
    fn due(&self) -> Option<Instant> {
        let waiting = self.later.iter().filter(|(number, _)| !self.in_hand.contains(number));
        waiting.map(|(_, retry)| retry.at).min()
    }

    /// How many of the node's batches are missing here, as far as they were looked up.
    fn lag(&self) -> u64 {
        let fresh = self.in_hand.iter().filter(|number| !self.later.contains_key(number)).count();
        let known = self.lacking.len() + self.later.len() + fresh;
        let unknown = match (self.latest, self.next) {
            (Some(latest), Some(next)) => (u64::from(latest) + 1).saturating_sub(next.into()),
            _ => 0,
        };
        known as u64 + unknown
    }
}

async fn take_over(service: &Service, node: &Node, number: u32) -> Result<AddedBatch, MirrorError> {
    if !service.database.lacking_batches(number, number).await?.contains(&number) {
        // Another server added it first.
        return Ok(AddedBatch::Known);
    }
    let details = node.batch_details(number).await?;
    let batch = node.batch(number, details).await?;
    Ok(service.add_encoded(batch).await?)
}
