//! From a real batch to its proof.

mod peer;

use axum::{body::Bytes, response::IntoResponse};
use peer::{Answer, INPUTS, Peer, Running, config, leased, status, test_data};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tee_api::{FailReport, SubmitProof, TeeType};
use tee_prover::{Config, Event};
use zksync_types::{H256, L1BatchNumber, L2ChainId};

const BATCH: L1BatchNumber = L1BatchNumber(14034);
const SUBMIT: &str = "/tee/submit_proofs/14034";

#[tokio::test]
async fn a_proof_is_kept_and_offered_until_the_server_takes_it() {
    let Some(input) = input() else { return };
    let (asked, offered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT => match offered.fetch_add(1, Ordering::Relaxed) {
            0 => status(503),
            1 => Answer::CutShort,
            2 => status(500),
            _ => status(200),
        },
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(config(&peer));
    let offers = [
        peer.request_to(SUBMIT).await,
        peer.request_to(SUBMIT).await,
        peer.request_to(SUBMIT).await,
        peer.request_to(SUBMIT).await,
    ];
    for offer in &offers {
        assert_eq!(offer.body, offers[0].body);
        assert_eq!(offer.headers["tee-lease-id"], "abc");
    }
    let proof: SubmitProof = serde_json::from_slice(&offers[0].body).unwrap();
    assert_eq!(proof.proof, root());
    proof.signature.verify(root(), &proof.pubkey).unwrap();
    let statement = proof.statement.unwrap();
    statement.verify(&proof.pubkey).unwrap();
    assert_eq!(statement.statement.root, root());
    // Nothing is offered again.
    peer.request_to(INPUTS).await;
    peer.request_to(INPUTS).await;

    assert_eq!(prover.event().await, Event::Registered);
    assert_eq!(prover.event().await, Event::Fetched { batch: BATCH });
    assert!(matches!(prover.event().await, Event::Verified { batch: BATCH, .. }));
    assert_eq!(prover.event().await, Event::Submitted { batch: BATCH });
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_proof_whose_answer_was_lost_is_offered_once_more_when_its_lease_ends() {
    let Some(input) = input() else { return };
    let (asked, offered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch_for(&input, "abc", 1),
        INPUTS => status(204),
        SUBMIT if offered.fetch_add(1, Ordering::Relaxed) == 0 => Answer::CutShort,
        "/tee/leases/abc/renew" => status(404),
        _ => status(200),
    })
    .await;
    let an_hour = Duration::from_secs(60 * 60);
    let mut prover = Running::start(Config { initial_retry_backoff: an_hour, max_backoff: an_hour, ..config(&peer) });
    for _ in 0..2 {
        peer.request_to(SUBMIT).await;
    }
    while prover.event().await != (Event::Submitted { batch: BATCH }) {}
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_rejected_batch_is_reported_with_its_check_and_the_loop_goes_on() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(Config { chain_id: Some(L2ChainId::from(1_u32)), ..config(&peer) });
    let report: FailReport = serde_json::from_slice(&peer.request_to("/tee/leases/abc/fail").await.body).unwrap();
    peer.request_to(INPUTS).await;
    assert_eq!(prover.event().await, Event::Registered);
    assert_eq!(prover.event().await, Event::Fetched { batch: BATCH });
    let Event::Failed { batch: Some(BATCH), kind, error } = prover.event().await else { panic!("it was rejected") };
    assert_ne!(kind, "panic");
    assert_eq!((report.kind(), report.error()), (kind, error.as_str()));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_refused_proof_is_let_go_and_the_key_is_registered_again() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT => status(401),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(config(&peer));
    let mut paths = Vec::new();
    for _ in 0..6 {
        paths.push(peer.request().await.path);
    }
    assert_eq!(paths, [peer::REGISTER, INPUTS, SUBMIT, "/tee/leases/abc", peer::REGISTER, INPUTS]);
    for _ in 0..3 {
        prover.event().await;
    }
    assert!(matches!(prover.event().await, Event::Refused { batch: BATCH, .. }));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_prover_of_type_none_verifies_and_submits_nothing() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => batch(&input, "abc"),
        _ => status(204),
    })
    .await;
    let mut prover = Running::start(Config { tee_type: Some(TeeType::None), ..config(&peer) });
    assert_eq!(prover.event().await, Event::Fetched { batch: BATCH });
    assert!(matches!(prover.event().await, Event::Verified { batch: BATCH, .. }));
    for _ in 0..3 {
        assert_eq!(peer.request().await.path, INPUTS);
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_busy_prover_stops_after_the_batch_in_hand() {
    let Some(input) = input() else { return };
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS => batch(&input, "abc"),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(config(&peer));
    while !matches!(prover.event().await, Event::Fetched { .. }) {}
    prover.stop.cancel();
    prover.end().await.unwrap();
    assert_eq!(peer.paths(), [peer::REGISTER, INPUTS, SUBMIT]);
}

fn input() -> Option<Bytes> {
    test_data("era-batches/v26-sepolia.json.zst").map(Bytes::from)
}

fn root() -> H256 {
    let text = String::from_utf8(test_data("era-batches/v26-sepolia.root").unwrap()).unwrap();
    H256::from_slice(&hex::decode(text.trim().trim_start_matches("0x")).unwrap())
}

fn batch(input: &Bytes, lease: &str) -> Answer {
    batch_for(input, lease, 600)
}

fn batch_for(input: &Bytes, lease: &str, expires_in_secs: u32) -> Answer {
    let Answer::Full(mut response) = leased(lease, expires_in_secs, input.clone()) else { unreachable!() };
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    response.headers_mut().extend(headers.into_response().headers().clone());
    Answer::Full(response)
}
