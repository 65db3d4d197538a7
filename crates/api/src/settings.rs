//! Configuration, written one way for all programs: a file, the environment over it, and for each value where it comes from.

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

/// Why a variable of the environment is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VariableError {
    /// It is not what it should be.
    #[error("{name}: {error}")]
    Invalid {
        /// Its name.
        name: String,
        /// What it should be.
        error: String,
    },
    /// It has the program's prefix and is not known: misspelt, most likely.
    #[error("there is no variable {name}; the nearest is {nearest}")]
    Unknown {
        /// Its name.
        name: String,
        /// The known one that is most like it.
        nearest: String,
    },
}
