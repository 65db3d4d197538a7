//! Inputs in stores other than a folder.

use std::process::Command;

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder};
use reqwest::StatusCode;
use tee_api::{Client, ClientError, ClientOptions, TeeType};
use tee_server::{AddBatchError, AddedBatch, JobStatus, ObjectStoreUrl};

use crate::{
    s3::S3Server,
    world::{World, http, input, new_batch},
};

#[tokio::test]
async fn memory_keeps_inputs_as_long_as_the_server_runs() {
    let world = on("memory://").await;
    world.add(1).await;
    assert_eq!(world.server.service().add_batch(new_batch(1, None)).await.unwrap(), AddedBatch::Known);
    assert_eq!(world.claim("sgx").await.unwrap().0, 1);
}

/// On an S3 server from the package index: credentials come from the environment, so the test runs itself again in one.
#[tokio::test]
async fn a_bucket_keeps_inputs_and_what_is_wrong_there_is_noticed() {
    if std::env::var_os("AWS_ENDPOINT_URL").is_some() {
        return use_bucket().await;
    }
    let Some(server) = S3Server::start() else {
        return test_skips::skip("moto_server in the path");
    };
    let made = http().put(format!("{}/inputs", server.endpoint)).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::OK);
    let itself = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "objects::a_bucket_keeps_inputs_and_what_is_wrong_there_is_noticed"])
        .envs(server.environment())
        .output()
        .unwrap();
    assert!(itself.status.success(), "{}", String::from_utf8_lossy(&itself.stdout));
}

async fn use_bucket() {
    let world = on("s3://inputs/a/prefix").await;
    for number in 1..=4 {
        world.add(number).await;
    }
    let bucket = AmazonS3Builder::from_env().with_bucket_name("inputs").build().unwrap();
    let inputs = object_store::path::Path::from("a/prefix/inputs");
    let blobs: Vec<_> = bucket.list(Some(&inputs)).map_ok(|blob| blob.location).try_collect().await.unwrap();
    assert_eq!(blobs.len(), 8);
    assert!(blobs.iter().all(|blob| blob.as_ref().starts_with("a/prefix/inputs/")), "{blobs:?}");
    let service = world.server.service();
    assert_eq!(service.add_batch(new_batch(1, None)).await.unwrap(), AddedBatch::Known);
    let mut changed = new_batch(1, None);
    changed.input.l1_batch_env.timestamp += 1;
    assert!(matches!(service.add_batch(changed).await, Err(AddBatchError::Changed { number: 1 })));

    let of = |number: u32| blobs.iter().filter(move |blob| blob.as_ref().contains(&format!("/{number}-")));
    for blob in of(1) {
        bucket.delete(blob).await.unwrap();
    }
    for blob in of(2) {
        let mut bytes = bucket.get(blob).await.unwrap().bytes().await.unwrap().to_vec();
        bytes[7] ^= 1;
        bucket.put(blob, bytes.into()).await.unwrap();
    }
    let client = Client::new(&world.url(), ClientOptions::default()).unwrap();
    let error = client.proof_inputs(TeeType::Sgx).await.unwrap_err();
    assert!(matches!(error, ClientError::Network { .. }), "{error:?}");
    let work = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
    assert_eq!(work.input.unwrap(), input(3));
    let failed = [(1, JobStatus::Failed), (2, JobStatus::Failed)];
    assert_eq!(world.statuses(TeeType::Sgx).await[..2], failed);

    for blob in of(3).chain(of(4)) {
        bucket.delete(blob).await.unwrap();
    }
    assert_eq!(world.claim("sgx").await, None);
    assert_eq!(world.statuses(TeeType::Sgx).await[3], (4, JobStatus::Failed));
}

async fn on(url: &str) -> World {
    World::start_with(|config| config.object_store = url.parse::<ObjectStoreUrl>().unwrap()).await
}
