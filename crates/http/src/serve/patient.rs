//! A connection whose peer has to do its part.
//!
//! Neither of the two is bounded by the protocol's own code: how long a peer takes for the first bytes, by which the protocol is told,
//! and how long it takes none of what is sent to it. Start at [`Patient::new`].
//!
//! Invariant: no peer holds a connection by doing nothing while something is expected of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes by which the protocol is known for sure: the preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// See the module.
pub(super) struct Patient<T> {
    inner: T,
    patience: Duration,
    /// Bytes that are still missing before the protocol is known, and until when they may come.
    begin: Option<(usize, Pin<Box<Sleep>>)>,
    /// Since the peer takes nothing more: until when it may.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    /// Waits for `patience` and no longer.
    pub(super) fn new(inner: T, patience: Duration) -> Self {
        let begin = Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(patience))));
        Self { inner, patience, begin, stall: None }
    }

    fn written<V>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<V>>) -> Poll<io::Result<V>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(too_slow("it takes nothing of what is sent to it")))
    }
}

fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(context, buffer);
        let Some((missing, late)) = &mut this.begin else { return result };
        match result {
            Poll::Ready(Ok(())) => {
                *missing = missing.saturating_sub(buffer.filled().len() - before);
                if *missing == 0 {
                    this.begin = None;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(late.as_mut().poll(context));
                Poll::Ready(Err(too_slow("it says nothing")))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.written(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write_vectored(context, parts);
        this.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_flush(context);
        this.written(context, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_shutdown(context);
        this.written(context, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const PATIENCE: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_too_little_is_left_and_one_that_has_said_enough_may_be_silent() {
        let (mut peer, ours) = duplex(64);
        let mut ours = Patient::new(ours, PATIENCE);
        peer.write_all(b"P").await.unwrap();
        let mut read = [0; 64];
        assert_eq!(ours.read(&mut read).await.unwrap(), 1);
        assert_eq!(ours.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (mut peer, ours) = duplex(64);
        let mut ours = Patient::new(ours, PATIENCE);
        peer.write_all(&[b'x'; PREFACE_BYTES]).await.unwrap();
        assert_eq!(ours.read(&mut read).await.unwrap(), PREFACE_BYTES);
        let silent = tokio::time::timeout(100 * PATIENCE, ours.read(&mut read)).await;
        assert!(silent.is_err(), "what goes on is the protocol's to bound");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_left_and_a_slow_one_is_not() {
        let (mut peer, ours) = duplex(4);
        let mut ours = Patient::new(ours, PATIENCE);
        let sending = async { ours.write_all(&[1; 16]).await };
        let taking = async {
            let mut read = [0; 4];
            for _ in 0..3 {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                peer.read_exact(&mut read).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(sending, taking);
        sent.unwrap();
        assert_eq!(ours.write_all(&[1; 16]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
