//! What the relayer refuses by itself. The contracts would refuse most of it, too: here they accept everything.

mod stand_in;

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tee_api::{Contract, SigningRequest, Statement};
use tee_attestation::simulated::{Enclave, Platform};
use tee_verifier::{CodeHashes, H256};

use self::stand_in::{CHAIN, Content, REGISTRY, SETTLEMENT_CHAIN, StandIn, contract, days_ago, root, statement};
use super::*;
use crate::contracts::{KeyRegistry::registerCall, ProofVerifier::proveCall};

const GWEI: u64 = 1_000_000_000;

#[tokio::test]
async fn a_node_of_another_chain_and_contracts_that_do_not_belong_together_are_refused() {
    let changes: [fn(&mut Content); 5] = [
        |content| content.chain_id = 1,
        |content| content.without_code = Some(stand_in::VERIFIER),
        |content| content.proven_chain = CHAIN + 1,
        |content| content.without_code = Some(stand_in::SECOND_FACTOR),
        |content| content.second_factor_asks = REGISTRY,
    ];
    for (number, change) in changes.iter().enumerate() {
        let stand_in = StandIn::start().await;
        assert!(Relayer::open(stand_in.config(), false).await.is_ok());
        change(&mut stand_in.content());
        assert!(Relayer::open(stand_in.config(), false).await.is_err(), "change {number}");
    }
}

#[tokio::test]
async fn provers_are_asked_for_a_newer_block_after_100_blocks() {
    let stand_in = StandIn::start().await;
    let mut relayer = stand_in.relayer().await;
    // The last one is after a reorganization.
    for block in [1000, 1000, 1099, 1100, 1050] {
        stand_in.content().block = block;
        relayer.request_signatures().await.unwrap();
    }
    assert_eq!(stand_in.content().requested, [1000, 1100, 1050]);
}

#[tokio::test]
async fn a_key_with_a_good_quote_and_a_signature_for_the_registry_is_registered_once() {
    let stand_in = StandIn::start().await;
    let key = stand_in.key(7);
    // The oldest block that is fresh.
    let entry = key.registration(780);
    stand_in.content().signatures = vec![entry.clone()];
    let mut relayer = stand_in.relayer().await;
    assert_eq!(relayer.register().await.unwrap(), 1);
    let call: registerCall = stand_in.last_sent();
    assert_eq!(call.rawQuote.as_ref(), key.quote);
    assert_eq!(call.blockNumber, U256::from(780));
    assert_eq!(call.possession.as_ref(), entry.signed.signature.to_bytes());
    stand_in.content().registered.insert(key.address());
    assert_eq!(stand_in.relayer().await.register().await.unwrap(), 0);
    assert_eq!(stand_in.sent(), 1);
}

#[tokio::test]
async fn a_key_is_not_registered_for_a_quote_or_a_signature_that_says_something_else() {
    let stand_in = StandIn::start().await;
    let key = stand_in.key(7);
    let good = key.registration(1000);
    let signing = |change: fn(&mut SigningRequest)| {
        let mut request = good.signed.request;
        change(&mut request);
        key.registration_as(request)
    };
    let mut with_others_quote = good.clone();
    with_others_quote.attestation = stand_in.key(8).registration(1000).attestation;
    let mut signed_by_another = good.clone();
    signed_by_another.signed.signature = stand_in.key(8).registration(1000).signed.signature;
    let other_program = Enclave { mr_enclave: [3; 32], ..Enclave::default() };
    let refused = [
        ("the quote names another key", with_others_quote),
        ("the policy does not list the enclave", stand_in.key_in(9, &other_program).registration(1000)),
        ("another key signed", signed_by_another),
        ("it is for another registry", signing(|request| request.key_registry = Default::default())),
        ("it is for another settlement chain", signing(|request| request.settlement_chain_id = SETTLEMENT_CHAIN + 1)),
        ("the block is too old", key.registration(779)),
    ];
    for (why, entry) in refused {
        stand_in.content().signatures = vec![entry];
        assert_eq!(stand_in.relayer().await.register().await.unwrap(), 0, "{why}");
        assert_eq!(stand_in.sent(), 0, "{why}");
    }
}

#[tokio::test]
async fn a_refused_key_is_tried_again_with_a_newer_block_and_one_that_met_a_busy_node_at_once() {
    let stand_in = StandIn::start().await;
    let key = stand_in.key(7);
    let mut relayer = stand_in.relayer().await;
    let mut estimates_after = async |block, refusal: Value| {
        stand_in.content().signatures = vec![key.registration(block)];
        stand_in.content().refusal = Some(refusal);
        assert_eq!(relayer.register().await.unwrap(), 0);
        stand_in.content().estimates
    };
    let busy = json!({"code": -32_000, "message": "busy"});
    let reverted = json!({"code": 3, "message": "execution reverted", "data": "0x01020304"});
    assert_eq!(estimates_after(900, busy.clone()).await, 1);
    assert_eq!(estimates_after(900, busy).await, 2);
    assert_eq!(estimates_after(900, reverted.clone()).await, 3);
    assert_eq!(estimates_after(900, reverted.clone()).await, 3);
    assert_eq!(estimates_after(901, reverted).await, 4);
    // What is said of a key is kept no longer than the server lists it.
    stand_in.content().signatures = vec![];
    assert_eq!(relayer.register().await.unwrap(), 0);
    assert!(relayer.refused_keys.is_empty());
}

#[tokio::test]
async fn a_server_with_pages_without_end_does_not_keep_the_relayer() {
    let stand_in = StandIn::start().await;
    stand_in.content().has_endless_pages = true;
    let mut relayer = stand_in.relayer().await;
    let registered = tokio::time::timeout(Duration::from_secs(60), relayer.register()).await;
    assert_eq!(registered.expect("no end").unwrap(), 0);
}

#[tokio::test]
async fn batches_that_follow_the_head_are_proven_as_many_as_one_transaction_takes() {
    let stand_in = StandIn::start().await;
    let key = stand_in.key(7);
    for number in 1..=5 {
        stand_in.publish(number, [key.proof(&statement(number))]);
    }
    let mut relayer = stand_in.relayer().await;
    assert_eq!(relayer.submit().await.unwrap(), 3);
    let call: proveCall = stand_in.last_sent();
    let numbers: Vec<_> = call.proofs.iter().map(|proof| proof.statement.batchNumber).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(call.proofs.iter().all(|proof| proof.isBound && proof.signatures.len() == 1));
}

#[tokio::test]
async fn a_batch_is_not_proven_by_proofs_that_the_check_refuses() {
    let stand_in = StandIn::start().await;
    let key = stand_in.key(7);
    let stated = |change: fn(&mut Statement)| {
        let mut statement = statement(1);
        change(&mut statement);
        key.proof(&statement)
    };
    let good = stated(|_| {});
    let with = |field: &str, value: Value| {
        let mut proof = good.clone();
        proof[field] = value;
        proof
    };
    let contract = contract();
    let on_another_chain = Contract { settlement_chain_id: SETTLEMENT_CHAIN + 1, ..contract };
    let at_another_address = Contract { address: Default::default(), ..contract };
    let other_program = Enclave { mr_enclave: [3; 32], ..Enclave::default() };
    let other_code = |statement: &mut Statement| {
        statement.code_hashes = CodeHashes { bootloader: H256::repeat_byte(3), ..statement.code_hashes };
    };
    let refused = [
        ("the policy does not list the enclave", vec![stand_in.key_in(9, &other_program).proof(&statement(1))]),
        ("the quote names another key", vec![with("attestation", json!(hex::encode(&stand_in.key(8).quote)))]),
        ("the publisher revoked the key", vec![with("revokedAt", json!("2026-01-01T00:00:00Z"))]),
        ("another chain", vec![stated(|statement| statement.chain_id = CHAIN + 1)]),
        ("another version", vec![stated(|statement| statement.protocol_version = 31)]),
        ("other code", vec![stated(other_code)]),
        ("another root before it", vec![stated(|statement| statement.previous_root = root(5))]),
        ("another index before it", vec![stated(|statement| statement.previous_index = 11)]),
        ("another batch", vec![key.proof(&statement(2))]),
        ("two roots", vec![good.clone(), stated(|statement| statement.root = root(5))]),
        ("two statements", vec![good.clone(), stated(|statement| statement.index = 21)]),
        ("it is for another settlement chain", vec![key.proof_for(&statement(1), on_another_chain)]),
        ("it is for another contract", vec![key.proof_for(&statement(1), at_another_address)]),
    ];
    let mut relayer = stand_in.relayer().await;
    for (why, proofs) in refused {
        stand_in.publish(1, proofs);
        assert_eq!(relayer.submit().await.unwrap(), 0, "{why}");
        assert_eq!(relayer.calldata().await.unwrap(), None, "{why}");
        assert_eq!(stand_in.sent(), 0, "{why}");
    }
    stand_in.publish(1, [good]);
    assert_eq!(relayer.submit().await.unwrap(), 1);
}

#[tokio::test]
async fn quotes_are_judged_as_of_now_whatever_the_publisher_says() {
    let stand_in = StandIn::on(Platform::valid_between(days_ago(10), days_ago(1)).unwrap()).await;
    let mut proof = stand_in.key(7).proof(&statement(1));
    let judged_at = days_ago(5).duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    proof["judgedAt"] = json!(judged_at.to_string());
    stand_in.publish(1, [proof]);
    assert_eq!(stand_in.relayer().await.submit().await.unwrap(), 0);
}

#[tokio::test]
async fn a_refused_proof_is_not_sent_beside_a_good_one() {
    let stand_in = StandIn::start().await;
    let (good, revoked) = (stand_in.key(7), stand_in.key(8));
    let mut refused = revoked.proof(&statement(1));
    refused["revokedAt"] = json!("2026-01-01T00:00:00Z");
    stand_in.publish(1, [refused, good.proof(&statement(1))]);
    assert_eq!(stand_in.relayer().await.submit().await.unwrap(), 1);
    let call: proveCall = stand_in.last_sent();
    let signature = good.sign(statement(1).bound_digest(&contract()));
    assert_eq!(call.proofs[0].signatures, [signature.to_bytes()]);
}

#[tokio::test]
async fn a_batch_waits_for_its_quorum_of_keys_that_count_and_of_types_of_enclave() {
    let stand_in = StandIn::start().await;
    let mut keys = [stand_in.key(7), stand_in.key(8)];
    keys.sort_by_key(stand_in::Key::address);
    // Published in this order, which is not the contract's.
    let [second, first] = &keys;
    let stranger = stand_in.key(9);
    stand_in.content().counting.remove(&stranger.address());
    let of = |keys: &[&stand_in::Key]| keys.iter().map(|key| key.proof(&statement(1))).collect::<Vec<_>>();
    let mut relayer = stand_in.relayer().await;
    let mut proven = async |proofs: Vec<Value>, quorum| {
        stand_in.content().quorum = quorum;
        stand_in.publish(1, proofs);
        relayer.submit().await.unwrap()
    };
    assert_eq!(proven(of(&[first]), (2, 1)).await, 0, "one key of two");
    assert_eq!(proven(of(&[first, first]), (2, 1)).await, 0, "one key twice");
    assert_eq!(proven(of(&[first, &stranger]), (2, 1)).await, 0, "one of them does not count");
    assert_eq!(proven(of(&[first, second]), (2, 2)).await, 0, "one type of two");
    assert_eq!(stand_in.sent(), 0);
    stand_in.content().counting.insert(second.address(), 2);
    assert_eq!(proven(of(&[first, second, &stranger]), (2, 2)).await, 1);

    // The contract takes each key once, in the order of their addresses.
    let call: proveCall = stand_in.last_sent();
    let signatures = keys.map(|key| key.sign(statement(1).bound_digest(&contract())).to_bytes());
    assert_eq!(call.proofs[0].signatures, signatures);
}

#[tokio::test]
async fn nothing_is_proven_while_the_verifier_is_paused() {
    let stand_in = StandIn::start().await;
    let proof = stand_in.key(7).proof(&statement(1));
    stand_in.publish(1, [proof]);
    stand_in.content().is_paused = true;
    let mut relayer = stand_in.relayer().await;
    assert_eq!((relayer.submit().await.unwrap(), stand_in.sent()), (0, 0));
    stand_in.content().is_paused = false;
    assert_eq!((relayer.submit().await.unwrap(), stand_in.sent()), (1, 1));
}

#[tokio::test]
async fn an_execution_is_approved_once_all_its_batches_are_proven() {
    let stand_in = StandIn::start().await;
    let file = stand_in.at("execution.json");
    fs::write(&file, r#"{"from": 1, "to": 2, "batch_data": "0x01", "openings": []}"#).unwrap();
    let mut relayer = stand_in.relayer().await;
    let mut approved = async |change: fn(&mut Content)| {
        change(&mut stand_in.content());
        relayer.approve(&file).await.unwrap()
    };
    assert!(!approved(|content| content.head = 1).await, "the second is not proven");
    assert!(!approved(|content| (content.head, content.is_paused) = (2, true)).await, "the verifier is paused");
    assert_eq!(stand_in.sent(), 0);
    assert!(!approved(|content| (content.is_paused, content.approves) = (false, false)).await, "it does not approve");
    assert_eq!(stand_in.sent(), 1);
    assert!(approved(|content| content.approves = true).await);
    assert_eq!(stand_in.sent(), 2);
    assert!(stand_in.relayer().await.approve(&file).await.unwrap(), "another relayer sees that it is approved");
    assert_eq!(stand_in.sent(), 2);

    let mut config = stand_in.config();
    config.second_factor = None;
    assert!(Relayer::open(config, false).await.unwrap().approve(&file).await.is_err());
}

#[tokio::test]
async fn no_more_is_paid_for_gas_than_the_configuration_says_and_a_failed_transaction_is_no_success() {
    let stand_in = StandIn::start().await;
    let proof = stand_in.key(7).proof(&statement(1));
    stand_in.publish(1, [proof]);
    stand_in.content().base_fee = 200 * GWEI;
    stand_in.content().priority_fee = 150 * GWEI;
    stand_in.content().transactions_succeed = false;
    assert!(stand_in.relayer().await.submit().await.is_err());
    let limit = format!("{:#x}", 100 * GWEI);
    let content = stand_in.content();
    let signed = &content.signed[0];
    assert_eq!((&signed["maxFeePerGas"], &signed["maxPriorityFeePerGas"]), (&json!(limit), &json!(limit)));
    assert_eq!(signed["chainId"], json!(format!("{SETTLEMENT_CHAIN:#x}")));
}

#[test]
fn executions_are_the_json_files_of_a_folder_each_opening_with_32_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let zero = B256::ZERO;
    let opening = |blobs: usize| {
        json!({
            "zk_porter_is_available": false, "bootloader": zero, "default_account": zero, "evm_emulator": zero,
            "system_logs_hash": zero, "state_diff_hash": zero, "bootloader_heap_initial_contents_hash": zero,
            "events_queue_state_hash": zero, "blobs": vec![zero; blobs],
        })
    };
    for (name, blobs) in [("b.json", 32), ("a.json", 31), ("c.json.tmp", 32), ("d.json", 33)] {
        let execution = json!({"from": 1, "to": 1, "batch_data": "0x01", "openings": [opening(blobs)]});
        fs::write(at(name), execution.to_string()).unwrap();
    }
    assert_eq!(execution::files(folder.path()).unwrap(), [at("a.json"), at("b.json"), at("d.json")]);
    assert!(Execution::read(&at("b.json")).is_ok());
    assert!(Execution::read(&at("a.json")).is_err() && Execution::read(&at("d.json")).is_err());
}
