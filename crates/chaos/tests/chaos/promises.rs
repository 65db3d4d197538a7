//! What must hold, whatever went wrong.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tee_api::PublicKey;
use tokio::time::sleep;

use crate::site::Site;

/// How long the remaining work may take after the last fault.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a bad batch may occupy, in both forms, and a database's files with almost no rows.
const BYTES_OF_POISON: u64 = 1 << 20;
const BYTES_OF_DATABASE: u64 = 48 << 20;

/// The results at the end of a run.
pub(crate) struct Kept {
    pub(crate) batches: usize,
    pub(crate) proofs: usize,
    pub(crate) acknowledged: usize,
    pub(crate) disagreements: usize,
    pub(crate) poison: usize,
    pub(crate) data_bytes: u64,
    pub(crate) after: Duration,
}

/// Waits until every good batch is proven, and compares everything with what is known.
pub(crate) async fn check(site: &Site) -> Kept {
    let started = Instant::now();
    let mut unproven = unproven(site).await;
    while !unproven.is_empty() {
        let elapsed = started.elapsed();
        assert!(elapsed < PATIENCE, "not proven: {unproven:?}; jobs: {}", jobs_of(site, &unproven).await);
        sleep(Duration::from_millis(300)).await;
        unproven = self::unproven(site).await;
    }
    let after = started.elapsed();
    let proofs = site.operator.list("/api/proofs").await;
    let signed = no_bad_batch_is_signed(site, &proofs);
    let acknowledged = no_acknowledged_proof_is_lost(site, &signed);
    let disagreements = disagreements_are_of_forgers(site).await;
    no_lease_leaks(site).await;
    let data_bytes = data_is_bounded(site).await;
    let entries = site.ledger.entries();
    let (batches, poison) = (entries.roots.len(), entries.poison.len());
    Kept { batches, proofs: proofs.len(), acknowledged, disagreements, poison, data_bytes, after }
}

/// Good batches that lack a proof that counts, or whose jobs are not finished.
async fn unproven(site: &Site) -> BTreeSet<u32> {
    let (jobs, proofs) = (site.operator.list("/api/jobs").await, site.operator.list("/api/proofs").await);
    let forgers: BTreeSet<_> = site.ledger.entries().forgers.iter().map(PublicKey::to_string).collect();
    let generated: BTreeSet<_> = jobs.iter().filter(|job| job["status"] == "generated").map(batch).collect();
    let by_others = proofs.iter().filter(|proof| !forgers.contains(proof["pubkey"].as_str().unwrap()));
    let proven: BTreeSet<_> = by_others.map(batch).collect();
    let entries = site.ledger.entries();
    entries.roots.keys().filter(|number| !(generated.contains(number) && proven.contains(number))).copied().collect()
}

async fn jobs_of(site: &Site, numbers: &BTreeSet<u32>) -> String {
    let jobs = site.operator.list("/api/jobs").await;
    let provers = site.operator.list("/api/provers").await;
    let jobs: Vec<_> = jobs.into_iter().filter(|job| numbers.contains(&batch(job))).collect();
    format!("{} provers: {}", json!(jobs), json!(provers))
}

/// Only forgers sign a root other than the devnet's, and nobody signs a bad batch. Returns who signed what.
fn no_bad_batch_is_signed(site: &Site, proofs: &[Value]) -> BTreeSet<(u32, PublicKey)> {
    let entries = site.ledger.entries();
    let spoiled: Vec<_> = entries.poison.intersection(&entries.verified).collect();
    assert!(spoiled.is_empty(), "provers found bad batches right: {spoiled:?}");
    let mut signed = BTreeSet::new();
    for proof in proofs {
        let (number, key) = (batch(proof), proof["pubkey"].as_str().unwrap().parse::<PublicKey>().unwrap());
        signed.insert((number, key));
        assert!(!entries.poison.contains(&number), "a bad batch is signed: {proof}");
        let right = entries.roots.get(&number).map(|root| hex::encode(root.as_bytes()));
        let says = proof["root"].as_str().unwrap().trim_start_matches("0x");
        assert!(right.as_deref() == Some(says) || entries.forgers.contains(&key), "a wrong root is signed: {proof}");
    }
    signed
}

/// Returns how many were acknowledged.
fn no_acknowledged_proof_is_lost(site: &Site, signed: &BTreeSet<(u32, PublicKey)>) -> usize {
    let entries = site.ledger.entries();
    for (batch, key) in &entries.acknowledged {
        assert!(signed.contains(&(*batch, *key)), "the proof of batch {batch} by {key} was acknowledged and is lost");
    }
    entries.acknowledged.len()
}

/// An operator explains each disagreement, and then there is no alarm.
async fn disagreements_are_of_forgers(site: &Site) -> usize {
    let listed = site.operator.list("/api/disagreements").await;
    for entry in &listed {
        let key = entry["pubkey"].as_str().unwrap();
        let forged = site.ledger.entries().forgers.contains(&key.parse().unwrap());
        let right = site.ledger.entries().roots[&batch(entry)];
        let accepted = entry["accepted_root"].as_str().unwrap().trim_start_matches("0x");
        assert!(forged || accepted != hex::encode(right.as_bytes()), "an honest proof disagrees: {entry}");
        let path = format!("/admin/disagreements/{}/sgx/{key}/resolve", batch(entry));
        let (status, _) = site.operator.ask(Method::POST, &path, json!({"reason": "a forger's"})).await;
        assert_eq!(status, StatusCode::OK);
    }
    let metrics = site.operator.scrape(&site.servers[0].address()).await.expect("the server is up");
    assert!(metrics.contains("tee_server_disagreements 0\n"), "{metrics}");
    listed.len()
}

/// When there is nothing to do, no prover holds a lease.
async fn no_lease_leaks(site: &Site) {
    let started = Instant::now();
    loop {
        let jobs = site.operator.list("/api/jobs").await;
        let provers = site.operator.list("/api/provers").await;
        let at_odds: Vec<_> = jobs
            .iter()
            .filter(|job| (job["status"] == "picked_by_prover") != job["lease_expires_at"].is_string())
            .collect();
        assert!(at_odds.is_empty(), "leases and jobs are at odds: {at_odds:?}");
        let taken: Vec<_> = jobs.into_iter().filter(|job| job["status"] == "picked_by_prover").collect();
        let held: u64 = provers.iter().map(|prover| prover["leases"].as_u64().unwrap()).sum();
        let mut busy = vec![];
        for prover in &site.provers {
            let metrics = site.operator.scrape(&prover.program.address()).await.unwrap_or_default();
            let idle = |gauge: &str| metrics.contains(&format!("tee_prover_{gauge} 0\n"));
            if !["leases", "queued", "verifying", "undelivered", "stuck_verifications", "memory_reserved_bytes"]
                .iter()
                .all(|gauge| idle(gauge))
            {
                busy.push(prover.program.name.clone());
            }
        }
        if taken.is_empty() && held == 0 && busy.is_empty() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "leases leak: {taken:?}, {held} held, {busy:?} busy");
        sleep(Duration::from_millis(200)).await;
    }
}

/// The database and the inputs take no more space than the batches explain: interrupted uploads, and inputs that were
/// written twice, leave nothing behind that grows. PostgreSQL's log is left out, because PostgreSQL limits its size.
async fn data_is_bounded(site: &Site) -> u64 {
    let mut data = bytes(&site.path("data"));
    if let Some(cluster) = &site.cluster {
        data += bytes(&cluster.tables());
    }
    data += site.bucket_bytes().await;
    let came_in = bytes(&site.path("node"));
    let poison = site.ledger.entries().poison.len() as u64;
    let most = 4 * came_in + poison * BYTES_OF_POISON + BYTES_OF_DATABASE;
    assert!(data < most, "{data} bytes of data for {came_in} bytes of batches, and {poison} bad ones");
    data
}

fn bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).map_or(0, |file| file.len()) };
    entries.flatten().map(|entry| bytes(&entry.path())).sum()
}

fn batch(entry: &Value) -> u32 {
    entry["batch"].as_u64().unwrap() as u32
}
