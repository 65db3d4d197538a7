//! Where batches come from: another server in place of a node, blobs with a file, and bytes as they arrive.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use futures::stream;
use reqwest::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tee_api::{Compression, InputEncoding};
use tee_server::{AddBatchError, AddedBatch, EncodedBatch, ImportError, MirrorConfig, ObjectStoreUrl};
use tee_verifier::{BatchInput, H256, InputForm};

use crate::admin::gzip;
use crate::world::{ROOT, World, input, new_batch};

async fn mirror_of(node: &World, first_batch: u32, rpc_url: Option<String>) -> World {
    let mirror = MirrorConfig { rpc_url, first_batch, ..MirrorConfig::new(node.url()) };
    World::start_with(|config| config.mirror = Some(mirror)).await
}

/// The next batches, in whatever order.
async fn next(world: &World, batches: usize) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    for _ in 0..batches {
        let answer = world.post("/tee/proof_inputs?wait_secs=25", &json!({"tee_type": "sgx"})).await;
        assert_eq!(answer.status, StatusCode::OK);
        let input = BatchInput::from_json(&answer.body).unwrap();
        let number = input.l1_batch_env.number.0;
        assert_eq!(input, crate::world::input(number));
        numbers.insert(number);
    }
    numbers
}

#[tokio::test]
async fn a_mirror_takes_over_what_a_node_has_and_what_comes_and_locks_nothing_there() {
    let node = World::start().await;
    for number in [1, 2, 3, 4, 7] {
        node.add(number).await;
    }
    let mirror = mirror_of(&node, 2, None).await;
    assert_eq!(next(&mirror, 4).await, [2, 3, 4, 7].into());
    let mirror = mirror.restart().await;
    for number in [5, 8] {
        node.add(number).await;
    }
    assert_eq!(next(&mirror, 2).await, [5, 8].into());
    assert!(node.overview().await.iter().all(|row| row.tee_type.is_none() && row.attempts == 0));
    assert_eq!(mirror.get("/tee/present_batches").await.body, br#"{"oldest_batch":2,"latest_batch":8}"#);
}

#[tokio::test]
async fn a_batch_that_the_node_does_not_give_holds_up_no_other() {
    let node = World::start().await;
    for number in [1, 2, 3] {
        node.add(number).await;
    }
    let files = node.input_files();
    let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    for file in files.iter().filter(|file| !name(file).starts_with('3')) {
        match name(file).as_bytes()[0] {
            b'1' => fs::rename(file, file.with_extension("away")).unwrap(),
            _ => {
                let mut bytes = fs::read(file).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(file, bytes).unwrap();
            }
        }
    }
    let mirror = mirror_of(&node, 0, None).await;
    assert_eq!(next(&mirror, 1).await, [3].into());
    for file in files.iter().filter(|file| name(file).starts_with('1')) {
        fs::rename(file.with_extension("away"), file).unwrap();
    }
    assert_eq!(next(&mirror, 1).await, [1].into());
}

/// A node that lets requests for some batches hang forever, and answers none without a token.
async fn hanging_node(node_url: String, hanging: &'static [u32], token: &'static str) -> String {
    use axum::{extract::Path, http::HeaderMap, response::IntoResponse, routing::get};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    let ask = async move |headers: HeaderMap, path: String| {
        if headers.get("authorization").is_none_or(|sent| sent != format!("Bearer {token}").as_str()) {
            return (StatusCode::UNAUTHORIZED, HeaderMap::new(), Bytes::new()).into_response();
        }
        let answer = crate::world::http().get(format!("{node_url}/tee/{path}")).send().await.unwrap();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, answer.headers()[CONTENT_TYPE].clone())]);
        (answer.status(), headers, answer.bytes().await.unwrap()).into_response()
    };
    let present = {
        let ask = ask.clone();
        async move |headers: HeaderMap| ask(headers, "present_batches".to_owned()).await
    };
    let input = async move |Path(number): Path<u32>, headers: HeaderMap| {
        if hanging.contains(&number) {
            std::future::pending::<()>().await;
        }
        ask(headers, format!("proof_inputs_no_lock/{number}")).await
    };
    let router = Router::new()
        .route("/secret-path/tee/present_batches", get(present))
        .route("/secret-path/tee/proof_inputs_no_lock/{number}", get(input));
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

#[tokio::test]
async fn a_batch_whose_request_hangs_holds_up_no_other_and_a_node_that_asks_for_a_token_gets_one() {
    let node = World::start().await;
    for number in 1..=6 {
        node.add(number).await;
    }
    let token_file = node.folder.path().join("node.token");
    fs::write(&token_file, "tpg_node\n").unwrap();
    let node_url = hanging_node(node.url(), &[1, 3], "tpg_node").await;
    let mirror = MirrorConfig { token_file: Some(token_file), ..MirrorConfig::new(node_url) };
    assert!(!format!("{mirror:?}").contains("secret"));
    let mirror = World::start_with(|config| config.mirror = Some(mirror)).await;
    assert_eq!(next(&mirror, 4).await, [2, 4, 5, 6].into());
    // A later batch is noticed, although the two are still being fetched.
    node.add(7).await;
    assert_eq!(next(&mirror, 1).await, [7].into());
    let metrics = String::from_utf8(mirror.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("tee_server_mirror_lag_batches 2\n"), "{metrics}");
}

/// A node of 2026: everything is under another path, and a batch is refused until the one before is settled.
async fn node_of_version_31(input: Vec<u8>) -> String {
    use axum::{extract::Path, routing::get};
    let asked = Arc::new(Mutex::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = async move |Path(number): Path<u32>| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match (number, *asked) {
            (1, 1) => (StatusCode::INTERNAL_SERVER_ERROR, b"not yet".to_vec()),
            (1, _) => (StatusCode::OK, input.clone()),
            _ => (StatusCode::NOT_FOUND, vec![]),
        }
    };
    let router = Router::new()
        .route("/airbender/present_batches", get(async || r#"{"oldest_batch":1,"latest_batch":1}"#))
        .route("/airbender/proof_inputs_no_lock/{number}", get(answer));
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

#[tokio::test]
async fn a_node_of_version_31_is_followed_under_its_own_api() {
    let mut wanted = input(1);
    let version = tee_verifier::ProtocolVersionId::VERSION_31;
    (wanted.system_env.version, wanted.vm_run_data.protocol_version) = (version, version);
    let mut json = Vec::new();
    wanted.to_json(&mut json).unwrap();
    assert!(!json.starts_with(br#"{"V1""#));
    let node_url = node_of_version_31(json).await;
    let mirror = World::start_with(|config| config.mirror = Some(MirrorConfig::new(node_url))).await;
    let answer = mirror.post("/tee/proof_inputs?wait_secs=25", &json!({"tee_type": "sgx"})).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(BatchInput::from_json(&answer.body).unwrap(), wanted);
}

#[tokio::test]
async fn a_mirror_waits_for_a_node_that_is_not_there_yet() {
    let node = World::start().await;
    node.add(1).await;
    let address = node.server.local_addr();
    let World { server, mut config, clock, folder, .. } = node;
    server.stop().await;
    let mirror = MirrorConfig::new(format!("http://{address}"));
    let mirror = World::start_with(|config| config.mirror = Some(mirror)).await;
    assert_eq!(mirror.claim("sgx").await, None);
    config.listen = address;
    let node = tee_server::Server::start_with_clock(config, tee_server::Clock::Manual(clock)).await.unwrap();
    assert_eq!(next(&mirror, 1).await, [1].into());
    node.stop().await;
    drop(folder);
}

type Answers = Arc<Mutex<HashMap<u32, Value>>>;

/// A JSON-RPC that knows one method.
async fn rpc(answers: Answers) -> String {
    async fn answer(State(answers): State<Answers>, body: Bytes) -> String {
        let call: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(call["method"], "zks_getL1BatchDetails");
        let number = call["params"][0].as_u64().unwrap() as u32;
        answers.lock().unwrap().get(&number).cloned().unwrap_or_default().to_string()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(answers);
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

fn details(root: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": {"number": 1, "timestamp": 1_700_000_000, "rootHash": root, "status": "sealed"}})
}

#[tokio::test]
async fn a_batch_is_taken_over_with_its_root_once_the_chain_knows_it() {
    let node = World::start().await;
    for number in 1..=3 {
        node.add(number).await;
    }
    let root = json!(format!("{ROOT:?}"));
    let answers = Answers::default();
    answers.lock().unwrap().extend([
        (1, details(root.clone())),
        (2, details(Value::Null)),
        (3, json!({"jsonrpc": "2.0", "id": 1, "result": null})),
    ]);
    let mirror = mirror_of(&node, 1, Some(rpc(answers.clone()).await)).await;
    assert_eq!(next(&mirror, 1).await, [1].into());
    let batches = mirror.server.service().batches(None, 9).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!((batches[0].expected_root, batches[0].sealed_at_ms), (Some(ROOT), Some(1_700_000_000_000)));
    let key = mirror.registered_key(1).await;
    mirror.submit(1, &key.proof(H256::zero()), None).await.assert_problem(422, "wrong_root");

    answers.lock().unwrap().extend([(2, details(root.clone())), (3, details(root))]);
    assert_eq!(next(&mirror, 2).await, [2, 3].into());
}

#[tokio::test]
async fn what_a_json_rpc_says_is_read_with_care() {
    let node = World::start().await;
    node.add(1).await;
    let answers = Answers::default();
    let mirror = mirror_of(&node, 1, Some(rpc(answers.clone()).await)).await;
    for garbage in [
        json!("x".repeat(1_000_000)),
        json!({"error": {"code": -32000, "message": "no"}}),
        details(json!("0x12")),
        details(json!(7)),
    ] {
        answers.lock().unwrap().insert(1, garbage);
        let waited = mirror.post("/tee/proof_inputs?wait_secs=1", &json!({"tee_type": "sgx"})).await;
        assert_eq!(waited.status, StatusCode::NO_CONTENT);
    }
    answers.lock().unwrap().insert(1, details(json!(format!("{ROOT:?}"))));
    assert_eq!(next(&mirror, 1).await, [1].into());
}

fn blobs(folder: &Path, input: &BatchInput) -> ObjectStoreUrl {
    let number = input.l1_batch_env.number.0;
    let blobs = folder.join("witness_inputs");
    fs::create_dir_all(&blobs).unwrap();
    let file = |name: &str| fs::File::create(blobs.join(format!("{name}_{number}.cbor"))).unwrap();
    cbor4ii::serde::to_writer(file("vm_run_data"), &input.vm_run_data).unwrap();
    cbor4ii::serde::to_writer(file("merkle_tree_paths"), &input.merkle_paths).unwrap();
    let mut json = vec![];
    input.to_json(&mut json).unwrap();
    let mut rest = serde_json::from_slice::<Value>(&json).unwrap()["V1"].take();
    rest.as_object_mut().unwrap().retain(|name, _| !["vm_run_data", "merkle_paths"].contains(&&**name));
    fs::write(folder.join("rest.json"), rest.to_string()).unwrap();
    ObjectStoreUrl::folder(folder)
}

#[tokio::test]
async fn blobs_and_a_file_with_the_rest_make_a_batch() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (url, rest) = (blobs(folder.path(), &input(5)), folder.path().join("rest.json"));
    let service = world.server.service();
    assert_eq!(service.import(&url, &rest).await.unwrap(), (5, AddedBatch::New));
    assert_eq!(service.import(&url, &rest).await.unwrap(), (5, AddedBatch::Known));
    assert_eq!(BatchInput::from_json(&world.get("/tee/proof_inputs_no_lock/5").await.body).unwrap(), input(5));

    let blob = folder.path().join("witness_inputs/vm_run_data_5.cbor");
    fs::write(&blob, &fs::read(&blob).unwrap()[1..]).unwrap();
    assert!(matches!(service.import(&url, &rest).await, Err(ImportError::MalformedBlob { .. })));
    fs::remove_file(&blob).unwrap();
    assert!(matches!(service.import(&url, &rest).await, Err(ImportError::Blob { .. })));
    fs::write(&rest, "{}").unwrap();
    assert!(matches!(service.import(&url, &rest).await, Err(ImportError::Rest(_))));
}

#[tokio::test]
async fn blobs_of_a_real_node_make_its_batch() {
    let Some(data) = test_skips::data() else { return };
    let data = data.join("era-batches");
    let real = zstd::decode_all(fs::File::open(data.join("v29-mixed-40.json.zst")).unwrap()).unwrap();
    let real = BatchInput::from_json(&real).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (url, rest) = (blobs(folder.path(), &real), folder.path().join("rest.json"));
    for blob in ["vm_run_data_1.cbor", "merkle_tree_paths_1.cbor"] {
        fs::copy(data.join(blob), folder.path().join("witness_inputs").join(blob)).unwrap();
    }
    let world = World::start().await;
    assert_eq!(world.server.service().import(&url, &rest).await.unwrap(), (1, AddedBatch::New));
    assert_eq!(BatchInput::from_json(&world.get("/tee/proof_inputs_no_lock/1").await.body).unwrap(), real);
}

fn encoded(
    bytes: Vec<u8>,
    form: InputForm,
    compression: Compression,
) -> EncodedBatch<stream::Iter<std::vec::IntoIter<io::Result<Bytes>>>> {
    let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    EncodedBatch {
        body: stream::iter(pieces),
        encoding: InputEncoding { form, compression },
        number: None,
        expected_root: None,
        sealed_at_ms: None,
        source: "test".to_owned(),
    }
}

#[tokio::test]
async fn an_input_is_read_as_it_arrives_in_every_form() {
    let world = World::start().await;
    let service = world.server.service();
    let (mut json, mut cbor) = (vec![], vec![]);
    input(1).to_json(&mut json).unwrap();
    input(1).to_cbor(&mut cbor).unwrap();
    let zstd = |plain: &[u8]| zstd::encode_all(plain, 1).unwrap();
    let mut expected = AddedBatch::New;
    for new in [
        encoded(json.clone(), InputForm::Json, Compression::None),
        encoded(zstd(&json), InputForm::Json, Compression::Zstd),
        encoded(cbor.clone(), InputForm::Cbor, Compression::None),
        encoded(zstd(&cbor), InputForm::Cbor, Compression::Zstd),
    ] {
        assert_eq!(service.add_encoded(new).await.unwrap(), expected);
        expected = AddedBatch::Known;
    }
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for wrong in [
        encoded(vec![], InputForm::Json, Compression::None),
        encoded(vec![], InputForm::Cbor, Compression::Zstd),
        encoded(half(&json), InputForm::Json, Compression::None),
        encoded(half(&cbor), InputForm::Cbor, Compression::None),
        encoded(half(&zstd(&json)), InputForm::Json, Compression::Zstd),
        encoded(cbor.clone(), InputForm::Json, Compression::None),
        encoded(json.clone(), InputForm::Cbor, Compression::None),
        encoded(json.clone(), InputForm::Json, Compression::Zstd),
        encoded(json.clone(), InputForm::Json, Compression::Gzip),
        encoded([cbor.clone(), vec![0]].concat(), InputForm::Cbor, Compression::None),
        encoded([zstd(&json), vec![0]].concat(), InputForm::Json, Compression::Zstd),
        encoded([zstd(&cbor), zstd(&cbor)].concat(), InputForm::Cbor, Compression::Zstd),
        encoded([gzip(&json).await, vec![0]].concat(), InputForm::Json, Compression::Gzip),
        encoded([gzip(&cbor).await, gzip(&cbor).await].concat(), InputForm::Cbor, Compression::Gzip),
    ] {
        let refused = service.add_encoded(wrong).await;
        assert!(matches!(refused, Err(AddBatchError::Read(_) | AddBatchError::Input(_))), "{refused:?}");
    }
    let another = EncodedBatch { number: Some(2), ..encoded(json, InputForm::Json, Compression::None) };
    let refused = service.add_encoded(another).await;
    assert!(matches!(refused, Err(AddBatchError::Number { asked: 2, got: 1 })), "{refused:?}");
    let mut changed = vec![];
    let mut other = new_batch(1, None).input;
    other.l1_batch_env.timestamp += 1;
    other.to_cbor(&mut changed).unwrap();
    let refused = service.add_encoded(encoded(changed, InputForm::Cbor, Compression::None)).await;
    assert!(matches!(refused, Err(AddBatchError::Changed { number: 1 })), "{refused:?}");
    assert_eq!(world.input_files().len(), 2);
}
