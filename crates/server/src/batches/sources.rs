//! Where batches come from, besides uploads: a node that the server follows, and a node's object store.

mod import;
pub(crate) mod mirror;
mod node_rpc;

pub(super) use self::import::import;
pub use self::{
    import::ImportError,
    node_rpc::{NodeRpc, NodeRpcError},
};
