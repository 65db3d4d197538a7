//! How much memory the batches of one server may take while they are in progress.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use vise::Gauge;

/// A server's share of the memory for batches in progress. Each server has its own, so that none can take another's.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: u64,
    used_bytes: Mutex<u64>,
    freed: Notify,
    /// Held by waiting callers, in order of arrival, so that a large batch is not overtaken forever.
    turn: tokio::sync::Mutex<()>,
    /// The sum over all shares.
    gauge: Gauge<u64>,
}

/// A part of the share, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64, gauge: Gauge<u64>) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: Mutex::new(0), freed: Notify::new(), turn: Default::default(), gauge })
    }

    /// The size of the share.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Waits until there is room for this many bytes, or for the whole share if that is less.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64) -> Reservation {
        let bytes = bytes.min(self.limit_bytes);
        let _turn = self.turn.lock().await;
        loop {
            let freed = self.freed.notified();
            if self.take(bytes) {
                return Reservation { budget: self.clone(), bytes };
            }
            freed.await;
        }
    }

    fn take(&self, bytes: u64) -> bool {
        let mut used = self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = used.saturating_add(bytes) <= self.limit_bytes;
        if fits {
            *used = used.saturating_add(bytes);
            self.gauge.inc_by(bytes);
        }
        fits
    }

    fn free(&self, bytes: u64) {
        let mut used = self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(bytes);
        self.gauge.dec_by(bytes);
        drop(used);
        self.freed.notify_one();
    }
}

impl Reservation {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frees everything beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        let beyond = self.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(beyond);
        self.budget.free(beyond);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.free(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::Future, pin::pin, task::Poll};

    async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn a_batch_waits_until_there_is_room_for_it() {
        let budget = Budget::new(100, Gauge::default());
        let first = budget.reserve(60).await;
        let mut second = Box::pin(budget.reserve(60));
        assert!(is_pending(&mut second).await);
        drop(first);
        let mut second = second.await;
        second.shrink(10);
        let _third = budget.reserve(90).await;
        assert_eq!(budget.gauge.get(), 100);
    }

    #[tokio::test]
    async fn a_batch_that_asks_for_more_than_the_share_gets_all_of_it_and_no_more() {
        let budget = Budget::new(100, Gauge::default());
        let small = budget.reserve(1).await;
        let mut large = Box::pin(budget.reserve(1000));
        assert!(is_pending(&mut large).await);
        // A later request waits behind it, although there would be room.
        let mut later = pin!(budget.reserve(1));
        assert!(is_pending(&mut later.as_mut()).await);
        drop(small);
        let large = large.await;
        assert_eq!((large.bytes(), budget.gauge.get()), (100, 100));
        drop(large);
        drop(later.await);
        assert_eq!(budget.gauge.get(), 0);
    }

    #[tokio::test]
    async fn the_gauge_shows_all_shares_together() {
        let gauge = Gauge::default();
        let (one, other) = (Budget::new(100, gauge.clone()), Budget::new(100, gauge.clone()));
        let _one = one.reserve(70).await;
        let other = other.reserve(80).await;
        assert_eq!(gauge.get(), 150);
        drop(other);
        assert_eq!(gauge.get(), 70);
    }
}
