//! All proofs of one batch.

use std::collections::HashMap;

use serde::Serialize;
use tee_api::{JobStatus, Statement};
use tee_verifier::H256;

use crate::proof::{Batch, Checked, Entry};

/// The result of checking a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A proof is valid, and none contradicts it. Its statement, or another source, ties the root to this batch.
    Proven,
    /// Proofs are valid, but nothing ties their root to this batch: a bare root of one batch passes for all.
    Bare,
    /// There are proofs, but none is valid.
    Unproven,
    /// Keys signed different things about the batch.
    Contradicted,
    /// The publisher does not want it proven.
    Ignored,
    /// There is no proof.
    Missing,
    /// A server does not answer.
    Unreachable,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Proven, Self::Bare, Self::Unproven, Self::Contradicted, Self::Ignored, Self::Missing, Self::Unreachable];

    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Bare => "bare",
            Self::Unproven => "unproven",
            Self::Contradicted => "contradicted",
            Self::Ignored => "ignored",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A batch, checked.
#[derive(Debug)]
pub struct Examined {
    /// Its number.
    pub number: u32,
    /// The result.
    pub verdict: Verdict,
    /// The root in a valid proof.
    pub root: Option<H256>,
    /// The statement in a valid proof.
    pub statement: Option<Statement>,
    /// Whether the statement continues that of the batch before; `None` if either is missing.
    pub follows: Option<bool>,
    /// All proofs that were checked.
    pub proofs: Vec<Checked>,
    /// Further notes for people.
    pub notes: Vec<String>,
}

impl Examined {
    /// A batch for which nothing could be checked.
    pub fn without_proofs(number: u32, verdict: Verdict, note: String) -> Self {
        let (proofs, notes) = (Vec::new(), vec![note]);
        Self { number, verdict, root: None, statement: None, follows: None, proofs, notes }
    }

    /// Combines a batch's proofs into a result. `None` if there is no proof yet.
    pub fn weigh(batch: &Batch<'_>, entries: Vec<Entry>) -> Option<Self> {
        let (mut proofs, mut statuses) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Proof(proof) => proofs.push(*proof),
                Entry::Job(status) => statuses.push(status),
            }
        }
        if proofs.is_empty() {
            let ignored = !statuses.is_empty()
                && statuses.iter().all(|status| status.known() == Some(JobStatus::PermanentlyIgnored));
            let note = || "the publisher has given it up (permanently_ignored)".to_owned();
            return ignored.then(|| Self::without_proofs(batch.number, Verdict::Ignored, note()));
        }
        let mut examined = Self::without_proofs(batch.number, Verdict::Unproven, String::new());
        examined.notes.clear();
        // What a key signed counts as its claim, even if nothing vouches for the key: two claims about one batch are one too
        // many.
        let mut roots: Vec<_> =
            proofs.iter().filter_map(|proof| proof.signed_root).chain(batch.expected_root).collect();
        roots.sort_unstable();
        roots.dedup();
        let good = || proofs.iter().filter(|proof| proof.problems.is_empty());
        let mut statements = good().filter_map(|proof| proof.statement.as_ref());
        examined.root = good().find_map(|proof| proof.signed_root);
        examined.statement = statements.next().cloned();
        if examined.root.is_some() {
            examined.verdict = match batch.expected_root.is_some() || examined.statement.is_some() {
                true => Verdict::Proven,
                false => Verdict::Bare,
            };
        }
        if examined.verdict == Verdict::Bare {
            examined.notes.push(
                "a bare root does not say which batch it belongs to: compare it with another source (--l2-rpc)"
                    .to_owned(),
            );
        }
        if roots.len() > 1 {
            examined.verdict = Verdict::Contradicted;
            examined.notes.push(format!("there are {} different roots", roots.len()));
        }
        if statements.any(|statement| Some(statement) != examined.statement.as_ref()) {
            examined.verdict = Verdict::Contradicted;
            examined.notes.push("there are different statements".to_owned());
        }
        examined.proofs = proofs;
        Some(examined)
    }

    /// Compares with all batches before: a root belongs to one batch.
    pub fn compare_root(&mut self, seen: &mut HashMap<H256, u32>) {
        let Some(root) = self.root else { return };
        let other = *seen.entry(root).or_insert(self.number);
        if other != self.number {
            self.verdict = Verdict::Contradicted;
            self.notes.push(format!("batch {other} has the same root"));
        }
    }

    /// Compares with the batch before.
    pub fn follow(&mut self, before: Option<&Self>) {
        let Some(before) = before.filter(|before| before.number.checked_add(1) == Some(self.number)) else { return };
        let (Some(earlier), Some(later)) = (&before.statement, &self.statement) else { return };
        let follows = earlier.chains_to(later);
        self.follows = Some(follows);
        if !follows {
            self.verdict = Verdict::Contradicted;
            self.notes.push(format!("its statement does not follow the statement of batch {}", before.number));
        }
    }
}
