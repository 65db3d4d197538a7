//! The command line, which also accepts that of teepot's `verify-era-proof-attestation`.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use tee_api::TeeType;
use tee_checker::{AsOf, time};

use crate::pins::PinArgs;

pub(super) const EXAMPLES: &str = "Examples:
  teectl proofs verify --rpc https://proofs.example.org --batch 100-199 --policy policy.yaml --chain-file chain.yaml
  teectl proofs verify --rpc https://proofs.example.org --continuous 100 --policy policy.yaml --chain-file chain.yaml --l2-rpc https://node.example.org --json
  teectl proofs verify --rpc https://proofs.example.org --batch 100-199 --policy policy.yaml --chain-file chain.yaml --serve";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Who publishes the proofs: a JSON-RPC server with unstable_getTeeProofs.
    #[arg(long, value_name = "URL", alias = "server")]
    pub(super) rpc: String,
    /// A batch or a range of them: 42 or 42-45.
    #[arg(long, short = 'n', value_name = "A-B", value_parser = range, required_unless_present = "continuous")]
    pub(super) batch: Option<RangeInclusive<u32>>,
    /// All batches from this one on, until interrupted.
    #[arg(long, value_name = "FIRST", conflicts_with = "batch")]
    pub(super) continuous: Option<u32>,
    /// The policy: which quotes are accepted.
    #[arg(long, value_name = "FILE", alias = "attestation-policy-file")]
    pub(super) policy: PathBuf,
    /// Another source of the batches' roots: a JSON-RPC server with zks_getL1BatchDetails.
    #[arg(long, value_name = "URL")]
    pub(super) l2_rpc: Option<String>,
    /// When a quote must be valid: at its registration (as the publisher archived it, or now if it did not), today, or
    /// at a time (Unix seconds, or like 2025-04-03T08:13:30Z).
    #[arg(long, value_name = "registration|today|TIME", default_value = "registration", value_parser = as_of)]
    pub(super) as_of: AsOf,
    /// Where collateral comes from instead of the publisher's archive: a file, a folder, or the URL of a PCS or PCCS.
    #[arg(long, value_name = "FILE|FOLDER|URL")]
    pub(super) collateral: Option<String>,
    /// How long to wait, without a new proof, for a batch that has none and for servers that do not answer.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = secs)]
    pub(super) patience: Duration,
    /// Which proofs count.
    #[arg(long, value_name = "sgx,tdx", value_delimiter = ',', value_parser = tee_type, default_value = "sgx,tdx")]
    pub(super) tee_types: Vec<TeeType>,
    /// The chain that statements must be of.
    #[arg(long = "chain", value_name = "ID")]
    pub(super) chain_id: Option<u64>,
    #[command(flatten)]
    pub(super) pins: PinArgs,
    /// The shortest time between two requests.
    #[arg(long, value_name = "MILLISECONDS", default_value = "0", value_parser = millis)]
    pub(super) rate_limit: Duration,
    /// How much to log on standard error: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(super) log_level: tee_api::settings::LevelFilter,
    /// Trust this certificate instead of Intel's root: whoever has its key can make quotes of anything.
    #[arg(long, value_name = "FILE")]
    pub(super) danger_root_certificate: Option<PathBuf>,
    /// Print one JSON object per batch, and a summary.
    #[arg(long)]
    pub(super) json: bool,
    /// Also serve the verdicts as web pages, until interrupted.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:3321")]
    pub(super) serve: Option<SocketAddr>,
}

fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text:?} is not a batch number"));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    if range.is_empty() {
        return Err("the range ends before it begins".to_owned());
    }
    Ok(range)
}

fn as_of(text: &str) -> Result<AsOf, String> {
    match text {
        "registration" => Ok(AsOf::Registration),
        "today" => Ok(AsOf::Today),
        text => time(text).map(AsOf::At),
    }
}

fn secs(text: &str) -> Result<Duration, String> {
    let secs = text.strip_suffix('s').unwrap_or(text);
    secs.parse().map(Duration::from_secs).map_err(|_| "must be a number of seconds".to_owned())
}

fn millis(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| "must be a number of milliseconds".to_owned())
}

/// Upper case is accepted too, as in teepot.
fn tee_type(text: &str) -> Result<TeeType, String> {
    match text.trim().to_ascii_lowercase().parse() {
        Ok(tee_type @ (TeeType::Sgx | TeeType::Tdx)) => Ok(tee_type),
        _ => Err("must be sgx or tdx".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args)
    }

    #[test]
    fn teepots_command_lines_are_understood() {
        let args = parse(
            "verify --rpc https://mainnet.era.zksync.io --continuous 493220 --attestation-policy-file p.yaml --log-level info",
        )
        .unwrap();
        assert_eq!((args.continuous, args.batch), (Some(493_220), None));
        let args = parse(
            "verify --rpc http://localhost:3050 -n 42-45 --attestation-policy-file p.yaml --chain 324 --rate-limit 50 --tee-types SGX,tdx",
        )
        .unwrap();
        assert_eq!(args.batch, Some(42..=45));
        assert_eq!((args.chain_id, args.rate_limit), (Some(324), Duration::from_millis(50)));
        assert_eq!(args.tee_types, [TeeType::Sgx, TeeType::Tdx]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "verify --rpc x --policy p",
            "verify --rpc x --policy p --batch 1 --continuous 2",
            "verify --rpc x --batch 1",
            "verify --rpc x --policy p --batch 5-4",
            "verify --rpc x --policy p --batch -4",
            "verify --rpc x --policy p --batch 1 --tee-types none",
            "verify --rpc x --policy p --batch 1 --as-of yesterday",
            "verify --rpc x --policy p --batch 4294967296",
            "verify --rpc x --policy p --batch 1 --chain-file f --danger-any-code",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
