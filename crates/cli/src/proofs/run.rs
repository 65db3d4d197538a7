//! The run over all batches.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tee_api::TeeType;
use tee_attestation::{CollateralCache, CollateralSource};
use tee_checker::{Attestations, Batch, Examined, Rpc, RpcError, Verdict, check, published, read_policy, read_root};
use tee_verifier::{H256, Pins};
use tokio::time::{Instant, sleep};

use super::{
    args::Args,
    report::{Compared, Report},
    serve::Board,
};
use crate::{PROGRAM, exit::Exit};

/// How many batches are checked at the same time.
const WINDOW: usize = 16;
/// The first pause before asking again for a batch without a proof.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How often, at the chain's end, batches far ahead are requested.
const LOOK_AHEAD_INTERVAL: Duration = Duration::from_secs(10);
/// Collateral from a service is fetched again a day before it expires.
const REFRESH_BEFORE_SECS: u64 = 24 * 60 * 60;

/// Checks batches.
struct Checker {
    publisher: Rpc,
    other_source: Option<Rpc>,
    attestations: Attestations,
    tee_types: Vec<TeeType>,
    pins: Pins,
    patience: Duration,
    /// Whether the range has no end. Then a batch without a proof may not exist yet.
    continuous: bool,
    last_found: Mutex<Instant>,
    highest_found: AtomicU32,
    /// The batch that all others wait for.
    head: AtomicU32,
}

/// The needed fields of a node's answer (zksync-era's `L1BatchDetails`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchDetails {
    root_hash: Option<H256>,
}

#[tokio::main]
pub(super) async fn run(args: Args) -> Result<Exit> {
    let pins = args.pins.required(args.chain_id)?;
    let board = Board::of(&args).await?;
    let source = args.collateral.as_deref().map(|place| CollateralSource::open(place, PROGRAM)).transpose()?;
    let checker = Checker {
        publisher: rpc("--rpc", &args.rpc, args.rate_limit)?,
        other_source: args.l2_rpc.as_deref().map(|url| rpc("--l2-rpc", url, args.rate_limit)).transpose()?,
        attestations: Attestations::new(
            read_policy(&args.policy)?,
            read_root(args.danger_root_certificate.as_deref())?,
            args.as_of,
            source.map(|source| CollateralCache::new(source, u64::MAX, REFRESH_BEFORE_SECS)),
        ),
        tee_types: args.tee_types,
        pins,
        patience: args.patience,
        continuous: args.continuous.is_some(),
        last_found: Mutex::new(Instant::now()),
        highest_found: AtomicU32::new(0),
        head: AtomicU32::new(args.continuous.unwrap_or_default()),
    };
    let batches = args.batch.unwrap_or(args.continuous.unwrap_or_default()..=u32::MAX);
    let total = (!checker.continuous).then(|| u64::from(batches.end() - batches.start()) + 1);
    let compared = Compared {
        root: checker.other_source.is_some(),
        code: checker.pins.pin_code(),
        chain: checker.pins.chain_id().is_some(),
    };
    let mut report = Report::new(args.json, args.log_level, total, compared);
    report.waiting(*batches.start());

    let started = Instant::now();
    let mut interrupted = false;
    let mut before: Option<Examined> = None;
    // This takes some 50 bytes for each batch, as long as the run lasts.
    let mut roots = HashMap::new();
    let mut examined = stream::iter(batches).map(|number| checker.examine(number)).buffered(WINDOW);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let next = tokio::select! {
            next = examined.next() => next,
            _ = &mut interrupt => {
                interrupted = true;
                break;
            }
        };
        let Some(mut next) = next else { break };
        next.follow(before.as_ref());
        next.compare_root(&mut roots);
        report.batch(&next);
        if let Some(board) = &board {
            board.add(&next, compared);
        }
        report.waiting(next.number.saturating_add(1));
        checker.head.store(next.number.saturating_add(1), Ordering::Relaxed);
        before = Some(next);
    }
    drop(examined);
    let all = report.finish(interrupted, started.elapsed().as_secs_f64());
    if let Some(board) = board.filter(|_| !interrupted) {
        board.finish();
        tokio::signal::ctrl_c().await?;
    }
    // A range that was not examined to its end is not proven; in a range without an end, what was seen counts.
    let ok = all && (!interrupted || checker.continuous);
    Ok(if ok { Exit::Success } else { Exit::Failure })
}

/// `option` is the one that gave the URL, which may hold a secret.
fn rpc(option: &'static str, url: &str, rate_limit: Duration) -> Result<Rpc> {
    Rpc::new(PROGRAM, url, rate_limit).context(option)
}

impl Checker {
    /// Checks a batch until there is a result or patience ends.
    async fn examine(&self, number: u32) -> Examined {
        let mut pause = FIRST_PAUSE;
        let mut looked_ahead = None;
        loop {
            let tried = self.try_examine(number).await;
            let (verdict, note) = match tried {
                Ok(Some(examined)) => {
                    self.found(number);
                    return examined;
                }
                Ok(None) => (Verdict::Missing, self.missing().to_owned()),
                Err((server, error)) if !error.may_pass() => {
                    return Examined::without_proofs(number, Verdict::Unreachable, format!("{server}: {error}"));
                }
                Err((server, error)) => (Verdict::Unreachable, format!("{server}: {error}")),
            };
            if self.patience_ended() && self.is_due(number, verdict, &mut looked_ahead).await {
                return Examined::without_proofs(number, verdict, note);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Whether the batch should have a proof by now. In a range without an end, that is so when a later batch has one.
    async fn is_due(&self, number: u32, verdict: Verdict, looked_ahead: &mut Option<Instant>) -> bool {
        if !self.continuous {
            return true;
        }
        if self.highest_found.load(Ordering::Relaxed) > number {
            return true;
        }
        let lately = looked_ahead.is_some_and(|at| at.elapsed() < self.patience.max(LOOK_AHEAD_INTERVAL));
        if verdict == Verdict::Unreachable || self.head.load(Ordering::Relaxed) != number || lately {
            return false;
        }
        *looked_ahead = Some(Instant::now());
        // A gap may be wider than the window.
        for step in (WINDOW.ilog2()..=16).map(|exponent| 1_u32 << exponent) {
            let Some(later) = number.checked_add(step) else { break };
            if matches!(self.try_examine(later).await, Ok(Some(_))) {
                return true;
            }
        }
        false
    }

    async fn try_examine(&self, number: u32) -> Result<Option<Examined>, (&'static str, RpcError)> {
        let one_type = match self.tee_types.as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        let entries = published(&self.publisher, number, one_type).await.map_err(|error| ("the publisher", error))?;
        if entries.is_empty() {
            return Ok(None);
        }
        let expected_root = match &self.other_source {
            None => None,
            Some(source) => {
                let details = source.call::<BatchDetails>("zks_getL1BatchDetails", json!([number])).await;
                let details = details.map_err(|error| ("the other source", error))?;
                match details.and_then(|details| details.root_hash) {
                    Some(root) => Some(root),
                    // A root that the other source does not confirm yet does not count.
                    None => return Ok(None),
                }
            }
        };
        let batch = Batch { number, expected_root, pins: &self.pins };
        let mut checked = Vec::new();
        for entry in entries {
            checked.push(check(entry, &batch, &self.attestations).await);
        }
        Ok(Examined::weigh(&batch, checked))
    }

    fn missing(&self) -> &'static str {
        match self.other_source {
            None => "there is no proof",
            Some(_) => "there is no proof, or the other source does not know the root",
        }
    }

    fn found(&self, number: u32) {
        *self.last_found.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.highest_found.fetch_max(number, Ordering::Relaxed);
    }

    /// All batches share one patience: otherwise a thousand missing ones would take a thousand times as long.
    fn patience_ended(&self) -> bool {
        self.last_found.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= self.patience
    }
}
