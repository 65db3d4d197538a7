//! Receives bodies at a rate that peers must keep up, and completely before any scarce resource is taken for them.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    batches::AddBatchError,
    edge::{LeastRate, Limits, Pace},
};

/// How many bytes of bodies may wait in memory, all together. A body for which there is no room is read only as it is consumed.
const ROOM_BYTES: usize = 64 * 1024 * 1024;

/// The room for waiting bodies.
#[derive(Debug, Clone)]
pub(crate) struct Receiving {
    room: Arc<Semaphore>,
    rate: LeastRate,
}

/// A received body. If there was not enough room, the rest follows from the stream.
pub(crate) struct Received {
    pub(crate) body: BoxStream<'static, io::Result<Bytes>>,
    /// The room that the body takes until this is dropped.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl Receiving {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM_BYTES)), rate: limits.least_upload_rate() }
    }

    /// Reads a body as far as there is room for it.
    pub(crate) async fn receive<S>(&self, body: S) -> Result<Received, AddBatchError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let mut body = Box::pin(required(self.rate, body));
        let mut whole = Vec::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(piece) = body.try_next().await.map_err(AddBatchError::Read)? {
            let wanted = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let Ok(more) = self.room.clone().try_acquire_many_owned(wanted) else {
                let there = [Ok(Bytes::from(whole)), Ok(piece)];
                return Ok(Received { body: stream::iter(there).chain(body).boxed(), room });
            };
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Received { body: stream::iter([Ok(Bytes::from(whole))]).boxed(), room })
    }
}

/// The same body, which ends in an error if it comes too slowly. Only time spent waiting for it counts.
fn required<S>(rate: LeastRate, body: S) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    stream::unfold(Some((body, Pace::new(rate))), |state| async move {
        let (mut body, mut pace) = state?;
        let asked = Instant::now();
        let Ok(piece) = timeout(pace.left(), body.next()).await else {
            return Some(match pace.next_window() {
                Ok(()) => (Ok(Bytes::new()), Some((body, pace))),
                Err(error) => (Err(error), None),
            });
        };
        match piece? {
            Err(error) => Some((Err(error), None)),
            Ok(piece) => {
                pace.note(asked.elapsed(), piece.len());
                Some((Ok(piece), Some((body, pace))))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 1,000 bytes in each fifth of a second.
    const RATE: LeastRate = LeastRate { bytes_per_sec: 5000, window: Duration::from_millis(200) };

    type Body = BoxStream<'static, io::Result<Bytes>>;

    fn pieces(pieces: usize, bytes: usize) -> Body {
        stream::iter((0..pieces).map(move |_| Ok(Bytes::from(vec![0; bytes])))).boxed()
    }

    /// A byte from time to time, without end.
    fn dripping() -> Body {
        pieces(usize::MAX, 1)
            .then(async |piece| {
                tokio::time::sleep(Duration::from_millis(10)).await;
                piece
            })
            .boxed()
    }

    async fn read(body: Body) -> io::Result<usize> {
        Box::pin(required(RATE, body)).try_fold(0, async |sum, piece| Ok(sum + piece.len())).await
    }

    #[tokio::test]
    async fn a_body_that_drips_or_stops_is_cut_off_whatever_came_before() {
        for slow in [dripping(), stream::pending().boxed()] {
            assert_eq!(read(slow).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let fast_then_dripping = pieces(3, 100_000).chain(dripping()).boxed();
        assert_eq!(read(fast_then_dripping).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(read(pieces(1000, 100)).await.unwrap(), 100_000);
        // A body that ends in time need not keep up any rate.
        assert_eq!(read(pieces(3, 1)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_time_in_which_nobody_reads_does_not_count() {
        let mut body = Box::pin(required(RATE, pieces(10, 1)));
        while let Some(piece) = body.next().await {
            piece.unwrap();
            tokio::time::sleep(RATE.window / 4).await;
        }
    }

    #[tokio::test]
    async fn what_has_no_room_is_read_later_and_nothing_of_it_is_lost() {
        let receiving = Receiving { room: Arc::new(Semaphore::new(100)), rate: RATE };
        let received = receiving.receive(pieces(3, 30)).await.unwrap();
        assert_eq!(receiving.room.available_permits(), 10);
        let second = receiving.receive(pieces(3, 7)).await.unwrap();
        assert_eq!(receiving.room.available_permits(), 3);
        for (received, bytes) in [(received, 90), (second, 21)] {
            let pieces: Vec<Bytes> = received.body.try_collect().await.unwrap();
            assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), bytes);
        }
        assert_eq!(receiving.room.available_permits(), 100);
    }
}
