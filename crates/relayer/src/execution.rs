//! Reads files that describe executions, for the second factor's approval.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, Bytes};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tee_checker::read_text;

use crate::contracts::Opening;

/// An upper limit for the size of a file: many times what batches that are executed together need.
const MAX_BYTES: usize = 16 << 20;
/// The most files that are read.
const MAX_FILES: usize = 1000;

/// An execution in JSON, as whoever executes batches writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Execution {
    /// The first batch.
    pub(crate) from: u64,
    /// The last one.
    pub(crate) to: u64,
    /// The argument of `executeBatchesSharedBridge`, byte for byte.
    pub(crate) batch_data: Bytes,
    /// The parts of each batch's commitment.
    openings: Vec<OpeningFile>,
}

/// The parts of a batch's commitment, from the transaction that committed it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningFile {
    zk_porter_is_available: bool,
    bootloader: B256,
    default_account: B256,
    evm_emulator: B256,
    system_logs_hash: B256,
    state_diff_hash: B256,
    bootloader_heap_initial_contents_hash: B256,
    events_queue_state_hash: B256,
    /// For each of the 16 blobs, its linear hash and the hash of its opening.
    blobs: Vec<B256>,
}

impl Execution {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MAX_BYTES)?;
        let execution: Self = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if let Some(opening) = execution.openings.iter().find(|opening| opening.blobs.len() != 32) {
            bail!("{}: an opening has {} hashes of blobs instead of 32", path.display(), opening.blobs.len());
        }
        Ok(execution)
    }

    pub(crate) fn openings(&self) -> Vec<Opening> {
        self.openings.iter().map(OpeningFile::to_contract).collect()
    }
}

impl OpeningFile {
    fn to_contract(&self) -> Opening {
        let mut blobs = [B256::ZERO; 32];
        blobs.iter_mut().zip(&self.blobs).for_each(|(place, blob)| *place = *blob);
        Opening {
            zkPorterIsAvailable: self.zk_porter_is_available,
            bootloader: self.bootloader,
            defaultAccount: self.default_account,
            evmEmulator: self.evm_emulator,
            systemLogsHash: self.system_logs_hash,
            stateDiffHash: self.state_diff_hash,
            bootloaderHeapInitialContentsHash: self.bootloader_heap_initial_contents_hash,
            eventsQueueStateHash: self.events_queue_state_hash,
            blobs,
        }
    }
}

/// The files of a folder that describe executions, sorted by name.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())?.take(MAX_FILES) {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
