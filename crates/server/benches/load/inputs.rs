//! Clients that fetch large inputs from the local store.

use std::time::Instant;

use clap::Args;
use reqwest::StatusCode;
use tokio::task::JoinSet;

use crate::{
    Figures,
    place::{Blob, Databases},
    prover::http,
};

#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 32)]
    clients: u32,
    /// How many inputs each fetches.
    #[arg(long, default_value_t = 10)]
    fetches: u32,
    /// An input's size as it is stored and sent, compressed.
    #[arg(long, default_value_t = 30)]
    megabytes: usize,
}

/// How many inputs there are. Few, so that the disk's own speed is not what is measured.
const INPUTS: u32 = 8;

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { clients: 4, fetches: 2, megabytes: 2 }
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Figures {
    let place = Databases::Sqlite.open().remove(0);
    let bytes = arguments.megabytes * 1_000_000;
    // Nothing on the way examines them.
    let blobs: Vec<_> = (0..INPUTS).map(|seed| Blob::new(noise(bytes, seed))).collect();
    place.add_batches(1, &blobs).await;
    let server = place.start().await;
    let http = http();
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..arguments.clients {
        let (http, url, fetches) = (http.clone(), server.url(), arguments.fetches);
        clients.spawn(async move {
            for fetch in 0..fetches {
                let number = 1 + (client + fetch) % INPUTS;
                let request = http.get(format!("{url}/tee/proof_inputs_no_lock/{number}"));
                let mut answer = request.header("accept-encoding", "zstd").send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                let mut got = 0;
                while let Some(piece) = answer.chunk().await.unwrap() {
                    got += piece.len();
                }
                assert_eq!(got, bytes);
            }
        });
    }
    clients.join_all().await;
    let megabytes = f64::from(arguments.clients * arguments.fetches) * arguments.megabytes as f64;
    vec![
        ("clients", arguments.clients.into()),
        ("input_mb", arguments.megabytes.into()),
        ("mb_per_s", (megabytes / start.elapsed().as_secs_f64()).round().into()),
        ("server_peak_rss_mib", server.peak_rss_mib().into()),
    ]
}

/// Bytes that no file system can compress.
fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        noise.extend(words.next().unwrap());
    }
    noise.truncate(bytes);
    noise
}
