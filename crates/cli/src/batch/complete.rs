//! `teectl batch complete`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tee_api::chain;
use tee_server::{NodeRpc, complete};

use crate::{PROGRAM, batch_file, exit::Exit, progress::Progress};

pub(super) const EXAMPLES: &str = "Examples:
  teectl batch complete batch-7.json.zst --l2-rpc http://127.0.0.1:3050 --output completed-7.json.zst";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A batch input: .json or .cbor, also .zst or .gz; - is the standard input.
    file: PathBuf,
    /// A JSON-RPC server of the chain that has zks_getProof and the state before the batch. It is not trusted: its
    /// answers are checked against the root before the batch.
    #[arg(long, value_name = "URL")]
    l2_rpc: String,
    /// Where to write the completed input: .json or .cbor, also .zst or .gz.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[tokio::main]
pub(crate) async fn run(args: &Args) -> Result<Exit> {
    batch_file::encoding(&args.output).with_context(|| args.output.display().to_string())?;
    let node = NodeRpc::new(&args.l2_rpc, PROGRAM).context("--l2-rpc")?;
    let input = match batch_file::read(&args.file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("unreadable: {} ({})", chain(&error), args.file.display());
            return Ok(Exit::Unreadable);
        }
    };
    let batch = input.l1_batch_env.number;
    let asking = Progress::unknown("asking the node for paths", false);
    let completed = complete(input, &node).await;
    drop(asking);
    let (input, paths) = match completed {
        Ok(completed) => completed,
        Err(error) => {
            eprintln!("cannot complete: {} ({})", chain(&error), args.file.display());
            return Ok(Exit::Failure);
        }
    };
    batch_file::write(&args.output, &input).with_context(|| format!("cannot write {}", args.output.display()))?;
    println!("completed: added {paths} paths to batch {batch} ({})", args.output.display());
    Ok(Exit::Success)
}
