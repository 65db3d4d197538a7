//! Verdicts, for people.

use tee_checker::Verdict;
use tee_pages::Tone;

/// Its colour.
pub(super) fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Proven => Tone::Good,
        Verdict::Bare | Verdict::Ignored | Verdict::Missing | Verdict::Unreachable => Tone::Warning,
        Verdict::Unproven | Verdict::Contradicted => Tone::Bad,
    }
}

/// Its meaning, in a sentence.
pub(super) fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => {
            "A proof holds, none contradicts it, and its statement or another source says that its root is this batch's."
        }
        Verdict::Bare => "Signatures hold, but nothing says that their root is this batch's.",
        Verdict::Unproven => "There are proofs, and none holds.",
        Verdict::Contradicted => {
            "Keys signed different things: an enclave was broken, or somebody forged. Ask for an explanation."
        }
        Verdict::Ignored => "The publisher gave the batch up.",
        Verdict::Missing => "There is no proof.",
        Verdict::Unreachable => "A server does not answer.",
    }
}
