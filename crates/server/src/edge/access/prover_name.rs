//! The name of a prover in the queue.

use super::Caller;
use crate::{database::ProverName, edge::PeerKey};

/// The name of the prover's token, or its address if tokens are not required.
pub(crate) fn prover_name(caller: &Caller, peer: PeerKey) -> ProverName {
    ProverName::new(match caller {
        Caller::Token { name, .. } => format!("token:{name}"),
        Caller::Anyone | Caller::Unknown => format!("address:{peer}"),
    })
}
