//! Asks one server for batches, one after another, as long as there is room for them.

use crate::{
    backoff::Backoff,
    budget::Reservation,
    delivery::Delivery,
    endpoint::{Endpoint, Fault},
    event::Event,
    job::Job,
    lease::HeldLease,
    memory,
    metrics::{Request, Stage},
    outcome::{Failure, Unfinished},
    run_error::RunError,
    shared::Shared,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tee_api::{Claim, ClientError, EncodedInput, UnreadableInput, chain};
use tee_verifier::BatchInput;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{OwnedPermit, Sender},
};
use vise::GaugeGuard;

/// How long a server is asked to wait for work, which is shorter than the client's time-out. zksync-era's server does not wait.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long the answer to a pending request is awaited after the prover is told to stop: it may bring a batch, which is then given
/// back.
const LAST_ANSWER: Duration = Duration::from_millis(300);
/// How many proofs a server may leave unaccepted, besides the batches that are fetched or being verified.
const MAX_UNDELIVERED: usize = 32;

/// Asks one server for batches.
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
    queue: Sender<Job>,
    /// Limits the batches of this server that are in progress.
    in_hand: Arc<Semaphore>,
}

/// A slot for a batch, taken before the batch is asked for.
struct Place {
    queue: OwnedPermit<Job>,
    in_hand: OwnedSemaphorePermit,
}

/// A batch that has arrived and must be decoded.
struct Arrival {
    delivery: Delivery,
    input: EncodedInput,
    memory: Reservation,
    place: Place,
    queued: GaugeGuard,
}

impl Fetcher {
    pub(crate) fn new(shared: Arc<Shared>, endpoint: Arc<Endpoint>, queue: Sender<Job>) -> Self {
        let in_flight = shared.config.prefetch.get().saturating_add(shared.config.verification_workers.get());
        let in_hand = Semaphore::new(in_flight.saturating_add(MAX_UNDELIVERED).min(Semaphore::MAX_PERMITS));
        Self { shared, endpoint, queue, in_hand: Arc::new(in_hand) }
    }

    /// Fetches until the prover is told to stop or the server has failed too often.
    pub(crate) async fn run(self) -> Result<(), RunError> {
        let Self { shared, endpoint, .. } = &self;
        let config = &shared.config;
        let (mut backoff, mut idle) = (Backoff::new(config), Backoff::idle(config));
        let mut faults = 0_u32;
        loop {
            let Some(place) = self.place().await else { return Ok(()) };
            let asked_at = Instant::now();
            let Some(asked) = self.ask().await else { return Ok(()) };
            let taken = match asked {
                Ok(Some(claim)) => {
                    endpoint.contact();
                    idle.reset();
                    self.take(claim, place).await.map(|()| None)
                }
                Ok(None) => {
                    endpoint.contact();
                    // A server that waited for work itself is asked again at once.
                    let waited = asked_at.elapsed() >= LONG_POLL / 2;
                    Ok(Some(if waited { Duration::ZERO } else { idle.next(None) }))
                }
                Err(error) => Err(error),
            };
            let wait = match taken {
                Ok(wait) => {
                    faults = 0;
                    backoff.reset();
                    wait
                }
                Err(error) => {
                    endpoint.trouble(&error);
                    if matches!(error, ClientError::Refused { status: 401 | 403, .. }) {
                        endpoint.register_again();
                    }
                    if let Some(retries) = config.max_retries.filter(|retries| faults >= *retries) {
                        tracing::error!(server = endpoint.url, %error, retries, "gave up asking the server for work");
                        return Err(RunError::GaveUp { retries, error });
                    }
                    faults = faults.saturating_add(1);
                    let wait = backoff.after(&error);
                    tracing::warn!(server = endpoint.url, %error, ?wait, "cannot get work from the server");
                    Some(wait)
                }
            };
            if let Some(wait) = wait {
                shared.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
        }
    }

    /// Waits until one more batch may come, which depends on the verifier's queue, the proofs that wait for the server, and memory.
    /// `None` after the prover was told to stop.
    async fn place(&self) -> Option<Place> {
        let place = async {
            let queue = self.queue.clone().reserve_owned().await.ok()?;
            let in_hand = self.in_hand.clone().acquire_owned().await.ok()?;
            self.endpoint.pause().await;
            // Not held during the request: a server without work would keep the room from others.
            drop(self.endpoint.budget.reserve(self.endpoint.expected_memory()).await);
            Some(Place { queue, in_hand })
        };
        self.shared.stop.run_until_cancelled(place).await.flatten()
    }

    /// Registers the key if necessary, and asks for a batch. `None` after the prover was told to stop.
    async fn ask(&self) -> Option<Result<Option<Claim>, ClientError>> {
        let Self { shared, endpoint, .. } = self;
        if !endpoint.is_registered() {
            let registered = shared.stop.run_until_cancelled(endpoint.register(&shared.identity)).await?;
            if let Err(error) = registered {
                shared.metrics.retries[&(Request::Register, Fault::of(&error))].inc();
                return Some(Err(error));
            }
            (shared.observe)(Event::Registered);
        }
        let stopped = async {
            shared.stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWER).await;
        };
        let asked = tokio::select! {
            asked = endpoint.client.claim(shared.identity.tee_type(), Some(LONG_POLL)) => asked,
            () = stopped => return None,
        };
        if let Err(error) = &asked {
            shared.metrics.retries[&(Request::Claim, Fault::of(error))].inc();
        }
        Some(asked)
    }

    /// Reads a batch that the server hands out. From here on its lease is renewed.
    async fn take(&self, claim: Claim, place: Place) -> Result<(), ClientError> {
        let Self { shared, endpoint, .. } = self;
        let started = Instant::now();
        let lease = claim.lease().cloned().map(|lease| HeldLease::hold(endpoint, lease));
        let delivery = Delivery::new(shared.clone(), endpoint.clone(), lease);
        let announced = claim.announced_bytes();
        let expected = announced.map(|bytes| memory::expected(bytes, claim.encoding()));
        let read = async {
            let memory = endpoint.budget.reserve(expected.unwrap_or_else(|| endpoint.expected_memory())).await;
            claim.read().await.map(|input| (memory, input))
        };
        let (memory, input) = match shared.stop.run_until_cancelled(read).await {
            Some(Ok(read)) => read,
            broken => {
                delivery.give_back(Stage::Fetch).await;
                let Some(Err(error)) = broken else { return Ok(()) };
                shared.metrics.retries[&(Request::Read, Fault::of(&error))].inc();
                return Err(error);
            }
        };
        shared.metrics.stage[&Stage::Fetch].observe(started.elapsed());
        let queued = shared.metrics.queued.inc_guard(1);
        // Runs at the same time as the next request to the server.
        shared.tasks.spawn(Arrival { delivery, input, memory, place, queued }.enqueue());
        Ok(())
    }
}

impl Arrival {
    /// Decodes the batch and puts it in the queue, where its slot is kept meanwhile.
    async fn enqueue(self) {
        let Self { delivery, input, memory, place: Place { queue, in_hand }, queued } = self;
        match decode(&delivery, input, memory).await {
            Ok((input, memory)) => {
                queue.send(Job { delivery, input, memory, in_hand, queued, queued_at: Instant::now() });
            }
            Err(Unfinished::Stopped) => delivery.give_back(Stage::Decode).await,
            Err(Unfinished::Failed(failure)) => {
                // Without a lease the server may hand out the same batch again: the next request waits until this one is recorded.
                let queue = (!delivery.has_lease()).then_some(queue);
                delivery.fail(None, failure).await;
                drop((queue, in_hand, queued));
            }
        }
    }
}

/// Decodes the batch, and returns it with the memory that it takes from now on.
async fn decode(
    delivery: &Delivery,
    input: EncodedInput,
    mut memory: Reservation,
) -> Result<(BatchInput, Reservation), Unfinished> {
    let Delivery { shared, endpoint, .. } = delivery;
    let started = Instant::now();
    let form = input.encoding().form;
    let input = Arc::new(input);
    let share_bytes = endpoint.budget.limit_bytes();
    let decoded = loop {
        // The size on the wire does not tell the decompressed size. Decompression stops at the reserved memory; a larger batch drops
        // what it has, waits for twice as much memory, and is decoded again.
        let limit_bytes = memory::largest_input(memory.bytes(), form);
        let encoded = input.clone();
        let decoded = tokio::task::spawn_blocking(move || encoded.decode(limit_bytes)).await;
        let reserved = memory.bytes();
        match decoded {
            Ok(Err(UnreadableInput::TooLarge { limit })) if limit == limit_bytes && reserved < share_bytes => {
                drop(memory);
                let more = endpoint.budget.reserve(reserved.saturating_mul(2));
                memory = shared.stop.run_until_cancelled(more).await.ok_or(Unfinished::Stopped)?;
            }
            decoded => break decoded,
        }
    };
    shared.metrics.stage[&Stage::Decode].observe(started.elapsed());
    let failure = match decoded {
        Ok(Ok(decoded)) => {
            let memory_bytes = memory::taken(decoded.bytes, form);
            endpoint.received(memory_bytes);
            memory.shrink(memory_bytes);
            return Ok((decoded.input, memory));
        }
        Ok(Err(error @ UnreadableInput::TooLarge { .. })) => {
            let error = format!("{error}: {share_bytes} bytes of memory are not enough for more");
            Failure { kind: "unreadable", error }
        }
        Ok(Err(error)) => Failure { kind: "unreadable", error: chain(&error) },
        Err(panic) => Failure { kind: "panic", error: panic.to_string() },
    };
    Err(Unfinished::Failed(failure))
}
