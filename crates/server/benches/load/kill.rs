//! A server that is killed at random under load.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use sqlx::Row;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Figures,
    place::{Blob, Place},
    prover::{Prover, http},
};

#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 100)]
    kills: u32,
    #[arg(long, default_value_t = 32)]
    provers: u32,
    #[arg(long, default_value_t = 100_000)]
    batches: u32,
}

const LEASE_SECS: u64 = 3;

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { kills: 3, provers: 4, batches: 5000 }
    }
}

pub(crate) async fn run(arguments: &Arguments, mut place: Place) -> Figures {
    place.lease_secs = LEASE_SECS;
    place.add_batches(1, &Blob::tiny(1..=arguments.batches)).await;
    let mut server = place.start().await;
    let (stop, http) = (Arc::new(AtomicBool::new(false)), http());
    let mut at_work = JoinSet::new();
    for seed in 0..arguments.provers {
        let mut prover = Prover::new(&http, seed, vec![server.url()]);
        prover.register().await;
        let stop = stop.clone();
        at_work.spawn(async move {
            let mut acknowledged = vec![];
            while !stop.load(Ordering::Relaxed) {
                let Some(claimed) = prover.claim().await else { break };
                if prover.submit(&claimed).await {
                    acknowledged.push((claimed.number, prover.public()));
                }
            }
            acknowledged
        });
    }
    for kill in 0..arguments.kills {
        sleep(Duration::from_millis(random(kill) % 400)).await;
        server.kill();
        server = place.start_at(server.address).await;
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged = at_work.join_all().await.concat();
    server.kill();

    if place.is_sqlite() {
        let mut connection = place.connection().await;
        let row = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
        assert_eq!(row.get::<String, _>(0), "ok");
    }
    let mut connection = place.connection().await;
    let rows = sqlx::query("SELECT l1_batch_number, pubkey FROM tee_proofs").fetch_all(&mut connection).await.unwrap();
    let kept: HashSet<(i64, Vec<u8>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (number, pubkey) in &acknowledged {
        assert!(
            kept.contains(&(i64::from(*number), pubkey.to_bytes().to_vec())),
            "the proof of batch {number} is lost"
        );
    }
    let broken = "SELECT COUNT(*) FROM tee_proof_generation_details j WHERE
        (status = 'generated') <> EXISTS (SELECT 1 FROM tee_proofs p WHERE p.l1_batch_number = j.l1_batch_number)";
    assert_eq!(place.number(broken).await, 0, "jobs and proofs are at odds");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let latest = "SELECT COALESCE(MAX(claimable_at), 0) FROM tee_proof_generation_details";
    let stuck_ms = place.number(latest).await - now_ms;
    assert!(stuck_ms <= LEASE_SECS as i64 * 1000, "a batch is stuck for {stuck_ms} ms");

    // Batches that were in progress when a server died are handed out again.
    let in_work = "SELECT COUNT(*) FROM tee_proof_generation_details WHERE status = 'picked_by_prover'";
    let left = place.number(in_work).await;
    let highest = "SELECT COALESCE(MAX(l1_batch_number), 0) FROM tee_proof_generation_details WHERE attempts > 0";
    let highest = place.number(highest).await;
    server = place.start_at(server.address).await;
    let mut prover = Prover::new(&http, 0, vec![server.url()]);
    let start = Instant::now();
    let below = format!("{in_work} AND l1_batch_number <= {highest}");
    while place.number(&below).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(LEASE_SECS * 4 + 10), "a batch is stuck");
        if let Some(claimed) = prover.claim().await {
            prover.submit(&claimed).await;
        }
    }
    vec![
        ("database", place.database().into()),
        ("kills", arguments.kills.into()),
        ("acknowledged", acknowledged.len().into()),
        ("lost", 0.into()),
        ("in_work_at_the_end", left.into()),
        ("stuck_after_their_lease", 0.into()),
    ]
}

/// A number that differs from kill to kill and run to run.
fn random(kill: u32) -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    u64::from(nanos / 1000).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill.into()) >> 33
}
