//! What relayers want signed for contracts, and what keys sign to be registered there.

use serde_json::{Value, json};
use tee_api::{Contract, MAX_CONTRACTS, RegistrationSignature, SigningRequest};
use tee_verifier::{Address, H256};

use crate::world::{Key, ROOT, World};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

fn request(verifier: u8, block_number: u64) -> SigningRequest {
    SigningRequest {
        settlement_chain_id: 1,
        proof_verifier: Address::repeat_byte(verifier),
        key_registry: Address::repeat_byte(0xc1),
        block_number,
        block_hash: H256::from_low_u64_be(block_number),
    }
}

fn signed(key: &Key, request: SigningRequest) -> RegistrationSignature {
    RegistrationSignature { pubkey: key.public(), request, signature: key.sign(request.registration_digest()) }
}

async fn ask(world: &World, request: SigningRequest) {
    world.post("/admin/signing_requests", &json!(request)).await.assert_success();
}

/// The keys that are listed for a contract, with the blocks that they signed.
async fn listed(world: &World, contract: Contract) -> Vec<(String, u64)> {
    let page = world.get(&format!("/api/registration_signatures?contract={contract}")).await.json();
    let entry = |item: &Value| (item["pubkey"].as_str().unwrap().to_owned(), item["block_number"].as_u64().unwrap());
    page["items"].as_array().unwrap().iter().map(entry).collect()
}

#[tokio::test]
async fn a_relayers_request_reaches_provers_and_their_signatures_reach_the_relayer() {
    let world = World::start().await;
    assert_eq!(world.get("/tee/signing_requests").await.json(), json!([]));
    ask(&world, request(0xc0, 100)).await;
    assert_eq!(world.get("/tee/signing_requests").await.json(), json!([request(0xc0, 100)]));

    let (one, two) = (world.registered_key(1).await, world.registered_key(2).await);
    for key in [&one, &two] {
        let signature = signed(key, request(0xc0, 100));
        for _ in 0..2 {
            world.post("/tee/registration_signatures", &json!(signature)).await.assert_success();
        }
    }
    let contract = request(0xc0, 100).contract();
    let mut expected = vec![(one.public().to_string(), 100), (two.public().to_string(), 100)];
    expected.sort();
    assert_eq!(listed(&world, contract).await, expected);
    let page = world.get(&format!("/api/registration_signatures?contract={contract}&limit=1")).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let after = page["next"].as_str().unwrap();
    let next = world.get(&format!("/api/registration_signatures?contract={contract}&after={after}")).await.json();
    assert_eq!(next["items"][0]["pubkey"], expected[1].0);
    let quotes = [&one, &two].map(|key| hex::encode(key.quote().as_bytes()));
    assert!(quotes.iter().any(|quote| next["items"][0]["attestation"] == *quote));

    // A newer block: the old signatures stay until there are new ones.
    ask(&world, request(0xc0, 101)).await;
    assert_eq!(listed(&world, contract).await, expected);
    world.post("/tee/registration_signatures", &json!(signed(&one, request(0xc0, 101)))).await.assert_success();
    let blocks: Vec<_> =
        listed(&world, contract).await.into_iter().filter(|(key, _)| *key == one.public().to_string()).collect();
    assert_eq!(blocks, [(one.public().to_string(), 101)]);
    assert_eq!(listed(&world, request(0xc5, 1).contract()).await, []);

    // A signature that the contract no longer accepts is not listed.
    ask(&world, request(0xc0, 356)).await;
    assert_eq!(listed(&world, contract).await, [(one.public().to_string(), 101)]);
    ask(&world, request(0xc0, 357)).await;
    assert_eq!(listed(&world, contract).await, []);
}

#[tokio::test]
async fn nobody_gets_a_signature_in_that_is_not_asked_for_or_not_the_keys_own() {
    let world = World::start().await;
    let key = world.registered_key(1).await;
    let refused = async |signature: RegistrationSignature, status, code| {
        world.post("/tee/registration_signatures", &json!(signature)).await.assert_problem(status, code);
    };
    refused(signed(&key, request(0xc0, 100)), 409, "not_requested").await;
    ask(&world, request(0xc0, 100)).await;
    let others: [fn(&mut SigningRequest); 5] = [
        |request| request.settlement_chain_id = 2,
        |request| request.proof_verifier = Address::zero(),
        |request| request.key_registry = Address::zero(),
        |request| request.block_number = 99,
        |request| request.block_hash = H256::zero(),
    ];
    for change in others {
        let mut other = request(0xc0, 100);
        change(&mut other);
        refused(signed(&key, other), 409, "not_requested").await;
    }
    let stranger = Key::new(9);
    let forged = RegistrationSignature { pubkey: key.public(), ..signed(&stranger, request(0xc0, 100)) };
    refused(forged, 422, "wrong_signature").await;
    refused(signed(&stranger, request(0xc0, 100)), 403, "unknown_key").await;

    world.post("/tee/registration_signatures", &json!(signed(&key, request(0xc0, 100)))).await.assert_success();
    world.server.service().revoke_key(&key.public(), "test", false).await.unwrap();
    refused(signed(&key, request(0xc0, 100)), 403, "unknown_key").await;
    assert_eq!(listed(&world, request(0xc0, 100).contract()).await, []);
    for query in ["", "?contract=1", "?contract=1:0xc0"] {
        let answer = world.get(&format!("/api/registration_signatures{query}")).await;
        answer.assert_problem(400, "malformed_query");
    }
}

#[tokio::test]
async fn a_request_that_nobody_repeats_ends_and_makes_room() {
    let world = World::start().await;
    for contract in 0..MAX_CONTRACTS as u8 {
        ask(&world, request(contract, 100)).await;
    }
    let one_more = json!(request(0xff, 100));
    world.post("/admin/signing_requests", &one_more).await.assert_problem(409, "too_many_contracts");
    world.clock.advance(6 * DAY);
    ask(&world, request(0, 200)).await;
    world.post("/admin/signing_requests", &one_more).await.assert_problem(409, "too_many_contracts");
    world.clock.advance(2 * DAY);
    assert_eq!(world.get("/tee/signing_requests").await.json(), json!([request(0, 200)]));
    world.post("/admin/signing_requests", &one_more).await.assert_success();
}

#[tokio::test]
async fn what_is_signed_for_contracts_is_checked_and_published_with_the_statement() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let contract = request(0xc0, 100).contract();
    let bind = |signed: &mut tee_api::SignedStatement, digest| {
        signed.bound = vec![tee_api::BoundSignature { contract, signature: key.sign(digest) }];
    };
    let mut statement = key.statement(|_| {});
    let unbound = statement.statement.digest();
    bind(&mut statement, unbound);
    let mut proof = key.proof(ROOT);
    proof.statement = Some(statement.clone());
    world.submit(1, &proof, None).await.assert_problem(422, "wrong_statement");

    let bound = statement.statement.bound_digest(&contract);
    bind(&mut statement, bound);
    proof.statement = Some(statement.clone());
    world.submit(1, &proof, None).await.assert_success();
    assert_eq!(world.rpc_proofs(1).await[0]["statement"], json!(statement));
}
