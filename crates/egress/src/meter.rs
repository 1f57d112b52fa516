//! A connection to the outside that is counted, slowed and ended by the limits.
//!
//! Start at [`Metered`]. All connections of an attempt share one [`Meter`].
//!
//! Invariant: after the volume is used nothing is let through; it is passed by one buffer per connection at most.

use crate::bucket::Bucket;
use crate::rules::NetworkLimits;
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Most bytes that pass at once.
const MOST_AT_ONCE: usize = 16 << 10;

/// What all connections of an attempt have used together.
#[derive(Debug)]
pub(crate) struct Meter {
    received: Lane,
    sent: Lane,
    volume: u64,
    is_over: AtomicBool,
}

/// One way.
#[derive(Debug)]
struct Lane {
    bytes: AtomicU64,
    pace: Mutex<Bucket>,
}

impl Lane {
    fn new(limits: &NetworkLimits) -> Self {
        let pace = Bucket::new(limits.bytes_per_second, MOST_AT_ONCE as u64, Instant::now());
        Self { bytes: AtomicU64::new(0), pace: Mutex::new(pace) }
    }

    fn pass(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.pace.lock().spend(bytes);
    }
}

impl Meter {
    pub(crate) fn new(limits: &NetworkLimits) -> Self {
        Self {
            received: Lane::new(limits),
            sent: Lane::new(limits),
            volume: limits.volume,
            is_over: AtomicBool::new(false),
        }
    }

    /// Bytes received and sent so far.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.received.bytes.load(Ordering::Relaxed), self.sent.bytes.load(Ordering::Relaxed))
    }

    /// True where the volume is used.
    pub(crate) fn is_used_up(&self) -> bool {
        let (received, sent) = self.used();
        received.saturating_add(sent) >= self.volume
    }

    /// True once, when something was held back because the volume is used.
    pub(crate) fn has_just_ended(&self) -> bool {
        self.is_used_up() && !self.is_over.swap(true, Ordering::Relaxed)
    }
}

/// When something last passed.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<Instant>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn touch(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Resolves when nothing has passed for `limit`.
    pub(crate) async fn ends(&self, limit: Duration) {
        loop {
            let end = *self.0.lock() + limit;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// A connection to a host, within the limits.
#[derive(Debug)]
pub(crate) struct Metered<S = TcpStream> {
    inner: S,
    meter: Arc<Meter>,
    activity: Arc<Activity>,
    reading: Turn,
    writing: Turn,
}

/// One way's place in the queue for its pace.
#[derive(Debug, Default)]
struct Turn(Option<Pin<Box<Sleep>>>);

impl Turn {
    /// Ready when the next bytes may pass; an error where none ever may.
    fn poll(&mut self, cx: &mut Context<'_>, lane: &Lane, meter: &Meter) -> Poll<io::Result<()>> {
        loop {
            if let Some(sleep) = &mut self.0 {
                ready!(sleep.as_mut().poll(cx));
                self.0 = None;
            }
            if meter.is_used_up() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, "the task's volume is used")));
            }
            let wait = lane.pace.lock().wait(Instant::now());
            match wait {
                None => return Poll::Ready(Ok(())),
                Some(wait) => self.0 = Some(Box::pin(tokio::time::sleep(wait))),
            }
        }
    }
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, meter: Arc<Meter>, activity: Arc<Activity>) -> Self {
        activity.touch();
        Self { inner, meter, activity, reading: Turn::default(), writing: Turn::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.reading.poll(cx, &this.meter.received, &this.meter))?;
        let most = buf.remaining().min(MOST_AT_ONCE);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        let length = part.filled().len();
        buf.advance(length);
        this.meter.received.pass(length);
        this.activity.touch();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.writing.poll(cx, &this.meter.sent, &this.meter))?;
        let length = ready!(Pin::new(&mut this.inner).poll_write(cx, &data[..data.len().min(MOST_AT_ONCE)]))?;
        this.meter.sent.pass(length);
        this.activity.touch();
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn metered(limits: NetworkLimits) -> (Metered<DuplexStream>, DuplexStream, Arc<Meter>) {
        let (near, far) = duplex(64 << 10);
        let meter = Arc::new(Meter::new(&limits));
        (Metered::new(near, meter.clone(), Arc::new(Activity::new())), far, meter)
    }

    /// The clock stands still but for what is waited for, so the time is exact however slow the machine is.
    #[tokio::test(start_paused = true)]
    async fn bytes_pass_at_the_rate_each_way() {
        let limits = NetworkLimits { bytes_per_second: 100_000, ..NetworkLimits::default() };
        let (mut near, mut far, meter) = metered(limits);
        let start = Instant::now();
        let pushed = tokio::spawn(async move {
            far.write_all(&vec![0; 1_000_000]).await.expect("written");
            far
        });
        let mut read = vec![0; 1_000_000];
        near.read_exact(&mut read).await.expect("read");
        let took = start.elapsed();
        assert!((9.0..11.0).contains(&took.as_secs_f64()), "{took:?}");
        let mut far = pushed.await.expect("pushed");
        let pulled = tokio::spawn(async move {
            let mut all = vec![0; 500_000];
            far.read_exact(&mut all).await.expect("read");
        });
        let start = Instant::now();
        near.write_all(&vec![0; 500_000]).await.expect("written");
        let took = start.elapsed();
        assert!((4.0..6.0).contains(&took.as_secs_f64()), "{took:?}");
        pulled.await.expect("pulled");
        assert_eq!(meter.used(), (1_000_000, 500_000));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_beyond_the_volume() {
        let (mut near, mut far, meter) = metered(NetworkLimits { volume: 100_000, ..NetworkLimits::default() });
        let pushed = tokio::spawn(async move { far.write_all(&vec![0; 1_000_000]).await });
        let mut read = Vec::new();
        let error = near.read_to_end(&mut read).await.expect_err("all of it came");
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!((100_000..100_000 + MOST_AT_ONCE).contains(&read.len()), "{}", read.len());
        assert!(near.write_all(b"x").await.is_err());
        assert!(meter.has_just_ended() && !meter.has_just_ended());
        drop(near);
        assert!(pushed.await.expect("ended").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_and_talk_keeps_it() {
        let activity = Activity::new();
        let start = Instant::now();
        let limit = Duration::from_secs(10);
        let talk = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                activity.touch();
            }
        };
        tokio::join!(activity.ends(limit), talk);
        assert_eq!(start.elapsed(), Duration::from_secs(50));
    }
}
