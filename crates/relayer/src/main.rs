//! `tee-relayer`: passes proofs from a server to contracts on a settlement chain.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tee_api::settings::LevelFilter;
use tee_relayer::{Config, Relayer, Status};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Brings a server's proofs to contracts on a settlement chain: registers keys, proves batches, approves executions.
///
/// Exit codes: 0 done, or stopped by a signal; 1 not everything could be done; 2 command line or configuration.
#[derive(Parser)]
#[command(version = tee_api::long_version())]
struct Args {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE", global = true, default_value = "relayer.yaml")]
    config_path: PathBuf,
    /// Send no transactions; only log what would be sent.
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Register, prove and approve again and again, until SIGINT or SIGTERM.
    Run,
    /// Show the state of the contracts, the account and the keys.
    Status {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Ask provers to sign for the contracts, and register the keys that have signed.
    Register,
    /// Prove the next batches, in one transaction.
    Submit,
    /// Print the calldata for the ProofVerifier's `prove`, in hexadecimal.
    Calldata,
    /// Approve the executions that these files describe.
    Approve {
        /// JSON files with from, to, batch_data and openings.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let config = Config::read(&args.config_path);
    let log_format = config.as_ref().map(|config| config.log_format).unwrap_or_default();
    log_format.log_to_stderr(LevelFilter::INFO);
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(2);
        }
    };
    match run(args, config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{}", tee_api::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything was done.
#[tokio::main]
async fn run(args: Args, config: Config) -> Result<bool> {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    let work = async {
        let mut relayer = Relayer::open(config, args.dry_run).await?;
        match args.command {
            Command::Run => relayer.run(stop.clone()).await?,
            Command::Status { json: true } => print(serde_json::to_string(&relayer.status().await?)?)?,
            Command::Status { json: false } => print(shown(&relayer.status().await?))?,
            Command::Register => {
                relayer.request_signatures().await?;
                print(format_args!("{} keys registered", relayer.register().await?))?;
            }
            Command::Submit => print(format_args!("{} batches proven", relayer.submit().await?))?,
            Command::Calldata => match relayer.calldata().await? {
                Some(calldata) => print(calldata)?,
                None => return Ok(false),
            },
            Command::Approve { files } => {
                let mut all = true;
                for file in files {
                    let is_approved = relayer.approve(&file).await.with_context(|| file.display().to_string())?;
                    print(format_args!(
                        "{}: {}",
                        file.display(),
                        if is_approved { "approved" } else { "not approved" }
                    ))?;
                    all &= is_approved;
                }
                return Ok(all);
            }
        }
        Ok(true)
    };
    stop.run_until_cancelled(work).await.unwrap_or(Ok(true))
}

async fn cancel_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}

/// Prints a line. A reader that has closed the pipe is no failure.
fn print(line: impl fmt::Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn shown(status: &Status) -> String {
    let role = if status.is_registrar { "may register keys" } else { "MAY NOT register keys" };
    let mut lines = vec![
        format!("proven up to    batch {}, root {}, index {}", status.head_batch, status.head_root, status.head_index),
        format!("paused          {}", if status.is_paused { "YES" } else { "no" }),
        format!("quorum          {} keys from {} types of enclave", status.quorum_keys, status.quorum_tee_types),
        format!("account         {}, {} wei, {role}", status.account, status.balance_wei),
    ];
    for key in &status.keys {
        let standing = match (key.is_registered, key.counts) {
            (_, true) => "counts",
            (true, false) => "registered, but does not count now",
            (false, false) => "not registered",
        };
        lines.push(format!("key             {} ({}): {standing}", key.address, key.pubkey));
    }
    lines.join("\n")
}
