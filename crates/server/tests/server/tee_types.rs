//! Which types of enclave have jobs, and how their jobs come and go.

use std::time::Duration;

use serde_json::json;
use tee_api::TeeType;
use tee_server::{JobStatus::*, RequiredProofs};

use crate::world::{ROOT, World};

async fn jobs(world: &World, tee_type: TeeType) -> u64 {
    let counts = world.server.service().job_counts().await.unwrap();
    counts.iter().filter(|count| count.tee_type == tee_type).map(|count| count.jobs).sum()
}

/// Waits for background work.
async fn until_there_are(world: &World, tee_type: TeeType, expected: u64) {
    for _ in 0..400 {
        if jobs(world, tee_type).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there are {} jobs and not {expected}", jobs(world, tee_type).await);
}

#[tokio::test]
async fn the_first_claim_of_a_type_makes_some_of_its_jobs_and_the_others_follow_in_the_background() {
    let world = World::start().await;
    world.add(1).await;
    world.insert_batches(2, 4500).await;
    assert_eq!(world.claim("tdx").await.unwrap().0, 1);
    until_there_are(&world, TeeType::Tdx, 4500).await;
    assert_eq!(jobs(&world, TeeType::Sgx).await, 0);
}

#[tokio::test]
async fn a_server_goes_on_with_what_another_left_undone() {
    let world = World::start().await;
    world.insert_batches(1, 2500).await;
    world.execute("INSERT INTO claimed_tee_types (tee_type, pending_from) VALUES ('sgx', 700)").await;
    until_there_are(&world, TeeType::Sgx, 2500 - 699).await;
}

#[tokio::test]
async fn a_type_that_is_not_configured_gets_nothing_and_makes_no_jobs() {
    let world = World::start_with(|config| {
        config.tee_types = vec![TeeType::Sgx];
        config.required_proofs = RequiredProofs { sgx: None, tdx: Some(1) };
    })
    .await;
    world.add(1).await;
    for tee_type in ["tdx", "none"] {
        assert_eq!(world.claim(tee_type).await, None);
    }
    assert_eq!(world.statuses(TeeType::Tdx).await, []);
    assert_eq!(world.statuses(TeeType::None).await, []);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
}

#[tokio::test]
async fn a_retired_type_loses_its_jobs_without_proofs_and_comes_back_when_it_is_served_again() {
    let world = World::start_with(|config| config.required_proofs = RequiredProofs { sgx: Some(2), tdx: None }).await;
    for number in 1..=4 {
        world.add(number).await;
    }
    let (one, two) = (world.registered_key(1).await, world.registered_key(2).await);
    world.submit(1, &one.proof(ROOT), None).await.assert_success();
    world.submit(1, &two.proof(ROOT), None).await.assert_success();
    world.submit(2, &one.proof(crate::world::root(2)), None).await.assert_success();
    let (number, lease) = world.claim("sgx").await.unwrap();
    assert_eq!(number, 2);
    assert_eq!(world.claim("sgx").await.unwrap().0, 3);
    assert_eq!(world.claim("tdx").await.unwrap().0, 1);
    world.insert_batches(5, 3000).await;

    let change = async |path: &str| world.post(&format!("/admin/tee_types/{path}"), &json!({})).await;
    change("sgx/retire").await.assert_success();
    change("sgx/retire").await.assert_success();
    until_there_are(&world, TeeType::Sgx, 1).await;
    assert_eq!(world.statuses(TeeType::Sgx).await[..2], [(1, Generated), (2, PermanentlyIgnored)]);
    assert_eq!(world.rpc_proofs(2).await[0]["status"], "permanently_ignored");
    world.post(&format!("/tee/leases/{lease}/renew"), &json!({})).await.assert_problem(409, "stale_lease");
    // Neither claims nor new batches make jobs for it; other types are as before.
    world.add(3001).await;
    assert_eq!(world.claim("sgx").await, None);
    assert_eq!(jobs(&world, TeeType::Sgx).await, 1);
    assert_eq!(world.claim("tdx").await.unwrap().0, 2);

    change("sgx/serve").await.assert_success();
    until_there_are(&world, TeeType::Sgx, 3000).await;
    assert_eq!(world.statuses(TeeType::Sgx).await[..2], [(1, Generated), (2, ReadyToBeProven)]);
    assert_eq!(world.claim("sgx").await.unwrap().0, 2);
    for path in ["sev/retire", "sgx/delete"] {
        change(path).await.assert_problem(400, "malformed_path");
    }
}

#[tokio::test]
async fn unfinished_jobs_are_listed_by_status_whatever_their_type() {
    let world = World::start().await;
    for number in 1..=3 {
        world.add(number).await;
    }
    for tee_type in ["sgx", "tdx", "none"] {
        assert_eq!(world.claim(tee_type).await.unwrap().0, 1);
    }
    let (mut listed, mut after) = (vec![], String::new());
    loop {
        let page = world.get(&format!("/api/jobs?status=ready_to_be_proven&limit=2{after}")).await.json();
        for item in page["items"].as_array().unwrap() {
            listed.push((item["batch"].as_u64().unwrap(), item["tee_type"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let expected: Vec<_> = [2, 3]
        .into_iter()
        .flat_map(|number| ["none", "sgx", "tdx"].map(|tee_type| (number, tee_type.to_owned())))
        .collect();
    assert_eq!(listed, expected);
}
