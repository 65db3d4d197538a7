//! Something that was looked at.

use serde::Serialize;

/// What a check is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    /// Proving with SGX.
    Sgx,
    /// Proving with TDX.
    Tdx,
    /// Nothing of the two, and good to know.
    Machine,
    /// What the command line asks for.
    Asked,
}

/// Something that was looked at, as `--json` has it.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) part: Part,
    pub(super) check: &'static str,
    pub(super) ok: bool,
    pub(super) found: String,
    /// What to do where it is not in order.
    pub(super) todo: Option<String>,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
            Self::Machine => "Machine",
            Self::Asked => "Asked for",
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
