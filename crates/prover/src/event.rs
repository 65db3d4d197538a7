//! The events that a prover reports about its progress.

use std::time::Duration;
use tee_verifier::L1BatchNumber;

/// A step of the prover's work, for progress bars.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted the key and its quote.
    Registered,
    /// A batch has arrived and its verification begins.
    Started {
        /// Its number, as its input claims.
        batch: L1BatchNumber,
    },
    /// A batch was verified.
    Verified {
        /// Its number.
        batch: L1BatchNumber,
        /// How long the verification took.
        elapsed: Duration,
    },
    /// The server accepted a batch's proof.
    Submitted {
        /// Its number.
        batch: L1BatchNumber,
    },
    /// A batch cannot be proven.
    Failed {
        /// Its number; `None` for an unreadable input.
        batch: Option<L1BatchNumber>,
        /// A short stable name of the check that failed.
        kind: &'static str,
        /// The failure, for people.
        error: String,
    },
    /// The lease of a batch was lost before its verification or before its proof was accepted: it belongs to another prover now.
    Lost {
        /// Its number, as its input claims.
        batch: L1BatchNumber,
    },
    /// The server refused a batch's proof.
    Refused {
        /// Its number.
        batch: L1BatchNumber,
        /// The refusal, for people.
        error: String,
    },
}
