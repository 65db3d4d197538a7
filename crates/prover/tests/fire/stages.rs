//! SIGTERM in each stage of the gateway's work: it exits with code 0, and no unproven batch stays taken.

use crate::{
    gateway::Gateway,
    peer::{Answer, INPUTS, Peer, REGISTER, Request, leased, status},
};
use axum::{
    body::{Body, Bytes},
    response::IntoResponse,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tee_devnet::{Chain, Genesis, Load};
use tokio::time::timeout;

const LEASE: &str = "/tee/leases/abc";
const SUBMIT: &str = "/tee/submit_proofs/14034";
const REPORT: &str = "/tee/leases/abc/fail";

/// The gateway's stage when the signal arrives: after the first request to this path.
struct Stage {
    name: &'static str,
    reached_at: &'static str,
    answer: fn(&Request, &Bytes) -> Answer,
    /// The path of the last request, if there must be one.
    ends_with: Option<&'static str>,
}

const STAGES: [Stage; 9] = [
    Stage { name: "registering", reached_at: REGISTER, answer: |_, _| Answer::Silence, ends_with: None },
    Stage { name: "refused", reached_at: REGISTER, answer: |_, _| status(403), ends_with: None },
    Stage { name: "backing off", reached_at: REGISTER, answer: |_, _| status(503), ends_with: None },
    Stage {
        name: "asking",
        reached_at: INPUTS,
        answer: |request, _| if request.path == INPUTS { Answer::Silence } else { status(200) },
        ends_with: None,
    },
    Stage {
        name: "idle",
        reached_at: INPUTS,
        answer: |request, _| status(if request.path == INPUTS { 204 } else { 200 }),
        ends_with: None,
    },
    Stage {
        name: "reading a batch",
        reached_at: INPUTS,
        answer: |request, _| match request.path.as_str() {
            INPUTS => {
                leased("abc", 600, Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()))
            }
            _ => status(200),
        },
        ends_with: Some(LEASE),
    },
    Stage {
        name: "verifying",
        reached_at: INPUTS,
        answer: |request, batch| match request.path.as_str() {
            INPUTS => of(batch),
            _ => status(200),
        },
        // Or the batch is given back, if the signal came before work on it began; see below.
        ends_with: Some(SUBMIT),
    },
    Stage {
        name: "submitting",
        reached_at: SUBMIT,
        answer: |request, batch| match request.path.as_str() {
            INPUTS => of(batch),
            SUBMIT => status(503),
            _ => status(200),
        },
        ends_with: Some(LEASE),
    },
    Stage {
        name: "reporting",
        reached_at: REPORT,
        answer: |request, _| match request.path.as_str() {
            INPUTS => leased("abc", 600, "{}"),
            REPORT => Answer::CutShort,
            _ => status(200),
        },
        ends_with: None,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_in_any_stage_ends_with_exit_code_0_and_leaves_no_batch_taken() {
    let load = Load { transactions: 3, cold_reads: 0, l1_transactions: 0 };
    let mut batch = Vec::new();
    Chain::new(Genesis::sepolia().unwrap()).seal(load).unwrap().input.to_cbor(&mut batch).unwrap();
    let batch = Bytes::from(batch);
    for stage in STAGES {
        let (handed_out, batch) = (Arc::new(AtomicUsize::new(0)), batch.clone());
        let mut peer = Peer::start(move |request| match request.path.as_str() {
            // One batch, and then no others.
            INPUTS if handed_out.fetch_add(1, Ordering::Relaxed) > 0 => status(204),
            _ => (stage.answer)(request, &batch),
        })
        .await;
        let grace = [("TEE_PROVER_SHUTDOWN_GRACE", "2s")];
        let mut gateway = Gateway::start(&peer.url, if stage.name == "verifying" { &[] } else { &grace }).await;
        peer.request_to(stage.reached_at).await;
        if stage.name == "verifying" {
            gateway.until("tee_prover_stage_seconds_count{stage=\"queue\"}", 1).await;
        }
        gateway.terminate().await;
        let exit = timeout(Duration::from_secs(10), gateway.process.wait()).await;
        let exit = exit.unwrap_or_else(|_| panic!("{}: it stops in time", stage.name)).unwrap();
        assert_eq!(exit.code(), Some(0), "{}", stage.name);
        let paths = peer.paths();
        if let Some(end) = stage.ends_with {
            assert!(paths.iter().any(|path| path == end), "{}: {paths:?}", stage.name);
        }
        println!("SIGTERM while {}: exit code 0, then {paths:?}", stage.name);
    }
}

fn of(batch: &Bytes) -> Answer {
    let Answer::Full(mut response) = leased("abc", 600, batch.clone()) else { unreachable!("it is a whole answer") };
    response.headers_mut().extend([("content-type", "application/cbor")].into_response().headers().clone());
    Answer::Full(response)
}
