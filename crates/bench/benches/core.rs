//! Micro-benchmarks of the pure floor: the engine's life of a task, a pass of the placement, the
//! journal entries of an ordinary task, of metering and of transfers, and their proof.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hivemind_engine::Engine;
use hivemind_ledger::{Ledger, Paid, PromoPay, Spend, Terms, replay};
use hivemind_model::command::NodeOffer;
use hivemind_model::rows::{LogLengths, Report, Role};
use hivemind_model::{
    AttemptRef, Bytes, Command, Cpt, Effect, ElementRef, Metering, MilliCores, Millis, NodeId, Outcome, Policy, Reply,
    Resources, TaskId, TaskSpec, Timestamp, UserId,
};
use hivemind_placement::{Bounds, Fleet, Line, NodeView, Queue, Rank, Snapshot, Turn, Waiting, plan};
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_000_000);
const TASKS: usize = 1_000;
fn spec() -> Arc<TaskSpec> {
    Arc::new(TaskSpec {
        name: "noop".into(),
        image: "busybox".into(),
        command: vec!["true".into()],
        files: Vec::new(),
        priority: 5,
        max_runtime: Millis::from_secs(10),
        resources: Resources {
            cpu: MilliCores::from_cores(1),
            memory: Bytes::from_mib(6),
            disk: Bytes::from_mib(4),
            gpus: 0,
        },
        ..TaskSpec::default()
    })
}

/// A pool with one user and one linked node that has room for [`TASKS`].
fn engine() -> (Engine, UserId, NodeId) {
    let mut engine = Engine::found(Policy::default(), NOW);
    let register = Command::Register {
        username: "requester".into(),
        email: "r@example.org".into(),
        password_hash: "hash".into(),
        role: Role::Member,
        from: String::new(),
        invitation: None,
    };
    let Ok(Reply::Registered { user }) = engine.apply(register, NOW) else { panic!("the pool takes users") };
    let cores = u32::try_from(TASKS).expect("it is small");
    let capacity = Resources {
        cpu: MilliCores::from_cores(cores),
        memory: Bytes::from_gib(1 << 10),
        disk: Bytes::from_gib(1 << 10),
        gpus: 0,
    };
    let offer = NodeOffer {
        name: "node".into(),
        capacity,
        gpu_info: String::new(),
        labels: hivemind_model::Labels::default(),
        isolation: hivemind_model::Isolation::Basic,
        kinds: hivemind_model::Kinds::ALL,
        egress: hivemind_model::EgressPolicy::None,
    };
    let Ok(Reply::Enrolled { node }) =
        engine.apply(Command::Enroll { owner: user, offer: offer.clone(), token: None }, NOW)
    else {
        panic!("the pool takes nodes")
    };
    engine.apply(Command::Connected { node, session: 1, offer, holds: Vec::new() }, NOW).expect("the node may connect");
    drop(engine.take_batch());
    (engine, user, node)
}

fn life(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(TASKS as u64));
    let spec = spec();
    group.bench_function("life of a task, a thousand in a batch", |bencher| {
        bencher.iter_batched(
            engine,
            |(mut engine, user, node)| {
                for _ in 0..TASKS {
                    engine
                        .apply(
                            Command::Submit {
                                user,
                                spec: spec.clone(),
                                max_price: None,
                                ended: Vec::new(),
                                once: None,
                            },
                            NOW,
                        )
                        .expect("it is accepted");
                }
                engine.schedule(NOW);
                let batch = engine.take_batch();
                let attempts: Vec<_> = batch
                    .effects
                    .iter()
                    .filter_map(
                        |effect| if let Effect::Assign { attempt, .. } = effect { Some(*attempt) } else { None },
                    )
                    .collect();
                assert_eq!(attempts.len(), TASKS);
                for attempt in &attempts {
                    engine.apply(Command::Started { node, attempt: *attempt }, NOW).expect("it is live");
                }
                for attempt in attempts {
                    let report = Report {
                        outcome: Outcome::Exited { code: 0 },
                        metering: Metering::default(),
                        logs: LogLengths::default(),
                        image_id: String::new(),
                        output: None,
                        digest: None,
                    };
                    engine.apply(Command::Finished { node, attempt, report }, NOW).expect("it is live");
                }
                (batch, engine.take_batch(), engine)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Many elements of many users that need the same: one line for each user.
struct Lines(Vec<Vec<Rank>>);

impl Queue for Lines {
    fn turns(&self, from: Option<Turn>) -> Box<dyn Iterator<Item = Turn> + '_> {
        let turns = (0u64..).zip(&self.0).map(|(user, _)| Turn { used: 0, user: UserId(user) });
        Box::new(turns.filter(move |turn| from.is_none_or(|from| *turn >= from)))
    }

    fn lines(&self, user: UserId, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let line = usize::try_from(user.0).ok().and_then(|user| self.0.get(user)).map_or(&[][..], Vec::as_slice);
        let head = line.first().copied().filter(|head| from.is_none_or(|from| *head >= from));
        Box::new(head.into_iter().map(move |head| Line {
            need: spec().need(),
            head,
            waiting: Box::new(line.iter().map(|rank| Waiting::anywhere(*rank))),
        }))
    }
}

fn placement(c: &mut Criterion) {
    const NODES: u64 = 10_000;
    const WAITING: u64 = 100_000;
    let rank = |task| Rank::new(5, NOW, ElementRef::only(TaskId(task)));
    let queue =
        |users| Lines((0..users).map(|user| (user..WAITING).step_by(users as usize).map(rank).collect()).collect());
    let capacity =
        Resources { cpu: MilliCores::from_cores(4), memory: Bytes::from_gib(16), disk: Bytes::from_gib(100), gpus: 0 };
    let nodes: Fleet = (0..NODES).map(|id| NodeView::plain(NodeId(id), UserId(id), capacity)).collect();
    let bounds = Bounds::default();
    let mut group = c.benchmark_group("placement");
    group.throughput(Throughput::Elements(bounds.placements as u64));
    group.sample_size(20);
    for users in [1, 1000] {
        let queue = queue(users);
        group.bench_function(format!("one pass, 10,000 nodes, 100,000 waiting of {users}"), |bencher| {
            bencher.iter(|| {
                let snapshot = Snapshot {
                    fleet: &nodes,
                    queue: &queue,
                    cost: &|_| 1,
                    reserve_before: Timestamp(0),
                    reserved: None,
                    resume: None,
                };
                let plan = plan(&snapshot, bounds, 1);
                assert_eq!(plan.placements.len(), bounds.placements);
                plan
            });
        });
    }
    group.finish();
}

const PAYER: UserId = UserId(1);
const PAYEE: UserId = UserId(2);

fn attempt(task: u64, index: u32) -> AttemptRef {
    ElementRef { task: TaskId(task), index }.attempt(1)
}

fn paid(attempt: AttemptRef) -> Paid {
    Paid { attempt, payee: PAYEE, terms: Terms { promo: PromoPay::Money, vests_at: None } }
}

/// Books with a payer who has both kinds of money.
fn founded() -> Ledger {
    let mut ledger = Ledger::found(NOW);
    let amount = Cpt::from_micro(150_000_000);
    ledger.sign_up(PAYEE, amount, NOW).expect("the treasury has it");
    ledger.transfer(PAYEE, PAYER, amount, Spend::OwnThenPromo, NOW).expect("there is enough");
    ledger.sign_up(PAYER, amount, NOW).expect("the treasury has it");
    drop(ledger.take_changes());
    ledger
}

/// Those with one task of [`TASKS`] elements, each of which has earned.
fn earning() -> Ledger {
    let mut ledger = founded();
    ledger.open_hold(TaskId(1), PAYER, Cpt::from_micro(200_000_000), NOW, NOW).expect("there is enough");
    accrue(&mut ledger);
    drop(ledger.take_changes());
    ledger
}

fn accrue(ledger: &mut Ledger) {
    for index in 0..TASKS as u32 {
        ledger.accrue(attempt(1, index), PAYEE, Cpt::from_micro(5_600), NOW).expect("it is held");
    }
}

fn ledger(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(TASKS as u64));
    /// Its name, the books it begins with, what it does to them.
    type Act = (&'static str, fn() -> Ledger, fn(&mut Ledger));
    let acts: [Act; 4] = [
        ("hold and settlement", founded, |ledger| {
            for task in 0..TASKS as u64 {
                ledger.open_hold(TaskId(task), PAYER, Cpt::from_micro(5_600), NOW, NOW).expect("there is enough");
                ledger.settle_and_close(paid(attempt(task, 0)), Cpt::from_micro(1), NOW).expect("it is held");
            }
        }),
        ("accrual", earning, accrue),
        ("settlement of what has accrued", earning, |ledger| {
            for index in 0..TASKS as u32 {
                ledger.settle(paid(attempt(1, index)), Cpt::from_micro(9_000), NOW).expect("it is held");
            }
        }),
        ("transfer", founded, |ledger| {
            for _ in 0..TASKS {
                ledger.transfer(PAYER, PAYEE, Cpt::from_micro(1), Spend::OwnThenPromo, NOW).expect("there is enough");
            }
        }),
    ];
    for (name, books, act) in acts {
        group.bench_function(format!("{name}, a thousand in a batch"), |bencher| {
            bencher.iter_batched(
                books,
                |mut ledger| {
                    act(&mut ledger);
                    (ledger.take_changes(), ledger)
                },
                BatchSize::LargeInput,
            );
        });
    }
    let mut proven = Ledger::found(NOW);
    proven.sign_up(PAYER, Cpt::from_micro(150_000_000), NOW).expect("the treasury has it");
    for _ in 0..TASKS - 2 {
        proven.transfer(PAYER, PAYEE, Cpt::from_micro(1), Spend::OwnThenPromo, NOW).expect("there is enough");
    }
    let journal = proven.take_changes().entries;
    group.bench_function("proof of a thousand entries", |bencher| {
        bencher.iter(|| replay(&journal).expect("the journal is true"));
    });
    group.finish();
}

criterion_group!(benches, life, placement, ledger);
criterion_main!(benches);
