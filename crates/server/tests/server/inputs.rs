//! Inputs: how they arrive, and how they are sent.

use std::{fs, io::Read};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_api::{Client, ClientOptions, TeeType};
use tee_server::{AddBatchError, AddedBatch, JobStatus};
use tee_verifier::{BatchInput, H256};

use crate::world::{World, input, new_batch};

#[tokio::test]
async fn every_form_and_compression_gives_the_same_input() {
    let world = World::start().await;
    world.add(1).await;
    let cbor = "application/cbor, application/json";
    for (accept, encoding) in [
        ("*/*", "identity"),
        ("*/*", "zstd"),
        ("*/*", "gzip"),
        (cbor, "identity"),
        (cbor, "gzip, zstd"),
        (cbor, "gzip"),
    ] {
        let headers = [("accept", accept), ("accept-encoding", encoding)];
        let answer = world.send(Method::GET, "/tee/proof_inputs_no_lock/1", &headers, "").await;
        assert_eq!(answer.status, StatusCode::OK);
        let sent = answer.headers.get("content-encoding").map(|value| value.to_str().unwrap());
        let mut plain = vec![];
        match sent {
            Some("zstd") => _ = zstd::Decoder::new(&*answer.body).unwrap().read_to_end(&mut plain).unwrap(),
            Some("gzip") => _ = gunzip(&answer.body, &mut plain).await,
            _ => plain = answer.body,
        }
        assert_eq!(sent.unwrap_or("identity"), encoding.rsplit(", ").next().unwrap());
        let read = match answer.headers["content-type"].to_str().unwrap() {
            "application/cbor" => BatchInput::from_cbor(&plain).unwrap(),
            _ => BatchInput::from_json(&plain).unwrap(),
        };
        assert_eq!(answer.headers["content-type"] == "application/cbor", accept == cbor);
        assert_eq!(read, input(1));
    }
}

async fn gunzip(body: &[u8], to: &mut Vec<u8>) -> usize {
    let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(body);
    tokio::io::AsyncReadExt::read_to_end(&mut decoder, to).await.unwrap()
}

#[tokio::test]
async fn our_own_client_gets_the_input_with_its_lease() {
    let world = World::start().await;
    world.add(1).await;
    let client = Client::new(&world.url(), ClientOptions::default()).unwrap();
    let work = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
    assert_eq!(work.input.unwrap(), input(1));
    let lease = work.lease.unwrap();
    assert_eq!(client.renew_lease(&lease.id).await.unwrap(), lease);
    client.give_back_lease(&lease.id).await.unwrap();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, JobStatus::ReadyToBeProven)]);
}

#[tokio::test]
async fn an_input_without_lock_is_there_or_unknown() {
    let world = World::start().await;
    world.add(3).await;
    let answer = world.get("/tee/proof_inputs_no_lock/3").await;
    assert_eq!(BatchInput::from_json(&answer.body).unwrap(), input(3));
    assert_eq!(world.overview().await[0].tee_type, None);
    world.get("/tee/proof_inputs_no_lock/4").await.assert_problem(404, "unknown_batch");
}

#[tokio::test]
async fn adding_the_same_batch_again_does_nothing_and_a_changed_one_is_refused() {
    let world = World::start().await;
    world.add_expecting(1, Some(H256::zero())).await;
    let files = world.input_files();
    let service = world.server.service();
    assert_eq!(service.add_batch(new_batch(1, Some(H256::zero()))).await.unwrap(), AddedBatch::Known);
    assert_eq!(service.add_batch(new_batch(1, None)).await.unwrap(), AddedBatch::Known);
    let mut changed = new_batch(1, None);
    changed.input.l1_batch_env.timestamp += 1;
    let other_root = new_batch(1, Some(H256::repeat_byte(1)));
    for changed in [changed, other_root] {
        let refused = service.add_batch(changed).await;
        assert!(matches!(refused, Err(AddBatchError::Changed { number: 1 })), "{refused:?}");
    }
    assert_eq!(world.input_files(), files);
    assert_eq!(files.len(), 2);
}

#[tokio::test]
async fn many_that_add_one_batch_at_a_time_leave_one() {
    let world = World::start().await;
    let adders: Vec<_> = (0..8)
        .map(|_| {
            let service = world.server.service().clone();
            tokio::spawn(async move { service.add_batch(new_batch(1, None)).await.unwrap() })
        })
        .collect();
    let mut new = 0;
    for adder in adders {
        new += usize::from(adder.await.unwrap() == AddedBatch::New);
    }
    assert_eq!(new, 1);
    assert_eq!(world.input_files().len(), 2);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
}

#[tokio::test]
async fn a_missing_or_cut_input_fails_its_job_and_the_next_batch_is_handed_out() {
    let world = World::start().await;
    for number in 1..=3 {
        world.add(number).await;
    }
    for file in world.input_files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        match name.as_bytes()[0] {
            b'1' => fs::remove_file(&file).unwrap(),
            b'2' => fs::write(&file, &fs::read(&file).unwrap()[1..]).unwrap(),
            _ => {}
        }
    }
    assert_eq!(world.claim("sgx").await.unwrap().0, 3);
    let rows = world.overview().await;
    for row in &rows[..2] {
        assert_eq!(row.status, JobStatus::Failed);
        assert_eq!(row.error_kind.as_deref(), Some("unreadable_input"));
    }
    world.get("/tee/proof_inputs_no_lock/1").await.assert_problem(500, "internal");
}

#[tokio::test]
async fn a_corrupt_input_breaks_off_fails_its_job_and_the_next_batch_is_handed_out() {
    let world = World::start().await;
    world.add(1).await;
    world.add(2).await;
    for file in world.input_files().iter().filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with('1')) {
        let mut bytes = fs::read(file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
    }
    let client = Client::new(&world.url(), ClientOptions::default()).unwrap();
    let error = client.proof_inputs(TeeType::Sgx).await.unwrap_err();
    assert!(matches!(error, tee_api::ClientError::Network { .. }), "{error:?}");
    let work = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
    assert_eq!(work.input.unwrap(), input(2));
    let row = &world.overview().await[0];
    assert_eq!((row.status, row.error_kind.as_deref()), (JobStatus::Failed, Some("unreadable_input")));
}

#[tokio::test]
async fn a_real_input_comes_out_as_it_went_in() {
    let Some(data) = test_skips::data() else { return };
    let file = fs::File::open(data.join("era-batches/v29-mixed-400.json.zst")).unwrap();
    let real = BatchInput::from_json(&zstd::decode_all(file).unwrap()).unwrap();
    let number = real.l1_batch_env.number.0;
    let world = World::start().await;
    let add = || {
        let new = tee_server::NewBatch {
            input: real.clone(),
            expected_root: None,
            sealed_at_ms: None,
            source: "era".to_owned(),
        };
        world.server.service().add_batch(new)
    };
    assert_eq!(add().await.unwrap(), AddedBatch::New);
    assert_eq!(add().await.unwrap(), AddedBatch::Known);
    let json = world.post("/tee/proof_inputs", &json!({"tee_type": "sgx"})).await;
    assert_eq!(BatchInput::from_json(&json.body).unwrap(), real);
    let client = Client::new(&world.url(), ClientOptions::default()).unwrap();
    let work = client.proof_inputs(TeeType::Tdx).await.unwrap().unwrap();
    assert_eq!(work.input.unwrap(), real);
    assert_eq!(
        world.get("/tee/present_batches").await.body,
        format!(r#"{{"oldest_batch":{number},"latest_batch":{number}}}"#).into_bytes()
    );
}
