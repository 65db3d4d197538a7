//! The result of a check.

use serde::Serialize;

/// What a check is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// Proving with SGX.
    Sgx,
    /// Proving with TDX.
    Tdx,
    /// Neither of the two, but useful to know.
    Machine,
    /// Something that the command line asks for.
    Asked,
}

/// The result of a check, as in `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) part: Part,
    pub(super) check: &'static str,
    pub(super) ok: bool,
    pub(super) found: String,
    /// What to do if the check failed.
    pub(super) todo: Option<String>,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
            Self::Machine => "Machine",
            Self::Asked => "Requested",
        }
    }
}

impl Check {
    pub(super) fn ok(part: Part, check: &'static str, found: impl Into<String>) -> Self {
        Self { part, check, ok: true, found: found.into(), todo: None }
    }

    pub(super) fn todo(part: Part, check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { part, check, ok: false, found: found.into(), todo: Some(todo.into()) }
    }
}
