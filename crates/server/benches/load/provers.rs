//! Provers that claim and submit as fast as they can, then at half the required rate.

use std::time::{Duration, Instant};

use clap::Args;
use reqwest::Client;
use tokio::{task::JoinSet, time::interval_at};

use crate::{
    Figures,
    place::{Blob, Place},
    prover::{Claimed, Prover, http, percentile_ms, timed},
};

#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 64)]
    provers: u32,
    /// How many batches are proven at full speed, and half as many after that.
    #[arg(long, default_value_t = 10_000)]
    batches: u32,
}

#[derive(Default)]
pub(crate) struct Done {
    numbers: Vec<u32>,
    pub(crate) claims: Vec<Duration>,
    submissions: Vec<Duration>,
}

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { provers: 8, batches: 100 }
    }
}

pub(crate) async fn run(arguments: &Arguments, place: Place) -> Figures {
    let Arguments { provers, batches } = *arguments;
    // The required rate, in pairs of a claim and a submission per second.
    let required = if place.is_sqlite() { 1000 } else { 800 };
    place.add_batches(1, &Blob::tiny(1..=batches)).await;
    let server = place.start().await;
    let http = http();
    let fleet = registered(&http, provers, &server.url()).await;
    let start = Instant::now();
    let (fleet, mut full) = work(fleet, None).await;
    let elapsed = start.elapsed();
    check(&place, &full, 1..=batches).await;

    let slow_batches = batches / 2;
    let numbers = batches + 1..=batches + slow_batches;
    place.add_batches(batches + 1, &Blob::tiny(numbers.clone())).await;
    let pace = Duration::from_secs_f64(f64::from(provers) / (f64::from(required) / 2.0));
    let (_, mut slow) = work(fleet, Some(pace)).await;
    check(&place, &slow, numbers).await;
    vec![
        ("database", place.database().into()),
        ("provers", provers.into()),
        ("batches", batches.into()),
        ("pairs_per_s", (f64::from(batches) / elapsed.as_secs_f64()).round().into()),
        ("required_pairs_per_s", required.into()),
        ("claim_p50_ms", percentile_ms(&mut full.claims, 50).into()),
        ("claim_p99_ms", percentile_ms(&mut full.claims, 99).into()),
        ("submission_p99_ms", percentile_ms(&mut full.submissions, 99).into()),
        ("half_load_pairs_per_s", (required / 2).into()),
        ("half_load_claim_p50_ms", percentile_ms(&mut slow.claims, 50).into()),
        ("half_load_claim_p99_ms", percentile_ms(&mut slow.claims, 99).into()),
        ("server_peak_rss_mib", server.peak_rss_mib().into()),
    ]
}

/// Provers of one server.
pub(crate) async fn registered(http: &Client, provers: u32, server: &str) -> Vec<Prover> {
    let fleet: Vec<_> = (0..provers).map(|seed| Prover::new(http, seed, vec![server.to_owned()])).collect();
    for prover in &fleet {
        prover.register().await;
    }
    fleet
}

/// Works until there is nothing left: without a pause, or at the pace of one pair per interval.
pub(crate) async fn work(fleet: Vec<Prover>, pace: Option<Duration>) -> (Vec<Prover>, Done) {
    let (mut at_work, provers) = (JoinSet::new(), fleet.len() as u32);
    for (index, mut prover) in (0..).zip(fleet) {
        at_work.spawn(async move {
            let mut done = Done::default();
            // Spread over the interval, so that they do not come all at once.
            let mut ticks = pace.map(|pace| interval_at(tokio::time::Instant::now() + pace * index / provers, pace));
            loop {
                if let Some(ticks) = &mut ticks {
                    ticks.tick().await;
                }
                let (claimed, took): (Option<Claimed>, _) = timed(prover.claim()).await;
                let Some(claimed) = claimed else { return (prover, done) };
                done.claims.push(took);
                let (accepted, took) = timed(prover.submit(&claimed)).await;
                assert!(accepted, "batch {} was handed out twice", claimed.number);
                done.submissions.push(took);
                done.numbers.push(claimed.number);
            }
        });
    }
    let (mut fleet, mut all) = (vec![], Done::default());
    while let Some(finished) = at_work.join_next().await {
        let (prover, done) = finished.unwrap();
        fleet.push(prover);
        all.numbers.extend(done.numbers);
        all.claims.extend(done.claims);
        all.submissions.extend(done.submissions);
    }
    (fleet, all)
}

/// Checks that none was handed out twice and none was lost.
async fn check(place: &Place, done: &Done, numbers: std::ops::RangeInclusive<u32>) {
    let mut proven = done.numbers.clone();
    proven.sort();
    assert_eq!(proven, numbers.clone().collect::<Vec<_>>());
    let (first, last) = numbers.into_inner();
    let range = format!("l1_batch_number BETWEEN {first} AND {last}");
    let expected = proven.len() as i64;
    assert_eq!(place.number(&format!("SELECT COUNT(*) FROM tee_proofs WHERE {range}")).await, expected);
    let once = format!("{range} AND status = 'generated' AND attempts = 1");
    let jobs = format!("SELECT COUNT(*) FROM tee_proof_generation_details WHERE {once}");
    assert_eq!(place.number(&jobs).await, expected);
}
