//! Claims whose clients go away, and clocks that are wrong.

use std::time::Duration;

use serde_json::json;
use tee_api::TeeType;
use tee_server::{
    Clock,
    JobStatus::{PickedByProver, ReadyToBeProven},
    ManualClock,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{LEASE_SECS, World, new_batch};

/// Sends a claim, and nothing more.
async fn claim(world: &World, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let body = r#"{"tee_type":"sgx"}"#;
    let request = format!(
        "POST /tee/proof_inputs{query} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: zstd\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn until_status(world: &World, expected: tee_server::JobStatus) {
    for _ in 0..400 {
        if world.statuses(TeeType::Sgx).await.first().is_some_and(|(_, status)| *status == expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{:?} never became {expected:?}", world.statuses(TeeType::Sgx).await);
}

/// An input that is too large for the buffers of any socket.
fn large_batch(number: u32) -> tee_server::NewBatch {
    let mut batch = new_batch(number, None);
    let mut state = 1_u64;
    let word = std::iter::repeat_with(|| {
        // Incompressible bytes.
        std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
    });
    batch.input.vm_run_data.used_bytecodes = [(1.into(), word.take(1 << 20).collect())].into();
    batch
}

#[tokio::test]
async fn a_claim_that_is_cut_off_while_its_input_is_sent_costs_no_attempt() {
    let world = World::start_with(|config| config.max_attempts = 1).await;
    world.server.service().add_batch(large_batch(1)).await.unwrap();
    for _ in 0..3 {
        let mut stream = claim(&world, "").await;
        let mut head = [0; 1000];
        stream.read_exact(&mut head).await.unwrap();
        assert!(head.starts_with(b"HTTP/1.1 200"));
        until_status(&world, PickedByProver).await;
        drop(stream);
        until_status(&world, ReadyToBeProven).await;
        assert_eq!(world.overview().await[0].attempts, 0);
    }
    // If it is read to its end, it is the prover's.
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    assert_eq!((world.overview().await[0].status, world.overview().await[0].attempts), (PickedByProver, 1));
}

#[tokio::test]
async fn who_goes_away_while_it_waits_gets_no_batch() {
    let world = World::start().await;
    assert_eq!(world.claim("sgx").await, None);
    for _ in 0..4 {
        drop(claim(&world, "?wait_secs=25").await);
    }
    world.add(1).await;
    // Those whose requests were still waiting have given it back.
    for _ in 0..400 {
        if let Some((number, _)) = world.claim("sgx").await {
            assert_eq!((number, world.overview().await[0].attempts), (1, 1));
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the batch stayed with a client that is gone");
}

#[tokio::test]
async fn a_server_whose_clock_was_ahead_blocks_no_batch_that_is_ready() {
    let world = World::start().await;
    let clock = ManualClock::default();
    clock.advance(Duration::from_secs(365 * 24 * 3600));
    let ahead = world.beside_with(Clock::Manual(clock)).await;
    ahead.add(1).await;
    let (_, lease) = ahead.claim("sgx").await.unwrap();
    ahead.send(reqwest::Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    ahead.add(2).await;
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
}

#[tokio::test]
async fn servers_of_one_postgresql_go_by_its_clock_whatever_theirs_say() {
    if std::env::var_os("TEE_TEST_POSTGRES").is_none() {
        return;
    }
    let world = World::start().await;
    let right = world.beside_with(Clock::System).await;
    let hours_ms = |hours: i64| hours * 3_600_000;
    let (ahead, late) =
        (world.beside_with(Clock::Wrong(hours_ms(2))).await, world.beside_with(Clock::Wrong(hours_ms(-2))).await);
    late.add(1).await;
    let (_, lease) = late.claim("sgx").await.unwrap();
    for other in [&right, &ahead] {
        assert_eq!(other.claim("sgx").await, None);
    }
    ahead.post(&format!("/tee/leases/{lease}/renew"), &json!({})).await.assert_success();
    let expires_at_ms = right.server.service().jobs(&Default::default(), None, 1).await.unwrap()[0].lease_expires_at_ms;
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let lease_ms = LEASE_SECS as i64 * 1000;
    assert!((expires_at_ms.unwrap() - now_ms - lease_ms).abs() < lease_ms / 2);
    for (server, expected) in [(&right, 0.0), (&ahead, 7200.0), (&late, -7200.0)] {
        let metrics = String::from_utf8(server.get("/metrics").await.body).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("tee_server_clock_skew_seconds ")).unwrap();
        let skew: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((skew - expected).abs() < 60.0, "{line}");
    }
}
