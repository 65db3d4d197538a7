//! Who a prover is to the queue.

use std::{fmt, sync::Arc};

use super::Caller;
use crate::edge::PeerKey;

/// What a prover's failures and leases are counted under: its token, or its address where nobody is asked for a token.
/// Provers of zksync-era say no key when they ask for work, so a key is of no use here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProverName(Arc<str>);

impl ProverName {
    pub(crate) fn of(caller: &Caller, peer: PeerKey) -> Self {
        match caller {
            Caller::Token { name, .. } => Self(format!("token:{name}").into()),
            Caller::Anyone | Caller::Unknown => Self(format!("address:{peer}").into()),
        }
    }

    /// All those that are too many to be told apart.
    pub(crate) fn others() -> Self {
        Self("others".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
