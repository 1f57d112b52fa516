//! Random batches against a model in memory: what is read back is what was committed.

use crate::samples;
use hivemind_ledger::{Account, Entry, Hold, Kind, LedgerChanges, LedgerImage, Posting, Reason};
use hivemind_model::rejection::{Code, Rejection};
use hivemind_model::rows::{
    Answer, AttemptPhase, AttemptRow, ChunkRow, Counters, Element, ElementPhase, LogLengths, NodeRow, Recovered,
    Report, RequestKey, RequestRow, RowChanges, TaskProgress, TaskRow, UsedToken, UserRow,
};
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::state::{Metering, Outcome, TaskState};
use hivemind_model::{AttemptRef, Bytes, Cpt, ElementRef, Millis, NodeId, ProjectId, TaskId, Timestamp, UserId};
use hivemind_store::{Funds, Store, TaskFilter};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was committed.
#[derive(Debug, Default)]
struct Model {
    users: BTreeMap<UserId, UserRow>,
    nodes: BTreeMap<NodeId, NodeRow>,
    tasks: BTreeMap<TaskId, TaskRow>,
    chunks: BTreeMap<(TaskId, u32), ChunkRow>,
    attempts: BTreeMap<AttemptRef, AttemptRow>,
    requests: BTreeMap<RequestKey, RequestRow>,
    tokens: BTreeMap<String, UsedToken>,
    counters: Option<Counters>,
    balances: BTreeMap<Account, Cpt>,
    holds: BTreeMap<TaskId, Hold>,
    journal: Vec<Entry>,
}

impl Model {
    fn apply(&mut self, rows: &RowChanges, ledger: &LedgerChanges) {
        self.users.extend(rows.users.iter().map(|row| (row.id, row.clone())));
        self.nodes.extend(rows.nodes.iter().map(|row| (row.id, row.clone())));
        self.tasks.extend(rows.new_tasks.iter().map(|row| (row.progress.id, row.clone())));
        self.chunks.extend(rows.chunks.iter().map(|row| ((row.task, row.chunk), row.clone())));
        for progress in &rows.tasks {
            self.tasks.get_mut(&progress.id).unwrap().progress = progress.clone();
        }
        self.attempts.extend(rows.attempts.iter().map(|row| (row.attempt, row.clone())));
        self.requests.extend(rows.requests.iter().map(|row| (row.key.clone(), row.clone())));
        self.tokens.extend(rows.used_tokens.iter().map(|row| (row.id.clone(), row.clone())));
        self.tokens.retain(|id, _| !rows.expired_tokens.contains(id));
        self.counters = rows.counters.or(self.counters);
        self.journal.extend(ledger.entries.iter().cloned());
        self.balances.extend(ledger.balances.iter().copied());
        self.holds.extend(ledger.holds.iter().map(|hold| (hold.task, *hold)));
        self.holds.retain(|task, _| !ledger.ended_holds.contains(task));
    }

    fn recovered(&self) -> (Recovered, LedgerImage) {
        let rows = Recovered {
            users: self.users.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
            tasks: self.tasks.values().filter(|row| !row.progress.state.is_terminal()).cloned().collect(),
            chunks: self
                .chunks
                .values()
                .filter(|row| !self.tasks[&row.task].progress.state.is_terminal())
                .cloned()
                .collect(),
            attempts: self
                .attempts
                .values()
                .filter(|row| !matches!(row.phase, AttemptPhase::Ended { .. }))
                .cloned()
                .collect(),
            used_tokens: self.tokens.values().cloned().collect(),
            counters: self.counters.unwrap(),
            standings: Vec::new(),
            projects: Vec::new(),
            invitations: Vec::new(),
            sessions: Vec::new(),
            clock: samples::clock(0),
            usages: Vec::new(),
            trusts: Vec::new(),
        };
        let last = self.journal.last().unwrap();
        let books = LedgerImage {
            balances: self.balances.iter().map(|(account, balance)| (*account, *balance)).collect(),
            holds: self.holds.values().copied().collect(),
            accruals: Vec::new(),
            vests: Vec::new(),
            last_seq: last.seq,
            last_at: last.at,
            last_hash: last.hash,
        };
        (rows, books)
    }
}

/// The raw material of a batch; [`batch`] makes it fit what is there.
#[derive(Debug, Clone)]
struct Draft {
    users: Vec<String>,
    nodes: Vec<(Index, String)>,
    new_tasks: Vec<(Index, TaskState, Vec<Element>, String)>,
    moved: Vec<(Index, TaskState, Vec<Element>, i64)>,
    attempts: Vec<(Index, u32, u32, Index, AttemptPhase)>,
    requests: Vec<(Index, String, Answer)>,
    tokens: Vec<String>,
    forgotten: Vec<Index>,
    entries: Vec<(Reason, Vec<Posting>, [u8; 32])>,
    balances: Vec<(Index, bool, i64)>,
    held: Vec<(Index, i64)>,
    ended: Vec<Index>,
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äß\u{1F41D}\n\t]{0,12}"
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<i32>().prop_map(|code| Outcome::Exited { code }),
        Just(Outcome::OutOfMemory),
        Just(Outcome::TimedOut),
        text().prop_map(|reason| Outcome::CannotStart { reason }),
        text().prop_map(|reason| Outcome::Infrastructure { reason }),
    ]
}

fn element() -> impl Strategy<Value = Element> {
    let phase = prop_oneof![
        time().prop_map(|not_before| ElementPhase::Waiting { not_before }),
        Just(ElementPhase::Live),
        outcome().prop_map(|outcome| ElementPhase::Ended { outcome }),
    ];
    (any::<u32>(), any::<u32>(), any::<u32>(), phase).prop_map(|(attempts, faults, image_faults, phase)| Element {
        attempts,
        faults,
        image_faults,
        accepted: faults / 3,
        failures: faults / 2,
        phase,
    })
}

fn report() -> impl Strategy<Value = Report> {
    let blob = (any::<[u8; 32]>(), any::<u64>())
        .prop_map(|(digest, size)| BlobRef { digest: Digest(digest), size: Bytes(size) });
    (outcome(), any::<[u64; 5]>(), any::<bool>(), text(), option::of(blob)).prop_map(
        |(outcome, n, cut, image_id, output)| Report {
            outcome,
            metering: Metering { wall: Millis(n[0]), cpu: Millis(n[1]), peak_memory: Bytes(n[2]) },
            logs: LogLengths { stdout: Bytes(n[3]), stderr: Bytes(n[4]), cut },
            image_id,
            digest: output.map(|blob| blob.digest),
            output,
        },
    )
}

fn phase() -> impl Strategy<Value = AttemptPhase> {
    prop_oneof![
        Just(AttemptPhase::Assigned),
        time().prop_map(|started_at| AttemptPhase::Running { started_at }),
        (time(), report(), any::<i64>()).prop_map(|(ended_at, report, cost)| AttemptPhase::Ended {
            ended_at,
            report,
            cost: Cpt::from_micro(cost)
        }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (any::<u64>(), any::<i64>())
            .prop_map(|(task, cap)| Answer::Submitted { task: TaskId(task), cap: Cpt::from_micro(cap) }),
        any::<i64>().prop_map(|balance| Answer::Transferred { balance: Cpt::from_micro(balance) }),
        (select(Code::ALL), text())
            .prop_map(|(code, why)| Answer::Refused { rejection: Rejection::field(code, "amount", why) }),
    ]
}

fn attempt_ref() -> impl Strategy<Value = AttemptRef> {
    (0..1u64 << 63, any::<u32>(), any::<u32>())
        .prop_map(|(task, index, number)| ElementRef { task: TaskId(task), index }.attempt(number))
}

fn entry() -> impl Strategy<Value = (Reason, Vec<Posting>, [u8; 32])> {
    let reason = prop_oneof![
        Just(Reason::Genesis),
        any::<u64>().prop_map(|user| Reason::SignUp { user: UserId(user) }),
        any::<(u64, u64)>().prop_map(|(from, to)| Reason::Transfer { from: UserId(from), to: UserId(to) }),
        attempt_ref().prop_map(|attempt| Reason::Settlement { attempt }),
        attempt_ref().prop_map(|attempt| Reason::Accrual { attempt }),
        any::<(u64, i64)>().prop_map(|(node, from)| Reason::Reward { node: NodeId(node), from: Timestamp(from) }),
        any::<(u64, u64)>().prop_map(|(project, number)| Reason::Tip { project: ProjectId(project), number }),
    ];
    // Two users at most, and ids that a database can keep.
    let account = (select(&Kind::ALL[..]), 1u64..3).prop_map(|(kind, holder)| match kind {
        Kind::Treasury => Account::Treasury,
        kind => Account::of(kind, holder),
    });
    let posting = (account, any::<i64>(), any::<i64>()).prop_map(|(account, amount, balance)| Posting {
        account,
        amount: Cpt::from_micro(amount),
        balance: Cpt::from_micro(balance),
    });
    (reason, vec(posting, 0..4), any::<[u8; 32]>())
}

fn draft() -> impl Strategy<Value = Draft> {
    let state = || select(&TaskState::ALL[..]);
    let index = any::<Index>;
    let people = (vec(text(), 0..4), vec((index(), text()), 0..4));
    let new_tasks = vec((index(), state(), vec(element(), 1..3), text()), 0..40);
    let moved = vec((index(), state(), vec(element(), 1..3), any::<i64>()), 0..20);
    let attempts = vec((index(), 0u32..3, 1u32..4, index(), phase()), 0..40);
    let kept = (vec((index(), text(), answer()), 0..5), vec(text(), 0..5), vec(index(), 0..3));
    let books = (
        vec(entry(), 0..20),
        vec((index(), any::<bool>(), 0i64..), 0..9),
        vec((index(), 0i64..), 0..9),
        vec(index(), 0..5),
    );
    (people, new_tasks, moved, attempts, kept, books).prop_map(|(people, new_tasks, moved, attempts, kept, books)| {
        Draft {
            users: people.0,
            nodes: people.1,
            new_tasks,
            moved,
            attempts,
            requests: kept.0,
            tokens: kept.1,
            forgotten: kept.2,
            entries: books.0,
            balances: books.1,
            held: books.2,
            ended: books.3,
        }
    })
}

/// The row of a task's first chunk; none where nothing of it was tried.
fn chunk(task: TaskId, elements: &[Element]) -> Option<ChunkRow> {
    let runs = elements.iter().map(|element| (1, element.clone())).collect();
    (!elements.is_empty()).then_some(ChunkRow { task, chunk: 0, runs })
}

fn rows(model: &Model, draft: &Draft) -> RowChanges {
    let mut counters = model.counters.unwrap();
    let mut next = |counter: fn(&mut Counters) -> &mut u64| {
        let place = counter(&mut counters);
        *place += 1;
        *place - 1
    };
    let mut made = RowChanges::default();
    for email in &draft.users {
        let id = next(|counters| &mut counters.user);
        made.users.push(UserRow { email: email.clone(), ..samples::user(id, &format!("User{id}")) });
    }
    for (owner, gpu_info) in &draft.nodes {
        let id = next(|counters| &mut counters.node);
        let owner = owner.index(model.users.len()) as u64 + 1;
        made.nodes.push(NodeRow { gpu_info: gpu_info.clone(), ..samples::node(id, owner) });
    }
    for (user, state, elements, word) in &draft.new_tasks {
        let id = next(|counters| &mut counters.task);
        let mut row = samples::task(id, user.index(model.users.len()) as u64 + 1, *state);
        std::sync::Arc::make_mut(&mut row.spec).command = vec![word.clone()];
        made.chunks.extend(chunk(row.progress.id, elements));
        made.new_tasks.push(row);
    }
    let tasks: Vec<TaskId> = model.tasks.keys().copied().collect();
    if !tasks.is_empty() {
        let mut chunks: BTreeMap<TaskId, ChunkRow> = BTreeMap::new();
        let moved: BTreeMap<TaskId, TaskProgress> = draft
            .moved
            .iter()
            .map(|(task, state, elements, cost)| {
                let id = *task.get(&tasks);
                chunks.extend(chunk(id, elements).map(|row| (id, row)));
                // Whose result a task has is decided when it is made.
                let reused = model.tasks[&id].progress.reused;
                (id, TaskProgress { cost: Cpt::from_micro(*cost), reused, ..samples::progress(id.0, *state) })
            })
            .collect();
        made.chunks.extend(chunks.into_values());
        made.tasks = moved.into_values().collect();
        let attempts: BTreeMap<AttemptRef, AttemptRow> = draft
            .attempts
            .iter()
            .map(|(task, index, number, node, phase)| {
                let attempt = ElementRef { task: *task.get(&tasks), index: *index }.attempt(*number);
                let node = NodeId(node.index(model.nodes.len()) as u64 + 1);
                (attempt, AttemptRow { attempt, node, assigned_at: Timestamp(1), phase: phase.clone() })
            })
            .collect();
        made.attempts = attempts.into_values().collect();
    }
    let requests: BTreeMap<RequestKey, RequestRow> = draft
        .requests
        .iter()
        .map(|(user, id, answer)| {
            let key = RequestKey { user: UserId(user.index(model.users.len()) as u64 + 1), id: id.clone() };
            (key.clone(), RequestRow { key, body: [3; 32], answer: answer.clone() })
        })
        .collect();
    made.requests = requests.into_values().filter(|row| !model.requests.contains_key(&row.key)).collect();
    let tokens: BTreeMap<&String, UsedToken> =
        draft.tokens.iter().map(|id| (id, UsedToken { id: id.clone(), expires_at: Timestamp(-1) })).collect();
    made.used_tokens = tokens.into_values().filter(|row| !model.tokens.contains_key(&row.id)).collect();
    let known: Vec<&String> = model.tokens.keys().collect();
    made.expired_tokens =
        draft.forgotten.iter().filter(|_| !known.is_empty()).map(|place| (*place.get(&known)).clone()).collect();
    made.counters = Some(counters);
    made
}

fn books(model: &Model, draft: &Draft) -> LedgerChanges {
    let mut made = LedgerChanges::default();
    for (seq, (reason, postings, hash)) in (model.journal.len() as u64 + 1..).zip(&draft.entries) {
        made.entries.push(Entry { seq, at: Timestamp(7), reason: *reason, postings: postings.clone(), hash: *hash });
    }
    let user = |place: &Index| UserId(place.index(model.users.len()) as u64 + 1);
    let balances: BTreeMap<Account, Cpt> = draft
        .balances
        .iter()
        .map(|(who, held, balance)| {
            (if *held { Account::Held(user(who)) } else { Account::Available(user(who)) }, Cpt::from_micro(*balance))
        })
        .collect();
    made.balances = balances.into_iter().collect();
    let open: Vec<TaskId> = model.holds.keys().copied().collect();
    if !open.is_empty() {
        made.ended_holds = draft.ended.iter().map(|place| *place.get(&open)).collect();
        made.ended_holds.sort_unstable();
        made.ended_holds.dedup();
    }
    let tasks: Vec<TaskId> = model.tasks.keys().copied().collect();
    let held: BTreeMap<TaskId, Hold> = draft
        .held
        .iter()
        .filter(|_| !tasks.is_empty())
        .map(|(place, left)| {
            let task = *place.get(&tasks);
            (task, samples::hold(task.0, user(place).0, *left / 2))
        })
        .collect();
    made.holds = held.into_values().filter(|hold| !made.ended_holds.contains(&hold.task)).collect();
    made
}

async fn compare(model: &Model, store: &impl Store) {
    assert_eq!(store.recover().await.unwrap().unwrap(), model.recovered());
    assert_eq!(store.ledger().await.unwrap(), model.recovered().1);
    assert_eq!(store.journal(0, u32::MAX).await.unwrap(), model.journal);
    let keys: Vec<RequestKey> = model.requests.keys().cloned().collect();
    let mut requests = store.requests(&keys).await.unwrap();
    requests.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(requests, model.requests.values().cloned().collect::<Vec<_>>());
    for user in model.users.keys() {
        let filter = TaskFilter { limit: u32::MAX, ..TaskFilter::default() };
        let own: Vec<TaskRow> = model.tasks.values().rev().filter(|row| row.user == *user).cloned().collect();
        assert_eq!(store.tasks(*user, &filter).await.unwrap(), own);
        let balance = |account| model.balances.get(&account).copied().unwrap_or_default();
        let funds = Funds {
            available: balance(Account::Available(*user)),
            held: balance(Account::Held(*user)),
            ..Funds::default()
        };
        assert_eq!(store.funds(*user).await.unwrap(), funds);
    }
    for task in model.tasks.keys() {
        let own: Vec<AttemptRow> =
            model.attempts.values().filter(|row| row.attempt.element.task == *task).cloned().collect();
        let mut stored = Vec::new();
        let elements: BTreeSet<ElementRef> = own.iter().map(|row| row.attempt.element).collect();
        for element in elements {
            stored.extend(store.attempts(element).await.unwrap());
        }
        assert_eq!(stored, own);
        let chunks: Vec<ChunkRow> =
            model.chunks.range((*task, 0)..=(*task, u32::MAX)).map(|(_, row)| row.clone()).collect();
        assert_eq!(store.chunks(*task, 0, u32::MAX).await.unwrap(), chunks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_is_what_is_read(drafts in vec(draft(), 1..8), reopen in any::<Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, path) = samples::place();
            let mut store = samples::open(&path).await;
            let mut model = Model::default();
            let (founding_rows, founding_ledger) = samples::founding();
            store.commit(&founding_rows, &founding_ledger).await.unwrap();
            model.apply(&founding_rows, &founding_ledger);
            for (number, draft) in drafts.iter().enumerate() {
                let (rows, ledger) = (rows(&model, draft), books(&model, draft));
                store.commit(&rows, &ledger).await.unwrap();
                model.apply(&rows, &ledger);
                if number == reopen.index(drafts.len()) {
                    drop(store);
                    store = samples::open(&path).await;
                }
            }
            compare(&model, &store).await;
        });
    }
}
