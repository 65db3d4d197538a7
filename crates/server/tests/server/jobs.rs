//! Claims and leases.

use std::{collections::HashMap, sync::Arc, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tee_api::TeeType;
use tee_server::JobStatus::{Failed, Generated, PickedByProver, ReadyToBeProven};

use crate::world::{LEASE_SECS, ROOT, World, root};

#[tokio::test(flavor = "multi_thread")]
async fn no_batch_is_handed_out_twice_to_many_claimers() {
    let world = Arc::new(World::start().await);
    for number in 1..=60 {
        world.add(number).await;
    }
    let claimers: Vec<_> = (0..16)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut claimed = vec![];
                while let Some((number, lease)) = world.claim("sgx").await {
                    claimed.push((number, lease));
                }
                claimed
            })
        })
        .collect();
    let mut leases = HashMap::new();
    let mut numbers = vec![];
    for claimer in claimers {
        for (number, lease) in claimer.await.unwrap() {
            numbers.push(number);
            assert_eq!(leases.insert(lease, number), None);
        }
    }
    numbers.sort();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    assert!(world.overview().await.iter().all(|row| row.attempts == 1 && row.status == PickedByProver));
}

#[tokio::test]
async fn two_servers_on_one_file_never_hand_out_the_same_batch() {
    let world = World::start().await;
    let other = world.beside().await;
    for number in 1..=20 {
        world.add(number).await;
    }
    let claim_all = async |world: &World| {
        let mut numbers = vec![];
        while let Some((number, _)) = world.claim("tdx").await {
            numbers.push(number);
        }
        numbers
    };
    let (first, second) = tokio::join!(claim_all(&world), claim_all(&other));
    let mut numbers = [first, second].concat();
    numbers.sort();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_lowest_batch_comes_first_and_there_is_nothing_after_the_last() {
    let world = World::start().await;
    assert_eq!(world.claim("sgx").await, None);
    for number in [7, 5, 6] {
        world.add(number).await;
    }
    for number in [5, 6, 7] {
        assert_eq!(world.claim("sgx").await.unwrap().0, number);
    }
    assert_eq!(world.claim("sgx").await, None);
}

#[tokio::test]
async fn an_expired_claim_is_handed_out_again_and_its_lease_changes_nothing_any_more() {
    let world = World::start().await;
    world.add(1).await;
    let (_, first) = world.claim("sgx").await.unwrap();
    world.clock.advance(Duration::from_secs(LEASE_SECS - 1));
    assert_eq!(world.claim("sgx").await, None);
    world.clock.advance(Duration::from_secs(1));
    let (number, second) = world.claim("sgx").await.unwrap();
    assert_eq!(number, 1);
    assert_ne!(first, second);
    assert_eq!(world.overview().await[0].attempts, 2);

    let key = world.registered_key(1).await;
    let path = |end: &str| format!("/tee/leases/{first}{end}");
    world.post(&path("/renew"), &json!({})).await.assert_problem(409, "stale_lease");
    world.post(&path("/fail"), &json!({"kind": "k", "error": "e"})).await.assert_problem(409, "stale_lease");
    world.send(Method::DELETE, &path(""), &[], "").await.assert_problem(409, "stale_lease");
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver)]);
    assert_eq!(world.overview().await[0].proof, None);

    world.submit(1, &key.proof(ROOT), Some(&second)).await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Generated)]);
}

#[tokio::test]
async fn an_expired_lease_that_nobody_took_still_submits() {
    let world = World::start().await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.clock.advance(Duration::from_secs(2 * LEASE_SECS));
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
}

#[tokio::test]
async fn a_lease_is_not_renewed_without_end() {
    let world = World::start_with(|config| config.longest_lease_secs = 3 * LEASE_SECS as u32 / 2).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    let renew = format!("/tee/leases/{lease}/renew");
    world.clock.advance(Duration::from_secs(LEASE_SECS));
    let answer = world.post(&renew, &json!({})).await;
    answer.assert_success();
    assert_eq!(answer.headers["tee-lease-expires-in"], (LEASE_SECS / 2).to_string());
    world.clock.advance(Duration::from_secs(LEASE_SECS / 2));
    world.post(&renew, &json!({})).await.assert_problem(409, "stale_lease");
    // The next prover gets the batch, but a proof that arrives nevertheless counts.
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    world.submit(1, &key.proof(ROOT), Some(&lease)).await.assert_success();
}

#[tokio::test]
async fn a_renewed_lease_lasts_longer() {
    let world = World::start().await;
    world.add(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.clock.advance(Duration::from_secs(LEASE_SECS - 1));
    let answer = world.post(&format!("/tee/leases/{lease}/renew"), &json!({})).await;
    answer.assert_success();
    assert_eq!(answer.headers["tee-lease-id"], *lease);
    assert_eq!(answer.headers["tee-lease-expires-in"], LEASE_SECS.to_string());
    world.clock.advance(Duration::from_secs(LEASE_SECS - 1));
    assert_eq!(world.claim("sgx").await, None);
    world.clock.advance(Duration::from_secs(1));
    assert!(world.claim("sgx").await.is_some());
}

#[tokio::test]
async fn a_batch_given_back_is_handed_out_again_and_a_failed_one_is_not() {
    let world = World::start().await;
    world.add(1).await;
    let (_, lease) = world.claim("sgx").await.unwrap();
    world.send(Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, ReadyToBeProven)]);

    let (_, lease) = world.claim("sgx").await.unwrap();
    let report = json!({"kind": "previous_root", "error": "the paths do not fold to it"});
    world.post(&format!("/tee/leases/{lease}/fail"), &report).await.assert_success();
    assert_eq!(world.claim("sgx").await, None);
    let row = &world.overview().await[0];
    assert_eq!((row.status, row.attempts), (Failed, 1));
    assert_eq!(row.error_kind.as_deref(), Some("previous_root"));
    assert_eq!(row.error.as_deref(), Some("the paths do not fold to it"));
}

#[tokio::test]
async fn tee_types_have_jobs_of_their_own_once_they_ask() {
    let world = World::start().await;
    world.add(1).await;
    assert_eq!(world.overview().await[0].tee_type, None);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
    world.add(2).await;
    assert_eq!(world.claim("tdx").await.unwrap().0, 1);
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver), (2, ReadyToBeProven)]);
    assert_eq!(world.statuses(TeeType::Tdx).await, [(1, PickedByProver), (2, ReadyToBeProven)]);
    assert_eq!(world.statuses(TeeType::None).await, []);
}

#[tokio::test]
async fn a_prover_of_type_none_gets_each_batch_once_and_disturbs_no_other() {
    let world = World::start().await;
    world.add(1).await;
    world.add(2).await;
    assert_eq!(world.claim("none").await.unwrap().0, 1);
    let (second, lease) = world.claim("none").await.unwrap();
    assert_eq!(second, 2);
    world.clock.advance(Duration::from_secs(10 * LEASE_SECS));
    assert_eq!(world.claim("none").await, None);
    // Given back because it was not finished.
    world.send(Method::DELETE, &format!("/tee/leases/{lease}"), &[], "").await.assert_success();
    assert_eq!(world.claim("none").await.unwrap().0, 2);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let world = World::start().await;
    for number in 1..=3 {
        world.add(number).await;
    }
    let key = world.registered_key(1).await;
    let (_, first) = world.claim("sgx").await.unwrap();
    let (_, second) = world.claim("sgx").await.unwrap();
    world.submit(1, &key.proof(ROOT), Some(&first)).await.assert_success();
    let before = world.overview().await;

    let world = world.restart().await;
    assert_eq!(world.overview().await, before);
    world.submit(2, &key.proof(root(2)), Some(&second)).await.assert_success();
    assert_eq!(world.claim("sgx").await.unwrap().0, 3);
    assert_eq!(world.get("/tee/present_batches").await.body, br#"{"oldest_batch":1,"latest_batch":3}"#);
    assert_eq!(world.get("/health/ready").await.status, StatusCode::OK);
}
