use super::*;
use async_trait::async_trait;
use hivemind_ledger::{Accrual, Entry, LedgerImage};
use hivemind_model::command::Once;
use hivemind_model::rows::{
    AttemptRow, ChunkRow, GridRow, NodeRow, ProjectRow, Recovered, RequestKey, RequestRow, RewardRow, Role,
    StandingRow, TaskRow, TipRow, UserRow,
};
use hivemind_model::{Code, Cpt, ElementRef, NodeId, Policy, ProjectId, Timestamp, UserId};
use hivemind_store::{
    Funds, Income, JournalFilter, JournalPage, NodeFilter, Past, RewardFilter, StatementFilter, TaskFilter,
};
use parking_lot::Mutex;
use std::path::Path;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A store that only counts batches, lets them pass one by one, and may fail.
struct Gate {
    passes: Semaphore,
    batches: Mutex<Vec<usize>>,
    fails_from: usize,
    requests: Mutex<Vec<RequestRow>>,
}

impl Gate {
    fn new(passes: usize, fails_from: usize) -> Arc<Self> {
        Arc::new(Self {
            passes: Semaphore::new(passes),
            batches: Mutex::default(),
            fails_from,
            requests: Mutex::default(),
        })
    }
}

#[async_trait]
impl Store for Gate {
    async fn recover(&self) -> Result<Option<(Recovered, LedgerImage)>, StoreError> {
        Ok(None)
    }
    async fn commit(&self, rows: &RowChanges, _: &LedgerChanges) -> Result<(), StoreError> {
        self.passes.acquire().await.unwrap().forget();
        let mut batches = self.batches.lock();
        if batches.len() >= self.fails_from {
            return Err(StoreError::Damaged { table: "users", detail: "the test's disk is full".into() });
        }
        batches.push(rows.users.len());
        self.requests.lock().extend(rows.requests.iter().cloned());
        Ok(())
    }
    async fn user_by_name(&self, _: &str) -> Result<Option<UserRow>, StoreError> {
        Ok(None)
    }
    async fn user(&self, _: UserId) -> Result<Option<UserRow>, StoreError> {
        Ok(None)
    }
    async fn funds(&self, _: UserId) -> Result<Funds, StoreError> {
        Ok(Funds::default())
    }
    async fn node(&self, _: NodeId) -> Result<Option<NodeRow>, StoreError> {
        Ok(None)
    }
    async fn nodes(&self, _: &NodeFilter) -> Result<Vec<NodeRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn task(&self, _: TaskId) -> Result<Option<TaskRow>, StoreError> {
        Ok(None)
    }
    async fn tasks(&self, _: UserId, _: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn known(&self, _: UserId, _: hivemind_model::spec::Digest) -> Result<Option<TaskRow>, StoreError> {
        Ok(None)
    }

    async fn open_tasks(&self, _: (UserId, TaskId), _: u32) -> Result<Vec<TaskRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn ended_tasks(&self, _: (Timestamp, TaskId), _: u32) -> Result<Vec<TaskRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn ends(&self, _: &[TaskId]) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        Ok(Vec::new())
    }
    async fn reported(&self, _: TaskId, _: (u32, u32), _: u32) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn chunks(&self, _: TaskId, _: u32, _: u32) -> Result<Vec<ChunkRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn grid(&self, _: TaskId, _: u32, _: u32) -> Result<Vec<GridRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn latest_attempts(&self, _: TaskId, _: u32) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn attempts(&self, _: ElementRef) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn newest_attempts(&self, _: &[ElementRef]) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn requests(&self, keys: &[RequestKey]) -> Result<Vec<RequestRow>, StoreError> {
        Ok(self.requests.lock().iter().filter(|row| keys.contains(&row.key)).cloned().collect())
    }
    async fn journal(&self, _: u64, _: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }
    async fn statement(&self, _: UserId, _: &StatementFilter) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }
    async fn task_entries(&self, _: TaskId, _: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }
    async fn accruals(&self, _: &[TaskId]) -> Result<Vec<Accrual>, StoreError> {
        Ok(Vec::new())
    }
    async fn node_earnings(&self, _: Option<UserId>) -> Result<Vec<(NodeId, Cpt)>, StoreError> {
        Ok(Vec::new())
    }
    async fn standings(&self, _: UserId) -> Result<Vec<StandingRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn standings_of(&self, _: &[NodeId]) -> Result<Vec<StandingRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn trusts(&self, _: Option<UserId>) -> Result<Vec<hivemind_model::rows::TrustRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn rewards(&self, _: &RewardFilter) -> Result<Vec<RewardRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn income(&self, _: NodeId, _: Timestamp) -> Result<Income, StoreError> {
        Ok(Income::default())
    }
    async fn projects(&self, _: ProjectId, _: u32) -> Result<Vec<ProjectRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn project_by_name(&self, _: &str) -> Result<Option<ProjectRow>, StoreError> {
        Ok(None)
    }
    async fn tips(&self, _: ProjectId, _: u64, _: u32) -> Result<Vec<TipRow>, StoreError> {
        Ok(Vec::new())
    }
    async fn journal_backwards(&self, _: &JournalFilter) -> Result<JournalPage, StoreError> {
        Ok(JournalPage::default())
    }
    async fn supply(&self) -> Result<Cpt, StoreError> {
        Ok(Cpt::ZERO)
    }
    async fn open_task_ids(&self, _: (UserId, TaskId), _: u32) -> Result<Vec<(UserId, TaskId)>, StoreError> {
        Ok(Vec::new())
    }
    async fn past(&self, _: TaskId, _: Timestamp, _: u32) -> Result<Past, StoreError> {
        Ok(Past::default())
    }
    async fn ledger(&self) -> Result<LedgerImage, StoreError> {
        Err(StoreError::Damaged { table: "accounts", detail: "not in this test".into() })
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<usize>>);

impl Outlet for Heard {
    fn durable(&self, batch: Durable) {
        self.0.lock().push(batch.rows.users.len());
    }
}

fn register(name: &str) -> Command {
    Command::Register {
        username: name.into(),
        email: "a@example.org".into(),
        password_hash: "hash".into(),
        role: Role::Member,
        from: String::new(),
        invitation: None,
    }
}

struct Fixture {
    writer: Writer,
    task: JoinHandle<Result<(), WriterFailure>>,
    heard: Arc<Heard>,
    stop: CancellationToken,
}

fn begin(store: Arc<Gate>) -> Fixture {
    let (heard, stop, clock) =
        (Arc::new(Heard::default()), CancellationToken::new(), Arc::new(Clock::from(Timestamp(0))));
    let engine = Engine::found(Policy::default(), clock.now());
    let disk = Disk::new(Path::new("/"), 0, 0);
    let (writer, task) = spawn(engine, store, clock, heard.clone(), disk, stop.clone());
    Fixture { writer, task, heard, stop }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it did not come in time")
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_durable() {
    let store = Gate::new(1, usize::MAX);
    let Fixture { writer, task, heard, stop } = begin(store.clone());
    let first = writer.enqueue(register("ada")).await.unwrap();
    let mut waiting = Box::pin(first.reply());
    // The only pass goes to the founding batch.
    within(async {
        while heard.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(futures::poll!(&mut waiting).is_pending());
    assert_eq!(*heard.0.lock(), [0]);
    store.passes.add_permits(1);
    assert_eq!(within(waiting).await.unwrap(), Reply::Registered { user: UserId(1) });
    assert_eq!(*heard.0.lock(), [0, 1]);
    stop.cancel();
    within(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_waits_during_a_commit_is_one_batch() {
    let store = Gate::new(1, usize::MAX);
    let Fixture { writer, task, stop, .. } = begin(store.clone());
    let mut replies = Vec::new();
    let blocked = writer.enqueue(register("first")).await.unwrap();
    for index in 0..100 {
        replies.push(writer.enqueue(register(&format!("user{index}"))).await.unwrap());
    }
    store.passes.add_permits(100);
    within(blocked.reply()).await.unwrap();
    for reply in replies {
        within(reply.reply()).await.unwrap();
    }
    stop.cancel();
    within(task).await.unwrap().unwrap();
    let batches = store.batches.lock().clone();
    assert!(batches.len() <= 4 && batches.iter().sum::<usize>() == 101, "{batches:?}");
}

#[tokio::test]
async fn a_failed_commit_stops_the_pool_and_acknowledges_nothing() {
    let store = Gate::new(100, 2);
    let Fixture { writer, task, heard, .. } = begin(store.clone());
    within(writer.apply(register("ada"))).await.unwrap();
    assert!(matches!(within(writer.apply(register("bob"))).await, Err(Refused::Stopped)));
    let failure = within(task).await.unwrap().unwrap_err();
    assert!(matches!(failure, WriterFailure::Commit(_)), "{failure}");
    assert_eq!(heard.0.lock().iter().sum::<usize>(), 1, "the failed batch was published");
    assert!(matches!(within(writer.apply(register("eve"))).await, Err(Refused::Stopped)));
}

#[tokio::test]
async fn a_stopping_writer_makes_durable_what_it_took() {
    let store = Gate::new(0, usize::MAX);
    let Fixture { writer, task, stop, .. } = begin(store.clone());
    let taken = writer.enqueue(register("ada")).await.unwrap();
    stop.cancel();
    store.passes.add_permits(100);
    assert!(within(taken.reply()).await.is_ok());
    within(task).await.unwrap().unwrap();
    assert!(matches!(writer.apply(register("bob")).await, Err(Refused::Stopped)));
}

#[tokio::test]
async fn a_client_made_id_has_one_effect() {
    let store = Gate::new(1000, usize::MAX);
    let Fixture { writer, .. } = begin(store);
    for name in ["ada", "bob"] {
        within(writer.apply(register(name))).await.unwrap();
    }
    let once =
        |body| Some(Once { key: RequestKey { user: UserId(1), id: "rent".into() }, body: [body; 32], stored: None });
    let pay = |body| Command::Transfer {
        from: UserId(1),
        to_username: "bob".into(),
        amount: Cpt::from_micro(1_000_000),
        once: once(body),
    };
    let expected = Reply::Transferred { balance: Cpt::from_micro(149_000_000) };
    for reply in within(writer.apply_many(vec![pay(1), pay(1), pay(1)])).await {
        assert_eq!(reply.unwrap(), expected);
    }
    assert_eq!(within(writer.apply(pay(1))).await.unwrap(), expected);
    match within(writer.apply(pay(2))).await {
        Err(Refused::Rejected(rejection)) => assert_eq!(rejection.code, Code::IdReused),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tip_with_an_id_has_one_effect() {
    let store = Gate::new(1000, usize::MAX);
    let Fixture { writer, .. } = begin(store);
    for name in ["ada", "bob"] {
        within(writer.apply(register(name))).await.unwrap();
    }
    let (owner, repository) = (UserId(2), "https://example.org/tool".into());
    let project = Command::RegisterProject { owner, name: "tool".into(), repository };
    within(writer.apply(project)).await.unwrap();
    let tip = Command::Tip {
        from: UserId(1),
        project: "tool".into(),
        amount: Cpt::from_micro(1_000_000),
        message: String::new(),
        once: Some(Once { key: RequestKey { user: UserId(1), id: "thanks".into() }, body: [1; 32], stored: None }),
    };
    for reply in within(writer.apply_many(vec![tip.clone(), tip.clone(), tip])).await {
        assert_eq!(reply.unwrap(), Reply::Transferred { balance: Cpt::from_micro(149_000_000) });
    }
}
