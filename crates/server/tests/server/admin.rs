//! The changes that an operator makes.

use std::{
    io::{self, Read},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_api::{
    BatchUpload, Client, ClientError, ClientOptions, InputEncoding, JobAction, JobsRequest, ResolveDisagreement,
    TeeType, TeeTypeAction,
};
use tee_server::JobStatus::{Failed, Generated, PermanentlyIgnored, PickedByProver, ReadyToBeProven};
use tee_verifier::{H256, InputForm};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::world::{Answer, Key, ROOT, World, input};

async fn upload(world: &World, query: &str, headers: &[(&'static str, &str)], body: Vec<u8>) -> Answer {
    world.send(Method::POST, &format!("/admin/batches{query}"), headers, body).await
}

fn json_of(number: u32) -> Vec<u8> {
    let mut json = vec![];
    input(number).to_json(&mut json).unwrap();
    json
}

fn cbor_of(number: u32) -> Vec<u8> {
    let mut cbor = vec![];
    input(number).to_cbor(&mut cbor).unwrap();
    cbor
}

pub(crate) async fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(vec![]);
    encoder.write_all(plain).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn a_batch_is_taken_in_in_every_form_once() {
    let world = World::start().await;
    let json = ("content-type", "application/json");
    let cbor = ("content-type", "application/cbor");
    let zstd = |plain: &[u8]| zstd::encode_all(plain, 1).unwrap();
    for (number, headers, body) in [
        (1, vec![json], json_of(1)),
        (2, vec![cbor], cbor_of(2)),
        (3, vec![json, ("content-encoding", "zstd")], zstd(&json_of(3))),
        (4, vec![cbor, ("content-encoding", "zstd")], zstd(&cbor_of(4))),
        (5, vec![json, ("content-encoding", "gzip")], gzip(&json_of(5)).await),
    ] {
        let answer = upload(&world, "", &headers, body.clone()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{number}");
        assert_eq!(answer.body, br#"{"new":true}"#);
        let again = upload(&world, "", &headers, body).await;
        assert_eq!(again.json(), json!({ "new": false }));
    }
    for number in 1..=5 {
        assert_eq!(world.claim("sgx").await.unwrap().0, number);
    }
}

#[tokio::test]
async fn a_changed_input_or_root_under_a_known_number_is_refused() {
    let world = World::start().await;
    let headers = [("content-type", "application/json")];
    let root = |byte: &str| format!("?expected_root={}&source=here", byte.repeat(32));
    assert_eq!(upload(&world, &root("bb"), &headers, json_of(1)).await.status, StatusCode::CREATED);
    assert_eq!(upload(&world, "", &headers, json_of(1)).await.status, StatusCode::OK);
    upload(&world, &root("cc"), &headers, json_of(1)).await.assert_problem(409, "changed_batch");
    let mut changed = input(1);
    changed.l1_batch_env.timestamp += 1;
    let mut json = vec![];
    changed.to_json(&mut json).unwrap();
    upload(&world, "", &headers, json).await.assert_problem(409, "changed_batch");
    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(H256::zero()), None).await.assert_problem(422, "wrong_root");
    world.submit(1, &key.proof(ROOT), None).await.assert_success();
}

#[tokio::test]
async fn an_upload_that_is_no_batch_is_refused_and_nothing_is_stored() {
    let world = World::start_with(|config| config.limits.max_upload_bytes = 100_000).await;
    let json = ("content-type", "application/json");
    let zstd = ("content-encoding", "zstd");
    let good = json_of(1);
    let compressed = zstd::encode_all(&*good, 1).unwrap();
    for (headers, body) in [
        (vec![json], vec![]),
        (vec![json], good[..good.len() - 1].to_vec()),
        (vec![json], [&good[..], b"x"].concat()),
        (vec![json], b"{\"V2\":{}}".to_vec()),
        (vec![json], b"[".repeat(50_000)),
        (vec![json, zstd], good.clone()),
        (vec![json, zstd], compressed[..compressed.len() - 5].to_vec()),
        (vec![("content-type", "application/cbor")], good.clone()),
        (vec![("content-type", "application/cbor")], [cbor_of(1), vec![0]].concat()),
    ] {
        upload(&world, "", &headers, body).await.assert_problem(400, "malformed_input");
    }
    for headers in [vec![], vec![("content-type", "text/plain")], vec![json, ("content-encoding", "br")]] {
        upload(&world, "", &headers, good.clone()).await.assert_problem(415, "unsupported_media_type");
    }
    for query in ["?expected_root=ab", "?source=a%0Ab", "?sauce=x", &format!("?source={}", "a".repeat(201))] {
        upload(&world, query, &[json], good.clone()).await.assert_problem(400, "malformed_query");
    }
    upload(&world, "", &[json], vec![b' '; 100_001]).await.assert_problem(413, "body_too_large");
    let answer = chunked_upload(&world, 100_001).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(world.get("/tee/present_batches").await.body, br#"{"oldest_batch":null,"latest_batch":null}"#);
    assert!(!world.folder.path().join("objects/inputs").exists() || world.input_files().is_empty());
}

#[tokio::test]
async fn an_upload_that_unfolds_to_more_than_an_input_may_have_is_refused() {
    let world = World::start().await;
    let json = json_of(1);
    let long = Read::chain(&json[..], Read::take(io::repeat(b' '), 512 << 20));
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    let body = zstd::encode_all(long, 1).unwrap();
    assert!(body.len() < 100_000, "{}", body.len());
    upload(&world, "", &headers, body).await.assert_problem(413, "body_too_large");
}

/// Uploads spaces without announcing how many. Returns the answer.
async fn chunked_upload(world: &World, bytes: usize) -> String {
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let head = "POST /admin/batches HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(bytes));
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = vec![];
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn jobs_are_retried_ignored_and_requeued_by_hand() {
    let world = World::start().await;
    for number in 1..=3 {
        world.add(number).await;
    }
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.post(&format!("/tee/leases/{lease}/fail"), &json!({"kind": "k", "error": "e"})).await.assert_success();
    let change = async |path: &str| world.post(&format!("/admin/jobs/{path}"), &json!({})).await;

    change("1/sgx/retry").await.assert_success();
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    change("1/sgx/retry").await.assert_problem(409, "wrong_status");
    change("2/sgx/ignore").await.assert_success();
    let (number, _) = world.claim("sgx").await.unwrap();
    assert_eq!(number, 3);
    let key = world.registered_key(1).await;
    world.submit(3, &key.proof(ROOT), None).await.assert_success();
    change("3/sgx/ignore").await.assert_problem(409, "wrong_status");
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver), (2, PermanentlyIgnored), (3, Generated)]);
    change("3/sgx/requeue").await.assert_success();
    change("2/sgx/retry").await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver), (2, ReadyToBeProven), (3, ReadyToBeProven)]);

    change("9/sgx/retry").await.assert_problem(404, "unknown_job");
    change("1/tdx/retry").await.assert_problem(404, "unknown_job");
    for path in ["x/sgx/retry", "1/SGX/retry", "1/sgx/delete", "-1/sgx/retry", "4294967296/sgx/retry"] {
        change(path).await.assert_problem(400, "malformed_path");
    }
    assert_ne!(world.statuses(TeeType::Sgx).await[0].1, Failed);
}

#[tokio::test]
async fn our_own_client_adds_lists_and_changes() {
    let tokens = crate::access::Tokens::new();
    let world = World::start_with(|config| config.tokens_file = Some(tokens.path())).await;
    let client = |token: &str| {
        let token = Some(token.parse().unwrap());
        Client::new(&world.url(), ClientOptions { token, ..ClientOptions::default() }).unwrap()
    };
    let admin = client(&tokens.admin);
    let upload = BatchUpload {
        bytes: zstd::encode_all(&*json_of(1), 1).unwrap(),
        encoding: InputEncoding::zstd(InputForm::Json),
        expected_root: Some(ROOT),
        source: "a & b".to_owned(),
    };
    assert!(admin.add_batch(upload.clone()).await.unwrap().new);
    assert!(!admin.add_batch(upload.clone()).await.unwrap().new);
    let work = client(&tokens.prover).proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
    assert_eq!(work.input.unwrap(), input(1));

    let request = JobsRequest { limit: 10, status: Some(PickedByProver), ..JobsRequest::default() };
    let page = client(&tokens.reader).jobs(&request).await.unwrap();
    assert_eq!(page.items.iter().map(|job| (job.batch, job.tee_type)).collect::<Vec<_>>(), [(1, TeeType::Sgx)]);
    admin.change_job(1, TeeType::Sgx, JobAction::Requeue).await.unwrap();
    assert!(client(&tokens.reader).jobs(&request).await.unwrap().items.is_empty());
    let refused = client(&tokens.reader).change_job(1, TeeType::Sgx, JobAction::Requeue).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused:?}");
    let provers = client(&tokens.reader).provers(None, 10).await.unwrap().items;
    let shown = provers.iter().map(|prover| (prover.prover.as_str(), prover.tee_type)).collect::<Vec<_>>();
    assert_eq!(shown, [("token:p", TeeType::Sgx)]);
    let key = Key::new(1).public();
    let explained = ResolveDisagreement { reason: "found".to_owned() };
    let unknown = admin.resolve_disagreement(1, TeeType::Sgx, &key, &explained).await.unwrap_err();
    assert!(matches!(unknown, ClientError::Refused { status: 404, .. }), "{unknown:?}");
    admin.change_tee_type(TeeType::Sgx, TeeTypeAction::Retire).await.unwrap();
    assert_eq!(client(&tokens.prover).proof_inputs(TeeType::Sgx).await.unwrap().map(|_| ()), None);
    admin.change_tee_type(TeeType::Sgx, TeeTypeAction::Serve).await.unwrap();
    let refused = client(&tokens.reader).change_tee_type(TeeType::Sgx, TeeTypeAction::Retire).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused:?}");
    let refused = client(&tokens.prover).add_batch(upload).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused:?}");
}
