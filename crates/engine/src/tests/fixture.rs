//! A pool over tables in memory that is restored and compared after every command.

use crate::patience::Bound;
use crate::tables::Tables;
use crate::{Engine, Node, Task};
use hivemind_ledger::Account;
use hivemind_model::array::Array;
use hivemind_model::command::{GraphTask, NodeOffer, Once};
use hivemind_model::rows::{AttemptPhase, CHUNK, Element, ElementPhase, Report, RequestKey, Role, TaskProgress};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::verify::Compare;
use hivemind_model::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

pub(super) struct Pool {
    pub(super) engine: Engine,
    pub(super) tables: Tables,
    pub(super) now: Timestamp,
    pub(super) effects: Vec<Effect>,
    pub(super) sessions: u64,
}

impl Pool {
    pub(super) fn new(policy: Policy) -> Self {
        let now = Timestamp(1_000_000);
        let mut pool = Self {
            engine: Engine::found(policy, now),
            tables: Tables::default(),
            now,
            effects: Vec::new(),
            sessions: 0,
        };
        pool.settle();
        pool
    }

    /// A pool with the users `anna` and `bert`, and a node `box` of bert's with two cores. Nothing is handed out in
    /// advance, and no node rests.
    pub(super) fn ready() -> Self {
        let mut policy = Policy::default();
        (policy.backlog.depth_per_core, policy.rest.after) = (0, 0);
        Self::ready_with(policy)
    }

    pub(super) fn ready_with(policy: Policy) -> Self {
        let mut pool = Self::new(policy);
        pool.register("anna");
        pool.register("bert");
        pool.enroll("bert", "box", 2);
        pool.connect("box", &[]).expect("it is enrolled");
        pool
    }

    /// Applies one command, schedules, stores, checks everything, and compares with a restart.
    pub(super) fn run(&mut self, command: Command) -> Result<Reply, Rejection> {
        let reply = self.engine.apply(command, self.now);
        self.engine.schedule(self.now);
        self.settle();
        reply
    }

    pub(super) fn settle(&mut self) {
        let batch = self.engine.take_batch();
        self.tables.apply(&batch).expect("the batch keeps every promise");
        self.effects.extend(batch.effects);
        assert!(self.engine.take_batch().is_empty(), "a batch leaves once");
        assert_eq!(self.engine.check(), Ok(()));
        let (rows, books) = self.tables.recover().expect("founded");
        let restored = Engine::restore(self.engine.policy().clone(), rows, books).expect("what was stored is true");
        assert_eq!(durable(&self.engine), durable(&restored));
    }

    pub(super) fn restart(&mut self) {
        let (rows, books) = self.tables.recover().expect("founded");
        self.engine = Engine::restore(self.engine.policy().clone(), rows, books).expect("what was stored is true");
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Millis(millis));
        self.run(Command::Tick).expect("a tick is never refused");
    }

    pub(super) fn user(&self, name: &str) -> UserId {
        self.tables.users.values().find(|user| user.username == name).expect("registered").id
    }

    pub(super) fn node(&self, name: &str) -> NodeId {
        self.tables.nodes.values().find(|node| node.name == name).expect("enrolled").id
    }

    pub(super) fn register(&mut self, name: &str) -> UserId {
        self.register_as(name, Role::Member)
    }

    pub(super) fn register_as(&mut self, name: &str, role: Role) -> UserId {
        let command = Command::Register {
            username: name.into(),
            email: format!("{name}@example.org"),
            password_hash: "$argon2id$".into(),
            role,
            from: String::new(),
            invitation: None,
        };
        match self.run(command) {
            Ok(Reply::Registered { user }) => user,
            other => panic!("{name} is not registered: {other:?}"),
        }
    }

    pub(super) fn enroll(&mut self, owner: &str, name: &str, cores: u32) -> NodeId {
        match self.run(Command::Enroll { owner: self.user(owner), offer: offer(name, cores), token: None }) {
            Ok(Reply::Enrolled { node }) => node,
            other => panic!("{name} is not enrolled: {other:?}"),
        }
    }

    /// Enrols and links nodes of bert's, with so many cores each.
    pub(super) fn join(&mut self, names: &[&str], cores: u32) {
        for name in names {
            self.enroll("bert", name, cores);
            self.connect(name, &[]).expect("it is enrolled");
        }
    }

    pub(super) fn lose(&mut self, name: &str) {
        self.run(Command::Lost { node: self.node(name) }).expect("it is enrolled");
    }

    /// Where an attempt is, as long as it is current.
    pub(super) fn whereabouts(&self, attempt: AttemptRef) -> Option<String> {
        let row = self.tables.attempts.get(&attempt)?;
        self.engine.current(row.node, attempt)?;
        Some(self.tables.nodes[&row.node].name.clone())
    }

    /// The current attempt of an element that is handed out.
    pub(super) fn current(&self, at: ElementRef) -> AttemptRef {
        self.engine.attempt_of(at).expect("it is handed out")
    }

    pub(super) fn connect(&mut self, name: &str, holds: &[AttemptRef]) -> Result<Reply, Rejection> {
        self.sessions += 1;
        let node = self.node(name);
        let capacity = self.tables.nodes[&node].capacity;
        let offer = NodeOffer { capacity, ..offer(name, 1) };
        self.run(Command::Connected { node, session: self.sessions, offer, holds: holds.to_vec() })
    }

    pub(super) fn submit(&mut self, user: &str, cores: u32) -> TaskId {
        match self.run(Command::Submit {
            user: self.user(user),
            spec: spec(cores),
            max_price: None,
            ended: Vec::new(),
            once: None,
        }) {
            Ok(Reply::Submitted { task, .. }) => task,
            other => panic!("the task is not accepted: {other:?}"),
        }
    }

    pub(super) fn start(&mut self, name: &str, attempt: AttemptRef) -> Result<Reply, Rejection> {
        self.run(Command::Started { node: self.node(name), attempt })
    }

    pub(super) fn finish(
        &mut self,
        name: &str,
        attempt: AttemptRef,
        outcome: Outcome,
        wall: u64,
    ) -> Result<Reply, Rejection> {
        self.run(Command::Finished { node: self.node(name), attempt, report: report(outcome, wall) })
    }

    pub(super) fn progress(&self, task: TaskId) -> &TaskProgress {
        &self.tables.tasks[&task].progress
    }

    /// An element as it is stored.
    pub(super) fn element(&self, at: ElementRef) -> Element {
        let spec = &self.tables.tasks[&at.task].spec;
        let position = spec.indices().position(at.index).expect("an index of the task");
        let Some(chunk) = self.tables.chunks.get(&(at.task, position / CHUNK)) else { return Element::FRESH };
        let mut elements = chunk.runs.iter().flat_map(|(count, like)| std::iter::repeat_n(like, *count as usize));
        elements.nth((position % CHUNK) as usize).expect("chunks are whole").clone()
    }

    pub(super) fn submit_spec(&mut self, user: &str, spec: TaskSpec) -> Result<TaskId, Rejection> {
        let user = self.user(user);
        let command = Command::Submit { user, spec: spec.into(), max_price: None, ended: Vec::new(), once: None };
        match self.run(command)? {
            Reply::Submitted { task, .. } => Ok(task),
            other => panic!("to a submission: {other:?}"),
        }
    }

    pub(super) fn submit_graph(&mut self, user: &str, tasks: Vec<GraphTask>) -> Result<Vec<TaskId>, Rejection> {
        let user = self.user(user);
        match self.run(Command::SubmitGraph { user, tasks, max_price: None, ended: Vec::new(), once: None })? {
            Reply::SubmittedGraph { tasks } => Ok(tasks.into_iter().map(|(task, _)| task).collect()),
            other => panic!("to a graph: {other:?}"),
        }
    }

    /// Every element of a task with its outcome, equal neighbours together: `1-3 completed, 4 waits`.
    pub(super) fn outcomes(&self, task: TaskId) -> String {
        let indices = self.tables.tasks[&task].spec.indices();
        let mut runs: Vec<(u32, u32, String)> = Vec::new();
        for index in indices.iter() {
            let word = match self.element(ElementRef { task, index }).phase {
                ElementPhase::Waiting { .. } => "waits".to_owned(),
                ElementPhase::Live => "live".into(),
                ElementPhase::Ended { outcome: Outcome::Exited { code: 0 } } => "completed".into(),
                ElementPhase::Ended { outcome } => {
                    outcome.explain().split(':').next().unwrap_or_default().trim_start_matches("E_").to_lowercase()
                }
            };
            match runs.last_mut() {
                Some((_, last, like)) if *like == word && *last + 1 == index => *last = index,
                Some(_) | None => runs.push((index, index, word)),
            }
        }
        let shown = runs.iter().map(|(first, last, word)| match first == last {
            true => format!("{first} {word}"),
            false => format!("{first}-{last} {word}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Lets every live attempt of a task end in the same way.
    pub(super) fn end_all(&mut self, task: TaskId, outcome: &Outcome) {
        let live: Vec<(NodeId, AttemptRef)> =
            self.engine.live.iter().map(|(attempt, live)| (live.node, *attempt)).collect();
        for (node, attempt) in live.into_iter().filter(|(_, attempt)| attempt.element.task == task) {
            let report = report(outcome.clone(), 0);
            self.run(Command::Finished { node, attempt, report }).expect("it is current");
        }
    }

    /// Everything that was sent since the last call, one line each.
    pub(super) fn sent(&mut self) -> String {
        let lines = std::mem::take(&mut self.effects).into_iter().map(|effect| match effect {
            Effect::Assign { node, session, attempt, .. } => format!("{node}/{session}: run {attempt}"),
            Effect::Stop { node, session, attempt } => format!("{node}/{session}: stop {attempt}"),
            Effect::Unlink { node, session } => format!("{node}/{session}: unlink"),
            Effect::Compare { attempt, with, .. } => format!("compare {attempt} with {with:?}"),
            Effect::TaskMoved { task, state, .. } => format!("{task} {state}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What a user can spend and what is held, and what is pending where something is.
    pub(super) fn money(&self, name: &str) -> String {
        let user = self.user(name);
        let ledger = self.engine.ledger();
        let pending = ledger.balance(Account::Pending(user));
        let mut text = format!("{} + {}", ledger.spendable(user), ledger.held(user));
        if pending.is_positive() {
            let _ = write!(text, " ({pending} pending)");
        }
        text
    }
}

pub(super) fn first(task: TaskId, number: u32) -> AttemptRef {
    ElementRef::only(task).attempt(number)
}

pub(super) fn offer(name: &str, cores: u32) -> NodeOffer {
    let capacity = Resources {
        cpu: MilliCores::from_cores(cores),
        memory: Bytes::from_gib(8),
        disk: Bytes::from_gib(100),
        gpus: 0,
    };
    NodeOffer {
        name: name.into(),
        capacity,
        gpu_info: String::new(),
        labels: Labels::default(),
        isolation: Isolation::Basic,
        kinds: hivemind_model::Kinds::ALL,
        egress: hivemind_model::EgressPolicy::None,
    }
}

/// One hour at most; with one core and 512 MiB it costs 2.25 CPT at most.
pub(super) fn spec(cores: u32) -> Arc<TaskSpec> {
    Arc::new(TaskSpec {
        name: "test".into(),
        image: "busybox".into(),
        command: vec!["true".into()],
        files: Vec::new(),
        priority: 5,
        max_runtime: Millis::from_secs(3600),
        resources: Resources {
            cpu: MilliCores::from_cores(cores),
            memory: Bytes::from_mib(512),
            disk: Bytes::from_mib(64),
            gpus: 0,
        },
        ..TaskSpec::default()
    })
}

/// As [`spec`] of one core and one second, of an array.
pub(super) fn array(indices: &str, max_fails: Option<u32>) -> TaskSpec {
    let indices = indices.parse().expect("a set of indices");
    let array = Some(Array { indices, entries: None, max_fails });
    TaskSpec { array, max_runtime: Millis(1000), ..TaskSpec::clone(&spec(1)) }
}

/// As [`spec`] of one core and one second.
pub(super) fn short() -> TaskSpec {
    TaskSpec { max_runtime: Millis(1000), ..TaskSpec::clone(&spec(1)) }
}

pub(super) fn report(outcome: Outcome, wall: u64) -> Report {
    let metering = Metering { wall: Millis(wall), ..Metering::default() };
    Report { outcome, metering, logs: Default::default(), image_id: "sha256:1".into(), output: None, digest: None }
}

pub(super) fn once(user: UserId, id: &str, body: u8) -> Option<Once> {
    Some(Once { key: RequestKey { user, id: id.into() }, body: [body; 32], stored: None })
}

/// The elements of a task, equal neighbours counted.
fn states(task: &Task) -> Vec<(u32, Element)> {
    let mut runs: Vec<(u32, Element)> = Vec::new();
    for element in task.elements.iter() {
        match runs.last_mut() {
            Some((count, like)) if like == element => *count += 1,
            Some(_) | None => runs.push((1, element.clone())),
        }
    }
    runs
}

/// Other comparisons are asked for again, and what hangs on them is decided after that.
fn is_exact(engine: &Engine, at: ElementRef) -> bool {
    engine.tasks[&at.task].row.spec.verify.compare == Compare::Exact
}

/// All of an engine's state that must survive a restart, as text.
fn durable(engine: &Engine) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for (id, task) in &engine.tasks {
        state.insert(id.to_string(), format!("{:?} {} {} {:?}", task.row, task.running, task.waiting, states(task)));
    }
    for (at, live) in &engine.live {
        state.insert(format!("live {at}"), format!("{:?}", live.row(*at)));
    }
    for (id, node) in &engine.nodes {
        let Node { row, reserved, live, .. } = node;
        // Who has room where it is too little for all is decided anew.
        let needs = live.iter().map(|attempt| engine.tasks[&attempt.element.task].row.spec.resources);
        let all = needs.fold(Resources::default(), |sum, need| sum.checked_add(&need).expect("small"));
        let reserved = row.capacity.covers(&all).then_some(reserved);
        state.insert(id.to_string(), format!("{row:?} {reserved:?} {live:?} {:?} {:?}", node.trust, node.tier));
    }
    state.insert("ghosts".into(), format!("{:?}", engine.ghosts.iter().collect::<Vec<_>>()));
    for (id, user) in &engine.users {
        state.insert(id.to_string(), format!("{user:?}"));
    }
    for (at, copies) in &engine.panels {
        let mut seats: Vec<_> = copies.panel.seats().iter().map(|seat| seat.attempt).collect();
        seats.sort_unstable();
        let (votes, reported) = (copies.panel.votes(), &copies.reported);
        let shown = match is_exact(engine, *at) {
            true => format!("{seats:?} {votes:?} {reported:?} {}", copies.wanted),
            false => format!("{reported:?}"),
        };
        state.insert(format!("panel {at}"), shown);
    }
    // Whether a due retry has been seen by a tick yet is forgotten.
    let mut waiting: Vec<ElementRef> =
        engine.queue.elements().map(|(at, _)| at).chain(engine.delayed.keys().map(|(_, at)| *at)).collect();
    waiting.retain(|at| !engine.panels.contains_key(at) || is_exact(engine, *at));
    waiting.sort_unstable();
    state.insert("waiting".into(), format!("{waiting:?}"));
    state.insert("books".into(), format!("{:?}", engine.ledger.image()));
    state.insert("rest".into(), format!("{:?} {:?} {}", engine.counters, engine.used_tokens, engine.running_tasks));
    let sessions: Vec<_> = engine.sessions.iter().collect();
    state.insert("sessions".into(), format!("{sessions:?} {:?}", engine.sessions.next_expiry()));
    // Since when a task that waits for others is in the queue is forgotten.
    let ends: Vec<_> = engine.patience.iter().filter(|(_, _, bound)| *bound == Bound::All).collect();
    state.insert("waits".into(), format!("{:?} {ends:?}", engine.dependants));
    state
}

/// Every element is paid for at most once, and once more for each of its retries, or for each of its copies (T3, L4).
pub(super) fn paid_once(tables: &Tables) {
    let mut paid: BTreeMap<ElementRef, u64> = BTreeMap::new();
    for row in tables.attempts.values() {
        if let AttemptPhase::Ended { cost, .. } = &row.phase {
            *paid.entry(row.attempt.element).or_default() += u64::from(cost.is_positive());
        }
    }
    for (at, times) in paid {
        let most = tables.tasks[&at.task].spec.paid_attempts();
        assert!(times <= most, "T3: {at} is paid {times} times, at most {most} are due");
    }
}
