//! Batches from a zksync-era object store. Two parts of an input are blobs there. The rest is in the node's database, and comes
//! here in a file.

use std::{convert::Infallible, fs, io, path::Path};

use object_store::{ObjectStoreExt, path::Path as ObjectPath};
use serde::{Deserialize, de::DeserializeOwned};
use tee_verifier::{
    BatchInput, MAX_INPUT_BYTES, MerklePaths, VmRunData,
    input::{L1BatchEnv, L2BlockExecutionData, PubdataParams, SystemEnv},
};
use thiserror::Error;

use crate::{
    batches::{AddBatchError, AddedBatch, NewBatch, ObjectStoreUrl, add},
    service::Service,
};

/// Why a batch cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    /// The file lacks parts that the blobs do not have.
    #[error("the file is not the rest of a batch input")]
    Rest(#[from] serde_json::Error),
    /// A blob cannot be read.
    #[error("blob {path}")]
    Blob {
        /// The blob's path.
        path: String,
        /// The cause.
        #[source]
        error: object_store::Error,
    },
    /// A blob's content does not match its name.
    #[error("blob {path}")]
    MalformedBlob {
        /// The blob's path.
        path: String,
        /// The cause.
        #[source]
        error: cbor4ii::serde::DecodeError<Infallible>,
    },
    /// A blob is larger than an input may be.
    #[error("blob {path} is too large: {bytes} bytes")]
    TooLarge {
        /// The blob's path.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// The batch was put together but not added.
    #[error(transparent)]
    Add(#[from] AddBatchError),
}

/// The parts of an input that the blobs lack, as in the JSON of a whole input.
#[derive(Deserialize)]
struct Rest {
    l2_blocks_execution_data: Vec<L2BlockExecutionData>,
    l1_batch_env: L1BatchEnv,
    system_env: SystemEnv,
    pubdata_params: PubdataParams,
}

/// Adds the batch whose remaining part is in the JSON file `rest`. The file holds its number; its blobs are
/// `witness_inputs/vm_run_data_{n}.cbor` and `witness_inputs/merkle_tree_paths_{n}.cbor` under `blobs`.
pub(in crate::batches) async fn import(
    service: &Service,
    blobs: &ObjectStoreUrl,
    rest: &Path,
) -> Result<(u32, AddedBatch), ImportError> {
    let rest: Rest = serde_json::from_slice(&fs::read(rest)?)?;
    let number = rest.l1_batch_env.number.0;
    let vm_run_data: VmRunData = blob(blobs, &format!("witness_inputs/vm_run_data_{number}.cbor")).await?;
    let merkle_paths: MerklePaths = blob(blobs, &format!("witness_inputs/merkle_tree_paths_{number}.cbor")).await?;
    let Rest { l2_blocks_execution_data, l1_batch_env, system_env, pubdata_params } = rest;
    let input = BatchInput {
        vm_run_data,
        merkle_paths,
        l2_blocks_execution_data,
        l1_batch_env,
        system_env,
        pubdata_params,
        commitment_input: None,
    };
    let new = NewBatch { input, expected_root: None, sealed_at_ms: None, source: format!("blobs of {blobs}") };
    Ok((number, add::add(service, new).await?))
}

async fn blob<T: DeserializeOwned>(blobs: &ObjectStoreUrl, path: &str) -> Result<T, ImportError> {
    let failed = |error| ImportError::Blob { path: path.to_owned(), error };
    let found = blobs.open().map_err(failed)?.get(&ObjectPath::from(path)).await.map_err(failed)?;
    if found.meta.size > MAX_INPUT_BYTES {
        return Err(ImportError::TooLarge { path: path.to_owned(), bytes: found.meta.size });
    }
    let bytes = found.bytes().await.map_err(failed)?;
    cbor4ii::serde::from_slice(&bytes).map_err(|error| ImportError::MalformedBlob { path: path.to_owned(), error })
}
