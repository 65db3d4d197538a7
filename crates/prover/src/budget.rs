//! How much memory batches in work may take.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use vise::Gauge;

/// A bound on the memory of all batches in work. A batch that is larger than all of it is let in alone.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: u64,
    used_bytes: Mutex<u64>,
    freed: Notify,
    /// Those who wait, in the order in which they came: a large batch is not overtaken for ever.
    turn: tokio::sync::Mutex<()>,
    gauge: Gauge<u64>,
}

/// A part of the budget, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64, gauge: Gauge<u64>) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: Mutex::new(0), freed: Notify::new(), turn: Default::default(), gauge })
    }

    /// Waits until there is room.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64) -> Reservation {
        let _turn = self.turn.lock().await;
        loop {
            let freed = self.freed.notified();
            let fits = self.change(|used| match *used == 0 || used.saturating_add(bytes) <= self.limit_bytes {
                true => {
                    *used = used.saturating_add(bytes);
                    true
                }
                false => false,
            });
            if fits {
                return Reservation { budget: self.clone(), bytes };
            }
            freed.await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut u64) -> T) -> T {
        let mut used = self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut used);
        self.gauge.set(*used);
        result
    }
}

impl Reservation {
    /// Takes more or less, without waiting: the batch is there already.
    pub(crate) fn resize(&mut self, bytes: u64) {
        self.budget.change(|used| *used = used.saturating_sub(self.bytes).saturating_add(bytes));
        self.bytes = bytes;
        self.budget.freed.notify_one();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.change(|used| *used = used.saturating_sub(self.bytes));
        self.budget.freed.notify_one();
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
        second.resize(10);
        let _third = budget.reserve(90).await;
        assert_eq!(budget.gauge.get(), 100);
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_budget_is_let_in_alone() {
        let budget = Budget::new(100, Gauge::default());
        let small = budget.reserve(1).await;
        let mut large = Box::pin(budget.reserve(1000));
        assert!(is_pending(&mut large).await);
        // What comes later waits behind it, though there would be room.
        let mut later = pin!(budget.reserve(1));
        assert!(is_pending(&mut later.as_mut()).await);
        drop(small);
        drop(large.await);
        drop(later.await);
        assert_eq!(budget.gauge.get(), 0);
    }
}
