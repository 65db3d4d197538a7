//! How the process ends.

use std::{io, net::SocketAddr};
use tee_prover::{ConfigError, IdentityError, RunError};
use thiserror::Error;

/// Exit codes.
#[derive(Clone, Copy)]
pub(crate) enum Exit {
    /// A stop was requested.
    Stopped = 0,
    /// Anything else.
    Other = 1,
    /// Command line or configuration.
    Config = 2,
    /// Key or quote.
    Identity = 3,
    /// No server could be asked, after the configured number of attempts.
    GaveUp = 4,
    /// A verification does not end, so the process must be restarted.
    Stuck = 5,
    /// A second signal.
    Interrupted = 130,
}

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("configuration")]
    Config(#[from] ConfigError),
    #[error("configuration: metrics_listen: {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        error: io::Error,
    },
    #[error("signing key and quote")]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("operating system")]
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;
    use tee_attestation::{PlatformError, ReportDataError};

    /// A message that repeats its source would be printed twice with the source.
    #[test]
    fn each_cause_is_said_once() {
        let cause = || io::Error::other("no such device");
        let refused = tee_api::ClientError::Refused { status: 400, code: None, detail: "no".to_owned() };
        let failures = [
            Failure::Config(ConfigError::Read { path: "/p".into(), error: cause() }),
            Failure::Config(ConfigError::Token { path: "/p".into(), error: tee_api::BearerTokenError }),
            Failure::Listen { address: ([127, 0, 0, 1], 1).into(), error: cause() },
            Failure::Identity(IdentityError::ReadQuote { path: "/p".into(), error: cause() }),
            Failure::Identity(PlatformError::File { path: "/p".into(), error: cause() }.into()),
            Failure::Identity(PlatformError::OtherReportData(ReportDataError::ZeroAddress).into()),
            Failure::Run(RunError::Client { url: "http://h".to_owned(), error: tee_api::ClientSetupError::Url }),
            Failure::Run(RunError::GaveUp { retries: 1, error: refused }),
            Failure::System(cause()),
        ];
        for failure in &failures {
            let mut error: &dyn Error = failure;
            while let Some(source) = error.source() {
                assert!(!error.to_string().contains(&source.to_string()), "{}", tee_api::chain(failure));
                error = source;
            }
        }
    }
}
