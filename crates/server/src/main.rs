//! `tee-proof-server`: hands batches to provers and keeps their proofs.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tee_server::{AddedBatch, Clock, Config, ObjectStoreUrl, Server, Store};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Hands batches to TEE provers and keeps their proofs.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration, in YAML.
    #[arg(long, value_name = "FILE", global = true)]
    config_path: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Takes batches in from a zksync-era object store.
    Import {
        /// The object store: file://FOLDER, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, with witness_inputs/ in it.
        #[arg(long, value_name = "URL")]
        blobs: ObjectStoreUrl,
        /// For each batch, a file with what the blobs lack, in JSON.
        #[arg(required = true, value_name = "FILE")]
        rest: Vec<PathBuf>,
    },
    /// Brings the database to this version's schema, as a start does, and ends.
    Migrate,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let path = arguments.config_path.context("--config-path FILE is missing")?;
    let config = Config::read(&path).with_context(|| format!("configuration {}", path.display()))?;
    match arguments.command {
        None => serve(config).await,
        Some(Command::Import { blobs, rest }) => {
            let store = Store::open(&config, Clock::System).await?;
            for file in rest {
                let (batch, added) = store.import(&blobs, &file).await.with_context(|| file.display().to_string())?;
                match added {
                    AddedBatch::New => tracing::info!(batch, "batch taken in"),
                    AddedBatch::Known => tracing::info!(batch, "batch was there"),
                }
            }
            store.close().await;
            Ok(())
        }
        Some(Command::Migrate) => {
            let migrated = tee_server::migrate(&config.database_url).await?;
            tracing::info!(version = migrated.version, "the database has this version's schema");
            Ok(())
        }
    }
}

/// Serves until SIGINT or SIGTERM.
async fn serve(config: Config) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::start(config).await?;
    tracing::info!(address = %server.local_addr(), "serving");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}
