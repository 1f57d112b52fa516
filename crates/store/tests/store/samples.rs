//! Rows and batches to test with.

use hivemind_ledger::{Account, Entry, Hold, LedgerChanges, Posting, Purse, Reason};
use hivemind_model::array::Array;
use hivemind_model::resources::Resources;
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, ClockRow, Counters, Ended, LogLengths, NodeRow, Report, Role, RowChanges, TaskProgress,
    TaskRow, UserRow,
};
use hivemind_model::service::Service;
use hivemind_model::spec::{BlobRef, Digest, InputFile, TaskSpec};
use hivemind_model::state::{Metering, Outcome, TaskState};
use hivemind_model::{
    Bytes, Cpt, EgressPolicy, ElementRef, Isolation, Kinds, Labels, Level, MilliCores, Millis, NodeId, TaskId,
    Timestamp, UserId,
};
use hivemind_store::{SqliteOptions, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder of its own, and where the database lies in it.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("pool.db");
    (folder, path)
}

pub(crate) async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap()
}

/// A connection past the store, to look at its file and to damage it.
pub(crate) async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).foreign_keys(false).connect().await.unwrap()
}

pub(crate) fn user(id: u64, name: &str) -> UserRow {
    UserRow {
        id: UserId(id),
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
        role: if id == 1 { Role::Operator } else { Role::Member },
        registered_at: Timestamp(1_000 + id as i64),
        registered_from: if id.is_multiple_of(2) { "2001:db8::".to_owned() } else { String::new() },
    }
}

pub(crate) fn node(id: u64, owner: u64) -> NodeRow {
    NodeRow {
        id: NodeId(id),
        name: format!("node-{id}"),
        owner: UserId(owner),
        capacity: Resources { cpu: MilliCores(8000), memory: Bytes::from_gib(16), disk: Bytes(u64::MAX), gpus: 1 },
        gpu_info: "a \"fast\" one".to_owned(),
        enrolled_at: Timestamp(5),
        seen_at: Timestamp(6),
        service: match id % 4 {
            0 => Service::InService,
            1 => Service::Cordoned,
            2 => Service::Draining { until: Timestamp(7) },
            _ => Service::Banned { reason: "it \"lied\"".to_owned() },
        },
        labels: if id.is_multiple_of(2) {
            Labels::default()
        } else {
            Labels::parse(&["arch=arm64", "location=lab"]).unwrap()
        },
        isolation: Isolation::ALL[id as usize % 3],
        kinds: [Kinds::CONTAINER, Kinds::WASM, Kinds::ALL][id as usize % 3],
        egress: [
            EgressPolicy::None,
            EgressPolicy::Public,
            EgressPolicy::parse(&["*.example.org:443", "data.example.net:443"]).unwrap(),
        ][id as usize % 3]
            .clone(),
    }
}

pub(crate) fn task(id: u64, user: u64, state: TaskState) -> TaskRow {
    let file =
        InputFile { path: "in/a 'b'.txt".to_owned(), blob: BlobRef { digest: Digest([id as u8; 32]), size: Bytes(7) } };
    let spec = TaskSpec {
        name: "näme \" ' \\ \u{1F41D}".to_owned(),
        image: "busybox:1".to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), "printf 'a\nb'".to_owned()],
        files: vec![file],
        priority: 5,
        max_runtime: Millis::from_secs(3600),
        resources: Resources { cpu: MilliCores(1000), memory: Bytes::from_mib(512), disk: Bytes::from_gib(1), gpus: 0 },
        min_level: Level::Silver,
        labels: Labels::parse(&["location=lab"]).unwrap(),
        array: Some(Array { indices: "0-2,7".parse().unwrap(), entries: None, max_fails: Some(1) }),
        ..TaskSpec::default()
    };
    TaskRow {
        user: UserId(user),
        spec: Arc::new(spec),
        submitted_at: Timestamp(100 + id as i64),
        cap: Cpt::from_micro(2_250_000),
        progress: progress(id, state),
    }
}

pub(crate) fn progress(id: u64, state: TaskState) -> TaskProgress {
    let (counts, failure) = match state {
        TaskState::Pending | TaskState::Running => (Ended::default(), None),
        TaskState::Completed => (Ended { completed: 4, ..Ended::default() }, None),
        TaskState::Failed => (
            Ended { completed: 3, failed: 1, cancelled: 0 },
            Some(Outcome::BadImage { reason: "no \"such\" image".to_owned() }),
        ),
        TaskState::Cancelled => (Ended { cancelled: 4, ..Ended::default() }, Some(Outcome::Cancelled)),
    };
    let ended = state.is_terminal();
    TaskProgress {
        id: TaskId(id),
        state,
        ended_at: ended.then_some(Timestamp(200 + id as i64)),
        cost: Cpt::from_micro(if ended { 17 } else { 0 }),
        ended: counts,
        failure,
        reused: (state == TaskState::Completed && id.is_multiple_of(2))
            .then(|| ElementRef::only(TaskId(id - 1)).attempt(3)),
    }
}

pub(crate) fn attempt(task: u64, number: u32, node: u64, phase: AttemptPhase) -> AttemptRow {
    AttemptRow {
        attempt: ElementRef::only(TaskId(task)).attempt(number),
        node: NodeId(node),
        assigned_at: Timestamp(150),
        phase,
    }
}

pub(crate) fn ended(code: i32) -> AttemptPhase {
    let report = Report {
        outcome: Outcome::Exited { code },
        metering: Metering { wall: Millis(1500), cpu: Millis(20), peak_memory: Bytes(4096) },
        logs: LogLengths { stdout: Bytes(3), stderr: Bytes(0), cut: true },
        image_id: "sha256:0".to_owned(),
        output: Some(BlobRef { digest: Digest([9; 32]), size: Bytes(10) }),
        digest: Some(Digest([8; 32])),
    };
    AttemptPhase::Ended { ended_at: Timestamp(160), report, cost: Cpt::from_micro(17) }
}

pub(crate) fn entry(seq: u64, reason: Reason, postings: &[(Account, i64)]) -> Entry {
    let postings = postings
        .iter()
        .map(|(account, micro)| Posting {
            account: *account,
            amount: Cpt::from_micro(*micro),
            balance: Cpt::from_micro(micro.abs()),
        })
        .collect();
    Entry { seq, at: Timestamp(seq as i64), reason, postings, hash: [seq as u8; 32] }
}

pub(crate) fn clock(at: i64) -> ClockRow {
    ClockRow { awake_at: Timestamp(at), period_from: Timestamp(at), period_to: Timestamp(at.saturating_add(10)) }
}

pub(crate) fn hold(task: u64, user: u64, micro: i64) -> Hold {
    let left = Purse { own: Cpt::from_micro(micro), promo: Cpt::from_micro(micro / 2) };
    Hold { task: TaskId(task), user: UserId(user), left, expires_at: Timestamp(900) }
}

/// A pool with the operator `Root` (1), who owns node 1, and the member `Anna` (2).
pub(crate) fn founding() -> (RowChanges, LedgerChanges) {
    let rows = RowChanges {
        users: vec![user(1, "Root"), user(2, "Anna")],
        nodes: vec![node(1, 1)],
        clock: Some(clock(0)),
        counters: Some(Counters { user: 3, node: 2, task: 1, project: 1, session: 1 }),
        ..RowChanges::default()
    };
    let supply = 1_000_000;
    let ledger = LedgerChanges {
        entries: vec![
            entry(1, Reason::Genesis, &[(Account::Treasury, supply)]),
            entry(
                2,
                Reason::SignUp { user: UserId(2) },
                &[(Account::Treasury, -150), (Account::Available(UserId(2)), 150)],
            ),
        ],
        balances: vec![
            (Account::Treasury, Cpt::from_micro(supply - 150)),
            (Account::Available(UserId(2)), Cpt::from_micro(150)),
        ],
        ..LedgerChanges::default()
    };
    (rows, ledger)
}

/// Anna submits task `id`, with the journal entry `seq`; Node 1 gets it.
pub(crate) fn submission(id: u64, seq: u64) -> (RowChanges, LedgerChanges) {
    let rows = RowChanges {
        new_tasks: vec![task(id, 2, TaskState::Pending)],
        attempts: vec![attempt(id, 1, 1, AttemptPhase::Assigned)],
        ..RowChanges::default()
    };
    let ledger = LedgerChanges {
        entries: vec![entry(
            seq,
            Reason::Hold { task: TaskId(id) },
            &[(Account::Available(UserId(2)), -1), (Account::Held(UserId(2)), 1)],
        )],
        holds: vec![hold(id, 2, 1)],
        ..LedgerChanges::default()
    };
    (rows, ledger)
}
