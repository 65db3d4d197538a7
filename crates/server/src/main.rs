//! `tee-proof-server`: hands batches to provers and keeps their proofs.

use std::{
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tee_api::settings::{self, LevelFilter};
use tee_server::{
    AddedBatch, Clock, Config, Garbage, Loaded, NewToken, ObjectStoreUrl, Role, Server, Service, TokenName,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code after a second signal.
const INTERRUPTED: i32 = 130;

/// Hands out batches to TEE provers and keeps their proofs, until it gets SIGINT or SIGTERM. A second signal stops it
/// at once.
#[derive(Parser)]
#[command(version = tee_api::long_version())]
struct Arguments {
    /// Configuration file (YAML); environment variables (TEE_SERVER_DATABASE_URL, …) override it.
    #[arg(long, value_name = "FILE", global = true)]
    config_path: Option<PathBuf>,
    /// Show the configuration and where each value comes from, and exit.
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Imports batches from a zksync-era object store.
    Import {
        /// The object store: file://FOLDER, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, with witness_inputs/ in it.
        #[arg(long, value_name = "URL")]
        blobs: ObjectStoreUrl,
        /// For each batch, a JSON file with what the blobs lack.
        #[arg(required = true, value_name = "FILE")]
        rest: Vec<PathBuf>,
    },
    /// Deletes what is in the object store and belongs to no batch, such as the remains of an interrupted upload.
    /// Servers may keep running.
    Gc {
        /// Delete only what is at least this old, in hours. Nothing of today (UTC) is ever deleted.
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
        older_than_hours: u32,
        /// Only print what would be deleted.
        #[arg(long)]
        dry_run: bool,
    },
    /// Migrates the database to this version's schema, as every start does, and exits.
    Migrate,
    /// Makes a token: prints the token, for its holder only, and the line for the tokens file.
    Token {
        /// Its name in logs.
        #[arg(long)]
        name: TokenName,
        /// What its holder may do: prover, admin or reader.
        #[arg(long)]
        role: Role,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", tee_api::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let configured = || {
        let loaded = load(arguments.config_path.as_deref())?;
        loaded.config.log_format.log_to_stderr(LevelFilter::INFO);
        for warning in loaded.warnings() {
            tracing::warn!("configuration: {warning}");
        }
        Ok::<_, anyhow::Error>(loaded.config)
    };
    match arguments.command {
        None if arguments.print_config => print_config(&load(arguments.config_path.as_deref())?),
        None => serve(configured()?).await,
        Some(Command::Import { blobs, rest }) => {
            let service = Service::open(&configured()?, Clock::System).await?;
            for file in rest {
                let (batch, added) = service.import(&blobs, &file).await.with_context(|| file.display().to_string())?;
                match added {
                    AddedBatch::New => tracing::info!(batch, "imported the batch"),
                    AddedBatch::Known => tracing::info!(batch, "the batch was already there"),
                }
            }
            service.close().await;
            Ok(())
        }
        Some(Command::Gc { older_than_hours, dry_run }) => {
            let service = Service::open(&configured()?, Clock::System).await?;
            let least_age = Duration::from_secs(u64::from(older_than_hours) * 3600);
            let garbage = service.collect_garbage(least_age, !dry_run).await?;
            service.close().await;
            let Garbage { orphans, orphan_bytes, in_use, young, foreign } = garbage;
            tracing::info!(
                orphans,
                orphan_bytes,
                in_use,
                young,
                foreign,
                deleted = !dry_run,
                "looked through the blobs"
            );
            Ok(())
        }
        Some(Command::Migrate) => {
            let migrated = tee_server::migrate(&configured()?.database_url).await?;
            tracing::info!(version = migrated.version, "the database has the schema of this version");
            Ok(())
        }
        Some(Command::Token { name, role }) => {
            print_token(&NewToken::random(name, role)).context("cannot print the token")
        }
    }
}

fn load(path: Option<&Path>) -> anyhow::Result<Loaded> {
    let loaded = Config::load(path, settings::environment, &settings::variable_names());
    loaded.with_context(|| match path {
        Some(path) => format!("configuration {}", path.display()),
        None => "configuration (no --config-path FILE was given)".to_owned(),
    })
}

fn print_config(loaded: &Loaded) -> anyhow::Result<()> {
    for warning in loaded.warnings() {
        eprintln!("warning: {warning}");
    }
    print(&loaded.to_string()).context("cannot print the configuration")
}

/// Serves until the first signal, then finishes requests in progress unless a second signal comes.
async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let server = Server::start(config).await?;
    tracing::info!(address = %server.local_addr(), "serving");
    signals.next().await;
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = server.stop() => {
            tracing::info!("stopped");
            Ok(())
        }
        () = signals.next() => std::process::exit(INTERRUPTED),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn print_token(token: &NewToken) -> std::io::Result<()> {
    let text = format!("token, shown this once: {}\nfor the tokens file:    {}\n", token.secret(), token.line());
    print(&text)
}

fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that closes the pipe early is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
