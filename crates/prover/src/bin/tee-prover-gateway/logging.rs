//! The log.

use std::{io::stderr, panic};
use tee_prover::LogFormat;
use tracing_subscriber::EnvFilter;

/// What `RUST_LOG` asks for, or what concerns an operator.
pub(crate) fn to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    // Whoever reads the log line by line reads panics as well.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
}
