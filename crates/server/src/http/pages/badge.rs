//! The state of a batch in one line, which says no more than is true.

use tee_api::{JobStatus, KeyStanding, TeeType};

use super::shown::{self, Tone, counted};

/// The state of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) detail: &'static str,
}

/// The facts that the state follows from.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The statuses of its jobs, except those of TEE type `none`.
    pub(super) jobs: Vec<JobStatus>,
    /// The signers of accepted proofs.
    pub(super) signers: Vec<Signer>,
    /// Whether a disagreement about it is open.
    pub(super) is_disputed: bool,
    /// Whether a source other than the signers names its root.
    pub(super) root_is_known: bool,
}

/// A signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signer {
    pub(super) tee_type: TeeType,
    pub(super) standing: KeyStanding,
    pub(super) has_statement: bool,
    /// Whether this server ever accepted its quote. If no quotes are judged, the page says so in general.
    pub(super) is_vouched_for: bool,
}

impl Badge {
    pub(super) fn of(facts: &Facts) -> Self {
        let badge = |tone, title: String, detail| Self { tone, title, detail };
        let counting: Vec<_> =
            facts.signers.iter().filter(|signer| signer.standing != KeyStanding::Revoked).copied().collect();
        if facts.is_disputed {
            let detail = "Registered keys signed different roots for this batch, or one that contradicts the next \
                batch. One of them is wrong, and nobody has explained it yet: do not rely on this batch.";
            return badge(Tone::Bad, "Disputed".to_owned(), detail);
        }
        if counting.is_empty() {
            return Self::without_proof(facts);
        }
        let signed_by = format!("{} ({})", counted(counting.len(), "key", "keys"), types_of(&counting));
        if !facts.root_is_known && counting.iter().all(|signer| !signer.has_statement) {
            let detail = "The keys signed a bare root. Nothing here shows that it is this batch's: there is no \
                statement and no other source of the root.";
            return badge(Tone::Warning, format!("Root signed by {signed_by}"), detail);
        }
        if counting.iter().all(|signer| !signer.is_vouched_for) {
            let detail =
                "This server never accepted a quote of these keys: nothing shows that an enclave did the work.";
            return badge(Tone::Warning, format!("Signed by {signed_by}, not attested"), detail);
        }
        if facts.jobs.iter().all(|status| *status == JobStatus::Generated) {
            let detail = "As many keys as this server requires signed the root after the batch, and nothing \
                contradicts them without an explanation.";
            return badge(Tone::Good, format!("Proven by {signed_by}"), detail);
        }
        if facts.jobs.iter().all(|status| matches!(status, JobStatus::Generated | JobStatus::PermanentlyIgnored)) {
            let detail = "The proofs so far hold. More were required, but were given up.";
            return badge(Tone::Good, format!("Proven by {signed_by}"), detail);
        }
        let detail = "The proofs so far hold. This server waits for more, from another type of enclave or another key.";
        badge(Tone::Good, format!("Proven by {signed_by}, more to come"), detail)
    }

    fn without_proof(facts: &Facts) -> Self {
        let has = |status| facts.jobs.contains(&status);
        let (tone, title, detail) = if !facts.signers.is_empty() {
            (Tone::Bad, "Not proven: its keys were revoked", "Proofs of revoked keys do not count.")
        } else if has(JobStatus::PickedByProver) {
            (Tone::Plain, "Being proven", "A prover has the batch.")
        } else if has(JobStatus::Failed) {
            (Tone::Warning, "Failing", "No prover could prove it so far. It will be tried again.")
        } else if has(JobStatus::ReadyToBeProven) {
            (Tone::Plain, "Waits for a prover", "Nobody has proven it yet.")
        } else if has(JobStatus::PermanentlyIgnored) {
            (
                Tone::Warning,
                "Given up",
                "No prover could prove it, or an operator gave it up. It is not tried again automatically.",
            )
        } else {
            (Tone::Plain, "Not asked for yet", "No prover has asked for work yet, for any type of enclave.")
        };
        Self { tone, title: title.to_owned(), detail }
    }
}

/// `SGX`, `TDX` or both.
fn types_of(signers: &[Signer]) -> String {
    let names: Vec<_> = [TeeType::Sgx, TeeType::Tdx]
        .into_iter()
        .filter(|tee_type| signers.iter().any(|signer| signer.tee_type == *tee_type))
        .map(shown::tee)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SGX: Signer =
        Signer { tee_type: TeeType::Sgx, standing: KeyStanding::Accepted, has_statement: true, is_vouched_for: true };

    fn badge(jobs: &[JobStatus], signers: &[Signer], is_disputed: bool, root_is_known: bool) -> (Tone, String) {
        let facts = Facts { jobs: jobs.to_vec(), signers: signers.to_vec(), is_disputed, root_is_known };
        let Badge { tone, title, .. } = Badge::of(&facts);
        (tone, title)
    }

    #[test]
    fn a_batch_is_called_proven_only_if_it_is() {
        use JobStatus::{Failed, Generated, PermanentlyIgnored, PickedByProver, ReadyToBeProven};
        let tdx = Signer { tee_type: TeeType::Tdx, ..SGX };
        let bare = Signer { has_statement: false, ..SGX };
        let revoked = Signer { standing: KeyStanding::Revoked, ..SGX };
        let refused = Signer { standing: KeyStanding::Refused, ..SGX };
        let never_passed = Signer { standing: KeyStanding::Unjudged, is_vouched_for: false, ..SGX };
        for (jobs, signers, is_disputed, root_is_known, expected) in [
            (&[Generated][..], &[SGX][..], false, false, "Proven by 1 key (SGX)"),
            (&[Generated, Generated], &[SGX, tdx], false, true, "Proven by 2 keys (SGX, TDX)"),
            (&[Generated, ReadyToBeProven], &[SGX], false, true, "Proven by 1 key (SGX), more to come"),
            (&[Generated], &[SGX, refused], false, false, "Proven by 2 keys (SGX)"),
            (&[Generated], &[refused], false, false, "Proven by 1 key (SGX)"),
            (&[Generated], &[never_passed], false, true, "Signed by 1 key (SGX), not attested"),
            (
                &[Generated],
                &[Signer { is_vouched_for: false, ..refused }],
                false,
                true,
                "Signed by 1 key (SGX), not attested",
            ),
            (&[Generated], &[never_passed, SGX], false, true, "Proven by 2 keys (SGX)"),
            (&[Generated, PermanentlyIgnored], &[SGX], false, true, "Proven by 1 key (SGX)"),
            (&[Generated, PermanentlyIgnored, Failed], &[SGX], false, true, "Proven by 1 key (SGX), more to come"),
            (&[Generated], &[bare], false, true, "Proven by 1 key (SGX)"),
            (&[Generated], &[bare], false, false, "Root signed by 1 key (SGX)"),
            (&[Generated], &[SGX, SGX], true, true, "Disputed"),
            (&[Failed], &[], true, true, "Disputed"),
            (&[ReadyToBeProven], &[revoked], false, true, "Not proven: its keys were revoked"),
            (&[Generated], &[revoked], false, true, "Not proven: its keys were revoked"),
            (&[Failed, PickedByProver], &[], false, false, "Being proven"),
            (&[Failed, ReadyToBeProven], &[], false, false, "Failing"),
            (&[ReadyToBeProven], &[], false, false, "Waits for a prover"),
            (&[PermanentlyIgnored], &[], false, false, "Given up"),
            (&[], &[], false, false, "Not asked for yet"),
        ] {
            let (tone, title) = badge(jobs, signers, is_disputed, root_is_known);
            assert_eq!(title, expected, "{jobs:?} {signers:?}");
            assert_eq!(tone == Tone::Good, title.starts_with("Proven"), "{title}");
            assert_eq!(tone == Tone::Bad, title == "Disputed" || title.starts_with("Not proven"), "{title}");
        }
    }
}
