//! What happens, told live: one watch of the pool for each user, however many pages are open.
//!
//! A feed begins when the first page follows it and ends a while after the last has gone, or when the pool goes away: then pages get
//! `lost` and the end of their stream, so that they can say so, and come back by themselves. Start at [`Feeds::follow`].
//!
//! Invariant: what a token of one kind may see is never shown to the bearer of another.

use crate::app::App;
use crate::caller::{Caller, Whose};
use crate::dto::money::Balance;
use crate::dto::node::NodeSummary;
use crate::dto::pool::PoolHealth;
use crate::dto::task::TaskEvent;
use crate::fault::Fault;
use crate::link::Place;
use crate::routes::live::{self, Nothing};
use crate::wire::FromWire;
use futures::StreamExt;
use hivemind_client::v1::{self, pool_event::Event};
use hivemind_client::{ClientError, Events};
use hivemind_http::events::{Bounds, Follower, Hub};
use hivemind_model::Code;
use http::HeaderMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Events that a page can miss and still go on, and pages of one user.
const BOUNDS: Bounds = Bounds { events: 2048, bytes: 2 << 20, followers: 32 };
/// Between two looks whether anybody follows, however much happens; after two in vain the feed ends.
const LOOK: Duration = Duration::from_secs(15);

/// All feeds.
#[derive(Default)]
pub(crate) struct Feeds {
    slots: Mutex<HashMap<Whose, Arc<Slot>>>,
}

/// The feed of one user, where it runs. Locked while it is opened, so that two pages open one.
#[derive(Default)]
struct Slot {
    hub: Arc<tokio::sync::Mutex<Option<Hub>>>,
}

impl Feeds {
    /// Follows the events of whoever asks.
    ///
    /// # Errors
    /// 503 where the pool does not answer, 429 where too many follow, and what the pool refuses.
    pub(crate) async fn follow(&self, app: &App, caller: &Caller, headers: &HeaderMap) -> Result<Follower, Fault> {
        let whose = caller.by.whose();
        // A feed that runs was opened by another login, perhaps.
        live::holds(app, caller.token()).await?;
        let held = self.hold(app, &whose);
        let mut hub = Arc::clone(&held.slot().hub).lock_owned().await;
        if let Some(hub) = &*hub {
            return Ok(hub.follow(headers)?);
        }
        let feed = Feed::open(app, caller).await?;
        let opened = feed.hub.clone();
        let follower = opened.follow(headers)?;
        *hub = Some(opened);
        drop(hub);
        tokio::spawn(async move { feed.run(held.slot()).await });
        Ok(follower)
    }

    /// The slot of `whose`, which is listed as long as anybody holds it.
    fn hold(&self, app: &App, whose: &Whose) -> Held {
        let slot = Arc::clone(self.slots.lock().entry(whose.clone()).or_default());
        Held { app: app.clone(), whose: whose.clone(), slot: Some(slot) }
    }
}

/// A slot that goes off the list when the last who holds it lets go of it, also where whoever asked has hung up.
struct Held {
    app: App,
    whose: Whose,
    /// Until it is let go of.
    slot: Option<Arc<Slot>>,
}

impl Held {
    fn slot(&self) -> &Slot {
        self.slot.as_deref().expect("it is let go of in the end only")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Slots are taken hold of and let go of under this lock: the list and this are all, or somebody else is left to do it.
        let mut slots = self.app.feeds().slots.lock();
        let is_last = self.slot.take().is_some_and(|slot| Arc::strong_count(&slot) <= 2);
        if is_last {
            slots.remove(&self.whose);
        }
    }
}

/// A watch of the pool, and those who follow it.
struct Feed {
    hub: Hub,
    tasks: Events<v1::TaskEvent>,
    pool: Events<Event>,
    _places: [Place; 2],
}

/// Why a feed ends.
enum End {
    Unread,
    Lost,
}

impl Feed {
    async fn open(app: &App, caller: &Caller) -> Result<Self, Fault> {
        let room = caller.lane(app).await?;
        let more = caller.lane(app).await?;
        let tasks = optional(room.client.watch_changes().await)?;
        let pool = optional(more.client.watch_pool().await)?;
        Ok(Self { hub: Hub::new(BOUNDS), tasks, pool, _places: [room.place, more.place] })
    }

    /// Sends one event of the pool.
    fn tell(&self, event: Event) {
        match event {
            Event::Health(health) => self.hub.send("pool", &PoolHealth::from_wire(health)),
            Event::Node(node) => self.hub.send("node", &NodeSummary::from_wire(node)),
            Event::Balance(balance) => self.hub.send("wallet", &Balance::from_wire(balance)),
            // The state that follows replaces what pages show, each thing by itself; what is gone they find by asking.
            Event::Begins(_) => self.hub.send("reset", &Nothing {}),
        }
    }

    async fn run(mut self, slot: &Slot) {
        let (mut unread, mut looks) = (false, tokio::time::interval(LOOK));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let end = tokio::select! {
                event = self.tasks.next() => match event {
                    Some(Ok(event)) => {
                        self.hub.send("task", &TaskEvent::from_wire(event));
                        continue;
                    }
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the events of a user ended");
                        End::Lost
                    }
                    None => End::Lost,
                },
                event = self.pool.next() => match event {
                    Some(Ok(event)) => {
                        self.tell(event);
                        continue;
                    }
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the events of the pool ended");
                        End::Lost
                    }
                    None => End::Lost,
                },
                _at = looks.tick() => {
                    if self.hub.followers() > 0 {
                        unread = false;
                        continue;
                    }
                    if !std::mem::replace(&mut unread, true) {
                        continue;
                    }
                    End::Unread
                }
            };
            // Nobody begins to follow while this is held.
            let mut kept = slot.hub.lock().await;
            match end {
                End::Unread if self.hub.followers() > 0 => {
                    unread = false;
                    continue;
                }
                End::Unread => {}
                End::Lost => self.hub.send("lost", &Nothing {}),
            }
            *kept = None;
            self.hub.close();
            return;
        }
    }
}

/// A key may see only a part of the events: what it may not see is a stream on which nothing comes.
fn optional<T: Send + 'static>(opened: Result<Events<T>, ClientError>) -> Result<Events<T>, Fault> {
    match opened {
        Err(ClientError::Rejected { code, .. }) if code == Code::Forbidden.as_str() => {
            Ok(futures::stream::pending().boxed())
        }
        opened => Ok(opened?),
    }
}
