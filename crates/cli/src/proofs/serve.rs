//! `--serve`: the verdicts as pages, only for the person who runs the check.
//!
//! They look like the server's pages, but repeat nothing that the server claims: they show what the check found.

mod pages;
mod verdicts;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::HOST},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tee_api::BUILD;
use tee_checker::{Examined, Verdict, now_secs};
use tee_pages::{At, CheckedProof, Stated, cut, names_loopback};
use tee_server::{Limits, serve_router};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use super::{args::Args, report::Compared};

/// The most batches that are kept. Those that are proven make room first.
const MAX_BATCHES: usize = 1000;
/// The most connections, so that the check keeps enough file handles for its own, and the most of one address.
const MAX_CONNECTIONS: usize = 256;
const MAX_CONNECTIONS_PER_PEER: usize = 64;
/// How many follow the changes at a time, each with a connection. Other pages are read again now and then.
const MAX_FOLLOWERS: usize = 32;
/// The most proofs of a batch that are shown.
const MAX_PROOFS: usize = 16;

/// What was checked so far.
pub(super) struct Board {
    check: Check,
    address: SocketAddr,
    seen: Mutex<Seen>,
    /// How many changes there were.
    changes: watch::Sender<u64>,
    /// Places for those who follow the changes.
    followers: Arc<Semaphore>,
}

/// Which check it is.
struct Check {
    version: &'static str,
    began_at: At,
    /// Without path, user and password, which may be secret.
    publisher: String,
    policy: String,
    /// Whether quotes lead up to a root other than Intel's.
    danger_root: bool,
}

#[derive(Default)]
struct Seen {
    batches: BTreeMap<u32, Arc<Batch>>,
    counts: [u64; Verdict::ALL.len()],
    /// How many batches were removed to make room for others.
    forgotten: u64,
    finished_at: Option<At>,
}

/// A batch as the pages show it.
struct Batch {
    number: u32,
    verdict: Verdict,
    checked_at: At,
    root: Option<String>,
    follows: Option<bool>,
    notes: Vec<String>,
    holding: usize,
    proofs: Vec<CheckedProof>,
    more_proofs: usize,
    stated: Vec<Stated>,
    not_compared: Vec<&'static str>,
}

impl Board {
    /// Serves the pages from now on, if they are asked for.
    pub(super) async fn of(args: &Args) -> Result<Option<Arc<Self>>> {
        let Some(address) = args.serve else { return Ok(None) };
        let publisher = tee_api::http::url(&args.rpc).context("--rpc")?.origin().ascii_serialization();
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let board = Arc::new(Self {
            check: Check {
                version: BUILD.version,
                began_at: now(),
                publisher,
                policy: args.policy.display().to_string(),
                danger_root: args.danger_root_certificate.is_some(),
            },
            address: listener.local_addr()?,
            seen: Mutex::default(),
            changes: watch::Sender::new(0),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
        });
        eprintln!("Verdicts as web pages: http://{}", board.address);
        let router = board.clone().router();
        tokio::spawn(serve_router(listener, router, limits()));
        Ok(Some(board))
    }

    /// Shows the result for a batch.
    pub(super) fn add(&self, examined: &Examined, compared: Compared) {
        let batch = Batch::of(examined, compared);
        self.change(|seen| {
            for (verdict, count) in Verdict::ALL.iter().zip(&mut seen.counts) {
                *count += u64::from(*verdict == batch.verdict);
            }
            seen.batches.insert(batch.number, Arc::new(batch));
            if seen.batches.len() > MAX_BATCHES {
                seen.forget_one();
            }
        });
    }

    /// Shows that there will be no more results.
    pub(super) fn finish(&self) {
        self.change(|seen| seen.finished_at = Some(now()));
        eprintln!("The pages keep running: http://{} (stop them with Ctrl-C)", self.address);
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn router(self: Arc<Self>) -> Router {
        let guard = from_fn_with_state(self.clone(), refuse_other_names);
        tee_pages::assets().merge(pages::routes()).fallback(pages::missing).layer(guard).with_state(self)
    }
}

fn limits() -> Limits {
    Limits { max_connections: MAX_CONNECTIONS, max_connections_per_peer: MAX_CONNECTIONS_PER_PEER, ..Limits::default() }
}

impl Seen {
    fn forget_one(&mut self) {
        let proven = self.batches.values().find(|batch| batch.verdict == Verdict::Proven);
        let number = proven.or(self.batches.values().next()).map(|batch| batch.number);
        if number.is_some_and(|number| self.batches.remove(&number).is_some()) {
            self.forgotten += 1;
        }
    }
}

impl Batch {
    fn of(examined: &Examined, compared: Compared) -> Self {
        let proofs = &examined.proofs;
        Self {
            number: examined.number,
            verdict: examined.verdict,
            checked_at: now(),
            root: examined.root.map(hex::encode),
            follows: examined.follows,
            notes: examined.notes.iter().map(|note| cut(note)).collect(),
            holding: proofs.iter().filter(|proof| proof.problems.is_empty()).count(),
            proofs: proofs.iter().take(MAX_PROOFS).map(CheckedProof::of).collect(),
            more_proofs: proofs.len().saturating_sub(MAX_PROOFS),
            stated: Stated::of(proofs.iter().filter_map(|proof| proof.statement.clone()).collect()),
            not_compared: compared.missing_of(examined),
        }
    }
}

/// Anybody's page could have its own name point to this machine, and read the verdicts in a browser that runs here.
async fn refuse_other_names(State(board): State<Arc<Board>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if board.address.ip().is_loopback() && !host.is_some_and(names_loopback) {
        return (StatusCode::FORBIDDEN, "the Host header does not name this machine").into_response();
    }
    next.run(request).await
}

fn now() -> At {
    At::from_secs(now_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPARED: Compared = Compared { root: false, chain: false, code: false };

    fn board() -> Board {
        let (version, publisher, policy) = Default::default();
        Board {
            check: Check { version, began_at: At(0), publisher, policy, danger_root: false },
            address: ([127, 0, 0, 1], 0).into(),
            seen: Mutex::default(),
            changes: watch::Sender::new(0),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
        }
    }

    #[test]
    fn what_is_proven_makes_room_for_what_is_not() {
        let board = board();
        let batches = MAX_BATCHES as u32 + 10;
        for number in 0..batches {
            let verdict = if number % 7 == 3 { Verdict::Contradicted } else { Verdict::Proven };
            board.add(&Examined::without_proofs(number, verdict, String::new()), COMPARED);
        }
        let seen = board.seen();
        assert_eq!((seen.batches.len(), seen.forgotten), (MAX_BATCHES, 10));
        assert_eq!(seen.counts.iter().sum::<u64>(), u64::from(batches));
        assert!((0..batches).filter(|number| number % 7 == 3).all(|number| seen.batches.contains_key(&number)));
        assert_eq!(*seen.batches.keys().next().unwrap(), 3);
        drop(seen);
        for number in batches..2 * batches {
            board.add(&Examined::without_proofs(number, Verdict::Missing, String::new()), COMPARED);
        }
        assert_eq!(board.seen().batches.len(), MAX_BATCHES);
    }
}
