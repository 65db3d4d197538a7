//! The log.

use std::panic;

use tee_api::settings::LevelFilter;
use tee_prover::LogFormat;

/// Logs what `RUST_LOG` asks for, or by default what concerns an operator.
pub(crate) fn to_stderr(format: LogFormat) {
    format.log_to_stderr(LevelFilter::INFO);
    // Panics go to the log too, so that readers of log lines see them.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
}
