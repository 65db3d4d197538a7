//! `teectl server batches`: batches of a server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use hex::{FromHex, FromHexError};
use tee_api::{BatchUpload, Client, Compression};
use tee_verifier::H256;

use super::connection::ServerArgs;
use crate::{batch_file, exit::Exit, print::shown, progress::Progress};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add batch inputs to a server. Adding the same input again changes nothing; another input under an existing
    /// number is refused.
    Add(AddArgs),
}

const EXAMPLES: &str = "Examples:
  teectl server batches add batch-14034.json.zst
  teectl server batches add --server https://proofs.example.org --token-file admin.token batches/*.json.zst";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The root after the batch, if it is known; only for a single file.
    #[arg(long, value_name = "HEX", value_parser = root)]
    expected_root: Option<H256>,
    /// Where the batches come from, for operators to read.
    #[arg(long, default_value = "teectl")]
    source: String,
    /// Batch inputs: .json or .cbor, also .zst or .gz; - is the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn root(text: &str) -> Result<H256, FromHexError> {
    <[u8; 32]>::from_hex(text.strip_prefix("0x").unwrap_or(text)).map(H256)
}

pub(super) async fn run(command: Command) -> Result<Exit> {
    let Command::Add(args) = command;
    anyhow::ensure!(args.expected_root.is_none() || args.files.len() == 1, "--expected-root needs a single file");
    let client = args.server.client()?;
    let mut failed = 0;
    let progress = Progress::of(args.files.len() as u64, "batches", false);
    for file in &args.files {
        progress.say(shown(&file.display().to_string()));
        let added = add(&client, &args, file).await;
        progress.step();
        progress.above(|| match added {
            Ok(said) => println!("{}: {said}", file.display()),
            Err(error) => {
                failed += 1;
                eprintln!("error: {}: {error:#}", file.display());
            }
        });
    }
    Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
}

async fn add(client: &Client, args: &AddArgs, file: &Path) -> Result<&'static str> {
    let (mut bytes, mut encoding) = batch_file::load(file).context("cannot read the file")?.into_parts();
    if encoding.compression == Compression::None {
        // A tenth of the size on the line, and servers limit that.
        bytes = zstd::encode_all(&*bytes, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        encoding.compression = Compression::Zstd;
    }
    let (expected_root, source) = (args.expected_root, args.source.clone());
    let upload = BatchUpload { bytes, encoding, expected_root, source };
    let added = client.add_batch(upload).await?;
    Ok(if added.new { "added" } else { "was already there" })
}
