//! Configuration, in one way for all programs: a file, which environment variables override, and the origin of each value.

mod bytes;
mod interval;
mod log_format;
mod setting;
mod variables;

use thiserror::Error;
pub use tracing_subscriber::filter::LevelFilter;

pub use self::{
    bytes::Bytes,
    interval::Interval,
    log_format::LogFormat,
    setting::{Line, Origin, Setting},
    variables::{Variables, environment, variable_names},
};

/// Why an environment variable is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VariableError {
    /// Its value is invalid.
    #[error("{name}: {error}")]
    Invalid {
        /// Its name.
        name: String,
        /// What the value should be.
        error: String,
    },
    /// It has the program's prefix but is unknown, so it is probably misspelt.
    #[error("unknown variable {name}; did you mean {nearest}?")]
    Unknown {
        /// Its name.
        name: String,
        /// The known name that is most similar.
        nearest: String,
    },
}
