//! What a prover tells of its progress.

use std::time::Duration;
use tee_verifier::L1BatchNumber;

/// A step of the prover's work, for progress bars.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server took the key and its quote.
    Registered,
    /// A batch has arrived and its verification begins.
    Started {
        /// Its number, as its input claims.
        batch: L1BatchNumber,
    },
    /// A batch was found right.
    Verified {
        /// Its number.
        batch: L1BatchNumber,
        /// How long the verification took.
        elapsed: Duration,
    },
    /// The server took a batch's proof.
    Submitted {
        /// Its number.
        batch: L1BatchNumber,
    },
    /// A batch cannot be proven.
    Failed {
        /// Its number; none for an input that cannot be read.
        batch: Option<L1BatchNumber>,
        /// A short stable name of the check that failed.
        kind: &'static str,
        /// The failure, for people.
        error: String,
    },
    /// The lease of a batch was lost, before its verification or before its proof was taken: it is another prover's now.
    Lost {
        /// Its number, as its input claims.
        batch: L1BatchNumber,
    },
    /// The server did not take a batch's proof.
    Refused {
        /// Its number.
        batch: L1BatchNumber,
        /// The refusal, for people.
        error: String,
    },
}
