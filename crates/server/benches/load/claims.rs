//! What a claim costs with more and more finished batches.

use std::{process::Command, time::Duration};

use clap::Args;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::{
    Figures,
    place::{Blob, Place},
    prover::{Prover, http, percentile_ms, timed},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many batches are finished, from fewer to more.
    #[arg(long, value_delimiter = ',', default_value = "1000,100000,10000000")]
    finished: Vec<u32>,
    /// How many claims are measured.
    #[arg(long, default_value_t = 500)]
    claims: u32,
}

/// Batch numbers from here on wait for a prover.
const FIRST_OPEN: u32 = 1_000_000_000;

/// Rows that one statement inserts.
const CHUNK: u32 = 1_000_000;

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { finished: vec![100, 1000], claims: 20 }
    }
}

pub(crate) async fn run(arguments: &Arguments, place: Place) -> Vec<Figures> {
    let (mut all, mut present, mut open) = (vec![], 0, FIRST_OPEN);
    let mut first_p50 = None;
    for &finished in &arguments.finished {
        add_finished(&place, present, finished).await;
        present = finished;
        let numbers = open..open + arguments.claims;
        open = numbers.end;
        place.add_batches(numbers.start, &Blob::tiny(numbers)).await;
        let server = place.start().await;
        let http = http();
        let mut prover = Prover::new(&http, 1, vec![server.url()]);
        prover.register().await;
        let (mut claims, mut idle): (Vec<Duration>, Vec<Duration>) = (vec![], vec![]);
        for _ in 0..arguments.claims {
            let (claimed, took) = timed(prover.claim()).await;
            assert!(prover.submit(&claimed.unwrap()).await);
            claims.push(took);
        }
        // Claims that find nothing: only the search, without a commit.
        for _ in 0..arguments.claims {
            let (claimed, took) = timed(prover.claim()).await;
            assert!(claimed.is_none());
            idle.push(took);
        }
        let p50 = percentile_ms(&mut claims, 50);
        let idle_p50 = percentile_ms(&mut idle, 50);
        let (first, first_idle) = *first_p50.get_or_insert((p50, idle_p50));
        all.push(vec![
            ("database", place.database().into()),
            ("finished", finished.into()),
            ("claim_p50_ms", p50.into()),
            ("claim_p99_ms", percentile_ms(&mut claims, 99).into()),
            ("ratio_to_first", (p50 / first).into()),
            ("empty_claim_p50_ms", idle_p50.into()),
            ("empty_ratio_to_first", (idle_p50 / first_idle).into()),
        ]);
    }
    all
}

/// Batches from `present` + 1 to `finished` with their jobs.
async fn add_finished(place: &Place, present: u32, finished: u32) {
    place.migrate().await;
    let mut connection = place.connection().await;
    let mut first = present + 1;
    while first <= finished {
        let last = finished.min(first + CHUNK - 1);
        let numbers = match place.is_sqlite() {
            true => format!("WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"),
            false => format!("WITH n(i) AS (SELECT generate_series({first}, {last}))"),
        };
        let empty = if place.is_sqlite() { "x''" } else { "''::bytea" };
        let mut transaction = connection.begin().await.unwrap();
        for insert in [
            format!(
                "INSERT INTO batches
                     (number, input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, source, created_at)
                 {numbers} SELECT i, 'x', 0, {empty}, 0, {empty}, 'load', 0 FROM n"
            ),
            format!(
                "INSERT INTO tee_proof_generation_details
                     (l1_batch_number, tee_type, status, attempts, created_at, updated_at)
                 {numbers} SELECT i, 'sgx', 'generated', 1, 0, i FROM n"
            ),
        ] {
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        first = last + 1;
    }
    settle(&mut connection).await;
    connection.close().await.unwrap();
}

/// Maintenance that a database does by itself over time, and the writing that remains after so many rows at once:
/// neither is a cost of claims. SQLite's planner needs no statistics, and gets none.
pub(crate) async fn settle(connection: &mut AnyConnection) {
    let housekeeping: &[&'static str] = match connection.backend_name() {
        "PostgreSQL" => &["VACUUM ANALYZE", "CHECKPOINT"],
        _ => &["PRAGMA wal_checkpoint(TRUNCATE)"],
    };
    for statement in housekeeping {
        sqlx::raw_sql(*statement).execute(&mut *connection).await.unwrap();
    }
    assert!(Command::new("sync").status().unwrap().success());
}
