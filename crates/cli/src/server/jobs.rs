//! `teectl server jobs`: a server's jobs.

use std::{ops::RangeInclusive, str::FromStr};

use anyhow::{Context, Result};
use clap::Subcommand;
use comfy_table::{Table, presets};
use tee_api::{Client, JobAction, JobEntry, JobStatus, JobsRequest, TeeType};

use super::{
    connection::ServerArgs,
    listing::{self, PAGE},
};
use crate::{exit::Exit, print::shown};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List jobs.
    List(ListArgs),
    /// Make failed or given-up jobs ready again.
    #[command(after_help = RETRY_EXAMPLES)]
    Retry(ChangeArgs),
    /// Give up jobs that have no proof.
    Ignore(ChangeArgs),
    /// Have batches proven again, whatever their jobs' status. Their proofs are kept.
    Requeue(ChangeArgs),
}

const LIST_EXAMPLES: &str = "Examples:
  teectl server jobs list --status failed
  teectl server jobs list --batch 14034 --json";

const RETRY_EXAMPLES: &str = "Examples:
  teectl server jobs retry --tee-type sgx 14034 14040-14049";

#[derive(clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Only jobs of this batch.
    #[arg(long)]
    batch: Option<u32>,
    /// Only jobs of this type of enclave: none, sgx, tdx.
    #[arg(long)]
    tee_type: Option<TeeType>,
    /// Only jobs with this status: ready_to_be_proven, picked_by_prover, generated, failed, permanently_ignored.
    #[arg(long)]
    status: Option<JobStatus>,
    /// The most jobs to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The jobs' type of enclave: none, sgx, tdx.
    #[arg(long)]
    tee_type: TeeType,
    /// Batches: numbers, and ranges like 100-199.
    #[arg(required = true, value_name = "BATCH")]
    batches: Vec<Batches>,
}

pub(super) async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Retry(args) => change(&args, JobAction::Retry).await,
        Command::Ignore(args) => change(&args, JobAction::Ignore).await,
        Command::Requeue(args) => change(&args, JobAction::Requeue).await,
    }
}

async fn list(args: &ListArgs) -> Result<Exit> {
    let client = args.server.client()?;
    listing::print(&jobs(&client, args).await?, args.json, table)?;
    Ok(Exit::Success)
}

async fn jobs(client: &Client, args: &ListArgs) -> Result<Vec<JobEntry>> {
    let mut jobs = vec![];
    let mut after = None;
    loop {
        let left = args.limit - u32::try_from(jobs.len()).unwrap_or(args.limit);
        let request = JobsRequest {
            batch: args.batch,
            tee_type: args.tee_type,
            status: args.status,
            after: after.take(),
            limit: left.min(PAGE),
        };
        let page = client.jobs(&request).await?;
        jobs.extend(page.items);
        after = page.next;
        if after.is_none() || jobs.len() >= args.limit as usize {
            return Ok(jobs);
        }
    }
}

fn table(jobs: &[JobEntry]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_BORDERS_ONLY_CONDENSED)
        .set_header(["batch", "TEE", "status", "attempts", "changed", "error"]);
    for job in jobs {
        let error = [&job.error_kind, &job.error].into_iter().flatten().map(|text| shown(text)).collect::<Vec<_>>();
        table.add_row([
            job.batch.to_string(),
            job.tee_type.to_string(),
            shown(&job.status.to_string()),
            job.attempts.to_string(),
            shown(&job.updated_at),
            error.join(": "),
        ]);
    }
    table
}

async fn change(args: &ChangeArgs, action: JobAction) -> Result<Exit> {
    let client = args.server.client()?;
    let (mut changed, mut failed) = (0_u32, 0_u32);
    for batch in args.batches.iter().flat_map(|Batches(batches)| batches.clone()) {
        match client.change_job(batch, args.tee_type, action).await {
            Ok(()) => changed += 1,
            Err(error) => {
                failed += 1;
                eprintln!("error: batch {batch}: {error}");
            }
        }
    }
    println!("{}: {changed} changed, {failed} failed", action.as_str());
    Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
}

/// `7` or `100-199`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batches(RangeInclusive<u32>);

impl FromStr for Batches {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<u32>().context("must be a batch's number or a range like 100-199");
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        anyhow::ensure!(first <= last, "the range ends before it begins");
        Ok(Self(first..=last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_numbers_and_ranges() {
        assert_eq!("7".parse::<Batches>().unwrap(), Batches(7..=7));
        assert_eq!("7-9".parse::<Batches>().unwrap(), Batches(7..=9));
        for text in ["", "-", "9-7", "7-", "-7", "a", "1-2-3", "4294967296"] {
            assert!(text.parse::<Batches>().is_err(), "{text}");
        }
    }
}
