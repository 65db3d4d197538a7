//! `tee-prover-gateway`: proves batches inside an enclave.

mod exit;
mod logging;
mod signals;
mod systemd;

use clap::Parser;
use exit::{Exit, Failure};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};
use tee_api::listener::Listener;
use tee_api::settings;
use tee_prover::{Config, Identity, Loaded, LogFormat, Prover};

/// Proves ZK Stack batches inside an enclave: fetches them from servers, re-executes them, signs the results and submits
/// the proofs, until it gets SIGINT or SIGTERM. A second signal stops it at once. SIGUSR1 logs its state.
///
/// Exit codes: 0 stopped by a signal; 1 any other failure; 2 command line or configuration; 3 key or quote;
/// 4 requests to every server failed max_retries times in a row;
/// 5 a verification does not end, and the process should be restarted; 130 stopped by a second signal.
#[derive(Parser)]
#[command(version = tee_api::long_version())]
struct Args {
    /// Configuration file (YAML); environment variables (TEE_PROVER_API_URL, …) override it.
    #[arg(long, value_name = "FILE")]
    config_path: Option<PathBuf>,
    /// Show the configuration and where each value comes from, and exit.
    #[arg(long)]
    print_config: bool,
    /// Make a key and a quote of a simulated SGX platform, like `attestation: simulation`, to try things out.
    #[arg(long)]
    simulation: bool,
    /// Let a simulated prover submit to a server on another machine.
    #[arg(long)]
    danger_simulated_proofs: bool,
}

fn main() -> ExitCode {
    // This comes before anything reads the key.
    let no_core_dumps = tee_prover::forbid_core_dumps();
    let args = Args::parse();
    let loaded = Config::load(args.config_path.as_deref(), settings::environment, &settings::variable_names());
    logging::to_stderr(loaded.as_ref().map_or(LogFormat::Text, |loaded| loaded.config.log_format));
    if let Err(error) = no_core_dumps {
        // Gramine does not support all of this, and an enclave's memory is encrypted outside.
        tracing::warn!(%error, "cannot disable core dumps");
    }
    let exit = match loaded.map_err(Failure::from).and_then(|loaded| start(args, loaded)) {
        Ok(()) => Exit::Stopped,
        Err(failure) => {
            tracing::error!("{}", tee_api::chain(&failure));
            failure.exit()
        }
    };
    ExitCode::from(exit as u8)
}

fn start(args: Args, mut loaded: Loaded) -> Result<(), Failure> {
    if args.simulation {
        loaded.simulate();
    }
    if args.print_config {
        // A reader that closes the pipe early is no failure.
        return match io::stdout().write_all(loaded.to_string().as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        };
    }
    let mut config = loaded.config;
    config.danger_simulated_proofs = args.danger_simulated_proofs;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let proven = runtime.block_on(prove(config));
    // A verification or a wait for a quote that does not end can be neither stopped nor waited for.
    runtime.shutdown_background();
    proven
}

async fn prove(config: Config) -> Result<(), Failure> {
    let stop = signals::stop()?;
    let identity = Identity::of(&config, settings::environment);
    let Some(identity) = stop.run_until_cancelled(identity).await.transpose()? else {
        tracing::info!("stopped while waiting for a quote");
        return Ok(());
    };
    tracing::info!(
        version = tee_api::long_version(),
        servers = ?config.servers.iter().map(|server| &server.url).collect::<Vec<_>>(),
        tee_type = %identity.tee_type(),
        attestation = %config.attestation,
        workers = config.verification_workers,
        "starting"
    );
    let metrics_listen = config.metrics_listen;
    let prover = Prover::new(config, identity, |_| ())?;
    let monitor = prover.monitor();
    if let Some(address) = metrics_listen {
        let listen = |error| Failure::Listen { address, error };
        let listener = Listener::bind(address, monitor.clone()).await.map_err(listen)?;
        tracing::info!(address = %listener.local_addr().map_err(listen)?, "metrics and health");
        tokio::spawn(listener.serve());
    }
    signals::status(monitor)?;
    systemd::notify("READY=1");
    prover.run(stop).await?;
    tracing::info!("stopped");
    Ok(())
}
