//! A checked proof, claim by claim.

use tee_checker::{Checked, Outcome, Step};

use crate::shown::{Tone, cut, tee};

/// A proof, with the verdict about it.
pub struct CheckedProof {
    /// Whether nothing is wrong with it.
    pub holds: bool,
    /// The kind of enclave that it claims to come from.
    pub tee: Option<String>,
    /// Who signed, in hexadecimal.
    pub key: Option<String>,
    /// What the key signed, in hexadecimal, if it did.
    pub root: Option<String>,
    /// The claims, each with its verdict.
    pub steps: Vec<StepLine>,
}

/// A claim, with the verdict about it.
pub struct StepLine {
    /// What is claimed.
    pub claim: &'static str,
    /// The verdict's colour.
    pub tone: Tone,
    /// The verdict in a word or two.
    pub verdict: &'static str,
    /// The reasons, cut if they are long: some of the text comes from strangers.
    pub reasons: Vec<String>,
}

impl CheckedProof {
    /// The results of checking a proof.
    pub fn of(checked: &Checked) -> Self {
        Self {
            holds: checked.problems.is_empty(),
            tee: checked.tee_type.map(tee),
            key: checked.key.map(|key| key.to_string()),
            root: checked.signed_root.map(hex::encode),
            steps: Step::ALL.map(|step| StepLine::of(checked, step)).into(),
        }
    }
}

impl StepLine {
    fn of(checked: &Checked, step: Step) -> Self {
        let (tone, verdict) = match checked.outcome(step) {
            Outcome::Holds => (Tone::Good, "holds"),
            Outcome::Broken => (Tone::Bad, "does not hold"),
            Outcome::NotChecked => (Tone::Plain, "not checked"),
        };
        let reasons = match checked.outcome(step) {
            Outcome::Holds => vec![],
            Outcome::Broken => checked.problems_of(step).map(|problem| cut(&problem.to_string())).collect(),
            Outcome::NotChecked => vec![unchecked(checked, step).to_owned()],
        };
        Self { claim: claim(step), tone, verdict, reasons }
    }
}

fn claim(step: Step) -> &'static str {
    match step {
        Step::Batch => "It is a proof of this batch",
        Step::Signature => "The key signed the root",
        Step::Root => "Another source has the same root",
        Step::Attestation => "A quote that the policy accepts vouches for the key",
        Step::Statement => "The key signed a statement of this batch that matches the pinned chain and code",
    }
}

fn unchecked(checked: &Checked, step: Step) -> &'static str {
    match step {
        _ if checked.key.is_none() => "without a key there is nothing to check",
        Step::Root if checked.signed_root.is_some() => "no other source of the root is known here",
        Step::Statement => "there is none: the key signed the bare root",
        _ => "there is nothing to check",
    }
}
