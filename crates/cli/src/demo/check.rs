//! Compares proofs with what the devnet knows, independently of the server's judgement.

use tee_api::{PublicKey, SignedStatement};
use tee_server::{OverviewProof, OverviewRow};

use super::Sealed;

/// The result of the checks.
pub(crate) struct Checked {
    /// The number of batches with a valid proof.
    pub(crate) count: usize,
    /// The problems, for people.
    pub(crate) problems: Vec<String>,
}

/// Checks every batch's proof: it must be signed by `key`, for the devnet's root, with a statement that says the same and continues
/// the one before.
pub(crate) fn proofs(rows: &[OverviewRow], sealed: &[Sealed], key: &PublicKey) -> Checked {
    let mut checked = Checked { count: 0, problems: Vec::new() };
    let mut previous: Option<SignedStatement> = None;
    for batch in sealed {
        let proof = rows.iter().filter(|row| row.number == batch.number).find_map(|row| row.proof.as_ref());
        let statement = match proof.ok_or("no proof").and_then(|proof| statement(proof, batch, key)) {
            Ok(statement) => statement,
            Err(problem) => {
                checked.problems.push(format!("batch {}: {problem}", batch.number));
                continue;
            }
        };
        match &previous {
            Some(previous) if !previous.statement.chains_to(&statement.statement) => {
                checked.problems.push(format!("batch {}: its statement does not follow the one before", batch.number));
            }
            _ => checked.count += 1,
        }
        previous = Some(statement);
    }
    checked
}

fn statement(proof: &OverviewProof, batch: &Sealed, key: &PublicKey) -> Result<SignedStatement, &'static str> {
    let ok = |holds: bool, problem| if holds { Ok(()) } else { Err(problem) };
    ok(proof.pubkey == *key, "signed by another key than the prover's")?;
    ok(proof.root == batch.root, "its root is not the devnet's")?;
    ok(proof.signature.verify(batch.root, key).is_ok(), "the signature is invalid")?;
    let statement = proof.statement.as_deref().ok_or("no statement")?;
    let signed: SignedStatement = serde_json::from_str(statement).map_err(|_| "its statement cannot be read")?;
    ok(signed.verify(key).is_ok(), "its statement's signature does not hold")?;
    let said = &signed.statement;
    ok(said.batch_number == batch.number, "its statement is about another batch")?;
    ok(said.previous_root == batch.previous_root, "its statement starts from another root than the devnet's")?;
    ok(said.root == batch.root, "its statement ends in another root than the devnet's")?;
    Ok(signed)
}
