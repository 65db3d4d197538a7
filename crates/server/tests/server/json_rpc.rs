//! Proofs as anyone reads them: `unstable_getTeeProofs`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tee_api::{JobStatus, KeyStanding, SignedStatement, SubmitProof, TeeProof, TeeType};
use tee_verifier::H256;

use crate::world::{ROOT, World};

async fn call(world: &World, body: &Value) -> Value {
    let answer = world.post("/", body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    serde_json::from_slice(&answer.body).unwrap()
}

fn request(id: Value, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "unstable_getTeeProofs", "params": params })
}

#[tokio::test]
async fn a_proof_is_published_in_zksync_eras_form_with_its_quote_and_statement() {
    let world = World::start().await;
    world.add(1).await;
    world.claim("tdx").await.unwrap();
    world.claim("none").await.unwrap();
    let key = world.registered_key(1).await;
    let statement = key.statement(|_| ());
    let proof = SubmitProof { statement: Some(statement.clone()), ..key.proof(ROOT) };
    world.submit(1, &proof, None).await.assert_success();

    let sgx = json!({
        "l1BatchNumber": 1,
        "teeType": "sgx",
        "pubkey": key.public().to_string(),
        "signature": hex::encode(key.sign(ROOT).to_bytes()),
        "proof": "bb".repeat(32),
        "provedAt": "1970-01-01T00:00:00Z",
        "status": "generated",
        "attestation": key.registration()["attestation"],
        "statement": serde_json::to_value(&statement).unwrap(),
        "standing": "unjudged",
        "verdict": "unjudged",
    });
    let tdx = json!({
        "l1BatchNumber": 1, "teeType": "tdx", "pubkey": null, "signature": null, "proof": null,
        "provedAt": "1970-01-01T00:00:00Z", "status": "picked_by_prover", "attestation": null,
    });
    for (params, expected) in [
        (json!([1, null]), json!([sgx, tdx])),
        (json!([1]), json!([sgx, tdx])),
        (json!([1, "sgx"]), json!([sgx])),
        (json!([1, "tdx"]), json!([tdx])),
        (json!([1, "none"]), json!([])),
        (json!([2, "sgx"]), json!([])),
        (json!([u32::MAX, null]), json!([])),
    ] {
        let answer = call(&world, &request(json!(7), params.clone())).await;
        assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": 7, "result": expected }), "{params}");
    }
    let read: TeeProof = serde_json::from_value(sgx.clone()).unwrap();
    assert_eq!(serde_json::from_value::<SignedStatement>(read.statement.unwrap()).unwrap(), statement);
    // As zksync-era's own types parse it.
    let era: zksync_types::api::TeeProof = serde_json::from_value(sgx).unwrap();
    assert_eq!(era.signature.unwrap(), key.sign(ROOT).to_bytes());
    assert_eq!(era.tee_type.unwrap().to_string(), TeeType::Sgx.as_str());
}

#[tokio::test]
async fn a_contradiction_is_published_beside_the_proof_that_it_contradicts() {
    let world = World::start().await;
    world.add(1).await;
    let (honest, forger) = (world.registered_key(1).await, world.registered_key(2).await);
    world.submit(1, &honest.proof(ROOT), None).await.assert_success();
    let forged = H256::repeat_byte(0xcc);
    world.submit(1, &forger.proof(forged), None).await.assert_problem(409, "disagreeing_root");
    let answer = call(&world, &request(json!(1), json!([1, "sgx"]))).await;
    let proofs: Vec<TeeProof> = serde_json::from_value(answer["result"].clone()).unwrap();
    assert_eq!(proofs.len(), 2);
    assert_eq!((proofs[0].status.known(), &proofs[0].disagrees_with), (Some(JobStatus::Generated), &None));
    assert_eq!(proofs[1].status.known(), Some(JobStatus::Failed));
    assert_eq!(proofs[1].standing, Some(KeyStanding::Unjudged.into()));
    assert_eq!(proofs[1].proof.as_deref(), Some(forged.as_bytes()));
    assert_eq!(proofs[1].disagrees_with.as_deref(), Some(ROOT.as_bytes()));
}

#[tokio::test]
async fn several_calls_in_one_request_are_answered_in_order_and_notifications_not_at_all() {
    let world = World::start().await;
    let notification = json!({ "jsonrpc": "2.0", "method": "unstable_getTeeProofs", "params": [1] });
    let answer =
        call(&world, &json!([request(json!("a"), json!([1])), notification, 5, request(json!(null), json!(["x"]))]))
            .await;
    assert_eq!(answer.as_array().unwrap().len(), 3);
    assert_eq!(answer[0], json!({ "jsonrpc": "2.0", "id": "a", "result": [] }));
    assert_eq!((&answer[1]["error"]["code"], &answer[1]["id"]), (&json!(-32600), &Value::Null));
    assert_eq!(answer[2]["error"]["code"], -32602);
    for silent in [notification.clone(), json!([notification, notification])] {
        let answer = world.post("/", &silent).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
    }
    let most = Value::Array(vec![request(json!(1), json!([1])); 100]);
    assert_eq!(call(&world, &most).await.as_array().unwrap().len(), 100);
    let too_many = Value::Array(vec![request(json!(1), json!([1])); 101]);
    assert_eq!(call(&world, &too_many).await["error"]["code"], -32010);
}

#[tokio::test]
async fn in_one_answer_a_keys_collateral_stands_once() {
    let world = World::start().await;
    let keys = [world.registered_key(1).await, world.registered_key(2).await];
    for (number, key) in [(1, 0), (2, 0), (3, 1)] {
        world.add(number).await;
        world.submit(number, &keys[key].proof(crate::world::root(number)), None).await.assert_success();
    }
    let literal = world.bytes_literal(br#"{"of":"the platform"}"#);
    world.execute(&format!("UPDATE tee_attestations SET collateral = {literal}")).await;
    let calls: Vec<_> = [1, 2, 3, 1].map(|number| request(json!(number), json!([number, null]))).into();
    let answer = call(&world, &Value::Array(calls)).await;
    let has_collateral = |answer: &Value| answer["result"][0].get("collateral").is_some();
    let has: Vec<_> = answer.as_array().unwrap().iter().map(has_collateral).collect();
    assert_eq!(has, [true, false, true, false]);
    assert!(has_collateral(&call(&world, &request(json!(1), json!([2, null]))).await));
}

#[tokio::test]
async fn a_hundred_calls_in_one_request_count_as_a_hundred() {
    let world = World::start_with(|config| {
        config.danger_open = true;
        (config.limits.requests_per_sec, config.limits.request_burst) = (1, 150);
    })
    .await;
    let most = Value::Array(vec![request(json!(1), json!([1])); 100]);
    for _ in 0..2 {
        assert_eq!(world.post("/", &most).await.status, StatusCode::OK);
    }
    world.post("/", &most).await.assert_problem(429, "too_many_requests");
}

#[tokio::test]
async fn what_is_no_call_has_the_specifications_error() {
    let world = World::start().await;
    let good = request(json!(1), json!([1, null]));
    let with = |field: &str, value: Value| {
        let mut call = good.clone();
        call[field] = value;
        call
    };
    for (body, code) in [
        (json!([]), -32600),
        (json!("x"), -32600),
        (json!({}), -32600),
        (with("jsonrpc", json!("1.0")), -32600),
        (with("method", json!(5)), -32600),
        (with("id", json!({})), -32600),
        (with("method", json!("eth_blockNumber")), -32601),
        (with("params", json!([])), -32602),
        (with("params", json!([1, null, 3])), -32602),
        (with("params", json!([-1, null])), -32602),
        (with("params", json!([4294967296u64, null])), -32602),
        (with("params", json!(["1", null])), -32602),
        (with("params", json!([1, "SGX"])), -32602),
        (with("params", json!({ "l1_batch_number": 1 })), -32602),
        (with("params", Value::Null), -32602),
    ] {
        let answer = call(&world, &body).await;
        assert_eq!(answer["error"]["code"], code, "{body}");
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(answer.get("result").is_none());
    }
    for garbage in ["", "{", "[1,", "\u{0}", &"[".repeat(100_000)] {
        let answer = world.send(Method::POST, "/", &[], garbage.to_owned()).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32700), &Value::Null));
    }
    world.send(Method::POST, "/", &[], " ".repeat(256 * 1024 + 1)).await.assert_problem(413, "body_too_large");
}
