//! The log.

use std::panic;

use tee_api::settings::LevelFilter;
use tee_prover::LogFormat;

/// What `RUST_LOG` asks for, or what concerns an operator.
pub(crate) fn to_stderr(format: LogFormat) {
    format.log_to_stderr(LevelFilter::INFO);
    // Whoever reads the log line by line reads panics as well.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
}
