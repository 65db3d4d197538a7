//! The suite on PostgreSQL, and what holds for the databases themselves.

use std::process::Command;

use sqlx::{AnyConnection, Connection};
use tee_server::{Clock, Config, KeyStanding, MigrationError, Server, StartError};

use crate::{
    postgres::Cluster,
    world::{World, config, database},
};

/// Runs all other tests again, in another process, on PostgreSQL.
#[test]
fn the_suite_passes_on_postgresql_too() {
    if std::env::var_os("TEE_TEST_POSTGRES").is_some() {
        return;
    }
    let Some(cluster) = Cluster::start(false) else {
        return test_skips::skip("PostgreSQL");
    };
    let suite = Command::new(std::env::current_exe().unwrap())
        .env("TEE_TEST_POSTGRES", cluster.url("{database}"))
        .output()
        .unwrap();
    assert!(suite.status.success(), "{}", String::from_utf8_lossy(&suite.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_make_one_schema() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { database_url: database(&folder).await.into(), ..config(&folder) };
    let starting: Vec<_> = (0..8).map(|_| tokio::spawn(Server::start(config.clone()))).collect();
    for server in starting {
        server.await.unwrap().unwrap().stop().await;
    }
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let world = World::start().await;
    world.add(1).await;
    let migrated = tee_server::migrate(&world.config.database_url).await.unwrap();
    let World { server, config, database_url, .. } = world;
    server.stop().await;

    let newer = format!(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT {}, 'newer', success, checksum, execution_time FROM _sqlx_migrations LIMIT 1",
        migrated.version + 1
    );
    let mut connection = AnyConnection::connect(&database_url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(newer)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let refused = Server::start_with_clock(config.clone(), Clock::System).await;
    let refused = refused.err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains("run a newer version"), "{refused}");
    let refused = tee_server::migrate(&config.database_url).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Newer { found, known } if found == known + 1), "{refused:?}");
}

#[tokio::test]
async fn standings_of_keys_come_from_the_verdicts_that_were_texts() {
    let world = World::start().await;
    world.execute("ALTER TABLE tee_attestations ADD COLUMN verdict TEXT NOT NULL DEFAULT 'unjudged'").await;
    let cases = [
        ("unjudged", "NULL", "NULL", KeyStanding::Unjudged, None),
        ("accepted", "NULL", "NULL", KeyStanding::Accepted, None),
        ("accepted", "NULL", "7", KeyStanding::Suspended, None),
        ("refused: measurement: 00", "7", "NULL", KeyStanding::Refused, Some("measurement: 00")),
        ("revoked: stolen", "7", "7", KeyStanding::Revoked, Some("stolen")),
    ];
    let mut expected = vec![];
    for (number, (verdict, revoked_at, suspended_at, standing, reason)) in (1..).zip(cases) {
        let key = world.registered_key(number).await.public();
        let row = world.bytes_literal(&key.to_bytes());
        world
            .execute(&format!(
                "UPDATE tee_attestations SET verdict = '{verdict}', revoked_at = {revoked_at}, suspended_at = {suspended_at}
                 WHERE pubkey = {row}"
            ))
            .await;
        expected.push((key.to_bytes(), standing, reason.map(str::to_owned)));
    }
    expected.sort_by_key(|(key, ..)| *key);
    // As it was before.
    world.execute("ALTER TABLE tee_attestations DROP COLUMN standing").await;
    world.execute("ALTER TABLE tee_attestations DROP COLUMN standing_reason").await;
    world.execute("DELETE FROM _sqlx_migrations WHERE version = 14").await;
    let world = world.restart().await;
    let keys = world.server.service().attestations(None, 9).await.unwrap();
    let found: Vec<_> =
        keys.into_iter().map(|key| (key.pubkey.to_bytes(), key.standing, key.standing_reason)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = "postgres://me:secret@127.0.0.1:1/tee".to_owned();
    let refused = Server::start(Config { database_url: nowhere.into(), ..config(&folder) }).await.unwrap_err();
    assert!(matches!(refused, StartError::Database(MigrationError::Database(_))), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("secret"));
}
