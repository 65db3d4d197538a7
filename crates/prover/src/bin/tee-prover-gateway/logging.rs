//! The log.

use std::{env, io::stderr, panic};

use tee_prover::LogFormat;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// What `RUST_LOG` asks for, or what concerns an operator.
pub(crate) fn to_stderr(format: LogFormat) {
    let asked = env::var("RUST_LOG").ok().and_then(|asked| asked.parse::<Targets>().ok());
    let registry = tracing_subscriber::registry().with(asked.unwrap_or(Targets::new().with_default(LevelFilter::INFO)));
    let log = fmt::layer().with_writer(stderr);
    match format {
        LogFormat::Text => registry.with(log).init(),
        LogFormat::Json => registry.with(log.json()).init(),
    }
    // Whoever reads the log line by line reads panics as well.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
}
