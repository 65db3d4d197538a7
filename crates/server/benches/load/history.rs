//! What the rest of a server's work costs with millions of finished batches, and what it costs claims: answers to
//! people and scrapers, failed jobs, a new type of enclave, a revocation.

use std::{
    fs,
    time::{Duration, Instant},
};

use clap::Args;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::sleep;

use crate::{
    Figures,
    claims::settle,
    place::{Blob, Place, ServerProcess},
    prover::{Prover, http, percentile_ms, timed},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many batches are finished, each with a proof.
    #[arg(long, default_value_t = 3_000_000)]
    finished: u32,
    /// How many jobs behind them have failed and rest.
    #[arg(long, default_value_t = 100_000)]
    failed: u32,
    /// How often each thing is asked for.
    #[arg(long, default_value_t = 200)]
    times: u32,
}

/// How many keys proved the batches, in turn.
const KEYS: u32 = 10;
/// How many batches wait for a prover.
const OPEN: u32 = 1000;
/// Rows that one statement inserts.
const CHUNK: u32 = 500_000;
/// How often a prover claims while something runs in the background.
const PACE: Duration = Duration::from_millis(50);

impl Arguments {
    pub(crate) fn smoke() -> Self {
        Self { finished: 5000, failed: 100, times: 5 }
    }
}

pub(crate) async fn run(arguments: &Arguments, place: Place) -> Figures {
    let http = http();
    let keys: Vec<_> = (0..KEYS).map(|seed| Prover::new(&http, seed, vec![])).collect();
    place.migrate().await;
    let mut server = place.start().await;
    for key in &keys {
        key.register_at(&server.url()).await;
    }
    server.kill();
    fill(&place, arguments, &keys).await;

    let (server, started) = timed(place.start()).await;
    let asker = Asker { http, server, times: arguments.times };
    let mut figures: Figures = vec![
        ("database", place.database().into()),
        ("finished", arguments.finished.into()),
        ("failed", arguments.failed.into()),
        ("start_ms", milliseconds(started)),
    ];
    let mut claims = vec![];
    for _ in 0..arguments.times {
        claims.push(asker.claim("sgx").await);
    }
    figures.push(("claim_p50_ms", percentile_ms(&mut claims, 50).into()));
    figures.push(("claim_p99_ms", percentile_ms(&mut claims, 99).into()));
    let late = arguments.finished - arguments.finished / 10;
    for (name, path) in [
        ("metrics_p99_ms", "/metrics".to_owned()),
        ("failed_jobs_p99_ms", "/api/jobs?status=failed".to_owned()),
        ("jobs_of_type_without_any_p99_ms", "/api/jobs?tee_type=tdx".to_owned()),
        ("proofs_of_type_without_any_p99_ms", "/api/proofs?tee_type=tdx".to_owned()),
        ("late_page_of_jobs_p99_ms", format!("/api/jobs?tee_type=sgx&after={late}-sgx")),
        ("keys_p99_ms", "/api/attestations".to_owned()),
    ] {
        let mut took = vec![];
        for _ in 0..arguments.times {
            took.push(asker.get(&path).await);
        }
        figures.push((name, percentile_ms(&mut took, 99).into()));
    }

    // This type is new: all its jobs are made now.
    let begun = Instant::now();
    figures.push(("first_claim_of_new_type_ms", milliseconds(asker.claim("tdx").await)));
    let made = "SELECT COUNT(*) FROM claimed_tee_types WHERE pending_from IS NOT NULL";
    let mut meanwhile = asker.claims_while(&place, made).await;
    figures.push(("its_jobs_are_made_after_s", begun.elapsed().as_secs_f64().round().into()));
    figures.push(("claim_p99_meanwhile_ms", percentile_ms(&mut meanwhile, 99).into()));
    figures.push(("claim_longest_meanwhile_ms", percentile_ms(&mut meanwhile, 100).into()));

    let begun = Instant::now();
    let revoke = format!("/admin/attestations/{}/revoke", keys[0].public());
    let (_, took) = timed(asker.post(&revoke, &json!({"reason": "load"}))).await;
    figures.push(("revocation_ms", milliseconds(took)));
    let requeued = "SELECT COUNT(*) FROM tee_attestations WHERE requeue_below IS NOT NULL";
    let mut meanwhile = asker.claims_while(&place, requeued).await;
    figures.push(("its_batches_are_ready_after_s", begun.elapsed().as_secs_f64().round().into()));
    figures.push(("claim_p99_while_requeuing_ms", percentile_ms(&mut meanwhile, 99).into()));
    let ready =
        "SELECT COUNT(*) FROM tee_proof_generation_details WHERE tee_type = 'sgx' AND status = 'ready_to_be_proven'";
    assert_eq!(place.number(ready).await, i64::from(OPEN + arguments.finished.div_ceil(KEYS)));
    figures.push(("server_peak_rss_mib", asker.server.peak_rss_mib().into()));
    figures
}

struct Asker {
    http: Client,
    server: ServerProcess,
    times: u32,
}

impl Asker {
    async fn get(&self, path: &str) -> Duration {
        let (answer, took) = timed(async {
            let answer = self.http.get(format!("{}{path}", self.server.url())).send().await.unwrap();
            let status = answer.status();
            (status, answer.bytes().await.unwrap())
        })
        .await;
        assert_eq!(answer.0, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&answer.1));
        took
    }

    async fn post(&self, path: &str, body: &Value) {
        let answer = self.http.post(format!("{}{path}", self.server.url()));
        let answer = answer.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }

    /// Claims a batch, and gives it back outside the measured time.
    async fn claim(&self, tee_type: &str) -> Duration {
        let url = self.server.url();
        let (lease, took) = timed(async {
            let ask = self.http.post(format!("{url}/tee/proof_inputs")).header("accept-encoding", "zstd");
            let answer = ask.body(json!({"tee_type": tee_type}).to_string()).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let lease = answer.headers()["tee-lease-id"].to_str().unwrap().to_owned();
            answer.bytes().await.unwrap();
            lease
        })
        .await;
        let given_back = self.http.request(Method::DELETE, format!("{url}/tee/leases/{lease}")).send().await.unwrap();
        assert_eq!(given_back.status(), StatusCode::OK);
        took
    }

    /// Claims until a statement counts nothing any more.
    async fn claims_while(&self, place: &Place, left: &str) -> Vec<Duration> {
        let mut claims = vec![];
        loop {
            for _ in 0..self.times.min(40) {
                claims.push(self.claim("sgx").await);
                sleep(PACE).await;
            }
            if place.number(left).await == 0 {
                return claims;
            }
        }
    }
}

/// Finished batches, failed ones, and some that wait. All have the same input, which nothing reads.
async fn fill(place: &Place, arguments: &Arguments, keys: &[Prover]) {
    let blob = Blob::tiny(1..=1).remove(0);
    let inputs = place.folder.path().join("objects/inputs");
    fs::create_dir_all(&inputs).unwrap();
    for form in ["json", "cbor"] {
        fs::write(inputs.join(format!("all.{form}.zst")), &blob.bytes).unwrap();
    }
    let bytes = |bytes: &[u8]| match place.is_sqlite() {
        true => format!("x'{}'", hex::encode(bytes)),
        false => format!("'\\x{}'::bytea", hex::encode(bytes)),
    };
    let (size, sha256) = (blob.bytes.len(), bytes(&blob.sha256));
    let root = if place.is_sqlite() {
        "CAST(printf('%032d', i) AS BLOB)"
    } else {
        "convert_to(lpad(i::text, 32, '0'), 'UTF8')"
    };
    let whens: Vec<_> =
        (0..).zip(keys).map(|(turn, key)| format!("WHEN {turn} THEN {}", bytes(&key.public().to_bytes()))).collect();
    let key = format!("CASE i % {KEYS} {} END", whens.join(" "));
    let signature = bytes(&keys[0].proof(1).signature.to_bytes());
    let finished = arguments.finished;
    let (failed, all) = (finished + arguments.failed, finished + arguments.failed + OPEN);
    let mut connection = place.connection().await;
    sqlx::raw_sql("INSERT INTO claimed_tee_types (tee_type) VALUES ('sgx')").execute(&mut connection).await.unwrap();
    for first in (1..=all).step_by(CHUNK as usize) {
        let last = all.min(first + CHUNK - 1);
        let numbers = match place.is_sqlite() {
            true => format!("WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"),
            false => format!("WITH n(i) AS (SELECT generate_series({first}, {last}))"),
        };
        let mut transaction = connection.begin().await.unwrap();
        for insert in [
            format!(
                "INSERT INTO batches
                     (number, input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, source, created_at)
                 {numbers} SELECT i, 'inputs/all', {size}, {sha256}, {size}, {sha256}, 'load', 0 FROM n"
            ),
            format!(
                "INSERT INTO tee_proof_generation_details
                     (l1_batch_number, tee_type, status, attempts, claimable_at, created_at, updated_at)
                 {numbers} SELECT i, 'sgx',
                     CASE WHEN i <= {finished} THEN 'generated' WHEN i <= {failed} THEN 'failed' ELSE 'ready_to_be_proven' END,
                     1, CASE WHEN i <= {finished} THEN NULL WHEN i <= {failed} THEN 9000000000000 ELSE 0 END, 0, i FROM n"
            ),
            format!(
                "INSERT INTO tee_proofs (l1_batch_number, tee_type, pubkey, signature, proof, received_at)
                 {numbers} SELECT i, 'sgx', {key}, {signature}, {root}, i FROM n WHERE i <= {finished}"
            ),
        ] {
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
    settle(&mut connection).await;
    connection.close().await.unwrap();
}

fn milliseconds(duration: Duration) -> Value {
    (duration.as_secs_f64() * 1000.0).into()
}
