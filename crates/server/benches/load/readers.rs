//! People who look at the overview while provers work.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clap::Args;
use reqwest::Client;
use tokio::{task::JoinSet, time::interval_at};

use crate::{
    Figures,
    place::{Blob, Place},
    prover::{http, percentile_ms, timed},
    provers::{registered, work},
};

#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 200)]
    readers: u32,
    #[arg(long, default_value_t = 16)]
    provers: u32,
    /// How many pairs of a claim and a submission come each second.
    #[arg(long, default_value_t = 100)]
    pairs_per_sec: u32,
    /// How many batches are proven without readers, and as many with them.
    #[arg(long, default_value_t = 3000)]
    batches: u32,
}

/// As often as the page reloads itself while jobs change.
const READING_INTERVAL: Duration = Duration::from_millis(1500);

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { readers: 20, provers: 4, pairs_per_sec: 100, batches: 50 }
    }
}

pub(crate) async fn run(arguments: &Arguments, place: Place) -> Figures {
    let Arguments { readers, provers, pairs_per_sec, batches } = *arguments;
    let pace = Duration::from_secs_f64(f64::from(provers) / f64::from(pairs_per_sec));
    place.add_batches(1, &Blob::tiny(1..=batches)).await;
    let server = place.start().await;
    let http = http();
    let fleet = registered(&http, provers, &server.url()).await;
    let (fleet, alone) = work(fleet, Some(pace)).await;

    place.add_batches(batches + 1, &Blob::tiny(batches + 1..=2 * batches)).await;
    let readings = Arc::new(Mutex::new(vec![]));
    let mut reading = JoinSet::new();
    for index in 0..readers {
        let offset = READING_INTERVAL * index / readers;
        reading.spawn(read(http.clone(), format!("{}/overview", server.url()), offset, readings.clone()));
    }
    let started = Instant::now();
    let (_, watched) = work(fleet, Some(pace)).await;
    let elapsed = started.elapsed();
    reading.abort_all();
    while let Some(ended) = reading.join_next().await {
        assert!(ended.is_err_and(|error| error.is_cancelled()), "a reader gave up");
    }
    let mut readings = std::mem::take(&mut *readings.lock().unwrap());
    assert!(!readings.is_empty(), "nobody read anything");
    let (mut alone, mut watched) = (alone.claims, watched.claims);
    vec![
        ("database", place.database().into()),
        ("readers", readers.into()),
        ("pairs_per_s", pairs_per_sec.into()),
        ("claim_p50_ms", percentile_ms(&mut alone, 50).into()),
        ("claim_p99_ms", percentile_ms(&mut alone, 99).into()),
        ("claim_p50_with_readers_ms", percentile_ms(&mut watched, 50).into()),
        ("claim_p99_with_readers_ms", percentile_ms(&mut watched, 99).into()),
        ("readings_per_s", (readings.len() as f64 / elapsed.as_secs_f64()).round().into()),
        ("reading_p50_ms", percentile_ms(&mut readings, 50).into()),
        ("reading_p99_ms", percentile_ms(&mut readings, 99).into()),
        ("server_peak_rss_mib", server.peak_rss_mib().into()),
    ]
}

async fn read(http: Client, url: String, offset: Duration, readings: Arc<Mutex<Vec<Duration>>>) {
    let mut ticks = interval_at(tokio::time::Instant::now() + offset, READING_INTERVAL);
    loop {
        ticks.tick().await;
        let page = async {
            let answer = http.get(&url).header("accept", "text/html").send().await.unwrap();
            answer.error_for_status().unwrap().text().await.unwrap()
        };
        let (page, took) = timed(page).await;
        assert!(page.contains("<h1>Overview</h1>"), "{page}");
        readings.lock().unwrap().push(took);
    }
}
