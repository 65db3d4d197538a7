//! Two servers on one PostgreSQL, one of them killed again and again.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use crate::{
    Figures,
    place::{Blob, Place},
    prover::{Prover, http},
};

#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 60)]
    secs: u64,
    /// How often a server is killed.
    #[arg(long, default_value_t = 5)]
    kill_every_secs: u64,
    #[arg(long, default_value_t = 32)]
    provers: u32,
    #[arg(long, default_value_t = 6000)]
    batches: u32,
    /// How long a lease lasts: enough for a prover to get its answer from the other server.
    #[arg(long, default_value_t = 10)]
    lease_secs: u64,
}

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { secs: 3, kill_every_secs: 1, provers: 4, batches: 100, lease_secs: 3 }
    }
}

pub(crate) async fn run(arguments: &Arguments, mut place: Place) -> Figures {
    place.lease_secs = arguments.lease_secs;
    place.add_batches(1, &Blob::tiny(1..=arguments.batches)).await;
    let mut servers = [place.start().await, place.start().await];
    let (http, start) = (http(), Instant::now());
    let lease = Duration::from_secs(arguments.lease_secs);
    let run_time = Duration::from_secs(arguments.secs);
    let mut at_work = JoinSet::new();
    // Over the whole time, however fast they could be.
    let pace = run_time * arguments.provers / arguments.batches;
    for seed in 0..arguments.provers {
        let mut urls = vec![servers[0].url(), servers[1].url()];
        urls.rotate_left(seed as usize % 2);
        let mut prover = Prover::new(&http, seed, urls);
        prover.register().await;
        at_work.spawn(async move {
            let mut ticks = interval(pace);
            loop {
                ticks.tick().await;
                match prover.claim().await {
                    Some(claimed) => _ = prover.submit(&claimed).await,
                    // The rest may be held by provers that lost the answer to their claim: these leases expire.
                    None if start.elapsed() < run_time + lease + Duration::from_secs(1) => {
                        sleep(Duration::from_millis(200)).await;
                    }
                    None => return,
                }
            }
        });
    }
    let mut kills = 0;
    while start.elapsed() < run_time {
        sleep(Duration::from_secs(arguments.kill_every_secs)).await;
        let server = &mut servers[kills % 2];
        server.kill();
        let address = server.address;
        *server = place.start_at(address).await;
        kills += 1;
    }
    at_work.join_all().await;
    let batches = i64::from(arguments.batches);
    let proofs = place.number("SELECT COUNT(*) FROM tee_proofs").await;
    let proven = place.number("SELECT COUNT(DISTINCT l1_batch_number) FROM tee_proofs").await;
    let generated = "SELECT COUNT(*) FROM tee_proof_generation_details WHERE status = 'generated'";
    assert_eq!(place.number(generated).await, batches);
    assert_eq!((proven, proofs), (batches, batches), "every batch is proven once");
    vec![
        ("database", place.database().into()),
        ("servers", 2.into()),
        ("provers", arguments.provers.into()),
        ("kills", kills.into()),
        ("batches", batches.into()),
        ("proven", proven.into()),
        ("proofs", proofs.into()),
    ]
}
