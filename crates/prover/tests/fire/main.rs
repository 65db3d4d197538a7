//! The gateway and the server as processes, while everything around them goes wrong.
//!
//! By default this is a short run. `TEE_FIRE_BATCHES=200 TEE_FIRE_KILLS=50 cargo test -p tee-prover --test fire --
//! --nocapture` is the long one; `TEE_FIRE_SEED` repeats a run's random choices.

mod chaos;
mod dice;
mod gateway;
#[path = "../peer/mod.rs"]
mod peer;
mod stages;
mod world;

use chaos::Chaos;
use dice::Dice;
use gateway::Gateway;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tee_devnet::{Chain, Genesis};
use tee_server::{Clock, ManualClock};
use tokio::time::{Instant, sleep, timeout};
use world::{Outcome, World};

/// A server as a separate process, so that it can be killed: for it, the tests start this very program again.
#[tokio::test]
#[ignore = "the other tests start it"]
async fn server_process() {
    world::serve_until_killed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_restarted_gets_every_batch_proven_exactly_once() {
    let mut dice = Dice::throw("TEE_FIRE_SEED");
    let (batches, kills) = (number("TEE_FIRE_BATCHES", 12), number("TEE_FIRE_KILLS", 6));
    let mut world = World::with_batches(batches, &[]).await;
    world.start_server().await;
    let mut gateway = Gateway::start(&world.url(), &[]).await;
    // Kills are spread over the run: one each time that a number of further proofs are in.
    let started = Instant::now();
    let mut in_work = 0;
    for kill in 1..=kills {
        let due = u64::from(batches) * u64::from(kill) / u64::from(kills + 1);
        gateway.until_submitted(due).await;
        sleep(dice.up_to(Duration::from_millis(60))).await;
        in_work += u32::from(gateway.submitted().await < u64::from(batches));
        world.kill_server().await;
        sleep(dice.up_to(Duration::from_millis(400))).await;
        world.start_server().await;
    }
    gateway.until_submitted(u64::from(batches)).await;
    let elapsed = started.elapsed();
    let counts = gateway.batches().await;
    let retries = gateway.metrics().await.lines().filter(|line| line.starts_with("tee_prover_retries")).count();
    gateway.stop().await;
    world.kill_server().await;
    let proven = world.outcomes().await;
    println!(
        "{batches} batches, {kills} kills, {in_work} of them before the last proof was in, {elapsed:.1?}; batches by \
         outcome {counts:?}; {retries} kinds of retries; {} proven, {} proofs",
        proven.values().filter(|outcome| outcome.generated).count(),
        proven.values().map(|outcome| outcome.proofs).sum::<usize>(),
    );
    assert_eq!(proven, vec_of(batches, Outcome::PROVEN));
    assert_eq!(counts["submitted"], u64::from(batches));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_cuts_trickles_repeats_and_lies_gets_every_batch_proven_exactly_once() {
    let mut dice = Dice::throw("TEE_FIRE_SEED");
    let batches = number("TEE_FIRE_BATCHES", 12);
    let mut world = World::with_batches(batches, &[]).await;
    world.start_server().await;
    let chaos = Chaos::before(vec![world.address()], dice.split()).await;
    let mut gateway = Gateway::start(&chaos.url(), &[]).await;
    gateway.until_submitted(u64::from(batches)).await;
    let counts = gateway.batches().await;
    gateway.stop().await;
    world.kill_server().await;
    println!("{batches} batches; what the network did: {:?}; batches by outcome {counts:?}", chaos.counts());
    assert_eq!(world.outcomes().await, vec_of(batches, Outcome::PROVEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_between_good_batches_is_reported_and_the_good_ones_are_proven() {
    let poison = [1, 2, 5];
    let mut world = World::with_batches(8, &poison).await;
    world.start_server().await;
    let mut gateway = Gateway::start(&world.url(), &[]).await;
    gateway.until_submitted(5).await;
    gateway.until("tee_prover_batches_total{outcome=\"failed\",kind=\"zk_porter_available\"}", 3).await;
    gateway.stop().await;
    world.kill_server().await;
    let mut expected = vec_of(8, Outcome::PROVEN);
    for (index, outcome) in expected.values_mut().enumerate() {
        if poison.contains(&index) {
            *outcome = Outcome::FAILED;
        }
    }
    assert_eq!(world.outcomes().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_provers_share_a_server_and_no_batch_is_proven_twice() {
    let mut world = World::with_batches(12, &[]).await;
    world.start_server().await;
    let mut provers = [Gateway::start(&world.url(), &[]).await, Gateway::start(&world.url(), &[]).await];
    loop {
        let [one, other] = &mut provers;
        let counts = [one.submitted().await, other.submitted().await];
        if counts.iter().sum::<u64>() >= 12 {
            println!("two provers submitted {counts:?}");
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    for prover in provers {
        prover.stop().await;
    }
    world.kill_server().await;
    assert_eq!(world.outcomes().await, vec_of(12, Outcome::PROVEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_over_leases_loses_no_batch() {
    let world = World::with_batches(12, &[]).await;
    let clock = ManualClock::default();
    clock.advance(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let server = world.serve_by(Clock::Manual(clock.clone())).await;
    let gateway = Gateway::start(&world.url(), &[]).await;
    let proven = |outcomes: &BTreeMap<u32, Outcome>| outcomes.values().filter(|batch| batch.generated).count();
    let mut jumps = Vec::new();
    let jumping = async {
        loop {
            let outcomes = world::outcomes(&server).await;
            if outcomes == vec_of(12, Outcome::PROVEN) {
                break;
            }
            // All leases end at once, whatever state their batches are in.
            if Some(&proven(&outcomes)) > jumps.last() {
                jumps.push(proven(&outcomes));
                clock.advance(Duration::from_secs(60 * 60));
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(120), jumping).await.expect("all are proven in time");
    println!("the server's clock jumped an hour each time that so many of 12 batches were proven: {jumps:?}");
    gateway.stop().await;
    server.stop().await;
    assert_eq!(world.outcomes().await, vec_of(12, Outcome::PROVEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_to_an_idle_server_is_proven_at_once() {
    let world = World::with_batches(0, &[]).await;
    let server = world.serve_by(Clock::System).await;
    // A prover that asks only rarely would come back in an hour.
    let seldom = [("TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "1h"), ("TEE_PROVER_MAX_IDLE_POLL", "1h")];
    let mut gateway = Gateway::start(&world.url(), &seldom).await;
    gateway.until("tee_prover_servers{state=\"registered\"}", 1).await;
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    for proven in 1..=2 {
        // The request that waits for work is being sent.
        sleep(Duration::from_millis(300)).await;
        server.service().add_batch(world::next_batch(&mut chain)).await.unwrap();
        timeout(Duration::from_secs(60), gateway.until_submitted(proven)).await.expect("it is woken");
    }
    gateway.stop().await;
    server.stop().await;
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn vec_of(batches: u32, outcome: Outcome) -> BTreeMap<u32, Outcome> {
    (0..batches).map(|index| (world::FIRST_BATCH + index, outcome)).collect()
}
