//! Why a batch is rejected.

use thiserror::Error;

/// Why a batch is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {}

impl Rejection {
    /// A short stable name of the check that failed, for reports and scripts.
    pub fn check(&self) -> &'static str {
        match *self {}
    }
}
