//! Deletes what is no longer needed: the inputs of batches that were proven long ago, and blobs that belong to no batch.
//!
//! Blobs have no locks. A writer puts the current day into the blob's key, so that deleting blobs of earlier days never hits one
//! that is being written.

use std::{io, time::Duration};

use futures::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::blobs::{self, BlobName, DAY_MS, ObjectStoreFault};
use crate::{clock::millis, metrics::Metrics, service::Service};

/// How often all batches are checked.
const PASS_INTERVAL: Duration = Duration::from_secs(600);

/// How many blobs are looked up in the database at a time.
const LOOKED_UP: usize = 500;

/// How long after a day's end somebody may still be writing a blob with that day.
const DAY_GRACE_MS: i64 = 60 * 60 * 1000;

/// Deletes the inputs of finished batches, in small steps.
#[derive(Debug)]
pub(crate) struct Retention {
    keep_ms: i64,
    metrics: Metrics,
    next: u32,
    /// When the next pass begins; `None` during a pass.
    begins_at: Option<Instant>,
}

impl Retention {
    pub(crate) fn new(days: u32, metrics: Metrics) -> Self {
        Self { keep_ms: i64::from(days).saturating_mul(DAY_MS), metrics, next: 0, begins_at: None }
    }

    /// Does one step. False when a pass is complete.
    pub(crate) async fn advance(&mut self, service: &Service) -> Result<bool, ObjectStoreFault> {
        if self.begins_at.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        self.begins_at = None;
        let now_ms = service.clock.now_ms();
        let since_ms = now_ms.saturating_sub(self.keep_ms);
        let chunk = service.database.retirable_inputs(self.next, since_ms).await?;
        if let Some(batches) = chunk.batches {
            // Otherwise the inputs on a disk that is not mounted would be taken for deleted.
            blobs::check(service).await?;
            let retired = service.database.retire_inputs(batches, since_ms, now_ms).await?;
            let (count, bytes) = (retired.len() as u64, retired.iter().map(|input| input.bytes).sum());
            // The database no longer relies on these blobs, so one that stays only costs space.
            if let Err(error) = service.inputs.delete_all(retired.into_iter().map(|input| input.input_key)).await {
                tracing::error!(
                    error = tee_api::chain(&error),
                    "cannot delete retired inputs from the object store; gc will delete them"
                );
            }
            self.metrics.inputs_retired.inc_by(count);
            self.metrics.input_bytes_retired.inc_by(bytes);
            tracing::info!(inputs = count, bytes, "deleted inputs of finished batches");
        }
        match chunk.next {
            Some(next) => self.next = next,
            None => (self.next, self.begins_at) = (0, Some(Instant::now() + PASS_INTERVAL)),
        }
        Ok(chunk.next.is_some())
    }
}

/// What [`Service::collect_garbage`] found in the object store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Blobs that belong to no batch, and files that were never finished. They were deleted, if that was wanted.
    pub orphans: u64,
    /// Their size in bytes.
    pub orphan_bytes: u64,
    /// Blobs that belong to batches.
    pub in_use: u64,
    /// Blobs that belong to no batch and are not old enough.
    pub young: u64,
    /// Objects under `inputs/` that no server wrote.
    pub foreign: u64,
}

/// Finds blobs that belong to no batch, as a crash between writing a blob and its row leaves them, and deletes them if wanted.
/// Blobs that are younger than `least_age` or were written today stay: they may belong to a batch that is just being added.
pub(super) async fn collect_garbage(
    service: &Service,
    least_age: Duration,
    delete: bool,
) -> Result<Garbage, ObjectStoreFault> {
    blobs::check(service).await?;
    let mut garbage = Garbage::default();
    let mut blobs = service.inputs.list().try_chunks(LOOKED_UP).boxed();
    while let Some(chunk) = blobs.try_next().await.map_err(|error| error.1)? {
        let mut named = Vec::with_capacity(chunk.len());
        for blob in chunk {
            match BlobName::of(&blob.location) {
                Some(name) => named.push((name, blob)),
                None => garbage.foreign += 1,
            }
        }
        let numbers: Vec<_> = named.iter().map(|(name, _)| name.number).collect();
        let keys = service.database.input_keys(&numbers).await?;
        let now_ms = service.clock.now_ms();
        let mut orphans = vec![];
        for (name, blob) in named {
            if keys.get(&name.number).is_some_and(|key| *key == name.key) {
                garbage.in_use += 1;
            } else if is_young(&name, blob.last_modified.timestamp_millis(), now_ms, least_age) {
                garbage.young += 1;
            } else {
                garbage.orphans += 1;
                garbage.orphan_bytes = garbage.orphan_bytes.saturating_add(blob.size);
                orphans.push(blob.location);
            }
        }
        if delete {
            service.inputs.delete_blobs(orphans).await?;
        }
    }
    for file in service.inputs.half_written().await.map_err(folder_fault)? {
        if is_young(&file.name, file.last_modified.timestamp_millis(), service.clock.now_ms(), least_age) {
            garbage.young += 1;
            continue;
        }
        garbage.orphans += 1;
        garbage.orphan_bytes = garbage.orphan_bytes.saturating_add(file.bytes);
        if delete {
            match tokio::fs::remove_file(file.path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(folder_fault(error)),
                _ => {}
            }
        }
    }
    if delete {
        service.database.note_gc(garbage.orphans, garbage.orphan_bytes, service.clock.now_ms()).await?;
    }
    Ok(garbage)
}

fn folder_fault(error: io::Error) -> ObjectStoreFault {
    object_store::Error::Generic { store: "folder", source: error.into() }.into()
}

fn is_young(name: &BlobName, modified_ms: i64, now_ms: i64, least_age: Duration) -> bool {
    let ends_ms = name.day.map(|day| day.saturating_add(1).saturating_mul(DAY_MS).saturating_add(DAY_GRACE_MS));
    ends_ms.is_some_and(|ends_ms| now_ms < ends_ms) || now_ms.saturating_sub(modified_ms) < millis(least_age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_be_written_is_young() {
        let of_day = |day| BlobName { number: 1, key: String::new(), day };
        let hour = Duration::from_secs(3600);
        let hour_ms = millis(hour);
        let now_ms = 20_000 * DAY_MS + 2 * hour_ms;
        assert!(is_young(&of_day(Some(20_000)), 0, now_ms, hour), "of today, whatever the store says");
        assert!(!is_young(&of_day(Some(19_999)), 0, now_ms, hour));
        assert!(is_young(&of_day(Some(19_999)), 0, now_ms - 2 * hour_ms, hour), "just after midnight");
        assert!(is_young(&of_day(Some(19_999)), now_ms - hour_ms + 1, now_ms, hour));
        assert!(is_young(&of_day(None), now_ms - hour_ms + 1, now_ms, hour));
        assert!(is_young(&of_day(None), now_ms + hour_ms, now_ms, hour), "a store's clock that is ahead");
        assert!(!is_young(&of_day(None), now_ms - hour_ms, now_ms, hour));
    }
}
