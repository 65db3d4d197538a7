//! The way from the servers' queues to the verifier's workers.

use crate::{job::Job, metrics::Stage, outcome::Outcome, shared::Shared};
use std::{future::poll_fn, sync::Arc, task::Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::Receiver};
use tracing::Instrument;

/// The waiting batches of each server. Servers take turns, so that a busy one does not keep the others waiting.
pub(crate) struct Queues {
    queues: Vec<Receiver<Job>>,
    /// The server whose turn it is.
    turn: usize,
}

impl Queues {
    pub(crate) fn new(queues: Vec<Receiver<Job>>) -> Self {
        Self { queues, turn: 0 }
    }

    /// Gives each batch to a worker as soon as one is free, until the prover is told to stop; then gives back what still waits. A batch
    /// whose verification has begun handles the stop itself.
    pub(crate) async fn work_off(mut self, shared: Arc<Shared>) {
        let workers = Arc::new(Semaphore::new(shared.config.verification_workers.get().min(Semaphore::MAX_PERMITS)));
        while let Some((worker, job)) = shared.stop.run_until_cancelled(self.next_for(&workers)).await.flatten() {
            let batch = job.batch();
            let span = tracing::info_span!("batch", number = batch.0, server = job.delivery.endpoint.url);
            if job.delivery.is_lost() {
                span.in_scope(|| shared.ended(Outcome::Lost { batch, during: Stage::Queue }));
                continue;
            }
            shared.tasks.spawn(job.prove(worker).instrument(span));
        }
        for queue in &mut self.queues {
            queue.close();
        }
        // Ends when the last batch that is being decoded has arrived.
        while let Some(job) = self.next().await {
            shared.tasks.spawn(job.delivery.give_back(Stage::Queue));
        }
    }

    /// Waits for a free worker, and then for a batch for it.
    async fn next_for(&mut self, workers: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, Job)> {
        let worker = workers.clone().acquire_owned().await.ok()?;
        self.next().await.map(|job| (worker, job))
    }

    /// The next batch, from the server whose turn it is, or from a later one if that has none. `None` when all queues have ended.
    async fn next(&mut self) -> Option<Job> {
        let count = self.queues.len();
        let (server, job) = poll_fn(|cx| {
            let mut open = false;
            for offset in 0..count {
                let server = (self.turn + offset) % count;
                match self.queues[server].poll_recv(cx) {
                    Poll::Ready(Some(job)) => return Poll::Ready(Some((server, job))),
                    Poll::Ready(None) => {}
                    Poll::Pending => open = true,
                }
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await?;
        self.turn = (server + 1) % count;
        Some(job)
    }
}
