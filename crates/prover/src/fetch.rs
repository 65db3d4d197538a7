//! Asking one server for batches, one after another, as long as there is room for them.

use crate::{
    backoff::Backoff,
    budget::Reservation,
    endpoint::{Endpoint, fault},
    event::Event,
    job::{Failure, Job, fail, give_back},
    lease::HeldLease,
    memory,
    prover::{RunError, Shared},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tee_api::{Claim, ClientError, EncodedInput, UnreadableInput, chain};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{OwnedPermit, Sender},
};
use vise::GaugeGuard;

/// How long a server is asked to wait for work; zksync-era's does not. Shorter than the client's patience.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long a question on its way is still listened to once the prover is told to stop: the answer may bring a batch, and
/// that is given back.
const LAST_ANSWER: Duration = Duration::from_millis(300);
/// How many proofs a server may leave untaken, beside the batches fetched and in verification.
const MAX_UNDELIVERED: usize = 32;

/// A place for a batch, taken before the batch is asked for.
struct Place {
    queue: OwnedPermit<Job>,
    in_hand: OwnedSemaphorePermit,
}

/// Fetches until the prover is told to stop, or the server has failed too often.
pub(crate) async fn fetch(shared: Arc<Shared>, endpoint: Arc<Endpoint>, queue: Sender<Job>) -> Result<(), RunError> {
    let config = &shared.config;
    let in_flight = config.prefetch.get().saturating_add(config.verification_workers.get());
    let in_hand = Arc::new(Semaphore::new(in_flight.saturating_add(MAX_UNDELIVERED).min(Semaphore::MAX_PERMITS)));
    let (mut backoff, mut idle) = (Backoff::new(config), Backoff::idle(config));
    let mut faults = 0_u32;
    loop {
        let room = shared.stop.run_until_cancelled(place(&endpoint, &queue, &in_hand)).await;
        let Some(Some(place)) = room else { return Ok(()) };
        let asked_at = Instant::now();
        let Some(asked) = ask(&shared, &endpoint).await else { return Ok(()) };
        let taken = match asked {
            Ok(Some(claim)) => {
                endpoint.contact();
                idle.reset();
                take(&shared, &endpoint, claim, place).await.map(|()| None)
            }
            Ok(None) => {
                endpoint.contact();
                // A server that has waited for work is asked again at once.
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
                    tracing::error!(server = endpoint.url, %error, retries, "gave up");
                    return Err(RunError::GaveUp { retries, error });
                }
                faults = faults.saturating_add(1);
                let wait = backoff.after(&error);
                tracing::warn!(server = endpoint.url, %error, ?wait, "the server gives no work");
                Some(wait)
            }
        };
        if let Some(wait) = wait {
            shared.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }
}

/// Waits until one more batch may come: the verifier's queue, the proofs that wait for the server, and memory allow it.
async fn place(endpoint: &Endpoint, queue: &Sender<Job>, in_hand: &Arc<Semaphore>) -> Option<Place> {
    let queue = queue.clone().reserve_owned().await.ok()?;
    let in_hand = in_hand.clone().acquire_owned().await.ok()?;
    endpoint.pause().await;
    // Not held while the server is asked: one that has nothing to do would keep the room from the others.
    drop(endpoint.budget.reserve(endpoint.expected_memory()).await);
    Some(Place { queue, in_hand })
}

/// Registers the key unless that is done, and asks for a batch. `None` once the prover is to stop.
async fn ask(shared: &Shared, endpoint: &Arc<Endpoint>) -> Option<Result<Option<Claim>, ClientError>> {
    if !endpoint.is_registered() {
        let registered = shared.stop.run_until_cancelled(endpoint.register(&shared.identity)).await?;
        if let Err(error) = registered {
            shared.metrics.retries[&("register", fault(&error))].inc();
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
        shared.metrics.retries[&("claim", fault(error))].inc();
    }
    Some(asked)
}

/// Reads a batch that the server hands out and puts it in the queue. The lease is renewed from here on.
async fn take(shared: &Arc<Shared>, endpoint: &Arc<Endpoint>, claim: Claim, place: Place) -> Result<(), ClientError> {
    let started = Instant::now();
    let lease = claim.lease().cloned().map(|lease| HeldLease::hold(endpoint, lease));
    let announced = claim.announced_bytes();
    let expected = announced.map(|bytes| memory::expected(bytes, claim.is_compressed(), claim.form()));
    let read = async {
        let memory = endpoint.budget.reserve(expected.unwrap_or_else(|| endpoint.expected_memory())).await;
        claim.read().await.map(|input| (memory, input))
    };
    let (memory, input) = match shared.stop.run_until_cancelled(read).await {
        Some(Ok(read)) => read,
        broken => {
            if let Some(lease) = lease {
                lease.give_back().await;
            }
            shared.metrics.ended("given_back", "");
            let Some(Err(error)) = broken else { return Ok(()) };
            shared.metrics.retries[&("read", fault(&error))].inc();
            return Err(error);
        }
    };
    shared.metrics.stage[&"fetch"].observe(started.elapsed());
    let queued = shared.metrics.queued.inc_guard(1);
    let decode = decode(shared.clone(), endpoint.clone(), input, lease, memory, place, queued);
    shared.tasks.spawn(decode);
    Ok(())
}

/// Decodes beside the next question to the server. The place in the queue is kept meanwhile.
async fn decode(
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
    input: EncodedInput,
    lease: Option<HeldLease>,
    mut memory: Reservation,
    place: Place,
    queued: GaugeGuard,
) {
    let started = Instant::now();
    let form = input.form();
    let input = Arc::new(input);
    let share_bytes = endpoint.budget.limit_bytes();
    let decoded = loop {
        // What the server sends says nothing of what it unfolds to. It unfolds no further than to what is reserved; one that is
        // larger waits, without holding what it has, for twice as much, and is decoded anew.
        let limit_bytes = memory::largest_input(memory.bytes(), form);
        let encoded = input.clone();
        let decoded = tokio::task::spawn_blocking(move || encoded.decode(limit_bytes)).await;
        let reserved = memory.bytes();
        match decoded {
            Ok(Err(UnreadableInput::TooLarge { limit })) if limit == limit_bytes && reserved < share_bytes => {
                drop(memory);
                let more = endpoint.budget.reserve(reserved.saturating_mul(2));
                let Some(more) = shared.stop.run_until_cancelled(more).await else {
                    give_back(&shared, lease, "given_back").await;
                    return;
                };
                memory = more;
            }
            decoded => break decoded,
        }
    };
    drop(input);
    shared.metrics.stage[&"decode"].observe(started.elapsed());
    let Place { queue, in_hand } = place;
    let failure = match decoded {
        Ok(Ok(decoded)) => {
            let memory_bytes = memory::taken(decoded.bytes, form);
            endpoint.received(memory_bytes);
            memory.shrink(memory_bytes);
            let input = decoded.input;
            queue.send(Job { endpoint, input, lease, memory, in_hand, queued, queued_at: Instant::now() });
            return;
        }
        Ok(Err(error @ UnreadableInput::TooLarge { .. })) => {
            let error = format!("{error}, which is what {share_bytes} bytes of memory are enough for");
            Failure { kind: "unreadable", error }
        }
        Ok(Err(error)) => Failure { kind: "unreadable", error: chain(&error) },
        Err(panic) => Failure { kind: "panic", error: panic.to_string() },
    };
    drop(memory);
    // Without a lease the server may hand out the same again: the next question waits until that has been noted.
    let queue = lease.is_none().then_some(queue);
    fail(&shared, &endpoint, None, failure, lease).await;
    drop((queue, in_hand));
}
