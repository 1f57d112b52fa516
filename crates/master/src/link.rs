//! The way from the gateway to the pool.
//!
//! Calls share one connection; what lasts (events, logs, contents) goes over lanes of its own, as the pool takes only so many
//! streams of one connection. Start at [`PoolLink::caller`] and [`PoolLink::lane`].
//!
//! Invariant: without the pool the gateway starts and answers; nothing waits for it without a bound, and nobody takes the lanes
//! of all others.

use crate::fault::Fault;
use hivemind_client::{Client, Target};
use hivemind_limit::{NoPlace, Places};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};

/// How long a call is repeated while nobody answers: over a short restart, not over a long one.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the pool is asked whether it answers, at most, and how long it has to.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// Streams on one lane, well below what the pool takes of one connection.
const LANE_STREAMS: usize = 100;
/// Lanes at most.
const MAX_LANES: usize = 24;
/// For how long nobody tries to connect after somebody has tried in vain, so that many who wait do not wait one after the other.
const VAIN: Duration = Duration::from_secs(1);
/// Between two looks of its own, a little longer, so that each of them is one.
const WATCH_EVERY: Duration = Duration::from_secs(6);
/// Streams of one user, whatever the number of their tokens.
const MOST_OF_ONE: usize = 64;

/// A pool that may be away.
pub(crate) struct PoolLink {
    target: Target,
    /// What the pool knows its gateway by, where it is known here.
    gateway_key: Option<String>,
    /// Set once it was reached; the connection finds its way back by itself from then on.
    calls: tokio::sync::Mutex<Option<Client>>,
    lanes: tokio::sync::Mutex<Vec<Lane>>,
    /// When somebody tried to connect in vain, and why.
    vain: Mutex<Option<(Instant, Fault)>>,
    /// What was found at the last look; `None` before the first.
    away: Mutex<Option<Away>>,
    /// When the pool was asked last whether it answers.
    asked: tokio::sync::Mutex<Option<Instant>>,
    /// By the user's id.
    shares: Places<String>,
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
    _share: hivemind_limit::Place<String>,
}

impl PoolLink {
    pub(crate) fn new(target: Target, gateway_key: Option<String>) -> Self {
        let (calls, lanes) = (tokio::sync::Mutex::new(None), tokio::sync::Mutex::new(Vec::new()));
        let shares = Places::new(MOST_OF_ONE, LANE_STREAMS * MAX_LANES);
        let asked = tokio::sync::Mutex::new(None);
        Self { target, gateway_key, calls, lanes, shares, vain: Mutex::default(), away: Mutex::default(), asked }
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
    pub(crate) async fn lane(&self, user: &String) -> Result<Reserved, Fault> {
        let share = self.shares.take(user).map_err(too_many)?;
        let mut lanes = self.lanes.lock().await;
        for lane in lanes.iter() {
            if let Ok(of_lane) = Arc::clone(&lane.places).try_acquire_owned() {
                let place = Place { _of_lane: of_lane, _share: share };
                return Ok(Reserved { client: lane.client.clone(), place });
            }
        }
        if lanes.len() >= MAX_LANES {
            return Err(too_many(NoPlace::OfAll));
        }
        let client = self.connect().await?;
        let places = Arc::new(Semaphore::new(LANE_STREAMS));
        let of_lane = Arc::clone(&places).try_acquire_owned().map_err(|_full| Fault::busy("no room for a stream"))?;
        lanes.push(Lane { client: client.clone(), places });
        Ok(Reserved { client, place: Place { _of_lane: of_lane, _share: share } })
    }

    /// Why the gateway cannot work, where the pool was away at the last look.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        match *self.away.lock() {
            Some(Away::No) => Ok(()),
            Some(Away::Yes) => Err("the pool does not answer".to_owned()),
            None => Err("the pool was not asked yet".to_owned()),
        }
    }

    /// Looks again and again whether the pool answers, for [`PoolLink::readiness`]; it does not end.
    pub(crate) async fn watch(&self) {
        let mut looks = tokio::time::interval(WATCH_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look().await;
        }
    }

    /// Asks the pool whether it answers, at most once in 5 s however often this is called; it has 2 s.
    pub(crate) async fn look(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        *asked = Some(Instant::now());
        let answered = tokio::time::timeout(LOOK_PATIENCE, async {
            match self.anonymous().await {
                // A refusal is an answer.
                Ok(client) => client.public_counters().await.map_or_else(|why| !why.is_unreachable(), |_| true),
                Err(_away) => false,
            }
        });
        let away = if answered.await.unwrap_or(false) { Away::No } else { Away::Yes };
        *self.away.lock() = Some(away);
    }

    async fn connect(&self) -> Result<Client, Fault> {
        if let Some((at, fault)) = &*self.vain.lock()
            && at.elapsed() < VAIN
        {
            return Err(fault.clone());
        }
        match Client::connect(&self.target, None).await {
            Ok(client) => {
                let client = client.with_patience(PATIENCE);
                Ok(match &self.gateway_key {
                    Some(key) => client.of_gateway(key)?,
                    None => client,
                })
            }
            Err(error) => {
                let fault = Fault::from(error);
                *self.vain.lock() = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }
}

fn too_many(why: NoPlace) -> Fault {
    match why {
        NoPlace::OfOne => Fault::busy(format!(
            "you have {MOST_OF_ONE} streams (live logs, events, contents) open already; end some and try again"
        )),
        NoPlace::OfAll => Fault::busy("too many pages follow the pool at once; close some and try again"),
    }
}

/// Whether the pool is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// It did not answer.
    Yes,
    /// It did.
    No,
}
