//! The log and the format of its lines.

use std::{fmt, io::stderr, str::FromStr};

use serde::Deserialize;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt as log,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::environment;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Starts logging to stderr: what `RUST_LOG` asks for, or by default everything at least as severe as `least`.
    pub fn log_to_stderr(self, least: LevelFilter) {
        let asked = environment("RUST_LOG").map(|asked| asked.parse::<Targets>());
        let wrong = asked.as_ref().and_then(|asked| asked.as_ref().err().map(ToString::to_string));
        let filter = asked.and_then(Result::ok).unwrap_or(Targets::new().with_default(least));
        let registry = tracing_subscriber::registry().with(filter);
        let lines = log::layer().with_writer(stderr);
        match self {
            Self::Text => registry.with(lines).init(),
            Self::Json => registry.with(lines.json()).init(),
        }
        if let Some(error) = wrong {
            tracing::warn!(error, "RUST_LOG is ignored: it must list levels per target, such as info,tee_api=debug");
        }
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
