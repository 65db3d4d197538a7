//! A cache for fetched collateral, which keeps it as long as it is valid.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Mutex as AsyncMutex;

use super::{CollateralSource, PlatformKind, SourceError};
use crate::collateral::Collateral;

/// The most kinds of platforms whose collateral is kept.
const MAX_KEPT: usize = 256;
/// A source that failed is not asked again sooner than this, as long as there is collateral to use.
const RETRY_AFTER_SECS: u64 = 60;

/// A cache for fetched collateral. Clones share it.
#[derive(Debug, Clone)]
pub struct CollateralCache {
    source: CollateralSource,
    max_age_secs: u64,
    refresh_before_secs: u64,
    kept: Arc<Mutex<HashMap<PlatformKind, Slot>>>,
}

/// The collateral for one kind of platform. One caller fetches at a time; callers for other kinds do not wait for it.
type Slot = Arc<AsyncMutex<Option<Kept>>>;

#[derive(Debug)]
struct Kept {
    collateral: Arc<Collateral>,
    asked_at_secs: u64,
    failed: bool,
}

impl CollateralCache {
    /// A cache in front of a source. Collateral is fetched again `max_age_secs` after it was fetched, since Intel publishes new findings
    /// long before the old ones expire, and when it remains valid for no longer than `refresh_before_secs`.
    pub fn new(source: CollateralSource, max_age_secs: u64, refresh_before_secs: u64) -> Self {
        Self { source, max_age_secs, refresh_before_secs, kept: Arc::default() }
    }

    /// The collateral for a quote. If it is due and the source does not have it, the kept one is used until it expires.
    pub async fn collateral(&self, quote: &[u8], now_secs: u64) -> Result<Arc<Collateral>, SourceError> {
        let kind = PlatformKind::of(quote)?;
        let slot = self.slot(kind);
        let mut kept = slot.lock().await;
        // A folder may have collateral that was valid earlier.
        let earlier = |kept: &Kept| matches!(self.source, CollateralSource::Folder(_)) && kept.begins_after(now_secs);
        let good = |kept: &&Kept| kept.ends_after(now_secs) && !earlier(kept) && !self.is_due(kept, now_secs);
        if let Some(kept) = kept.as_ref().filter(good) {
            return Ok(Arc::clone(&kept.collateral));
        }
        let error = match self.source.collateral(quote, now_secs).await {
            Ok(collateral) => {
                let collateral = Arc::new(collateral);
                *kept = Some(Kept { collateral: Arc::clone(&collateral), asked_at_secs: now_secs, failed: false });
                return Ok(collateral);
            }
            Err(error) => error,
        };
        if let Some(kept) = kept.as_mut().filter(|kept| kept.ends_after(now_secs)) {
            (kept.asked_at_secs, kept.failed) = (now_secs, true);
            return Ok(Arc::clone(&kept.collateral));
        }
        self.slots().remove(&kind);
        Err(error)
    }

    fn is_due(&self, kept: &Kept, now_secs: u64) -> bool {
        // The clock may have been set back.
        let age_secs = now_secs.abs_diff(kept.asked_at_secs);
        let ends_soon = !kept.ends_after(now_secs.saturating_add(self.refresh_before_secs));
        age_secs >= if kept.failed || ends_soon { RETRY_AFTER_SECS } else { self.max_age_secs }
    }

    fn slot(&self, kind: PlatformKind) -> Slot {
        let mut slots = self.slots();
        // Callers that invent kinds of platforms get no more memory.
        if slots.len() >= MAX_KEPT && !slots.contains_key(&kind) {
            slots.clear();
        }
        Arc::clone(slots.entry(kind).or_default())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<PlatformKind, Slot>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn begins_after(&self, secs: u64) -> bool {
        self.collateral.valid_from_secs().is_ok_and(|begin| begin > secs)
    }

    fn ends_after(&self, secs: u64) -> bool {
        self.collateral.next_update_secs().is_ok_and(|end| end > secs)
    }
}
