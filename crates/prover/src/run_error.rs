//! Why a prover cannot run or stops.

use std::time::Duration;
use tee_api::{ClientError, ClientSetupError};
use thiserror::Error;

/// Why a prover cannot run, or stops without being told to.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// A server's URL or TLS settings are invalid.
    #[error("{url}")]
    Client {
        /// The server.
        url: String,
        /// What is wrong.
        #[source]
        error: ClientSetupError,
    },
    /// Simulated proofs would reach a server on another machine, where somebody may take them for real ones.
    #[error("a simulated prover may only submit to this machine (--danger-simulated-proofs allows others)")]
    SimulatedProofs,
    /// A verification that was given up does not end, and takes a core and memory until the process ends.
    #[error("a verification still runs {limit:?} after its time was up; only the end of the process ends it")]
    Stuck {
        /// How long it was allowed to continue.
        limit: Duration,
    },
    /// Requests to every server failed too many times in a row.
    #[error("gave up after {retries} retries")]
    GaveUp {
        /// The configured limit.
        retries: u32,
        /// The last failure.
        #[source]
        error: ClientError,
    },
}
