//! Who watches the pool, and what has changed for them.
//!
//! Batches and links leave marks here, of nodes and of users whose balance moved; once a second one producer
//! ([`crate::services::tell_watchers`]) takes the marks, looks at what is marked and tells all watchers together. Where
//! nobody watches, a mark costs one look at a number.
//!
//! Invariant: a mark is a hint to look; what is told is read from the board or the store.

use crate::shared::Followers;
use hivemind_ledger::LedgerChanges;
use hivemind_model::rows::{Role, RowChanges};
use hivemind_model::{Code, NodeId, Rejection, UserId};
use hivemind_proto::v1::{BalanceResponse, HealthResponse, NodeSummary};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast;

/// Most watchers together.
const MOST: usize = 4096;
/// Most watchers of one user.
const MOST_OF_ONE: u32 = 64;
/// Seconds that a watcher may be behind before it begins anew.
const WAITING_TICKS: usize = 8;

/// What changed in a second.
#[derive(Debug, Default)]
pub(crate) struct Tick {
    /// For operators.
    pub(crate) health: Option<HealthResponse>,
    /// With their owners.
    pub(crate) nodes: Vec<(UserId, NodeSummary)>,
    /// Each for its user.
    pub(crate) balances: Vec<(UserId, BalanceResponse)>,
    /// True where some of it could not be read: whoever watches reads everything anew.
    pub(crate) is_anew: bool,
}

/// What is to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Nodes that changed.
    pub(crate) nodes: BTreeSet<NodeId>,
    /// Users whose accounts moved.
    pub(crate) users: BTreeSet<UserId>,
    /// Somebody began to watch, so that nothing is known to be told to all.
    pub(crate) newcomer: bool,
}

/// Whose nodes somebody watches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audience {
    /// True where an operator watches.
    pub(crate) operators: bool,
    /// Everybody who watches.
    pub(crate) users: BTreeSet<UserId>,
}

impl Audience {
    /// True where somebody watches the nodes of `owner`.
    pub(crate) fn sees_nodes_of(&self, owner: UserId) -> bool {
        self.operators || self.users.contains(&owner)
    }
}

#[derive(Debug, Default)]
struct Watchers {
    of_users: HashMap<UserId, u32>,
    operators: usize,
}

/// See the module.
pub(crate) struct Watching {
    /// How many there are, for those who only leave marks.
    count: AtomicUsize,
    watchers: Mutex<Watchers>,
    marks: Mutex<Marks>,
    ticks: broadcast::Sender<Arc<Tick>>,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            watchers: Mutex::default(),
            marks: Mutex::default(),
            ticks: broadcast::channel(WAITING_TICKS).0,
        }
    }
}

/// One watcher; it is forgotten when this is dropped.
pub(crate) struct Watch {
    user: UserId,
    role: Role,
    live: Arc<Followers>,
    /// What changes from now on.
    pub(crate) ticks: broadcast::Receiver<Arc<Tick>>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// [`Code::Busy`] where there are as many watchers, or as many of this user, as there may be.
    pub(crate) fn begin(live: &Arc<Followers>, user: UserId, role: Role) -> Result<Self, Rejection> {
        let watching = &live.watching;
        let mut watchers = watching.watchers.lock();
        if watching.count.load(Ordering::Acquire) >= MOST {
            return Err(Rejection::new(Code::Busy, format!("{MOST} watchers are served already; try again later")));
        }
        let of_user = watchers.of_users.entry(user).or_default();
        if *of_user >= MOST_OF_ONE {
            let why = format!("you watch {MOST_OF_ONE} times already; end one of these calls first");
            return Err(Rejection::new(Code::Busy, why));
        }
        *of_user += 1;
        watchers.operators += usize::from(role == Role::Operator);
        watching.count.fetch_add(1, Ordering::AcqRel);
        let ticks = watching.ticks.subscribe();
        watching.marks.lock().newcomer = true;
        Ok(Self { user, role, live: live.clone(), ticks })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watching = &self.live.watching;
        let mut watchers = watching.watchers.lock();
        watching.count.fetch_sub(1, Ordering::AcqRel);
        watchers.operators -= usize::from(self.role == Role::Operator);
        if let Some(count) = watchers.of_users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                watchers.of_users.remove(&self.user);
            }
        }
    }
}

impl Watching {
    /// How many watchers there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Marks what a durable batch changed.
    pub(crate) fn follow(&self, rows: &RowChanges, ledger: &LedgerChanges) {
        if self.count() == 0 {
            return;
        }
        let moved: Vec<UserId> = {
            let watchers = self.watchers.lock();
            let users = ledger.balances.iter().filter_map(|(account, _)| account.user());
            users.filter(|user| watchers.of_users.contains_key(user)).collect()
        };
        let mut marks = self.marks.lock();
        marks.users.extend(moved);
        marks.nodes.extend(rows.nodes.iter().map(|row| row.id));
        marks.nodes.extend(rows.attempts.iter().map(|row| row.node));
        marks.nodes.extend(rows.standings.iter().map(|row| row.node));
        marks.nodes.extend(rows.trusts.iter().map(|row| row.node));
    }

    /// Marks a node whose link changed.
    pub(crate) fn node_changed(&self, node: NodeId) {
        if self.count() > 0 {
            self.marks.lock().nodes.insert(node);
        }
    }

    /// Takes the marks.
    pub(crate) fn take(&self) -> Marks {
        std::mem::take(&mut self.marks.lock())
    }

    /// Puts back what is looked at later.
    pub(crate) fn put_back(&self, nodes: impl IntoIterator<Item = NodeId>, users: impl IntoIterator<Item = UserId>) {
        let mut marks = self.marks.lock();
        marks.nodes.extend(nodes);
        marks.users.extend(users);
    }

    /// Who watches.
    pub(crate) fn audience(&self) -> Audience {
        let watchers = self.watchers.lock();
        Audience { operators: watchers.operators > 0, users: watchers.of_users.keys().copied().collect() }
    }

    /// Tells every watcher.
    pub(crate) fn tell(&self, tick: Tick) {
        // Where the last watcher has gone in between, nobody is told.
        let _gone = self.ticks.send(Arc::new(tick));
    }
}
