//! Sends answers to peers, who must take them at a minimum rate: what waits for a peer holds memory and a connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::edge::{LeastRate, Pace};

/// A connection whose peer must take what is written at a minimum rate; otherwise writing fails. Only the time counts during which
/// something waits to be taken.
pub(crate) struct Sending<S> {
    connection: S,
    pace: Pace,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    /// Fires at the window's end.
    end: Pin<Box<Sleep>>,
}

impl<S: AsyncWrite + Unpin> Sending<S> {
    pub(crate) fn new(connection: S, rate: LeastRate) -> Self {
        Self { connection, pace: Pace::new(rate), waiting: None }
    }

    fn poll_taken(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(taken) = write(Pin::new(&mut self.connection), context) {
            let waited = self.waiting.take().map(|waiting| waiting.since.elapsed());
            let taken = taken?;
            self.pace.note(waited.unwrap_or_default(), taken);
            return Poll::Ready(Ok(taken));
        }
        let pace = &mut self.pace;
        let waiting =
            self.waiting.get_or_insert_with(|| Waiting { since: Instant::now(), end: Box::pin(sleep(pace.left())) });
        while waiting.end.as_mut().poll(context).is_ready() {
            pace.next_window()?;
            waiting.since = Instant::now();
            waiting.end.as_mut().reset(waiting.since + pace.left());
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sending<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_taken(context, |connection, context| connection.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_taken(context, |connection, context| connection.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS there may be bytes left to write.
        let flushed =
            self.get_mut().poll_taken(context, |connection, context| connection.poll_flush(context).map_ok(|()| 0));
        flushed.map_ok(drop)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut =
            self.get_mut().poll_taken(context, |connection, context| connection.poll_shutdown(context).map_ok(|()| 0));
        shut.map_ok(drop)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sending<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    /// 1,000 bytes in each fifth of a second.
    const RATE: LeastRate = LeastRate { bytes_per_sec: 5000, window: Duration::from_millis(200) };

    /// Sends to a reader who takes this much at a time, with a pause of a hundredth of a second.
    async fn send(bytes: usize, at_a_time: usize) -> io::Result<()> {
        let (ours, theirs) = duplex(4096);
        tokio::spawn(take(theirs, at_a_time));
        let sent = async { Sending::new(ours, RATE).write_all(&vec![7; bytes]).await };
        timeout(Duration::from_secs(20), sent).await.expect("it ends")
    }

    async fn take(mut stream: DuplexStream, at_a_time: usize) {
        let mut taken = vec![0; at_a_time];
        while stream.read_exact(&mut taken).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn who_takes_too_little_is_cut_off_whatever_was_taken_before_and_others_have_all_the_time() {
        // About 100 bytes per second, and nothing.
        assert_eq!(send(100_000, 1).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (ours, _silent) = duplex(4096);
        let stalled = Sending::new(ours, RATE).write_all(&[7; 5000]).await;
        assert_eq!(stalled.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // About 40,000 bytes per second, for two seconds.
        send(80_000, 400).await.unwrap();
    }

    #[tokio::test]
    async fn the_time_in_which_nothing_waits_does_not_count() {
        let (ours, theirs) = duplex(4096);
        tokio::spawn(take(theirs, 10));
        let mut sending = Sending::new(ours, RATE);
        for _ in 0..10 {
            sending.write_all(&[7; 10]).await.unwrap();
            tokio::time::sleep(RATE.window / 4).await;
        }
    }
}
