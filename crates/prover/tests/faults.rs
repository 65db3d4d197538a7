//! What a prover does when the server or the network misbehaves.

mod peer;

use axum::{body::Body, http::StatusCode, response::IntoResponse};
use peer::{Answer, INPUTS, Peer, REGISTER, Running, config, leased, one_at_a_time, status};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tee_api::{FailReport, RegisterAttestation, TeeType};
use tee_prover::{Config, Event, Identity, RunError, ServerConfig, run};
use tee_verifier::Pins;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const AN_HOUR: Duration = Duration::from_secs(60 * 60);
const NOT_AN_INPUT: &str = "{}";

#[tokio::test]
async fn a_key_is_registered_with_a_quote_that_names_it_before_any_batch_is_asked_for() {
    let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
    let mut prover = Running::start(config(&peer));
    let first = peer.request().await;
    assert_eq!(first.path, REGISTER);
    let registration: RegisterAttestation = serde_json::from_slice(&first.body).unwrap();
    let quote = tee_attestation::Quote::parse(registration.attestation.as_bytes()).unwrap();
    let key = registration.pubkey;
    assert!(quote.report_data().unwrap().names(&key.to_bytes(), &key.address().0));
    let second = peer.request().await;
    assert_eq!((second.path.as_str(), &second.body[..]), (INPUTS, &br#"{"tee_type":"sgx"}"#[..]));
    assert_eq!(prover.event().await, Event::Registered);
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn an_idle_prover_stops_within_a_second() {
    let mut peer = Peer::start(|request| status(if request.path == REGISTER { 200 } else { 204 })).await;
    let prover = Running::start(Config { initial_retry_backoff: AN_HOUR, max_backoff: AN_HOUR, ..config(&peer) });
    peer.request_to(INPUTS).await;
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_prover_that_waits_for_a_silent_server_stops_within_a_second() {
    let mut peer = Peer::start(|_| Answer::Silence).await;
    let prover = Running::start(config(&peer));
    peer.request().await;
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_prover_that_backs_off_stops_within_a_second() {
    let mut peer = Peer::start(|_| status(503)).await;
    let prover = Running::start(Config { initial_retry_backoff: AN_HOUR, max_backoff: AN_HOUR, ..config(&peer) });
    peer.request().await;
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_asked_until_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config =
        Config { initial_retry_backoff: Duration::from_millis(10), ..Config::new(url, Pins::danger_any_code()) };
    let mut prover = Running::start(config);
    // Two connections break before a request is answered.
    for _ in 0..2 {
        drop(listener.accept().await.unwrap());
    }
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start_on(listener, move |request| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => status(503),
        1 => Answer::CutShort,
        2 => status(429),
        _ if request.path == REGISTER => status(200),
        _ => status(204),
    });
    peer.request_to(INPUTS).await;
    assert_eq!(prover.event().await, Event::Registered);
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn the_servers_wish_to_be_left_alone_is_honoured() {
    let mut peer =
        Peer::start(|_| Answer::Full((StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response())).await;
    let prover = Running::start(config(&peer));
    let (first, second) = (peer.request().await, peer.request().await);
    assert!(second.at - first.at >= Duration::from_secs(1));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_refused_registration_is_tried_again_slowly() {
    let mut peer = Peer::start(|_| status(403)).await;
    let prover = Running::start(Config { max_backoff: Duration::from_secs(1), ..config(&peer) });
    let (first, second) = (peer.request().await, peer.request().await);
    assert!(second.at - first.at >= Duration::from_millis(500));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_prover_gives_up_after_as_many_retries_as_configured() {
    let mut peer = Peer::start(|_| status(500)).await;
    let prover = Running::start(Config { max_retries: Some(3), ..config(&peer) });
    assert!(matches!(prover.end().await, Err(RunError::GaveUp { retries: 3, .. })));
    assert_eq!(peer.paths(), [REGISTER; 4]);
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_is_reported_and_the_next_one_is_asked_for() {
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => leased("abc", 600, NOT_AN_INPUT),
        INPUTS => status(204),
        _ => status(200),
    })
    .await;
    let mut prover = Running::start(config(&peer));
    let report: FailReport = serde_json::from_slice(&peer.request_to("/tee/leases/abc/fail").await.body).unwrap();
    assert_eq!(report.kind(), "unreadable");
    peer.request_to(INPUTS).await;
    assert_eq!(prover.event().await, Event::Registered);
    let Event::Failed { batch: None, kind: "unreadable", error } = prover.event().await else { panic!("it failed") };
    assert_eq!(error, report.error());
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn without_a_lease_a_broken_batch_is_not_asked_for_again_at_once() {
    let mut peer = Peer::start(|request| match request.path.as_str() {
        INPUTS => Answer::Full(NOT_AN_INPUT.into_response()),
        _ => status(200),
    })
    .await;
    let prover = Running::start(Config { initial_retry_backoff: Duration::from_millis(400), ..one_at_a_time(&peer) });
    let (first, second, third) =
        (peer.request_to(INPUTS).await, peer.request_to(INPUTS).await, peer.request_to(INPUTS).await);
    assert!(second.at - first.at >= Duration::from_millis(200));
    assert!(third.at - second.at >= Duration::from_millis(400));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_lease_is_renewed_until_it_is_lost_and_then_its_batch_is_let_go() {
    let (asked, renewed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => leased("abc", 1, NOT_AN_INPUT),
        INPUTS => status(204),
        "/tee/leases/abc/fail" => status(503),
        "/tee/leases/abc/renew" if renewed.fetch_add(1, Ordering::Relaxed) < 2 => leased("abc", 1, "\"Success\""),
        "/tee/leases/abc/renew" => status(404),
        _ => status(200),
    })
    .await;
    let prover = Running::start(config(&peer));
    for _ in 0..3 {
        peer.request_to("/tee/leases/abc/renew").await;
    }
    // The report is sent once more, and then no more.
    peer.request_to("/tee/leases/abc/fail").await;
    for _ in 0..20 {
        assert_eq!(peer.request().await.path, INPUTS);
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_batch_whose_body_is_cut_short_is_given_back_and_asked_for_again() {
    let asked = AtomicUsize::new(0);
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => leased("abc", 600, peer::cut_short()),
        INPUTS => status(204),
        _ => status(200),
    })
    .await;
    let prover = Running::start(one_at_a_time(&peer));
    peer.request_to(INPUTS).await;
    assert_eq!(peer.request().await.path, "/tee/leases/abc");
    peer.request_to(INPUTS).await;
    prover.stops_within_a_second().await;
}

/// The answer of a server that wants to be left alone for an hour.
fn in_an_hour() -> Answer {
    Answer::Full((StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "3600")]).into_response())
}

#[tokio::test]
async fn a_result_that_is_due_is_offered_again_as_soon_as_the_server_answers_anything() {
    let (asked, offered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut peer = Peer::start(move |request| match request.path.as_str() {
        INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => leased("abc", 600, NOT_AN_INPUT),
        INPUTS => status(204),
        "/tee/leases/abc/fail" if offered.fetch_add(1, Ordering::Relaxed) == 0 => in_an_hour(),
        _ => status(200),
    })
    .await;
    let prover = Running::start(Config { max_backoff: AN_HOUR, ..config(&peer) });
    for _ in 0..2 {
        peer.request_to("/tee/leases/abc/fail").await;
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_result_that_is_due_is_offered_once_more_when_the_prover_is_told_to_stop() {
    for shutdown_grace in [Duration::ZERO, AN_HOUR] {
        let (asked, offered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut peer = Peer::start(move |request| match request.path.as_str() {
            INPUTS if asked.fetch_add(1, Ordering::Relaxed) == 0 => leased("abc", 600, NOT_AN_INPUT),
            INPUTS => Answer::Silence,
            "/tee/leases/abc/fail" if offered.fetch_add(1, Ordering::Relaxed) == 0 => in_an_hour(),
            _ => status(200),
        })
        .await;
        let prover = Running::start(Config { max_backoff: AN_HOUR, shutdown_grace, ..config(&peer) });
        peer.request_to("/tee/leases/abc/fail").await;
        prover.stop.cancel();
        peer.request_to("/tee/leases/abc/fail").await;
        prover.end().await.unwrap();
        // It was taken, so nothing is left to give back.
        assert!(!peer.paths().contains(&"/tee/leases/abc".to_owned()));
    }
}

/// Headers that announce this many bytes, and then one byte from time to time.
fn dripping(announced_bytes: u64) -> Answer {
    let drops = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(" "), ()))
    });
    let headers = [
        ("content-length", announced_bytes.to_string()),
        ("tee-lease-id", "slow".to_owned()),
        ("tee-lease-expires-in", "600".to_owned()),
    ];
    Answer::Full((headers, Body::from_stream(drops)).into_response())
}

#[tokio::test]
async fn a_server_that_announces_much_and_drips_takes_nothing_from_another() {
    // More than the memory allows, and exactly as much as a share allows.
    for announced_bytes in [1 << 30, 20 << 20] {
        let dripped = Arc::new(AtomicBool::new(false));
        let drips = dripped.clone();
        let slow = Peer::start(move |request| match request.path.as_str() {
            INPUTS => {
                drips.store(true, Ordering::Relaxed);
                dripping(announced_bytes)
            }
            _ => status(200),
        })
        .await;
        let mut honest = Peer::start(move |request| match request.path.as_str() {
            INPUTS if dripped.load(Ordering::Relaxed) => leased("abc", 600, NOT_AN_INPUT),
            INPUTS => status(204),
            _ => status(200),
        })
        .await;
        let servers = vec![ServerConfig::new(slow.url.clone()), ServerConfig::new(honest.url.clone())];
        let prover = Running::start(Config { servers, memory_budget_bytes: 1 << 30, ..config(&honest) });
        for _ in 0..3 {
            honest.request_to("/tee/leases/abc/fail").await;
        }
        prover.stops_within_a_second().await;
    }
}

#[tokio::test]
async fn a_server_is_asked_to_wait_for_work_from_the_first_question_on() {
    let mut peer = Peer::start(|request| if request.path == INPUTS { Answer::Silence } else { status(200) }).await;
    let prover = Running::start(config(&peer));
    assert_eq!(peer.request_to(INPUTS).await.query.as_deref(), Some("wait_secs=20"));
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_page_that_is_no_servers_answer_is_no_registration() {
    let mut peer = Peer::start(|_| Answer::Full("<html>please log in</html>".into_response())).await;
    let prover = Running::start(config(&peer));
    for _ in 0..3 {
        assert_eq!(peer.request().await.path, REGISTER);
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_prover_of_type_none_registers_nothing() {
    let mut peer = Peer::start(|_| status(204)).await;
    let prover = Running::start(Config { tee_type: Some(TeeType::None), ..config(&peer) });
    for _ in 0..3 {
        let request = peer.request().await;
        assert_eq!((request.path.as_str(), &request.body[..]), (INPUTS, &br#"{"tee_type":"none"}"#[..]));
    }
    prover.stops_within_a_second().await;
}

#[tokio::test]
async fn a_simulated_prover_refuses_a_server_that_is_not_on_this_machine() {
    // The token is cancelled, so that nothing is ever sent.
    let stop = CancellationToken::new();
    stop.cancel();
    let start = |url: &str, danger_simulated_proofs| {
        let config = Config { danger_simulated_proofs, ..Config::new(url, Pins::danger_any_code()) };
        run(config.clone(), Identity::simulated(&config).unwrap(), stop.clone(), |_| ())
    };
    for elsewhere in
        ["http://192.0.2.1:3320", "http://localhost.example.com", "http://0.0.0.0:3320", "http://[2001:db8::1]"]
    {
        assert_eq!(start(elsewhere, false).await, Err(RunError::SimulatedProofs), "{elsewhere}");
        assert_eq!(start(elsewhere, true).await, Ok(()), "{elsewhere}");
    }
    for here in ["http://127.0.0.1:3320", "http://127.8.9.1", "http://localhost:3320", "http://[::1]:3320"] {
        assert_eq!(start(here, false).await, Ok(()), "{here}");
    }
}
