//! `tee-key-preexec`: makes the signing key in the enclave, has the processor quote it, and starts a command with both.

use clap::Parser;
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};
use tee_api::{
    KeyError, SigningKey, TeeType,
    settings::{LevelFilter, LogFormat},
};
use tee_attestation::{Platform, PlatformError};
use tee_prover::{Enclave, IdentityError};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// Makes a signing key in this enclave (SGX under Gramine, or TDX), obtains a quote that names it, and replaces itself with the
/// command, whose environment has {P}SIGNING_KEY, {P}ATTESTATION_QUOTE_FILE_PATH and {P}TEE_TYPE.
///
/// Exit codes of its own: 2 command line; 3 no key or no quote; 126 the command cannot be run; 127 there is no such command; 130
/// stopped by a signal while it waited for a quote.
#[derive(Parser)]
#[command(version = tee_api::long_version())]
struct Args {
    /// Prefix of the environment variables.
    #[arg(long, default_value = "TEE_PROVER_", value_name = "P")]
    env_prefix: String,
    /// Start the command even outside an enclave, with a key that nothing vouches for and the type `none`.
    #[arg(long)]
    allow_no_tee: bool,
    /// Get the quote from a simulated SGX platform, to try things out.
    #[arg(long, conflicts_with = "allow_no_tee")]
    simulation: bool,
    /// How long to wait for the quote, in seconds.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    quote_timeout_secs: u64,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The command's environment.
struct Handover {
    tee_type: TeeType,
    key: Zeroizing<String>,
    quote: Vec<u8>,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("there is no quote (with --allow-no-tee the command starts anyway, and proves nothing)")]
    NoTee(#[source] PlatformError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("stopped while waiting for a quote")]
    Stopped,
    #[error("operating system")]
    System(#[source] io::Error),
    #[error("{path}")]
    QuoteFile {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{}", .command.display())]
    Exec {
        command: OsString,
        #[source]
        error: io::Error,
    },
}

fn main() -> ExitCode {
    if let Err(error) = tee_prover::forbid_core_dumps() {
        // Gramine does not support all of this, and an enclave's memory is encrypted outside.
        eprintln!("tee-key-preexec: cannot disable core dumps: {error}");
    }
    LogFormat::Text.log_to_stderr(LevelFilter::INFO);
    let failure = match run(Args::parse()) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    eprintln!("tee-key-preexec: {}", tee_api::chain(&failure));
    ExitCode::from(match &failure {
        Failure::Exec { error, .. } if error.kind() == io::ErrorKind::NotFound => 127,
        Failure::Exec { .. } => 126,
        Failure::Stopped => 130,
        Failure::System(_) => 1,
        _ => 3,
    })
}

/// Returns only if the command could not be started.
fn run(args: Args) -> Result<std::convert::Infallible, Failure> {
    let handover = Handover::make_unless_stopped(&args)?;
    let quote_path = write_quote(&handover.quote)?;
    let mut command = args.command.into_iter();
    let program = command.next().unwrap_or_default();
    let name = |name: &str| format!("{}{name}", args.env_prefix);
    // This program's memory, with the key, is gone when the command replaces it.
    let error = Command::new(&program)
        .args(command)
        .env(name("SIGNING_KEY"), handover.key.as_str())
        .env(name("ATTESTATION_QUOTE_FILE_PATH"), quote_path)
        .env(name("TEE_TYPE"), handover.tee_type.as_str())
        .exec();
    Err(Failure::Exec { command: program, error })
}

impl Handover {
    /// Stops on signals, which do not stop the first process of a container by default.
    fn make_unless_stopped(args: &Args) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::System)?;
        let made = runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::System)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(Failure::System)?;
            tokio::select! {
                made = Self::make(args) => made,
                _ = interrupt.recv() => Err(Failure::Stopped),
                _ = terminate.recv() => Err(Failure::Stopped),
            }
        });
        // Waiting for a quote cannot be interrupted.
        runtime.shutdown_background();
        made
    }

    async fn make(args: &Args) -> Result<Self, Failure> {
        let enclave = if args.simulation {
            Enclave::simulated()?
        } else {
            match Platform::detect() {
                Ok(platform) => Enclave::attested(platform, Duration::from_secs(args.quote_timeout_secs)).await?,
                // As in teepot: a key that nothing vouches for, and an empty quote.
                Err(PlatformError::NotFound) if args.allow_no_tee => {
                    let key = SigningKey::random()?.expose_hex();
                    return Ok(Self { tee_type: TeeType::None, key, quote: Vec::new() });
                }
                Err(error) => return Err(Failure::NoTee(error)),
            }
        };
        Ok(Self {
            tee_type: enclave.tee_type(),
            key: enclave.key().expose_hex(),
            quote: enclave.quote().as_bytes().to_vec(),
        })
    }
}

/// Writes the quote into a new file, named after this process, which becomes the command.
fn write_quote(quote: &[u8]) -> Result<PathBuf, Failure> {
    let path = std::env::temp_dir().join(format!("tee_quote_{}", std::process::id()));
    let write = || {
        // An earlier process with the same number may have left a file, and anyone may have put a link there. The link is not followed.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(quote)
    };
    write().map_err(|error| Failure::QuoteFile { path: path.clone(), error })?;
    Ok(path)
}
