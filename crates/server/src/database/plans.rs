//! How the database would run frequent queries, for the test that no such query reads millions of rows.

use sqlx::{AssertSqlSafe, Row};
use tee_api::{JobStatus, TeeType};

use super::{
    Database, JobFilter, ProofFilter,
    batches::{PLACES_OF_TRANSACTION, PRESENT_INPUTS, retirable_statement},
    jobs::{FINISHED, claim_statement, job_counts_statement, jobs_statement},
    proofs::{BATCHES_OF_ROOT, PROOFS_OF_KEY, proofs_statement},
};

impl Database {
    /// For each statement its name and its plan, in the database's words.
    pub(crate) async fn plans(&self, key: &[u8]) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
        let is_sqlite = self.is_sqlite();
        let job_filter = |tee_type, status| JobFilter { number: None, tee_type, status };
        let sgx = Some(TeeType::Sgx);
        let of_key = "WHERE pubkey = $1 AND l1_batch_number < $2 ORDER BY l1_batch_number DESC LIMIT 1 OFFSET 999";
        let statements = [
            ("claim", claim_statement(is_sqlite).to_owned(), &["'l'", "1", "1", "1", "'sgx'", "0", "'p'", "9"][..]),
            ("jobs", jobs_statement(&job_filter(None, None)), &["0", "4294967295", "9", "-1", "''"]),
            ("jobs of a type", jobs_statement(&job_filter(sgx, None)), &["0", "4294967295", "9"]),
            (
                "jobs of a type and status",
                jobs_statement(&job_filter(sgx, Some(JobStatus::Failed))),
                &["0", "4294967295", "9"],
            ),
            ("job counts", job_counts_statement(), &[]),
            (
                "proofs of a type",
                proofs_statement(&ProofFilter { number: None, tee_type: Some(TeeType::Tdx) }),
                &["0", "4294967295", "9", "0", "KEY"],
            ),
            ("proofs of a key", format!("SELECT l1_batch_number FROM tee_proofs {of_key}"), &["KEY", "4294967296"]),
            ("a page of a key's proofs", PROOFS_OF_KEY.to_owned(), &["KEY", "4294967296", "50"]),
            ("batches of a root", BATCHES_OF_ROOT.to_owned(), &["KEY", "9"]),
            ("finished jobs", FINISHED.to_owned(), &["4102444800000", "9"]),
            (
                "open disagreements",
                "SELECT COUNT(*) FROM tee_proof_disagreements WHERE resolved_at IS NULL".to_owned(),
                &[],
            ),
            ("retirable inputs", retirable_statement(), &["1", "1001", "1", "50"]),
            ("places of a transaction", PLACES_OF_TRANSACTION.to_owned(), &["KEY", "KEY", "9"]),
            ("present inputs", PRESENT_INPUTS.to_owned(), &[]),
        ];
        let key = hex::encode(key);
        let (explain, key) = match is_sqlite {
            true => ("EXPLAIN QUERY PLAN", format!("x'{key}'")),
            false => ("EXPLAIN", format!("'\\x{key}'")),
        };
        let mut plans = vec![];
        for (name, mut statement, parameters) in statements {
            for (index, parameter) in parameters.iter().enumerate() {
                let value = if *parameter == "KEY" { key.as_str() } else { parameter };
                statement = statement.replace(&format!("${}", index + 1), value);
            }
            let plan = sqlx::query(AssertSqlSafe(format!("{explain} {statement}")));
            let rows = self.readers.fetch_all(plan).await?;
            let lines = rows.iter().map(|row| row.try_get::<String, _>(if is_sqlite { 3 } else { 0 }));
            plans.push((name, lines.collect::<Result<Vec<_>, _>>()?.join("\n")));
        }
        Ok(plans)
    }
}
