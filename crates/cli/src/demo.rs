//! `teectl demo`: server, prover and devnet in one process.
//!
//! A devnet makes batches, a server hands them out, a prover with simulated attestation proves them, and every proof is
//! compared with what the devnet knows.

mod check;
mod progress;
mod table;

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail};
use tee_api::PublicKey;
use tee_attestation::simulated::{self, Platform};
use tee_devnet::{Chain, Genesis, Load};
use tee_prover::{Enclave, Event, Identity};
use tee_server::{AttestationConfig, Config, NewBatch, ObjectStoreUrl, Server, Service, StartError};
use tee_verifier::{ChainPins, H256, Pins};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{devnet::LoadArgs, exit::Exit};
use progress::Progress;

const EXAMPLES: &str = "Examples:
  teectl demo
  teectl demo --batches 20 --txs 200
  teectl demo --serve
  teectl demo --slow 2";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Number of batches.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batches: u32,
    #[command(flatten)]
    load: LoadArgs,
    /// Keep the server running until interrupted.
    #[arg(long)]
    serve: bool,
    /// Then keep making batches, one every SECONDS seconds, and keep the server running until interrupted.
    #[arg(
        long = "slow",
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    slow_secs: Option<u64>,
}

/// A batch that the devnet sealed, and what a proof of it must say.
pub(crate) struct Sealed {
    pub(crate) number: u32,
    pub(crate) previous_root: H256,
    pub(crate) root: H256,
    pub(crate) transactions: usize,
    pub(crate) recorded_transaction: Option<H256>,
}

/// The prover at work.
struct RunningProver {
    key: PublicKey,
    events: UnboundedReceiver<Event>,
    stop: CancellationToken,
    run: JoinHandle<Result<(), tee_prover::RunError>>,
}

#[tokio::main]
pub(crate) async fn run(args: Args) -> Result<Exit> {
    println!("{}", opening(args.batches));
    let folder = tempfile::Builder::new().prefix("tee-demo-").tempdir().context("cannot create a folder")?.keep();
    println!("All data are kept in {}", folder.display());
    let machine = Platform::new(SystemTime::now()).context("cannot simulate a platform")?;
    let chain = Chain::new(Genesis::sepolia()?);
    let server = start_server(&folder, &machine, chain.pins()).await?;
    println!("The server listens on http://{}", server.local_addr());
    let shown = show(&args, &server, &machine, chain).await;
    server.stop().await;
    shown.map(|()| Exit::Success)
}

/// The introduction to what follows.
fn opening(batches: u32) -> String {
    let batches = if batches == 1 { "one batch".to_owned() } else { format!("{batches} batches") };
    format!(
        "A small chain makes {batches}; a server hands out each batch, a prover in a simulated enclave proves it, and \
         its proof is checked."
    )
}

/// Everything between the server's start and its stop.
async fn show(args: &Args, server: &Server, machine: &Platform, chain: Chain) -> Result<()> {
    let mut prover = start_prover(server, machine, chain.pins())?;
    let chain = tokio::select! {
        chain = prove_batches(args, server, &mut prover, chain) => chain?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    if args.serve || args.slow_secs.is_some() {
        println!("The server keeps running: http://{} (stop it with Ctrl-C)", server.local_addr());
        println!("The dashboard: http://{}/overview", server.local_addr());
    }
    if let Some(secs) = args.slow_secs {
        let batches = keep_coming(server, &mut prover, chain, args.load.load(), Duration::from_secs(secs));
        tokio::select! {
            ended = batches => ended?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    } else if args.serve {
        tokio::signal::ctrl_c().await?;
    }
    prover.end().await
}

/// Uses the usual port, or any free one if that is taken.
async fn start_server(folder: &Path, machine: &Platform, pins: ChainPins) -> Result<Server> {
    let database = folder.join("tee.sqlite");
    let mut config =
        Config::new(format!("sqlite://{}", database.display()), ObjectStoreUrl::folder(&folder.join("inputs")));
    config.attestation = Some(attestation(folder, machine)?);
    config.chain = Some(pins);
    match Server::start(config.clone()).await {
        Err(StartError::Listen { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => {
            config.listen.set_port(0);
            Server::start(config).await
        }
        started => started,
    }
    .context("cannot start the server")
}

/// Makes the server trust only the simulated platform's root, and accept the simulated prover.
fn attestation(folder: &Path, machine: &Platform) -> Result<AttestationConfig> {
    let at = |name: &str| folder.join(name);
    let policy = format!("sgx:\n  mrenclaves: [{}]\n", hex::encode(simulated::mr_enclave()));
    fs::write(at("policy.yaml"), policy)?;
    fs::write(at("root.der"), machine.root_certificate()?)?;
    fs::write(at("collateral.json"), serde_json::to_vec(&machine.collateral()?)?)?;
    let collateral = at("collateral.json").display().to_string();
    Ok(AttestationConfig {
        danger_root_certificate: Some(at("root.der")),
        ..AttestationConfig::new(at("policy.yaml"), collateral)
    })
}

/// Returns the chain as it is after the batches.
async fn prove_batches(args: &Args, server: &Server, prover: &mut RunningProver, chain: Chain) -> Result<Chain> {
    let started = Instant::now();
    let progress = Progress::new(args.batches);
    let (to_store, from_devnet) = mpsc::unbounded_channel();
    let load = args.load.load();
    let batches = args.batches;
    let devnet = tokio::task::spawn_blocking(move || seal_batches(chain, batches, load, &to_store));

    let sealed = async {
        let sealed = store_batches(server.service(), from_devnet, &progress).await?;
        let chain = devnet.await.context("the devnet panicked")??;
        Ok::<_, anyhow::Error>((chain, sealed))
    };
    let ((chain, sealed), ()) = tokio::try_join!(sealed, follow(&mut prover.events, batches, Some(&progress)))?;
    progress.finish();
    let elapsed = started.elapsed();

    let first = sealed.first().context("no batch was sealed")?.number;
    let rows = server.service().overview(first, batches).await?;
    let disagreements = server.service().disagreements().await?.len();
    println!("\n{}", table::of(&rows, &sealed));
    for batch in &sealed {
        if let Some(hash) = batch.recorded_transaction {
            println!("* batch {} begins with {hash:?}, a transaction of ZKsync Sepolia", batch.number);
        }
    }
    println!("The simulated enclave's quote was judged like a real one, under the simulation's own root.");
    print_totals(&rows, &sealed, elapsed);

    let proven = check::proofs(&rows, &sealed, &prover.key);
    for problem in &proven.problems {
        eprintln!("error: {problem}");
    }
    println!("proven {}/{batches} batches", proven.count);
    if !proven.problems.is_empty() || disagreements > 0 || proven.count != sealed.len() {
        bail!("{} of {batches} batches have a valid proof, {disagreements} proofs disagree", proven.count);
    }
    Ok(chain)
}

/// Makes one batch at a time and has it proven, until something fails.
async fn keep_coming(
    server: &Server,
    prover: &mut RunningProver,
    mut chain: Chain,
    load: Load,
    interval: Duration,
) -> Result<()> {
    loop {
        let next = Instant::now() + interval;
        let sealing = tokio::task::spawn_blocking(move || seal(&mut chain, load).map(|batch| (chain, batch)));
        let (sealed_chain, (new, sealed)) = sealing.await.context("the devnet panicked")??;
        chain = sealed_chain;
        let number = sealed.number;
        let stored = Instant::now();
        server.service().add_batch(new).await.with_context(|| format!("cannot store batch {number}"))?;
        follow(&mut prover.events, 1, None).await?;
        let secs = stored.elapsed().as_secs_f64();
        let rows = server.service().overview(number, 1).await?;
        if let Some(problem) = check::proofs(&rows, &[sealed], &prover.key).problems.first() {
            bail!("{problem}");
        }
        println!("proven batch {number} in {secs:.1} s");
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}

impl RunningProver {
    async fn end(self) -> Result<()> {
        self.stop.cancel();
        self.run.await.context("the prover panicked")?.context("the prover stopped")
    }
}

fn start_prover(server: &Server, machine: &Platform, pins: ChainPins) -> Result<RunningProver> {
    let mut config = tee_prover::Config::new(format!("http://{}", server.local_addr()), Pins::Chain(pins));
    // The server is on the same machine, and batches follow each other quickly.
    config.initial_retry_backoff = Duration::from_millis(20);
    config.max_backoff = Duration::from_millis(200);
    let identity = Enclave::simulated_on(machine).map(Identity::Enclave).context("cannot simulate an enclave")?;
    let key = identity.public_key().context("a simulated enclave has a key")?;
    let (tell, events) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let run = tokio::spawn(tee_prover::run(config, identity, stop.clone(), move |event| {
        // After the demo has ended, nobody receives events.
        let _ = tell.send(event);
    }));
    Ok(RunningProver { key, events, stop, run })
}

/// Returns the chain as it is after the batches.
fn seal_batches(
    mut chain: Chain,
    batches: u32,
    load: Load,
    to_store: &UnboundedSender<(NewBatch, Sealed)>,
) -> Result<Chain> {
    for _ in 0..batches {
        if to_store.send(seal(&mut chain, load)?).is_err() {
            bail!("the demo ended early");
        }
    }
    Ok(chain)
}

fn seal(chain: &mut Chain, load: Load) -> Result<(NewBatch, Sealed)> {
    let previous_root = chain.root();
    let batch = chain.seal(load)?;
    let sealed = Sealed {
        number: batch.input.l1_batch_env.number.0,
        previous_root,
        root: batch.root,
        transactions: batch.input.transaction_count(),
        recorded_transaction: batch.recorded_transaction,
    };
    // The server judges the proofs without knowing the roots: the demo's own check compares them.
    let new = NewBatch { input: batch.input, expected_root: None, sealed_at_ms: None, source: "devnet".to_owned() };
    Ok((new, sealed))
}

async fn store_batches(
    service: &Service,
    mut from_devnet: UnboundedReceiver<(NewBatch, Sealed)>,
    progress: &Progress,
) -> Result<Vec<Sealed>> {
    let mut stored = Vec::new();
    while let Some((new, sealed)) = from_devnet.recv().await {
        service.add_batch(new).await.with_context(|| format!("cannot store batch {}", sealed.number))?;
        progress.sealed();
        stored.push(sealed);
    }
    Ok(stored)
}

/// Waits until the prover has submitted as many proofs as there are batches.
async fn follow(events: &mut UnboundedReceiver<Event>, batches: u32, progress: Option<&Progress>) -> Result<()> {
    let mut submitted = 0;
    while submitted < batches {
        match events.recv().await.context("the prover stopped early")? {
            Event::Verified { .. } => progress.into_iter().for_each(Progress::verified),
            Event::Submitted { .. } => {
                submitted += 1;
                progress.into_iter().for_each(Progress::submitted);
            }
            Event::Failed { batch, kind, error } => {
                let batch = batch.map_or_else(|| "a batch".to_owned(), |batch| format!("batch {batch}"));
                bail!("{batch} cannot be proven: {kind}: {error}");
            }
            Event::Refused { batch, error } => bail!("the server refused the proof of batch {batch}: {error}"),
            _ => {}
        }
    }
    Ok(())
}

fn print_totals(rows: &[tee_server::OverviewRow], sealed: &[Sealed], elapsed: Duration) {
    let transactions: usize = sealed.iter().map(|batch| batch.transactions).sum();
    let seconds = elapsed.as_secs_f64();
    let mut received: Vec<i64> =
        rows.iter().filter_map(|row| row.proof.as_ref()).map(|proof| proof.received_at_ms).collect();
    received.sort_unstable();
    let mut gaps: Vec<i64> = received.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    println!(
        "{} batches with {transactions} transactions in {seconds:.1} s, sealing included: {:.2} batches/s, {:.0} transactions/s",
        sealed.len(),
        sealed.len() as f64 / seconds,
        transactions as f64 / seconds,
    );
    if let (Some(least), Some(median), Some(most)) = (gaps.first(), gaps.get(gaps.len() / 2), gaps.last()) {
        println!("time between submissions: median {median} ms, shortest {least} ms, longest {most} ms");
    }
}
