//! Answers that wait in memory for their readers. A caller that asks and does not read must not fill the memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::{Body, HttpBody, to_bytes},
    http::header::CONTENT_LENGTH,
    response::Response,
};
use bytes::Bytes;
use futures::stream;

use crate::{
    edge::{Asker, Limits},
    http::Problem,
};

/// How much of an answer the connection gets at a time. What it has got no longer counts.
const PIECE_BYTES: usize = 64 * 1024;

/// One asker may use this fraction of the room.
const SHARE: usize = 4;

/// The room for answers.
#[derive(Debug, Clone)]
pub(crate) struct AnswerRoom {
    max_bytes: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    of: HashMap<Asker, usize>,
}

/// A share of the room, held until dropped.
#[derive(Debug)]
pub(crate) struct HeldRoom {
    room: AnswerRoom,
    asker: Asker,
    bytes: usize,
}

/// Marks an answer whose room is held already.
#[derive(Debug, Clone, Copy)]
struct IsHeld;

impl AnswerRoom {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { max_bytes: limits.max_answer_bytes, held: Arc::default() }
    }

    /// An empty share, to be enlarged later.
    pub(crate) fn take(&self, asker: Asker) -> HeldRoom {
        HeldRoom { room: self.clone(), asker, bytes: 0 }
    }

    /// Holds room for an answer that is completely in memory, and refuses the answer if there is none. Small answers are covered by the
    /// limits on connections.
    pub(crate) async fn hold(&self, asker: Asker, answer: Response) -> Result<Response, Problem> {
        let bytes = answer.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        if bytes <= PIECE_BYTES || answer.extensions().get::<IsHeld>().is_some() {
            return Ok(answer);
        }
        let mut room = self.take(asker);
        room.enlarge(bytes)?;
        let (parts, body) = answer.into_parts();
        // The body is in memory, so this does not wait.
        let body = to_bytes(body, bytes).await.map_err(Problem::internal)?;
        Ok(room.fill(Response::from_parts(parts, Body::empty()), body))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldRoom {
    /// Holds this many bytes more.
    pub(crate) fn enlarge(&mut self, by_bytes: usize) -> Result<(), Problem> {
        let mut held = self.room.held();
        let own = held.of.get(&self.asker).copied().unwrap_or(0).saturating_add(by_bytes);
        let all = held.bytes.saturating_add(by_bytes);
        if all > self.room.max_bytes || own > self.room.max_bytes / SHARE {
            return Err(Problem::too_many_answers());
        }
        held.bytes = all;
        held.of.insert(self.asker.clone(), own);
        drop(held);
        self.bytes += by_bytes;
        Ok(())
    }

    /// Gives an answer this body, which holds the room until its last piece has been sent.
    pub(crate) fn fill(self, mut answer: Response, body: Bytes) -> Response {
        answer.headers_mut().insert(CONTENT_LENGTH, body.len().into());
        answer.extensions_mut().insert(IsHeld);
        // In pieces, because a connection copies a whole body into its buffer, however large it is.
        let pieces = stream::unfold((body, self), |(mut left, room)| async move {
            if left.is_empty() {
                return None;
            }
            let piece = left.split_to(left.len().min(PIECE_BYTES));
            Some((Ok::<_, std::convert::Infallible>(piece), (left, room)))
        });
        *answer.body_mut() = Body::from_stream(pieces);
        answer
    }
}

impl Drop for HeldRoom {
    fn drop(&mut self) {
        let mut held = self.room.held();
        held.bytes -= self.bytes;
        if let Some(own) = held.of.get_mut(&self.asker) {
            *own -= self.bytes;
            if *own == 0 {
                held.of.remove(&self.asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures::StreamExt;

    use super::*;

    fn asker(last: u8) -> Asker {
        Asker { peer: IpAddr::from([10, 0, 0, last]).into(), token: None }
    }

    #[tokio::test]
    async fn an_asker_has_its_share_of_the_room_and_what_is_read_makes_room_again() {
        let room = AnswerRoom::new(&Limits { max_answer_bytes: 4_000_000, ..Limits::default() });
        let answer = || Response::new(Body::from(vec![7; 600_000]));
        let held = room.hold(asker(1), answer()).await.unwrap();
        assert_eq!(held.headers()[CONTENT_LENGTH], "600000");
        assert_eq!(room.hold(asker(1), answer()).await.unwrap_err().code(), "too_many_answers");
        let others = [room.hold(asker(2), answer()).await.unwrap(), room.hold(asker(3), answer()).await.unwrap()];
        assert_eq!(room.held().bytes, 1_800_000);
        // An answer that has room does not take it twice.
        let held = room.hold(asker(1), held).await.unwrap();
        let mut pieces = held.into_body().into_data_stream();
        let mut read = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE_BYTES && piece.iter().all(|byte| *byte == 7));
            read += piece.len();
        }
        assert_eq!(read, 600_000);
        assert_eq!(room.held().bytes, 1_200_000);
        drop(others);
        assert!(room.held().of.is_empty() && room.held().bytes == 0);
    }

    #[tokio::test]
    async fn all_askers_together_have_no_more_than_the_room() {
        let room = AnswerRoom::new(&Limits { max_answer_bytes: 1_000_000, ..Limits::default() });
        let mut held = vec![];
        for last in 0..9 {
            held.push(room.hold(asker(last), Response::new(Body::from(vec![7; 200_000]))).await);
        }
        assert_eq!(held.iter().filter(|answer| answer.is_ok()).count(), 5);
    }
}
