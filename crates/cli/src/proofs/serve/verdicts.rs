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
            "A proof is valid, none contradicts it, and its statement or another source confirms that its root is \
             this batch's."
        }
        Verdict::Bare => "Signatures are valid, but nothing confirms that their root is this batch's.",
        Verdict::Unproven => "There are proofs, but none is valid.",
        Verdict::Contradicted => {
            "Keys signed different results: an enclave was broken, or a proof was forged. Ask for an explanation."
        }
        Verdict::Ignored => "The publisher gave the batch up.",
        Verdict::Missing => "There is no proof.",
        Verdict::Unreachable => "A server does not answer.",
    }
}
