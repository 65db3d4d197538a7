//! All programs together, while everything around them goes wrong: servers, provers, a node, a PCCS, a database and an object
//! store, with a network between them that cannot be trusted.
//!
//! By default this is a short run on each database. A long run, whose plan of faults the same seed makes again:
//!
//!     TEE_CHAOS_SEED=7 TEE_CHAOS_MINUTES=10 cargo test --release -p tee-chaos -- --nocapture sqlite

mod batches;
mod clock;
#[path = "../../../prover/tests/fire/dice.rs"]
mod dice;
mod disk;
mod fault;
mod forger;
mod ledger;
#[path = "../../../prover/tests/fire/chaos.rs"]
mod network;
mod node;
mod operator;
#[path = "../../../attestation/tests/pccs/mod.rs"]
mod pccs;
#[path = "../../../server/tests/server/postgres.rs"]
mod postgres;
mod program;
mod promises;
#[path = "../../../server/tests/server/s3.rs"]
mod s3;
mod site;
mod watch;

use std::{
    collections::BTreeSet,
    io::{Write, stdout},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep_until},
};

use self::{
    dice::Dice,
    fault::Fault,
    site::{Database, Site},
};

/// Set in the run's own mount namespace.
const NAMESPACE: &str = "TEE_CHAOS_NAMESPACE";

/// A long run needs the machine for itself.
static MACHINE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_on_sqlite_while_everything_goes_wrong() {
    let _machine = machine().await;
    // The small disk disappears with the namespace, however the run ends.
    if std::env::var_os(NAMESPACE).is_none()
        && is_run_in_namespace("every_promise_is_kept_on_sqlite_while_everything_goes_wrong")
    {
        return;
    }
    run(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_by_two_servers_on_postgresql_while_everything_goes_wrong() {
    let _machine = machine().await;
    if !postgres::Cluster::is_installed() {
        return test_skips::skip("PostgreSQL");
    }
    run(Database::Postgres).await;
}

fn minutes() -> Option<u64> {
    std::env::var("TEE_CHAOS_MINUTES").ok().map(|text| text.parse().unwrap())
}

async fn machine() -> Option<MutexGuard<'static, ()>> {
    match minutes() {
        None => None,
        Some(_) => Some(MACHINE.lock().await),
    }
}

async fn run(database: Database) {
    let mut dice = Dice::throw("TEE_CHAOS_SEED");
    let (time, spacing, seal_every) = match minutes() {
        None => (Duration::from_secs(10), Duration::from_millis(700), Duration::from_millis(1000)),
        Some(minutes) => (Duration::from_secs(60 * minutes), Duration::from_secs(3), Duration::from_millis(1500)),
    };
    let mut plan_dice = dice.split();
    let started = Instant::now();
    let mut site = Site::build(database, seal_every, &mut dice).await;
    let plan = fault::plan(&Fault::possible(&site), time, spacing, &mut plan_dice);
    println!("{database:?}, {} faults in {time:?}; everything runs after {:.1?}", plan.len(), started.elapsed());

    let began = Instant::now();
    tokio::select! {
        () = site.seen.look(&site) => unreachable!("it looks until it is cancelled"),
        () = go_wrong(&site, &plan, began) => {}
    }
    site.node.turn_good();
    for prover in &site.provers {
        prover.network.calm_down();
    }
    site.devnet.stop();
    let kept = tokio::select! {
        () = site.seen.look(&site) => unreachable!("it looks until it is cancelled"),
        kept = promises::check(&site) => kept,
    };
    report(&site, &kept);
    let unseen = tokio::select! {
        () = site.seen.look(&site) => unreachable!("it looks until it is cancelled"),
        unseen = unseen(&site, &plan) => unseen,
    };
    assert!(unseen.is_empty(), "no metric showed {unseen:?}");
    for program in site.programs() {
        assert_eq!(program.stop().await, Some(0), "{}", program.name);
    }
    println!("all in {:.1?}", started.elapsed());
}

/// The faults that no metric has shown, after a while for the last ones: a bad batch waits behind all good ones.
async fn unseen(site: &Site, plan: &[fault::Planned]) -> BTreeSet<Fault> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let unseen: BTreeSet<_> =
            plan.iter().filter(|planned| !planned.is_seen(site)).map(|planned| planned.fault).collect();
        if unseen.is_empty() || Instant::now() > until {
            return unseen;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs everything that is planned, each at its time, independently of the rest.
async fn go_wrong(site: &Site, plan: &[fault::Planned], began: Instant) {
    let happenings = plan.iter().map(|planned| async move {
        sleep_until(began + planned.at).await;
        planned.happen(site).await;
    });
    futures::future::join_all(happenings).await;
}

fn report(site: &Site, kept: &promises::Kept) {
    let seen = site.seen.sights();
    println!(
        "{} good batches, all proven {:.1?} after the last fault; {} proofs, {} acknowledged, 0 lost; {} bad batches, 0 \
         signed; {} disagreements, all with forgers; 0 leases left; {} MiB of data; {} scrapes",
        kept.batches,
        kept.after,
        kept.proofs,
        kept.acknowledged,
        kept.poison,
        kept.disagreements,
        kept.data_bytes >> 20,
        seen.scrapes
    );
    for (what, count) in &site.ledger.entries().counts {
        println!("  {what}: {count}");
    }
    for prover in &site.provers {
        println!("  connections of {}: {:?}", prover.program.name, prover.network.counts());
    }
    for (name, most) in &seen.most {
        println!("  {name}: at most {} MiB and {} files and sockets", most.rss_kib >> 10, most.handles);
    }
    stdout().flush().unwrap();
}

/// Runs a test again in its own mount namespace, if possible.
fn is_run_in_namespace(test: &str) -> bool {
    let is_possible = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !is_possible.is_ok_and(|status| status.success()) {
        return false;
    }
    let mut again = Command::new("unshare");
    again
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(NAMESPACE, "1");
    let output = again.stdin(Stdio::null()).stderr(Stdio::inherit());
    let status = match std::env::args().any(|argument| argument == "--nocapture") {
        true => output.status().unwrap(),
        false => {
            let output = output.stderr(Stdio::piped()).output().unwrap();
            println!("{}", String::from_utf8_lossy(&output.stdout));
            println!("{}", String::from_utf8_lossy(&output.stderr));
            output.status
        }
    };
    assert!(status.success(), "the run in its namespace failed");
    true
}
