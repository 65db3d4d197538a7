//! Frequent queries are answered by an index, however many batches there are.

use crate::world::World;

const JOBS: u32 = 30_000;
const KEY: [u8; 33] = [2; 33];

/// Finished jobs with proofs, and some that are not finished.
async fn fill(world: &World) {
    let root = world.bytes_literal(&[0; 32]);
    let key = |number: u32| world.bytes_literal(&[KEY[0] + (number % 10) as u8; 33]);
    for number in 0..10 {
        let key = key(number);
        world
            .execute(&format!(
                "INSERT INTO tee_attestations (pubkey, quote, tee_type, standing, registered_at)
                 VALUES ({key}, {root}, 'sgx', 'unjudged', 0)"
            ))
            .await;
    }
    world.insert_batches(1, JOBS).await;
    for from in (1..=JOBS).step_by(500) {
        let rows = |row: &dyn Fn(u32) -> String| (from..from + 500).map(row).collect::<Vec<_>>().join(",");
        let job = |number| {
            let (status, claimable_at) = match number % 1000 {
                0 => ("failed", "0"),
                1 => ("ready_to_be_proven", "0"),
                _ => ("generated", "NULL"),
            };
            format!("({number}, 'sgx', '{status}', {claimable_at}, 0, 0)")
        };
        let proof = |number| format!("({number}, 'sgx', {}, {root}, {root}, 0)", key(number));
        world
            .execute(&format!(
                "INSERT INTO tee_proof_generation_details
                     (l1_batch_number, tee_type, status, claimable_at, created_at, updated_at)
                 VALUES {};
                 INSERT INTO tee_proofs (l1_batch_number, tee_type, pubkey, signature, proof, received_at) VALUES {}",
                rows(&job),
                rows(&proof)
            ))
            .await;
        let transaction = |number: u32| {
            let hash = [number.to_be_bytes().as_slice(), &[0; 28]].concat();
            format!("({number}, 1, {})", world.bytes_literal(&hash))
        };
        let rows = rows(&transaction);
        world.execute(&format!("INSERT INTO batch_transactions (l1_batch_number, position, hash) VALUES {rows}")).await;
    }
    world.execute("ANALYZE").await;
}

#[tokio::test]
async fn what_is_asked_often_is_answered_by_an_index() {
    let world = World::start().await;
    fill(&world).await;
    for (name, plan) in world.server.service().plans(&KEY).await.unwrap() {
        let indices: &[&str] = match name {
            "claim" => &["tee_unfinished_jobs_of_type", "tee_ends_of_waiting", "tee_held_leases"],
            // On PostgreSQL, where nearly all jobs are of the type, another index may do.
            "jobs of a type" if world.database_url.starts_with("sqlite") => &["tee_jobs_of_type"],
            "jobs of a type and status" | "job counts" => &["tee_unfinished_jobs_of_type"],
            "proofs of a type" => &["tee_proofs_of_type"],
            "places of a transaction" => &["batch_transactions_by_hash"],
            "present inputs" if world.database_url.starts_with("sqlite") => &["tee_batches_with_input"],
            "a page of a key's proofs" if world.database_url.starts_with("sqlite") => &["tee_proofs_of_key"],
            "batches of a root" if world.database_url.starts_with("sqlite") => &["tee_proofs_by_key"],
            "finished jobs" if world.database_url.starts_with("sqlite") => &["tee_job_changes"],
            // PostgreSQL takes another index where so few proofs are of one key.
            "proofs of a key" if world.database_url.starts_with("sqlite") => &["tee_proofs_of_key"],
            _ => &[],
        };
        for index in indices {
            assert!(plan.contains(index), "{name} does without {index}:\n{plan}");
        }
        for table in ["tee_proof_generation_details", "tee_proofs", "batches", "batch_transactions"] {
            for scan in [format!("SCAN {table}"), format!("Seq Scan on {table}")] {
                let whole = plan.lines().find(|line| line.contains(&scan) && !line.contains("INDEX"));
                assert_eq!(whole, None, "{name} looks at all rows:\n{plan}");
            }
        }
    }
}
