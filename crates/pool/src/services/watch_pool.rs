//! `WatchPool`: the state now, then what changed, at most once a second.
//!
//! A watcher first asks to be told of changes and then reads the state, so that nothing falls between. One that cannot
//! keep up begins anew. Who finds out what changed is [`super::ticks`], once for all watchers. Start at [`start`].
//!
//! Invariant: members are told of their own nodes and their own balance only.

use super::health;
use super::machine;
use super::page::MAX_PAGE;
use super::token::balance_of;
use crate::shared::Shared;
use crate::status;
use crate::tokens::Caller;
use crate::watching::{Tick, Watch};
use futures::stream::BoxStream;
use hivemind_model::UserId;
use hivemind_model::rows::Role;
use hivemind_proto::v1::pool_event::Event;
use hivemind_proto::v1::{HealthResponse, PoolEvent, WatchBegins};
use hivemind_store::NodeFilter;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Events on the way to one watcher.
const QUEUE: usize = 64;

/// Watches for `caller`.
pub(super) fn start(
    shared: Arc<Shared>,
    caller: &Caller,
) -> Result<BoxStream<'static, Result<PoolEvent, Status>>, Status> {
    let watch = Watch::begin(&shared.live, caller.id, caller.role);
    let watch = watch.map_err(|rejection| status::rejected(&rejection))?;
    let (out, stream) = mpsc::channel(QUEUE);
    let watcher = Watcher { shared, user: caller.id, role: caller.role, out };
    tokio::spawn(async move {
        if let Err(Stopped::Fault(fault)) = watcher.run(watch).await {
            // A watcher that has gone wants no reason.
            let _gone = watcher.out.send(Err(fault)).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

struct Watcher {
    shared: Arc<Shared>,
    user: UserId,
    role: Role,
    out: mpsc::Sender<Result<PoolEvent, Status>>,
}

enum Stopped {
    Gone,
    Fault(Status),
}

impl From<Status> for Stopped {
    fn from(fault: Status) -> Self {
        Self::Fault(fault)
    }
}

impl Watcher {
    async fn run(&self, mut watch: Watch) -> Result<(), Stopped> {
        self.snapshot().await?;
        loop {
            let tick = tokio::select! {
                () = self.shared.closing.cancelled() => return Err(Stopped::Fault(Status::unavailable("E_UNAVAILABLE: the pool is stopping; watch again when it runs"))),
                () = self.out.closed() => return Err(Stopped::Gone),
                tick = watch.ticks.recv() => tick,
            };
            match tick {
                Ok(tick) if !tick.is_anew => self.follow(&tick).await?,
                Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => {
                    watch.ticks = watch.ticks.resubscribe();
                    self.snapshot().await?;
                }
            }
        }
    }

    async fn snapshot(&self) -> Result<(), Stopped> {
        self.tell(Event::Begins(WatchBegins {})).await?;
        let owner = match self.role {
            Role::Operator => {
                let health = health::health(&self.shared).await?;
                self.tell(Event::Health(HealthResponse::clone(&health))).await?;
                None
            }
            Role::Member => Some(self.user),
        };
        self.tell(Event::Balance(balance_of(&self.shared, self.user).await?)).await?;
        let mut filter = NodeFilter { owner, after: None, limit: MAX_PAGE };
        loop {
            let rows = self.shared.store.nodes(&filter).await.map_err(|error| status::store(&error))?;
            let Some(last) = rows.last() else { return Ok(()) };
            filter.after = Some(last.id);
            for summary in machine::summaries(&self.shared, rows, owner).await? {
                self.tell(Event::Node(summary)).await?;
            }
        }
    }

    async fn follow(&self, tick: &Tick) -> Result<(), Stopped> {
        let is_operator = match self.role {
            Role::Operator => true,
            Role::Member => false,
        };
        if let Some(health) = tick.health.as_ref().filter(|_| is_operator) {
            self.tell(Event::Health(health.clone())).await?;
        }
        for (_, balance) in tick.balances.iter().filter(|(user, _)| *user == self.user) {
            self.tell(Event::Balance(balance.clone())).await?;
        }
        for (_, node) in tick.nodes.iter().filter(|(owner, _)| is_operator || *owner == self.user) {
            self.tell(Event::Node(node.clone())).await?;
        }
        Ok(())
    }

    async fn tell(&self, event: Event) -> Result<(), Stopped> {
        self.out.send(Ok(PoolEvent { event: Some(event) })).await.map_err(|_| Stopped::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PoolConfig;
    use hivemind_model::Policy;
    use hivemind_proto::v1::BalanceResponse;
    use std::time::Duration;

    /// How many ticks a watcher misses here.
    const MISSED: i64 = 50;

    async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), future).await.expect("it did not come in time")
    }

    #[tokio::test]
    async fn one_that_cannot_keep_up_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let config = PoolConfig {
            data: folder.path().join("pool"),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            names: Vec::new(),
            policy: Policy::default(),
            reflection: false,
        };
        let pool = crate::start(config).await.unwrap();
        let shared = pool.shared.clone();
        let user = shared.store.user_by_name("operator").await.unwrap().unwrap().id;
        // One event fits on the way, and nobody reads.
        let (out, mut events) = mpsc::channel(1);
        let watcher = Watcher { shared: shared.clone(), user, role: Role::Member, out };
        let watch = Watch::begin(&shared.live, user, Role::Member).unwrap();
        let task = tokio::spawn(async move { watcher.run(watch).await.is_err() });
        for held_micro in 1..=MISSED {
            let balance = BalanceResponse { held_micro, ..BalanceResponse::default() };
            shared.live.watching.tell(Tick { balances: vec![(user, balance)], ..Tick::default() });
        }
        let (mut begun, mut told) = (0, Vec::new());
        while begun < 2 || told.is_empty() {
            match within(events.recv()).await.unwrap().unwrap().event.unwrap() {
                Event::Begins(_) => (begun, told) = (begun + 1, Vec::new()),
                Event::Balance(balance) => told.push(balance.held_micro),
                other => panic!("{other:?} is none of a member's"),
            }
        }
        assert_eq!(told, [0], "what was missed is not told, but how it is");
        drop(events);
        assert!(within(task).await.unwrap());
        assert_eq!(shared.live.watching.count(), 0);
        pool.shutdown().await.unwrap();
    }
}
