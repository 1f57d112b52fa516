//! The way from the gateway to the pool.
//!
//! Calls share one connection; what lasts (events, logs, contents) goes over lanes of its own, as the pool takes only so many
//! streams of one connection. Start at [`PoolLink::caller`] and [`PoolLink::lane`].
//!
//! Invariant: without the pool the gateway starts and answers; nothing waits for it without a bound, and nobody takes the lanes
//! of all others.

use crate::caller::Whose;
use crate::fault::Fault;
use hivemind_client::{Client, Target};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a call is repeated while nobody answers: over a short restart, not over a long one.
const PATIENCE: Duration = Duration::from_secs(1);
/// Streams on one lane, well below what the pool takes of one connection.
const LANE_STREAMS: usize = 100;
/// Lanes at most.
const MAX_LANES: usize = 24;
/// Streams of one user, or of one token.
const MOST_OF_ONE: usize = 64;

/// A pool that may be away.
pub(crate) struct PoolLink {
    target: Target,
    /// Set once it was reached; the connection finds its way back by itself from then on.
    calls: tokio::sync::Mutex<Option<Client>>,
    lanes: tokio::sync::Mutex<Vec<Lane>>,
    shares: Shares,
    away: Mutex<bool>,
}

struct Lane {
    client: Client,
    places: Arc<Semaphore>,
}

/// A connection with room for one stream.
pub(crate) struct Reserved {
    /// The connection, without a login.
    pub(crate) client: Client,
    /// The room; whoever reads the stream holds it.
    pub(crate) place: Place,
}

/// Room for one stream, given back when it is dropped.
pub(crate) struct Place {
    _of_lane: OwnedSemaphorePermit,
    _share: Share,
}

/// How many streams each has.
type Shares = Arc<Mutex<HashMap<Whose, usize>>>;

/// One of the streams that somebody may have.
struct Share {
    shares: Shares,
    whose: Whose,
}

impl Share {
    fn take(shares: &Shares, whose: Whose) -> Result<Self, Fault> {
        let mut held = shares.lock();
        let count = held.entry(whose.clone()).or_default();
        if *count >= MOST_OF_ONE {
            return Err(Fault::busy(format!(
                "you have {MOST_OF_ONE} streams (live logs, events, contents) open already; end some and try again"
            )));
        }
        *count += 1;
        drop(held);
        Ok(Self { shares: Arc::clone(shares), whose })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        if let Some(count) = held.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.whose);
            }
        }
    }
}

impl PoolLink {
    pub(crate) fn new(target: Target) -> Self {
        let (calls, lanes) = (tokio::sync::Mutex::new(None), tokio::sync::Mutex::new(Vec::new()));
        Self { target, calls, lanes, shares: Shares::default(), away: Mutex::new(false) }
    }

    /// A connection without a login.
    ///
    /// # Errors
    /// 503 where the pool does not answer.
    pub(crate) async fn anonymous(&self) -> Result<Client, Fault> {
        let mut calls = self.calls.lock().await;
        if let Some(client) = &*calls {
            return Ok(client.clone());
        }
        let client = self.connect().await?;
        *calls = Some(client.clone());
        Ok(client)
    }

    /// A connection with the login `token`.
    ///
    /// # Errors
    /// 401 where the token cannot be one; else as of [`PoolLink::anonymous`].
    pub(crate) async fn caller(&self, token: &str) -> Result<Client, Fault> {
        Ok(self.anonymous().await?.with_token(token)?)
    }

    /// Room for a stream that lasts.
    ///
    /// # Errors
    /// 429 where there are too many, of this one or together; else as of [`PoolLink::anonymous`].
    pub(crate) async fn lane(&self, whose: Whose) -> Result<Reserved, Fault> {
        let share = Share::take(&self.shares, whose)?;
        let mut lanes = self.lanes.lock().await;
        for lane in lanes.iter() {
            if let Ok(of_lane) = Arc::clone(&lane.places).try_acquire_owned() {
                let place = Place { _of_lane: of_lane, _share: share };
                return Ok(Reserved { client: lane.client.clone(), place });
            }
        }
        if lanes.len() >= MAX_LANES {
            return Err(Fault::busy("too many pages follow the pool at once; close some and try again"));
        }
        let client = self.connect().await?;
        let places = Arc::new(Semaphore::new(LANE_STREAMS));
        let of_lane = Arc::clone(&places).try_acquire_owned().map_err(|_full| Fault::busy("no room for a stream"))?;
        lanes.push(Lane { client: client.clone(), places });
        Ok(Reserved { client, place: Place { _of_lane: of_lane, _share: share } })
    }

    /// Why the gateway cannot work, where the pool was away when it was asked last.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if *self.away.lock() { Err("the pool does not answer".to_owned()) } else { Ok(()) }
    }

    /// Remembers whether the pool answered.
    pub(crate) fn note(&self, away: Away) {
        *self.away.lock() = away == Away::Yes;
    }

    async fn connect(&self) -> Result<Client, Fault> {
        match Client::connect(&self.target, None).await {
            Ok(client) => Ok(client.with_patience(PATIENCE)),
            Err(error) => {
                self.note(Away::Yes);
                Err(error.into())
            }
        }
    }
}

/// Whether the pool is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// It did not answer.
    Yes,
    /// It did.
    No,
}
