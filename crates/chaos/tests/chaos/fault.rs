//! The faults, and a plan of them, which the same seed makes again.

use std::time::{Duration, Instant, SystemTime};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_attestation::simulated::Publication;
use tokio::time::sleep;

use crate::{
    batches::{self, Poison},
    dice::Dice,
    forger::Forger,
    site::{LEASE_SECS, SUSPEND_AFTER_SECS, Site},
};

/// How far a clock jumps if leases depend on it: they are stuck for as long once the clock is right again.
const JUMP_OF_FILE_SECS: i64 = 10;
/// How far a clock jumps otherwise.
const JUMP_SECS: i64 = 3600;

/// How long collateral that is about to end is valid.
const VALID_FOR: Duration = Duration::from_secs(3);

/// How often a server checks its policy and other files.
const RELOAD: Duration = Duration::from_millis(1500);

/// The longest time that a fault may last until it is seen.
const MOST_HELD: Duration = Duration::from_secs(25);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The collateral ends, and no other is available for a while.
    CollateralEnds,
    /// The collateral is malformed, earlier good collateral has ended, and a server starts.
    CollateralBroken,
    /// A key that was accepted signs wrong roots, until it is revoked.
    Forgery,
    /// Published proofs are sent for other batches.
    Replay,
    /// A prover's key is revoked, and the prover makes a new one.
    KeyRevoked,
    /// A batch that must not be signed is added.
    Poison,
    /// The node gives errors, half answers, nonsense, or no answer.
    NodeBad,
    /// There is no room on the disk with the database and the inputs.
    DiskFull,
    /// A server's machine has the wrong time.
    ClockJumps,
    /// The database's server is stopped.
    DatabaseHangs,
    /// The S3 server is stopped.
    BucketHangs,
    /// The policy and the tokens file are not YAML.
    FilesBroken,
    ServerKilled,
    ServerPaused,
    ProverKilled,
    ProverPaused,
}

/// A fault, its time, its target or kind, and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    pub(crate) whom: usize,
    pub(crate) time: Duration,
    seed: u64,
}

impl Fault {
    const ALL: [Self; 16] = [
        Self::CollateralEnds,
        Self::Forgery,
        Self::Poison,
        Self::DiskFull,
        Self::KeyRevoked,
        Self::ServerKilled,
        Self::NodeBad,
        Self::ProverPaused,
        Self::ClockJumps,
        Self::DatabaseHangs,
        Self::ProverKilled,
        Self::BucketHangs,
        Self::FilesBroken,
        Self::Replay,
        Self::CollateralBroken,
        Self::ServerPaused,
    ];

    /// Faults with the same result would undo each other, so they take turns.
    fn turn(self) -> Self {
        match self {
            Self::CollateralEnds | Self::FilesBroken => Self::CollateralBroken,
            fault => fault,
        }
    }

    /// The faults that are possible at this site.
    pub(crate) fn possible(site: &Site) -> Vec<Self> {
        let is_possible = |fault: &Self| match fault {
            Self::DiskFull => site.disk.is_some(),
            Self::ClockJumps => site.clocks.iter().all(Option::is_some),
            Self::DatabaseHangs => site.cluster.is_some(),
            Self::BucketHangs => site.bucket.is_some(),
            _ => true,
        };
        Self::ALL.into_iter().filter(is_possible).collect()
    }

    /// The metric that shows the fault, and the least or the most that it must have reached in a run. A wrong clock of
    /// the only machine with SQLite's file cannot be shown: there is no other clock to compare it with.
    pub(crate) fn sign(self, on_file: bool) -> Option<Sign> {
        use Sign::{AtLeast, AtMost};
        Some(match self {
            Self::CollateralEnds => AtLeast("tee_server_keys{standing=\"suspended\"}", 1.0),
            Self::CollateralBroken => AtLeast("tee_server_judgements_failed_total", 1.0),
            Self::Forgery => AtLeast("tee_server_disagreements", 1.0),
            Self::Replay => AtLeast("tee_server_proofs_refused_total", 1.0),
            Self::KeyRevoked => AtLeast("tee_server_keys{standing=\"revoked\"}", 1.0),
            Self::Poison => AtLeast("tee_prover_batches_total{outcome=\"failed\"", 1.0),
            Self::NodeBad => AtLeast("tee_server_mirror_lag_batches", 1.0),
            Self::DiskFull | Self::DatabaseHangs => AtMost("tee_server_database_up", 0.0),
            Self::ClockJumps if on_file => return None,
            Self::ClockJumps => AtLeast("tee_server_clock_skew_seconds", 60.0),
            Self::BucketHangs => AtLeast("tee_server_requests_total{route=\"/health/ready\",status=\"503\"}", 1.0),
            Self::FilesBroken => AtLeast("tee_server_reloads_total{file=\"policy\",outcome=\"refused\"}", 1.0),
            Self::ServerKilled | Self::ProverKilled => AtMost("up", 0.0),
            Self::ServerPaused | Self::ProverPaused => AtLeast("scrape_duration_seconds", 1.0),
        })
    }
}

/// What a metric must have reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sign {
    AtLeast(&'static str, f64),
    AtMost(&'static str, f64),
}

/// Each kind of fault once, and then random ones, with the given spacing.
pub(crate) fn plan(possible: &[Fault], time: Duration, spacing: Duration, dice: &mut Dice) -> Vec<Planned> {
    let mut plan = vec![];
    let mut at = Duration::ZERO;
    let mut first = possible.iter();
    while at < time {
        let any = possible[dice.below(possible.len() as u64) as usize];
        let fault = *first.next().unwrap_or(&any);
        let time = Duration::from_millis(500 + dice.below(1500 * LEASE_SECS));
        plan.push(Planned { at, fault, whom: dice.below(1 << 16) as usize, time, seed: dice.below(u64::MAX) });
        at += spacing / 2 + dice.up_to(spacing);
    }
    plan
}

impl Planned {
    /// Makes the fault happen, and ends it.
    pub(crate) async fn happen(self, site: &Site) {
        let Self { fault, whom, time, .. } = self;
        let mut dice = Dice::of(self.seed);
        let server = &site.servers[whom % site.servers.len()];
        let prover = &site.provers[whom % site.provers.len()];
        let _turn = site.turn(fault.turn()).await;
        site.ledger.count(format!("fault: {fault:?}"));
        // For as long as planned, and until it has been seen.
        let hold = async || {
            let started = Instant::now();
            sleep(time).await;
            while !self.is_seen(site) && started.elapsed() < MOST_HELD {
                sleep(Duration::from_millis(100)).await;
            }
        };
        match fault {
            Fault::ServerKilled => server.kill_during(hold()).await,
            Fault::ServerPaused => server.pause_during(hold()).await,
            Fault::ProverKilled => prover.program.kill_during(hold()).await,
            Fault::ProverPaused => prover.program.pause_during(hold()).await,
            Fault::KeyRevoked => {
                revoke(site, &prover.key().to_string()).await;
                prover.change_key(site, hold()).await;
            }
            Fault::Poison => {
                poison(site, whom).await;
                hold().await;
            }
            Fault::Forgery => forge(site, hold(), &mut dice).await,
            Fault::Replay => {
                replay(site, &mut dice).await;
                hold().await;
            }
            Fault::CollateralEnds | Fault::CollateralBroken => {
                let now = SystemTime::now();
                let valid = Some((now - Duration::from_secs(60), now + VALID_FOR));
                site.publish(&Publication { tcb_info_valid: valid, ..Publication::default() });
                // The collateral has been fetched and has ended, and keys could not be judged for too long.
                sleep(VALID_FOR).await;
                if fault == Fault::CollateralBroken {
                    for answer in site.pccs.answers.lock().unwrap().values_mut() {
                        answer.2 = b"<html/>".to_vec();
                    }
                    server.kill_during(async {}).await;
                }
                sleep(Duration::from_secs(SUSPEND_AFTER_SECS + 1)).await;
                site.touch_policy();
                hold().await;
                site.publish(&Publication::default());
                sleep(RELOAD).await;
                site.touch_policy();
            }
            Fault::NodeBad => {
                site.node.turn_bad(dice);
                hold().await;
                site.node.turn_good();
            }
            Fault::DiskFull => {
                let disk = site.disk.as_ref().expect("it was planned for");
                disk.fill();
                hold().await;
                disk.make_room();
            }
            Fault::ClockJumps => {
                let clock = site.clocks[whom % site.clocks.len()].as_ref().expect("it was planned for");
                let far = if site.cluster.is_some() { JUMP_SECS } else { JUMP_OF_FILE_SECS };
                clock.set_ahead(if dice.below(2) == 0 { far } else { -far });
                hold().await;
                clock.set_ahead(0);
            }
            Fault::DatabaseHangs => {
                let cluster = site.cluster.as_ref().expect("it was planned for");
                cluster.signal("STOP");
                hold().await;
                cluster.signal("CONT");
            }
            Fault::BucketHangs => {
                let bucket = site.bucket.as_ref().expect("it was planned for");
                bucket.signal("STOP");
                hold().await;
                bucket.signal("CONT");
            }
            Fault::FilesBroken => {
                let tokens = std::fs::read(site.path("tokens.yaml")).unwrap();
                for file in ["tokens.yaml", "policy.yaml"] {
                    std::fs::write(site.path(file), "{").unwrap();
                }
                hold().await;
                std::fs::write(site.path("tokens.yaml"), tokens).unwrap();
                site.touch_policy();
            }
        }
    }

    /// Whether a metric shows it, if one can.
    pub(crate) fn is_seen(self, site: &Site) -> bool {
        self.fault.sign(site.cluster.is_none()).is_none_or(|sign| site.seen.shows(sign))
    }
}

async fn revoke(site: &Site, key: &str) {
    let path = format!("/admin/attestations/{key}/revoke");
    let (status, _) = site.operator.ask(Method::POST, &path, json!({"reason": "chaos"})).await;
    // A key that its prover could not register is unknown.
    assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&status), "{status}");
}

async fn poison(site: &Site, whom: usize) {
    let kind = Poison::ALL[whom / 2 % Poison::ALL.len()];
    let number = {
        let mut entries = site.ledger.entries();
        let count = entries.poison.len() as u32;
        // Before all good batches, or after them. No two are neighbours: otherwise one's root would be known from the
        // other.
        let number = if whom.is_multiple_of(2) { 100 + 10 * count } else { 1_000_000 + 10 * count };
        entries.poison.insert(number);
        number
    };
    let body = kind.spoil(site.devnet.first.clone(), number);
    let (status, answer) = upload(site, body).await;
    // If the answer to an upload was lost, the batch is known the second time.
    let expected = [StatusCode::CREATED, StatusCode::OK];
    assert!(expected.contains(&status), "{kind:?}: {status} {}", String::from_utf8_lossy(&answer));
    site.ledger.count(format!("poison: {kind:?}"));
    // No prover ever receives this.
    let (status, answer) = upload(site, batches::garbage()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{}", String::from_utf8_lossy(&answer));
}

async fn upload(site: &Site, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    site.operator.send(Method::POST, "/admin/batches?source=chaos", &headers, body).await
}

async fn forge(site: &Site, time: impl Future<Output = ()>, dice: &mut Dice) {
    let Some(forger) = Forger::register(site, dice).await else {
        site.ledger.count("forgers that could not register");
        return;
    };
    // The server receives the batch now, and the forger is the first to send a proof of it.
    let latest = *site.ledger.entries().roots.keys().next_back().expect("a batch was sealed");
    let body = std::fs::read(batches::file(&site.path("node"), latest)).unwrap();
    let (status, _) = upload(site, body).await;
    assert!(status.is_success(), "{status}");
    forger.forge(latest).await;
    time.await;
    revoke(site, &forger.public().to_string()).await;
}

async fn replay(site: &Site, dice: &mut Dice) {
    let proofs = site.operator.list("/api/proofs").await;
    let jobs = site.operator.list("/api/jobs").await;
    for _ in 0..4 {
        if proofs.is_empty() {
            return;
        }
        let proof = &proofs[dice.below(proofs.len() as u64) as usize];
        let batch = &jobs[dice.below(jobs.len() as u64) as usize]["batch"];
        if proof["batch"] != *batch {
            Forger::replay(site, proof, batch.as_u64().unwrap() as u32).await;
        }
    }
}
