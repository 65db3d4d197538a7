//! `tee-prover-gateway`: proves batches inside an enclave.

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};
use tee_prover::{Config, ConfigError, Identity, IdentityError, RunError, run};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Proves ZK Stack batches inside an enclave: fetches them from a server, re-executes them, signs the results and submits
/// the proofs, until it gets SIGINT or SIGTERM. A second signal stops it at once.
///
/// Exit codes: 0 told to stop; 1 anything else; 2 command line or configuration; 3 key or quote; 4 the server could not be asked
/// max_retries times in a row; 130 stopped by a second signal.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// YAML file; variables of the environment (TEE_PROVER_API_URL, …) go over it.
    #[arg(long, value_name = "FILE")]
    config_path: Option<PathBuf>,
    /// Make a key and a quote of a simulated SGX platform: for trying things out.
    #[arg(long)]
    simulation: bool,
    /// Let a simulated prover submit to a server that is not on this machine.
    #[arg(long, requires = "simulation")]
    danger_simulated_proofs: bool,
}

/// How the process ends.
#[derive(Clone, Copy)]
enum Exit {
    /// Told to stop.
    Stopped = 0,
    /// Anything else.
    Other = 1,
    /// Command line or configuration.
    Config = 2,
    /// Key or quote.
    Identity = 3,
    /// The server could not be asked, as often as configured.
    GaveUp = 4,
    /// A second signal.
    Interrupted = 130,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("key and quote: {0}")]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("signals: {0}")]
    Signals(#[from] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    let exit = match prove(args).await {
        Ok(()) => Exit::Stopped,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit()
        }
    };
    ExitCode::from(exit as u8)
}

async fn prove(args: Args) -> Result<(), Failure> {
    let stop = stop_on_signal()?;
    let environment = |name: &str| std::env::var(name).ok();
    let mut config = Config::load(args.config_path.as_deref(), environment)?;
    config.danger_simulated_proofs = args.danger_simulated_proofs;
    let identity = match args.simulation {
        true => Identity::simulated(&config)?,
        false => Identity::load(&config, environment)?,
    };
    tracing::info!(api_url = config.api_url, tee_type = %identity.tee_type(), "starting");
    run(config, identity, stop, |_| ()).await?;
    tracing::info!("stopped");
    Ok(())
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The first SIGINT or SIGTERM asks to stop, the second does not ask.
fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked_before {
                std::process::exit(Exit::Interrupted as i32);
            }
            tracing::info!("stopping after the batch in hand");
            asked.cancel();
        }
    });
    Ok(stop)
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Run(RunError::Client(_) | RunError::SimulatedProofs) => Exit::Config,
            Self::Identity(_) => Exit::Identity,
            Self::Run(RunError::GaveUp { .. }) => Exit::GaveUp,
            Self::Signals(_) => Exit::Other,
        }
    }
}
