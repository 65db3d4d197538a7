//! `teectl quote verify`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tee_api::PublicKey;
use tee_attestation::{Case, CollateralSource, Key, Rule, Verdict, judge};
use tee_checker::{now_secs, read_policy, read_root, time};

use super::{files::read_quote, known_builds};
use crate::{
    PROGRAM,
    exit::{self, Exit},
    progress::Progress,
};

pub(super) const EXAMPLES: &str = "Examples:
  teectl quote verify quote.bin --policy policy.yaml --collateral https://api.trustedservices.intel.com
  teectl quote verify quote.hex --policy policy.yaml --collateral collateral.json --at 2025-04-03T08:13:30Z --json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A quote: bytes, hex or base64, in one line or several; - is the standard input.
    file: PathBuf,
    /// What Intel published about the platform: a file, a folder of them, or the URL of a PCS or PCCS.
    #[arg(long, value_name = "FILE|FOLDER|URL")]
    collateral: String,
    /// The policy: which quotes are accepted.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Judge as of this time, in Unix seconds or like 2025-04-03T08:13:30Z; now by default.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<u64>,
    /// The public key that the quote should name: 66 hex digits.
    #[arg(long, value_name = "HEX")]
    key: Option<PublicKey>,
    /// Trust this certificate instead of Intel's root: whoever has its key can make quotes of anything.
    #[arg(long, value_name = "FILE")]
    danger_root_certificate: Option<PathBuf>,
    /// A list of builds with their measurements, which names the program in the quote; this repository's by default.
    #[arg(long, value_name = "FILE")]
    known_builds: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(args: &Args) -> Result<Exit> {
    let (verdict, build) = match verdict(args).await {
        Ok(judged) => judged,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    if args.json {
        let mut object = serde_json::to_value(&verdict)?;
        object["build"] = build.into();
        println!("{object}");
    } else {
        println!("{verdict}");
        println!("build: {}", build.as_deref().unwrap_or("none that is known"));
    }
    let unreadable = verdict.failures().any(|check| check.rule == Rule::Readable);
    Ok(match (verdict.passed(), unreadable) {
        (true, _) => Exit::Success,
        (false, true) => Exit::Unreadable,
        (false, false) => Exit::Failure,
    })
}

/// Returns the verdict, and the known build's name for the code in the quote.
async fn verdict(args: &Args) -> Result<(Verdict, Option<String>)> {
    let quote = read_quote(&args.file)?;
    let builds = known_builds::read(args.known_builds.as_deref())?;
    let policy = read_policy(&args.policy)?;
    let root = read_root(args.danger_root_certificate.as_deref())?;
    let at_secs = args.at.unwrap_or_else(now_secs);
    let source = CollateralSource::open(&args.collateral, PROGRAM)?;
    let fetching = Progress::unknown("fetching collateral", args.json);
    let collateral = source.collateral(&quote, at_secs).await.context("collateral")?;
    drop(fetching);
    let key = args.key.map(|key| Key { public_key: key.to_bytes(), address: key.address().0 });
    let verdict = judge(&Case { quote: &quote, collateral: &collateral, root: &root, policy: &policy, key, at_secs });
    Ok((verdict, builds.name(&quote)))
}
