//! How the process ends.

use std::{io, net::SocketAddr};
use tee_prover::{ConfigError, IdentityError, RunError};
use thiserror::Error;

/// Exit codes.
#[derive(Clone, Copy)]
pub(crate) enum Exit {
    /// Told to stop.
    Stopped = 0,
    /// Anything else.
    Other = 1,
    /// Command line or configuration.
    Config = 2,
    /// Key or quote.
    Identity = 3,
    /// No server could be asked, as often as configured.
    GaveUp = 4,
    /// A verification does not end: to be started again.
    Stuck = 5,
    /// A second signal.
    Interrupted = 130,
}

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("configuration: metrics_listen: {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("key and quote: {0}")]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the operating system: {0}")]
    System(#[from] io::Error),
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Listen { .. } => Exit::Config,
            Self::Run(RunError::Client { .. } | RunError::SimulatedProofs) => Exit::Config,
            Self::Identity(_) => Exit::Identity,
            Self::Run(RunError::GaveUp { .. }) => Exit::GaveUp,
            Self::Run(RunError::Stuck { .. }) => Exit::Stuck,
            Self::System(_) => Exit::Other,
        }
    }
}
