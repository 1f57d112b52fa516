//! Random commands: every invariant after each, and a restart gives the same state.

use super::fixture::*;
use hivemind_model::after::{After, Dependency, Unmet, When};
use hivemind_model::array::Array;
use hivemind_model::command::{EndedTask, GraphDependency, GraphTask, JoinUse};
use hivemind_model::rows::{AttemptPhase, AttemptRow, ElementPhase, Report, Role};
use hivemind_model::service::NodeChange;
use hivemind_model::spec::Digest;
use hivemind_model::spec::Patience;
use hivemind_model::state::Outcome;
use hivemind_model::verify::{Doubt, Rule};
use hivemind_model::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Act {
    Transfer { from: u64, to: u64, micro: i64, id: u8 },
    Submit { user: u64, cores: u32, gpus: u32, id: u8, array: u8, waits: Waits },
    Graph { user: u64, arrays: Vec<u8>, waits: Waits },
    Cancel { user: u64, task: u64, some: u8 },
    Enroll { owner: u64, name: u8, cores: u32, token: u8 },
    Connect { node: u64, cores: u32, gpus: u32, drop: u8 },
    Disconnect { node: u64 },
    Lose { node: u64 },
    Drain { node: u64 },
    Avail { node: u64, state: u8, old: bool },
    Reuse { user: u64, task: u64, id: u8 },
    Set { by: u64, name: u8, change: u8 },
    Start { pick: usize, wrong: u8 },
    Finish { pick: usize, wrong: u8, outcome: u8, wall: u64 },
    Pass { millis: u64 },
    Restart,
}

/// What a submission waits for, how often it is tried, and how long it is waited for.
#[derive(Debug, Clone, Default)]
struct Waits {
    /// How many ids before the newest, when, and how.
    after: Vec<(u64, u8)>,
    cancel: bool,
    retries: u32,
    max_fails: u8,
    patience: u8,
}

fn waits() -> impl Strategy<Value = Waits> {
    let some = (proptest::collection::vec((1u64..5, 0u8..4), 0..3), any::<bool>(), 0u32..3, 0u8..6, 0u8..8).prop_map(
        |(after, cancel, retries, max_fails, patience)| Waits { after, cancel, retries, max_fails, patience },
    );
    prop_oneof![1 => Just(Waits::default()), 2 => some]
}

fn when(kind: u8) -> When {
    if kind.is_multiple_of(2) { When::Success } else { When::End }
}

/// Puts all that into a specification.
fn patient(pool: &Pool, spec: &mut TaskSpec, waits: &Waits) {
    let next = pool.engine.counters.task;
    let named = waits.after.iter().filter_map(|(back, kind)| {
        Some(Dependency { task: TaskId(next.checked_sub(*back)?), when: when(*kind), each: *kind > 1 })
    });
    let mut tasks: Vec<Dependency> = Vec::new();
    for dependency in named {
        if tasks.iter().all(|other| other.task != dependency.task) {
            tasks.push(dependency);
        }
    }
    spec.after = After { tasks, unmet: if waits.cancel { Unmet::Cancel } else { Unmet::Skip } };
    spec.retries = waits.retries;
    let seconds = |seconds| Some(Millis::from_secs(seconds));
    spec.patience = match waits.patience {
        0 => Patience { queue: seconds(1), ..Patience::default() },
        1 => Patience { total: seconds(3), ..Patience::default() },
        2 => Patience { deadline: Some(pool.now.after(Millis(2500))), queue: seconds(2), ..Patience::default() },
        _ => Patience::default(),
    };
    spec.verify.rule = match waits.patience {
        5 => Rule::Quorum { replicas: 2, quorum: 2 },
        6 => Rule::Confidence { doubt: Doubt(100_000) },
        7 => Rule::Known { digest: Digest([1; 32]) },
        _ => Rule::First,
    };
    if waits.patience > 4 {
        spec.retries = 0;
    }
    if let Some(array) = &mut spec.array {
        array.max_fails = (waits.max_fails < 3).then_some(waits.max_fails.into());
    }
}

/// What a service would find in the store of the tasks that these wait for.
fn ended(pool: &Pool, specs: &[&TaskSpec]) -> Vec<EndedTask> {
    let named = specs.iter().flat_map(|spec| &spec.after.tasks).filter_map(|after| pool.tables.tasks.get(&after.task));
    let over = named.filter(|row| row.progress.state.is_terminal());
    let shown = over.map(|row| {
        let (task, indices) = (row.progress.id, row.spec.indices());
        let failed = indices.iter().filter(|index| {
            let phase = pool.element(ElementRef { task, index: *index }).phase;
            !matches!(phase, ElementPhase::Ended { outcome } if outcome.is_success())
        });
        EndedTask { task, user: row.user, failed: Indices::of(failed).ok(), indices }
    });
    shown.collect()
}

const ARRAYS: [&str; 6] = ["", "", "", "0-3", "2,5-7", "1-1500"];

fn shape(spec: &mut TaskSpec, array: u8) {
    let indices = ARRAYS[usize::from(array)].parse().ok();
    spec.array = indices.map(|indices| Array { indices, entries: None, max_fails: None });
    if array == 5 {
        spec.max_runtime = Millis(1000);
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (1u64..4, 1u64..4, -1i64..200_000_000, 0u8..6).prop_map(|(from, to, micro, id)| Act::Transfer { from, to, micro, id }),
        6 => (1u64..4, 1u32..4, 0u32..3, 0u8..20, 0u8..6, waits()).prop_map(|(user, cores, gpus, id, array, waits)| Act::Submit { user, cores, gpus: gpus / 2, id, array, waits }),
        2 => (1u64..4, proptest::collection::vec(0u8..6, 1..4), waits()).prop_map(|(user, arrays, waits)| Act::Graph { user, arrays, waits }),
        1 => (1u64..4, 1u64..20, 0u8..3).prop_map(|(user, task, some)| Act::Cancel { user, task, some }),
        1 => (1u64..4, 0u8..3, 0u32..4, 0u8..6).prop_map(|(owner, name, cores, token)| Act::Enroll { owner, name, cores, token }),
        3 => (1u64..4, 1u32..5, 0u32..3, 0u8..4).prop_map(|(node, cores, gpus, drop)| Act::Connect { node, cores, gpus, drop }),
        1 => (1u64..4).prop_map(|node| Act::Disconnect { node }),
        1 => (1u64..4).prop_map(|node| Act::Lose { node }),
        1 => (1u64..4).prop_map(|node| Act::Drain { node }),
        2 => (1u64..4, 0u8..4, any::<bool>()).prop_map(|(node, state, old)| Act::Avail { node, state, old }),
        1 => (1u64..4, 1u64..20, 0u8..20).prop_map(|(user, task, id)| Act::Reuse { user, task, id }),
        2 => (1u64..4, 0u8..3, 0u8..8).prop_map(|(by, name, change)| Act::Set { by, name, change }),
        5 => (0usize..20, 0u8..8).prop_map(|(pick, wrong)| Act::Start { pick, wrong }),
        7 => (0usize..20, 0u8..8, 0u8..8, 0u64..10_000_000).prop_map(|(pick, wrong, outcome, wall)| Act::Finish { pick, wrong, outcome, wall }),
        3 => prop_oneof![0u64..2_000, Just(5_000_000)].prop_map(|millis| Act::Pass { millis }),
        1 => Just(Act::Restart),
    ]
}

fn outcome(kind: u8) -> Outcome {
    let reason = "x".repeat(3000);
    match kind {
        0 => Outcome::Exited { code: 1 },
        1 => Outcome::OutOfMemory,
        2 => Outcome::TimedOut,
        3 => Outcome::CannotStart { reason },
        4 => Outcome::BadImage { reason },
        5 => Outcome::Infrastructure { reason },
        6 => Outcome::Cancelled,
        _ => Outcome::Exited { code: 0 },
    }
}

/// A live attempt with its node, or one that is a little wrong.
fn pick(pool: &Pool, pick: usize, wrong: u8) -> (NodeId, AttemptRef) {
    let live: Vec<_> =
        pool.tables.attempts.values().filter(|row| !matches!(row.phase, AttemptPhase::Ended { .. })).collect();
    let Some(row) = live.get(pick % live.len().max(1)) else { return (NodeId(1), first(TaskId(1), 1)) };
    let element = row.attempt.element;
    match wrong {
        0 => (NodeId(row.node.0 % 3 + 1), row.attempt),
        1 => (row.node, element.attempt(row.attempt.number.wrapping_sub(1))),
        2 => (row.node, element.attempt(row.attempt.number + 1)),
        3 => (row.node, ElementRef { index: 1, ..element }.attempt(1)),
        _ => (row.node, row.attempt),
    }
}

fn once_of(pool: &Pool, user: UserId, id: u8, body: u8) -> Option<command::Once> {
    let mut once = once(user, &format!("id{id}"), body)?;
    once.stored = pool.tables.requests.get(&once.key).cloned();
    (id > 0).then_some(once)
}

fn command(pool: &mut Pool, act: Act) -> Option<Command> {
    Some(match act {
        Act::Transfer { from, to, micro, id } => {
            let once = once_of(pool, UserId(from), id, u8::try_from(micro & 1).unwrap_or(0));
            let name = ["", "anna", "bert", "carl"][usize::try_from(to).unwrap_or(0)];
            Command::Transfer { from: UserId(from), to_username: name.into(), amount: Cpt::from_micro(micro), once }
        }
        Act::Submit { user, cores, gpus, id, array, waits } => {
            let mut spec = (*spec(cores)).clone();
            spec.resources.gpus = gpus;
            shape(&mut spec, array);
            patient(pool, &mut spec, &waits);
            // Some tasks wait for lost nodes; some for less than the pool does.
            if spec.verify.rule == Rule::First {
                spec.patience.lost_after = [None, None, Some(12_000), Some(1_000)][usize::from(id) % 4].map(Millis);
            }
            Command::Submit {
                user: UserId(user),
                max_price: None,
                ended: ended(pool, &[&spec]),
                spec: spec.into(),
                once: once_of(pool, UserId(user), id, 9),
            }
        }
        Act::Graph { user, arrays, waits } => {
            let mut specs = vec![short(); arrays.len()];
            for (spec, array) in specs.iter_mut().zip(arrays) {
                shape(spec, array);
            }
            if let Some(first) = specs.first_mut() {
                patient(pool, first, &waits);
            }
            let ended = ended(pool, &specs.iter().collect::<Vec<_>>());
            let tasks = specs.into_iter().enumerate().map(|(at, mut spec)| {
                let before = at.checked_sub(1).into_iter();
                let after = before.map(|place| {
                    let each = waits.max_fails.is_multiple_of(2);
                    GraphDependency { place, when: when(waits.patience), each }
                });
                if waits.cancel {
                    spec.after.unmet = Unmet::Cancel;
                }
                GraphTask { spec: spec.into(), after: after.collect() }
            });
            Command::SubmitGraph { user: UserId(user), tasks: tasks.collect(), max_price: None, ended, once: None }
        }
        Act::Cancel { user, task, some } => {
            let elements = ["", "2-3", "0,2,5,900-1200"][usize::from(some)].parse().ok();
            Command::Cancel { user: UserId(user), task: TaskId(task), elements }
        }
        Act::Enroll { owner, name, cores, token } => {
            let token =
                (token > 0).then(|| JoinUse { id: format!("t{token}"), expires_at: pool.now.after(Millis(1000)) });
            Command::Enroll {
                owner: UserId(owner),
                offer: offer(["one", "two", "three"][usize::from(name)], cores),
                token,
            }
        }
        Act::Connect { node, cores, gpus, drop } => {
            pool.sessions += 1;
            let name = pool.tables.nodes.get(&NodeId(node)).map(|row| row.name.clone()).unwrap_or_default();
            let held = pool.tables.attempts.values().filter(|row| row.node == NodeId(node) || drop == 1);
            let holds =
                held.filter(|row| drop > 0 || row.attempt.element.task.0 % 2 == 0).map(|row| row.attempt).collect();
            let mut offer = offer(&name, cores);
            offer.capacity.gpus = gpus;
            Command::Connected { node: NodeId(node), session: pool.sessions, offer, holds }
        }
        Act::Disconnect { node } => Command::Disconnected { node: NodeId(node), session: pool.sessions },
        Act::Lose { node } => Command::Lost { node: NodeId(node) },
        Act::Drain { node } => Command::Drain { node: NodeId(node), session: pool.sessions },
        Act::Avail { node, state, old } => Command::Avail {
            node: NodeId(node),
            session: pool.sessions.saturating_sub(old.into()),
            state: match state {
                0 => Availability::Finishing { reason: "night".into() },
                1 => Availability::Paused { reason: "in use".into() },
                _ => Availability::Open,
            },
        },
        Act::Reuse { user, task, id } => Command::Reuse {
            user: UserId(user),
            spec: TaskSpec { reuse: (id != 1).then_some(Digest([1; 32])), ..short() }.into(),
            known: first(TaskId(task), 1),
            once: once_of(pool, UserId(user), id, 8),
        },
        Act::Set { by, name, change } => {
            let change = match change {
                0 => NodeChange::Cordon,
                1 => NodeChange::Drain { within: Millis(1500) },
                2 => NodeChange::Ban { reason: "random".into() },
                3 | 4 => NodeChange::Unban,
                _ => NodeChange::Uncordon,
            };
            Command::SetNode { by: UserId(by), node: ["one", "two", "three"][usize::from(name)].into(), change }
        }
        Act::Start { pick: which, wrong } => {
            let (node, attempt) = pick(pool, which, wrong);
            Command::Started { node, attempt }
        }
        Act::Finish { pick: which, wrong, outcome: kind, wall } => {
            let (node, attempt) = pick(pool, which, wrong);
            let content = u8::try_from(wall % 5 / 3).unwrap_or(0) + 1;
            let report = Report { digest: Some(Digest([content; 32])), ..report(outcome(kind), wall) };
            Command::Finished { node, attempt, report }
        }
        Act::Pass { millis } => {
            pool.now = pool.now.after(Millis(millis));
            Command::Tick
        }
        Act::Restart => {
            pool.restart();
            return None;
        }
    })
}

/// Nodes that come and go, with work that is short: everything about backlogs, losses, poison and rests.
fn unsteady() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u64..4, 1u32..3, 0u8..20, 0u8..5, waits()).prop_map(|(user, cores, id, array, waits)| Act::Submit { user, cores, gpus: 0, id, array, waits }),
        1 => (1u64..4, 1u64..20, 0u8..3).prop_map(|(user, task, some)| Act::Cancel { user, task, some }),
        4 => (1u64..5, 1u32..4, 0u8..4).prop_map(|(node, cores, drop)| Act::Connect { node, cores, gpus: 0, drop }),
        1 => (1u64..5).prop_map(|node| Act::Disconnect { node }),
        2 => (1u64..5).prop_map(|node| Act::Lose { node }),
        1 => (1u64..5).prop_map(|node| Act::Drain { node }),
        1 => (1u64..4, 0u8..3, 0u8..8).prop_map(|(by, name, change)| Act::Set { by, name, change }),
        8 => (0usize..40, 0u8..20).prop_map(|(pick, wrong)| Act::Start { pick, wrong }),
        10 => (0usize..40, 0u8..20, 5u8..9, 0u64..3_000).prop_map(|(pick, wrong, outcome, wall)| Act::Finish { pick, wrong, outcome, wall }),
        4 => prop_oneof![3 => 0u64..2_000, 1 => 2_000u64..20_000].prop_map(|millis| Act::Pass { millis }),
        1 => Just(Act::Restart),
    ]
}

fn prepared(policy: Policy, cores: u32) -> Pool {
    let mut pool = Pool::new(policy);
    for (name, role) in [("anna", Role::Operator), ("bert", Role::Member), ("carl", Role::Member)] {
        pool.register_as(name, role);
    }
    for (owner, node) in [("anna", "one"), ("bert", "two"), ("carl", "three"), ("carl", "four")] {
        pool.enroll(owner, node, cores);
        pool.connect(node, &[]).expect("enrolled");
    }
    pool
}

/// Every element that was accepted was so once, whatever became of its attempts; of one whose copies are compared
/// several results may be right.
fn accepted_once(tables: &crate::tables::Tables) {
    let mut accepted = std::collections::BTreeSet::new();
    let alone = |row: &&AttemptRow| tables.tasks[&row.attempt.element.task].spec.verify.rule == Rule::First;
    for row in tables.attempts.values().filter(alone) {
        if matches!(&row.phase, AttemptPhase::Ended { report, .. } if report.outcome.is_success()) {
            assert!(accepted.insert(row.attempt.element), "T3: {} is accepted twice", row.attempt.element);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn nodes_that_come_and_go_break_nothing(acts in proptest::collection::vec(unsteady(), 1..160), brake in proptest::bool::ANY) {
        let mut policy = Policy { remember_lost: Millis(15_000), poison_nodes: 2, ..Policy::default() };
        (policy.rest.after, policy.brake.least) = (2, 2);
        (policy.rest.first, policy.brake.hold) = (Millis(2_000), Millis(if brake { 5_000 } else { 0 }));
        let mut pool = prepared(policy, 2);
        for act in acts {
            if let Some(command) = command(&mut pool, act) {
                drop(pool.run(command));
            }
        }
        accepted_once(&pool.tables);
        paid_once(&pool.tables);
        // T7: once nothing fails any more, everything ends.
        for node in ["one", "two", "three", "four"] {
            for change in [NodeChange::Unban, NodeChange::Uncordon] {
                pool.run(Command::SetNode { by: UserId(1), node: node.into(), change }).expect("an operator may");
            }
            pool.sessions += 1;
            let id = pool.node(node);
            let holds: Vec<AttemptRef> = pool.engine.live.iter().filter(|(_, live)| live.node == id).map(|(at, _)| *at).collect();
            let command = Command::Connected { node: id, session: pool.sessions, offer: offer(node, 3), holds };
            pool.run(command).expect("it is enrolled");
        }
        // Copies may ask for more owners than there are; then their requester gives up.
        let verified = pool.tables.tasks.values().filter(|row| row.spec.verify.rule != Rule::First);
        let open: Vec<_> = verified.map(|row| (row.user, row.progress.id)).collect();
        for (user, task) in open {
            pool.run(Command::Cancel { user, task, elements: None }).ok();
        }
        let mut rounds = 0;
        while pool.engine.counts().pending + pool.engine.counts().running > 0 {
            pool.pass(1_000);
            let live: Vec<AttemptRef> = pool.engine.live.iter().filter(|(_, live)| live.stage != crate::state::Stage::Queued).map(|(at, _)| *at).collect();
            for attempt in live {
                if let Some(node) = pool.whereabouts(attempt) {
                    drop(pool.finish(&node, attempt, Outcome::Exited { code: 0 }, 10));
                }
            }
            rounds += 1;
            prop_assert!(rounds < 4_000, "T7: {:?}", pool.engine.counts());
        }
        accepted_once(&pool.tables);
        paid_once(&pool.tables);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_asked_every_invariant_holds(acts in proptest::collection::vec(act(), 1..120)) {
        let mut policy = Policy { max_infrastructure_failures: 3, ..Policy::default() };
        policy.limits.max_open_tasks_per_user = 8;
        let mut pool = Pool::new(policy);
        for (name, role) in [("anna", Role::Operator), ("bert", Role::Member), ("carl", Role::Member)] {
            pool.register_as(name, role);
        }
        for (owner, node) in [("anna", "one"), ("bert", "two")] {
            pool.enroll(owner, node, 3);
            pool.connect(node, &[]).expect("enrolled");
        }
        for act in acts {
            if let Some(command) = command(&mut pool, act) {
                let before = pool.engine.ledger().clone();
                if let Err(rejection) = pool.run(command) {
                    prop_assert_eq!(pool.engine.ledger(), &before, "{} moved money", rejection);
                }
            }
        }
        paid_once(&pool.tables);
        let books = hivemind_ledger::replay(&pool.tables.journal).expect("the journal is true");
        let (_, image) = pool.tables.recover().expect("founded");
        prop_assert_eq!(books.compare(&image), Ok(()));
    }
}
