//! Batches: where they come from, where their inputs are stored, and when the inputs are no longer needed.

mod add;
mod blobs;
mod completion;
mod input;
mod receiving;
mod retention;
mod sources;
mod transactions;

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use futures::{Stream, future::BoxFuture};
use tee_verifier::{H256, InputForm};

pub use self::{
    add::{AddBatchError, AddedBatch, EncodedBatch, NewBatch},
    blobs::{ObjectStoreFault, ObjectStoreUrl, ObjectStoreUrlError},
    completion::{CompleteError, complete},
    retention::Garbage,
    sources::{ImportError, NodeRpc, NodeRpcError},
};
pub(crate) use self::{
    blobs::{CorruptInput, Inputs, OpenInputError, check as check_object_store, marker},
    completion::run as complete_wanted,
    input::{NoStoredInput, StoredInput},
    receiving::Receiving,
    retention::Retention,
    sources::mirror,
};
use crate::{
    database::{BatchEntry, OverviewRow, TransactionPlace},
    service::Service,
};

/// Operations on batches.
impl Service {
    /// Adds a batch. Adding the same one again does nothing.
    pub fn add_batch(&self, new: NewBatch) -> BoxFuture<'_, Result<AddedBatch, AddBatchError>> {
        Box::pin(add::add(self, new))
    }

    /// Adds a batch that is arriving. Two are decoded at a time, and only after their bytes have arrived: a slow one
    /// does not keep others from it. If there is no room for the bytes, they are left with the sender until there is.
    pub async fn add_encoded<S>(&self, new: EncodedBatch<S>) -> Result<AddedBatch, AddBatchError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    {
        add::add_encoded(self, new).await
    }

    /// Adds the batch whose remaining part is in the JSON file `rest`. The file holds its number; its blobs are
    /// `witness_inputs/vm_run_data_{n}.cbor` and `witness_inputs/merkle_tree_paths_{n}.cbor` under `blobs`.
    pub async fn import(&self, blobs: &ObjectStoreUrl, rest: &Path) -> Result<(u32, AddedBatch), ImportError> {
        sources::import(self, blobs, rest).await
    }

    /// Finds blobs that belong to no batch, as a crash between writing a blob and its row leaves them, and deletes them if wanted.
    /// Blobs that are younger than `least_age` or were written today stay: they may belong to a batch that is just being added.
    pub async fn collect_garbage(&self, least_age: Duration, delete: bool) -> Result<Garbage, ObjectStoreFault> {
        retention::collect_garbage(self, least_age, delete).await
    }

    /// Whether the object store answers and is the right one.
    pub(crate) async fn check_object_store(&self) -> Result<(), ObjectStoreFault> {
        blobs::check(self).await
    }

    /// A batch's stored input.
    pub(crate) async fn stored_input(&self, number: u32, form: InputForm) -> Result<StoredInput, NoStoredInput> {
        input::open(self, number, form).await
    }

    /// The lowest and the highest batch.
    pub(crate) async fn present_batches(&self) -> Result<(Option<u32>, Option<u32>), sqlx::Error> {
        self.database.present_batches().await
    }

    /// The lowest and the highest batch whose input is available.
    pub(crate) async fn present_inputs(&self) -> Result<(Option<u32>, Option<u32>), sqlx::Error> {
        self.database.present_inputs().await
    }

    /// Batches with higher numbers than `after`, by number.
    pub async fn batches(&self, after: Option<u32>, limit: u32) -> Result<Vec<BatchEntry>, sqlx::Error> {
        self.database.batches(after, limit).await
    }

    /// The places of a transaction in the inputs that are kept.
    pub(crate) async fn places_of_transaction(
        &self,
        hash: H256,
        limit: u32,
    ) -> Result<Vec<TransactionPlace>, sqlx::Error> {
        self.database.places_of_transaction(hash, limit).await
    }

    /// Batches with their jobs and proofs: at most `limit` batches, by number, beginning with `first`.
    pub async fn overview(&self, first: u32, limit: u32) -> Result<Vec<OverviewRow>, sqlx::Error> {
        self.database.overview(first, limit).await
    }
}
