//! From a real batch to its proof.

mod peer;

use axum::{body::Bytes, response::IntoResponse};
use peer::{Answer, INPUTS, Peer, Running, SIGNING_REQUESTS, config, leased, one_at_a_time, status, test_data};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tee_api::{FailReport, RegistrationSignature, SigningRequest, SubmitProof, TeeType};
use tee_prover::{Config, Event, RunError};
use tee_verifier::{Address, H256, L1BatchNumber, Pins};

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
    // Nothing is sent again.
    peer.request_to(INPUTS).await;
    peer.request_to(INPUTS).await;

    assert_eq!(prover.event().await, Event::Registered);
    assert_eq!(prover.event().await, Event::Started { batch: BATCH });
    assert!(matches!(prover.event().await, Event::Verified { batch: BATCH, .. }));
    assert_eq!(prover.event().await, Event::Submitted { batch: BATCH });
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn what_relayers_want_signed_is_signed_before_the_first_batch_and_with_each() {
    let Some(input) = input() else { return };
    let request = SigningRequest {
        settlement_chain_id: 1,
        proof_verifier: Address::repeat_byte(0xc0),
        key_registry: Address::repeat_byte(0xc1),
        block_number: 100,
        block_hash: H256::repeat_byte(0xbb),
    };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start_with_contracts(move |asking| match asking.path.as_str() {
        SIGNING_REQUESTS => Answer::Full(axum::Json([request]).into_response()),
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        _ => status(200),
    })
    .await;
    let prover = Running::start(config(&peer));
    let signed = peer.request_to("/tee/registration_signatures").await;
    let signed: RegistrationSignature = serde_json::from_slice(&signed.body).unwrap();
    assert_eq!((signed.request, signed.verify()), (request, Ok(())));
    let proof: SubmitProof = serde_json::from_slice(&peer.request_to(SUBMIT).await.body).unwrap();
    assert_eq!(proof.pubkey, signed.pubkey);
    let statement = proof.statement.unwrap();
    statement.verify(&proof.pubkey).unwrap();
    assert_eq!(statement.bound.iter().map(|bound| bound.contract).collect::<Vec<_>>(), [request.contract()]);
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
    let mut prover = Running::start(Config { pins: Pins::DangerAnyCode { chain_id: Some(1) }, ..config(&peer) });
    let report: FailReport = serde_json::from_slice(&peer.request_to("/tee/leases/abc/fail").await.body).unwrap();
    peer.request_to(INPUTS).await;
    assert_eq!(prover.event().await, Event::Registered);
    assert_eq!(prover.event().await, Event::Started { batch: BATCH });
    let Event::Failed { batch: Some(BATCH), kind, error } = prover.event().await else { panic!("it was rejected") };
    assert_ne!(kind, "panic");
    assert_eq!((report.kind(), report.error()), (kind, error.as_str()));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_server_that_forgot_the_key_gets_it_again_and_then_the_same_proof() {
    let Some(input) = input() else { return };
    let (asked, offered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT if offered.fetch_add(1, Ordering::Relaxed) == 0 => status(403),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(one_at_a_time(&peer));
    let mut requests = Vec::new();
    for _ in 0..4 {
        requests.push(peer.request_other_than(INPUTS).await);
    }
    let paths: Vec<_> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, [peer::REGISTER, SUBMIT, peer::REGISTER, SUBMIT]);
    assert_eq!(requests[1].body, requests[3].body);
    while prover.event().await != (Event::Submitted { batch: BATCH }) {}
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_proof_that_is_refused_twice_is_let_go_and_the_key_is_registered_again() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT => status(401),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(one_at_a_time(&peer));
    let mut paths = Vec::new();
    for _ in 0..6 {
        paths.push(peer.request_other_than(INPUTS).await.path);
    }
    let expected = [peer::REGISTER, SUBMIT, peer::REGISTER, SUBMIT, "/tee/leases/abc", peer::REGISTER];
    paths[4..].sort();
    let mut sorted = expected;
    sorted[4..].sort();
    assert_eq!(paths, sorted);
    while !matches!(prover.event().await, Event::Refused { batch: BATCH, .. }) {}
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_proof_that_the_server_finds_wrong_is_reported_so_that_its_batch_does_not_come_again_at_once() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT => status(422),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(config(&peer));
    peer.request_to(SUBMIT).await;
    let reported = peer.request_other_than(INPUTS).await;
    assert_eq!(reported.path, "/tee/leases/abc/fail");
    assert_eq!(serde_json::from_slice::<FailReport>(&reported.body).unwrap().kind(), "refused");
    while !matches!(prover.event().await, Event::Refused { batch: BATCH, .. }) {}
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_proof_that_comes_after_its_lease_is_let_go_without_a_word() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT => {
            let problem = r#"{"code":"stale_lease","detail":"it is another's"}"#;
            Answer::Full((axum::http::StatusCode::CONFLICT, problem).into_response())
        }
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(config(&peer));
    peer.request_to(SUBMIT).await;
    while prover.event().await != (Event::Lost { batch: BATCH }) {}
    for _ in 0..3 {
        assert_eq!(peer.request().await.path, INPUTS);
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_verification_that_takes_too_long_is_reported_and_frees_its_worker() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) < 2 => batch(&input, "abc"),
        INPUTS => status(204),
        _ => status(200),
    })
    .await;
    let verification_timeout = Duration::from_millis(1);
    let prover = Running::start(Config { verification_timeout, ..one_at_a_time(&peer) });
    // The second shows that the worker is free.
    for _ in 0..2 {
        let report: FailReport = serde_json::from_slice(&peer.request_to("/tee/leases/abc/fail").await.body).unwrap();
        assert_eq!(report.kind(), "timeout");
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_verification_that_does_not_end_stops_the_prover_and_no_lease_is_left_behind() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS => batch(&input, &asked.fetch_add(1, Ordering::Relaxed).to_string()),
        _ => status(200),
    })
    .await;
    // The batch takes longer than either limit.
    let (verification_timeout, stuck_verification_timeout) = (Duration::from_millis(1), Duration::from_millis(1));
    let config = Config { verification_timeout, stuck_verification_timeout, ..one_at_a_time(&peer) };
    let ended = Running::start(config).end().await;
    assert_eq!(ended, Err(RunError::Stuck { limit: stuck_verification_timeout }));
    let paths = peer.paths();
    let leases = paths.iter().filter(|path| path.starts_with("/tee/leases/"));
    assert_eq!(paths.iter().filter(|path| *path == INPUTS).count(), leases.count(), "{paths:?}");
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
    assert_eq!(prover.event().await, Event::Started { batch: BATCH });
    assert!(matches!(prover.event().await, Event::Verified { batch: BATCH, .. }));
    for _ in 0..3 {
        assert_eq!(peer.request().await.path, INPUTS);
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_prover_that_stops_finishes_what_is_in_work_and_gives_back_what_waits() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS => batch(&input, &asked.fetch_add(1, Ordering::Relaxed).to_string()),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(one_at_a_time(&peer));
    while !matches!(prover.event().await, Event::Started { .. }) {}
    prover.stop.cancel();
    prover.end().await.unwrap();
    let paths = peer.paths();
    let count = |wanted: &str| paths.iter().filter(|path| path.starts_with(wanted)).count();
    assert!(count(SUBMIT) >= 1, "{paths:?}");
    // Each batch that was handed out is proven or given back.
    assert_eq!(count(INPUTS), count(SUBMIT) + count("/tee/leases/"), "{paths:?}");
    let given_back = paths.iter().filter_map(|path| path.strip_prefix("/tee/leases/"));
    assert!(given_back.clone().all(|lease| lease.parse::<usize>().is_ok()), "{paths:?}");
}

#[tokio::test]
async fn a_proof_that_no_server_takes_within_the_grace_is_given_back() {
    let Some(input) = input() else { return };
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => batch(&input, "abc"),
        INPUTS => status(204),
        SUBMIT => status(503),
        _ => status(200),
    })
    .await;
    let prover = Running::start(Config { shutdown_grace: Duration::from_millis(100), ..config(&peer) });
    peer.request_to(SUBMIT).await;
    prover.stop.cancel();
    prover.end().await.unwrap();
    let paths = peer.paths();
    assert_eq!(paths.last().unwrap(), "/tee/leases/abc", "{paths:?}");
}

#[tokio::test]
async fn several_servers_are_served_in_turn_with_one_key() {
    let Some(input) = input() else { return };
    let endless = move |request: &peer::Request| match request.path.as_str() {
        INPUTS => batch(&input, "abc"),
        _ => status(200),
    };
    let (mut one, mut other) = (Peer::start(endless.clone()).await, Peer::start(endless).await);
    let mut config = one_at_a_time(&one);
    config.servers.push(tee_prover::ServerConfig::new(other.url.clone()));
    let mut prover = Running::start(config);
    for _ in 0..6 {
        while !matches!(prover.event().await, Event::Submitted { .. }) {}
    }
    let key = |body: &[u8]| serde_json::from_slice::<SubmitProof>(body).unwrap().pubkey;
    // Each server got at least two of six: the worker takes them in turn, but a fetch may come late.
    let mut keys = Vec::new();
    for peer in [&mut one, &mut other] {
        for _ in 0..2 {
            keys.push(key(&peer.request_to(SUBMIT).await.body));
        }
    }
    assert!(keys.iter().all(|key| *key == keys[0]));
    prover.stop.cancel();
    prover.end().await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_keeps_no_other_waiting() {
    let Some(input) = input() else { return };
    let mut hangs = Peer::start(|_| Answer::Silence).await;
    let works = Peer::start(move |request| match request.path.as_str() {
        INPUTS => batch(&input, "abc"),
        _ => status(200),
    })
    .await;
    let mut config = one_at_a_time(&hangs);
    config.servers.push(tee_prover::ServerConfig::new(works.url.clone()));
    let mut prover = Running::start(config);
    hangs.request().await;
    for _ in 0..3 {
        while !matches!(prover.event().await, Event::Submitted { .. }) {}
    }
    prover.stop.cancel();
    prover.end().await.unwrap();
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
