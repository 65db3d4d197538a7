//! Batches: where they come from, where their inputs lie, and when those are needed no more.

mod add;
mod blobs;
mod completion;
mod receiving;
mod retention;
mod sources;

pub(crate) use self::{
    add::blocking,
    blobs::{CorruptInput, Inputs, OpenInputError, marker},
    completion::{UNPROVEN_COST, run as complete_wanted},
    receiving::Receiving,
    retention::Retention,
    sources::mirror,
};
pub use self::{
    add::{AddBatchError, AddedBatch, Compression, EncodedBatch, NewBatch},
    blobs::{ObjectStoreFault, ObjectStoreUrl, ObjectStoreUrlError},
    completion::{CompleteError, complete},
    retention::Garbage,
    sources::{ImportError, NodeRpc, NodeRpcError},
};
