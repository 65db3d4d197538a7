//! Inputs that lack paths, for slots that were written and rolled back, which a node's own data leaves out.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tee_api::TeeType;
use tee_devnet::{Account, Action, Chain, Genesis, SealedBatch};
use tee_server::{AddedBatch, CompletionConfig, JobStatus, NewBatch, NodeRpc, complete};
use tee_verifier::{Address, BatchInput, H256, Options, input::ExecuteTransactionCommon, verify};

use crate::world::World;

static CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::new(Genesis::sepolia().unwrap()));

/// A batch with 200 writes, and a gas limit too small for what they publish.
static BATCH: LazyLock<SealedBatch> = LazyLock::new(|| {
    const WRITES: u64 = 200;
    let seal = |gas_limit: u64| {
        let mut account = Account::new(0);
        let mut transaction = account.transaction(tee_devnet::Call::storage(Action::Write, 1_000, WRITES, 1 << 40));
        if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data {
            common.fee.gas_limit = gas_limit.into();
        }
        let transaction = account.sign_transaction(transaction, CHAIN.system().chain_id);
        CHAIN.clone().seal_blocks(vec![vec![transaction]]).ok()
    };
    let mut sealed = (1..100).filter_map(|step| seal(step * 100_000));
    sealed.find(|sealed| verdict(&sealed.input) == Err("unproven_cost")).unwrap()
});

const NUMBER: u32 = 14034;

fn verdict(input: &BatchInput) -> Result<H256, &'static str> {
    let verified = verify(input.clone(), &Options::danger_any_code());
    verified.map(|verified| verified.root()).map_err(|rejection| rejection.check())
}

/// The answers that a node gives before the right one.
type Refusals = Arc<Mutex<VecDeque<String>>>;

/// A node with the state before the batch.
async fn node(refusals: Refusals) -> String {
    async fn answer(State(refusals): State<Refusals>, body: Bytes) -> String {
        if let Some(refusal) = refusals.lock().unwrap().pop_front() {
            return refusal;
        }
        let call: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&call["method"], &call["params"][2]), (&json!("zks_getProof"), &json!(NUMBER - 1)));
        let (address, keys): (Address, Vec<H256>) =
            serde_json::from_value(json!([call["params"][0], call["params"][1]])).unwrap();
        json!({"jsonrpc": "2.0", "id": call["id"], "result": CHAIN.storage_proof(address, &keys)}).to_string()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(refusals);
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

/// A server that asks a node, and has the batch.
async fn world(refusals: Refusals) -> World {
    let rpc_url = node(refusals).await;
    let world = World::start_with(|config| config.completion = Some(CompletionConfig { rpc_url })).await;
    assert_eq!(add(&world, &BATCH.input).await, AddedBatch::New);
    world
}

async fn add(world: &World, input: &BatchInput) -> AddedBatch {
    let new = NewBatch { input: input.clone(), expected_root: None, sealed_at_ms: None, source: "test".to_owned() };
    world.server.service().add_batch(new).await.unwrap()
}

/// The batch as a prover receives it, with its lease, once there is one.
async fn claim(world: &World, tee_type: &str, wait_secs: u32) -> Option<(BatchInput, String)> {
    let path = format!("/tee/proof_inputs?wait_secs={wait_secs}");
    let answer = world.post(&path, &json!({ "tee_type": tee_type })).await;
    if answer.status == StatusCode::NO_CONTENT {
        return None;
    }
    assert_eq!(answer.status, StatusCode::OK);
    let lease = answer.headers["tee-lease-id"].to_str().unwrap().to_owned();
    Some((BatchInput::from_json(&answer.body).unwrap(), lease))
}

async fn report(world: &World, lease: &str, kind: &str) {
    world.post(&format!("/tee/leases/{lease}/fail"), &json!({"kind": kind, "error": "…"})).await.assert_success();
}

/// How often the prover has failed since its last success.
async fn failures(world: &World, tee_type: TeeType) -> u64 {
    let provers = world.server.service().provers(None, 9).await.unwrap();
    provers.iter().filter(|prover| prover.tee_type == tee_type).map(|prover| prover.failures_in_a_row).sum()
}

async fn metric(world: &World, line: &str) -> bool {
    String::from_utf8(world.get("/metrics").await.body).unwrap().contains(&format!("{line}\n"))
}

#[tokio::test]
async fn a_batch_that_lacks_paths_is_completed_and_proven() {
    let world = world(Refusals::default()).await;
    let (input, lease) = claim(&world, "sgx", 0).await.unwrap();
    assert_eq!(verdict(&input), Err("unproven_cost"));
    report(&world, &lease, "unproven_cost").await;

    let (completed, lease) = claim(&world, "sgx", 25).await.unwrap();
    assert_eq!(verdict(&completed), Ok(BATCH.root));
    assert_eq!(completed.merkle_paths.merkle_paths.len(), input.merkle_paths.merkle_paths.len() + 200);
    assert_eq!(failures(&world, TeeType::Sgx).await, 0);
    assert!(metric(&world, r#"tee_server_completions_total{outcome="completed"} 1"#).await);
    assert!(metric(&world, "tee_server_incomplete_inputs 0").await);
    // In both forms, and the incomplete ones are gone.
    assert_eq!(world.input_files().len(), 2);
    let again =
        world.send(reqwest::Method::GET, "/tee/proof_inputs_no_lock/14034", &[("accept", "application/cbor")], "");
    assert_eq!(BatchInput::from_cbor(&again.await.body).unwrap(), completed);

    let key = world.registered_key(1).await;
    world.submit(NUMBER, &key.proof(BATCH.root), Some(&lease)).await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(NUMBER, JobStatus::Generated)]);
    // The node's own input arrives again, as after a restart.
    assert_eq!(add(&world, &BATCH.input).await, AddedBatch::Known);
    assert_eq!(world.input_files().len(), 2);
}

#[tokio::test]
async fn a_completion_that_fails_is_tried_again_and_survives_a_restart() {
    let refusals = Refusals::default();
    let answers = [
        json!({"error": {"code": -32000, "message": "busy"}}).to_string(),
        json!({"result": null}).to_string(),
        "<html>".to_owned(),
        json!({"result": {"address": Address::zero(), "storageProof": []}}).to_string(),
        "x".repeat(3_000_000),
    ];
    refusals.lock().unwrap().extend(answers);
    let world = world(refusals.clone()).await;
    let (_, lease) = claim(&world, "sgx", 0).await.unwrap();
    report(&world, &lease, "unproven_cost").await;
    let world = world.restart().await;
    // Meanwhile no prover receives what it would only reject.
    let mut completed = None;
    for _ in 0..60 {
        completed = claim(&world, "sgx", 1).await;
        if completed.is_some() {
            break;
        }
        assert_eq!(world.statuses(TeeType::Sgx).await, [(NUMBER, JobStatus::Failed)]);
        world.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(verdict(&completed.unwrap().0), Ok(BATCH.root));
    assert!(refusals.lock().unwrap().is_empty());
}

/// One prover's report keeps the batch from nobody; a second one counts.
#[tokio::test]
async fn a_batch_that_lacks_no_path_is_given_to_others_at_once() {
    let rpc_url = node(Refusals::default()).await;
    let world =
        World::start_with(|config| config.completion = Some(CompletionConfig { rpc_url: rpc_url.clone() })).await;
    let (whole, _) = complete(BATCH.input.clone(), &NodeRpc::new(&rpc_url, "test").unwrap()).await.unwrap();
    add(&world, &whole).await;
    let (_, lease) = claim(&world, "sgx", 0).await.unwrap();
    report(&world, &lease, "unproven_cost").await;
    let (again, lease) = claim(&world, "sgx", 25).await.unwrap();
    assert_eq!(again, whole);
    assert!(metric(&world, r#"tee_server_completions_total{outcome="given_up"} 1"#).await);
    assert_eq!(failures(&world, TeeType::Sgx).await, 0);
    report(&world, &lease, "unproven_cost").await;
    assert_eq!(failures(&world, TeeType::Sgx).await, 1);
    assert!(claim(&world, "sgx", 0).await.is_none());
}

#[tokio::test]
async fn a_prover_that_got_the_batch_before_it_was_completed_gets_it_again_and_one_that_got_it_after_has_failed() {
    let world = world(Refusals::default()).await;
    let (_, sgx) = claim(&world, "sgx", 0).await.unwrap();
    let (_, tdx) = claim(&world, "tdx", 0).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    report(&world, &sgx, "unproven_cost").await;
    let (completed, sgx) = claim(&world, "sgx", 25).await.unwrap();
    report(&world, &tdx, "unproven_cost").await;
    let (also_completed, _) = claim(&world, "tdx", 0).await.unwrap();
    assert_eq!(also_completed, completed);
    assert_eq!(failures(&world, TeeType::Tdx).await, 0);
    report(&world, &sgx, "unproven_cost").await;
    assert_eq!(failures(&world, TeeType::Sgx).await, 1);
}

#[tokio::test]
async fn an_input_that_was_completed_by_hand_takes_the_place_of_the_one_that_lacks_paths() {
    let node = NodeRpc::new(&node(Refusals::default()).await, "test").unwrap();
    let (completed, paths) = complete(BATCH.input.clone(), &node).await.unwrap();
    assert_eq!((verdict(&completed), paths), (Ok(BATCH.root), 200));
    let world = World::start().await;
    add(&world, &BATCH.input).await;
    let (_, lease) = claim(&world, "sgx", 0).await.unwrap();
    report(&world, &lease, "unproven_cost").await;
    // Nobody completes it, so it is a failure like any other.
    assert_eq!(failures(&world, TeeType::Sgx).await, 1);
    assert!(claim(&world, "sgx", 0).await.is_none());
    assert_eq!(add(&world, &completed).await, AddedBatch::Known);
    assert_eq!(claim(&world, "sgx", 0).await.unwrap().0, completed);
}
