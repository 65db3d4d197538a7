//! How busy a backlog keeps the verifier: the prover against a server with waiting batches, on one machine.
//!
//!     cargo bench -p tee-prover --bench backlog -- [BATCHES [TRANSACTIONS [WORKERS]]]
//!
//! It prints the time that the same batches take when nothing but verification is done, on as many threads; the
//! prover's wall time from the first verification's start to the last submission; the time that its workers spent
//! verifying; and the gaps between two submissions.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tee_devnet::{Chain, Genesis, Load};
use tee_prover::{Config, Event, Identity};
use tee_server::{NewBatch, ObjectStoreUrl, Server};
use tee_verifier::{BatchInput, Options, Pins};
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

fn main() {
    // `cargo bench` adds `--bench`.
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let [batches, transactions, workers] =
        [(0, 20), (1, 500), (2, cores)].map(|(at, default)| numbers.get(at).copied().unwrap_or(default));
    println!("{batches} batches of {transactions} transactions, {workers} workers, {cores} cores");
    let inputs = seal(batches, transactions);
    let alone = verify_alone(inputs.clone(), workers);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Proven { wall, verifying, gaps } = runtime.block_on(prove(inputs, workers));
    let per_worker = verifying / workers as u32;
    let seconds = Duration::as_secs_f64;
    println!("verification alone: {:.2} s", seconds(&alone));
    println!(
        "the prover: {:.2} s wall, {:.2} s of verification on each worker: the workers were busy {:.1} % of the time",
        seconds(&wall),
        seconds(&per_worker),
        100.0 * seconds(&per_worker) / seconds(&wall),
    );
    println!(
        "wall time / verification's own time: {:.3} (as measured in the run), {:.3} (against verification alone)",
        seconds(&wall) / seconds(&per_worker),
        seconds(&wall) / seconds(&alone),
    );
    let at = |share: f64| gaps[((gaps.len() - 1) as f64 * share) as usize].as_millis();
    println!(
        "between two submissions, in ms: least {}, 10 % {}, median {}, 90 % {}, 99 % {}, most {}",
        at(0.0),
        at(0.1),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

fn seal(batches: usize, transactions: usize) -> Vec<BatchInput> {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    let load = Load { transactions, cold_reads: 0, l1_transactions: 0 };
    (0..batches).map(|_| chain.seal(load).unwrap().input).collect()
}

fn verify_alone(inputs: Vec<BatchInput>, workers: usize) -> Duration {
    let inputs = Arc::new(Mutex::new(inputs));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(input) = inputs.lock().unwrap().pop() else { return };
                    tee_verifier::verify(input, &Options::danger_any_code()).unwrap();
                }
            });
        }
    });
    started.elapsed()
}

struct Proven {
    wall: Duration,
    verifying: Duration,
    /// Sorted.
    gaps: Vec<Duration>,
}

async fn prove(inputs: Vec<BatchInput>, workers: usize) -> Proven {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tee.sqlite").display());
    let mut config = tee_server::Config::new(database, ObjectStoreUrl::folder(&folder.path().join("inputs")));
    config.danger_unjudged_quotes = true;
    config.danger_any_code = true;
    config.listen.set_port(0);
    let server = Server::start(config).await.unwrap();
    let batches = inputs.len();
    for input in inputs {
        let new = NewBatch { input, expected_root: None, sealed_at_ms: None, source: "devnet".to_owned() };
        server.service().add_batch(new).await.unwrap();
    }
    let workers = NonZeroUsize::new(workers).unwrap();
    let config = Config {
        verification_workers: workers,
        ..Config::new(format!("http://{}", server.local_addr()), Pins::danger_any_code())
    };
    let identity = Identity::simulated(&config).unwrap();
    let stop = CancellationToken::new();
    let (tell, mut events) = unbounded_channel();
    let observe = move |event| {
        let _ = tell.send((Instant::now(), event));
    };
    let prover = tokio::spawn(tee_prover::run(config, identity, stop.clone(), observe));
    let (mut started, mut verifying, mut submitted) = (None, Duration::ZERO, Vec::new());
    while submitted.len() < batches {
        match events.recv().await.expect("the prover runs") {
            (at, Event::Started { .. }) => started = started.or(Some(at)),
            (_, Event::Verified { elapsed, .. }) => verifying += elapsed,
            (at, Event::Submitted { .. }) => submitted.push(at),
            (_, Event::Registered) => {}
            (_, other) => panic!("{other:?}"),
        }
    }
    stop.cancel();
    prover.await.unwrap().unwrap();
    server.stop().await;
    let mut gaps: Vec<_> = submitted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort();
    let wall = *submitted.last().expect("there were batches") - started.expect("one was started");
    Proven { wall, verifying, gaps }
}
