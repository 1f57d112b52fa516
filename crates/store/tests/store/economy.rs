//! Accounts by kind, accruals, vests, standings, rewards, projects, tips, invitations, sessions, and the
//! journal as statements read it.

use crate::samples::*;
use hivemind_ledger::{Account, Accrual, Entry, Kind, LedgerChanges, Purse, Reason, Source, Vest, VestKey};
use hivemind_model::rows::{
    AttemptPhase, InvitationRow, ProjectRow, ProjectState, RewardRow, RowChanges, SessionRow, StandingRow, Tally,
    TipRow, UsageRow,
};
use hivemind_model::session::{SecretHash, SessionKind};
use hivemind_model::state::TaskState;
use hivemind_model::{
    AttemptRef, Cpt, ElementRef, Level, Millis, NodeId, ProjectId, Scope, Scopes, SessionId, TaskId, Timestamp, UserId,
};
use hivemind_store::{Funds, Income, RewardFilter, StatementFilter, Store, StoreError};

const ROOT: UserId = UserId(1);
const ANNA: UserId = UserId(2);

fn cpt(micro: i64) -> Cpt {
    Cpt::from_micro(micro)
}

fn first(task: u64) -> AttemptRef {
    ElementRef::only(TaskId(task)).attempt(1)
}

fn accrual(task: u64, micro: i64) -> Accrual {
    Accrual { attempt: first(task), payee: ROOT, amount: Purse { own: cpt(micro), promo: cpt(1) } }
}

fn vest(due: i64, source: Source, micro: i64) -> Vest {
    Vest { key: VestKey { due: Timestamp(due), user: ANNA, source }, amount: cpt(micro) }
}

fn project(id: u64, name: &str, state: ProjectState) -> ProjectRow {
    ProjectRow {
        id: ProjectId(id),
        name: name.into(),
        repository: "https://example.org/\"x\"".into(),
        owner: ROOT,
        state,
        registered_at: Timestamp(5),
        tips: 2,
        tipped: cpt(7),
    }
}

fn reward(from: i64, node: u64, owner: UserId) -> RewardRow {
    RewardRow {
        node: NodeId(node),
        owner,
        from: Timestamp(from),
        to: Timestamp(from + 10),
        registered: Millis(10),
        tally: Tally { alive: Millis(9), ended: 3, completed: 2, complex: 1 },
        base: cpt(1),
        performance: cpt(2),
        stability: cpt(3),
        quality: cpt(4),
        level: Level::Gold,
        total: cpt(15),
    }
}

fn standing(node: u64, alive_since: Option<i64>) -> StandingRow {
    let period = Tally { alive: Millis(1), ended: 2, completed: 3, complex: 4 };
    StandingRow { node: NodeId(node), runtime: Millis(7), alive_since: alive_since.map(Timestamp), period }
}

fn tip(number: u64) -> TipRow {
    TipRow { number, project: ProjectId(1), from: ANNA, amount: cpt(3), message: "\u{1F41D}".into(), at: Timestamp(8) }
}

fn session(id: u64, kind: SessionKind) -> SessionRow {
    SessionRow {
        id: SessionId(id),
        user: ANNA,
        kind,
        about: "Firefox \u{1F41D}".into(),
        scopes: Scopes::of(&[Scope::TasksRead, Scope::Account]),
        secret: SecretHash([8; 32]),
        previous: None,
        created_at: Timestamp(1),
        exchanged_at: Timestamp(2),
        used_at: Timestamp(3),
        expires_at: Timestamp(4),
    }
}

/// Two tasks of Anna on node 1, what they earned, and one of everything else.
async fn filled(store: &impl Store) -> (RowChanges, LedgerChanges) {
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    for (task, seq) in [(1, 3), (2, 4)] {
        let (rows, ledger) = submission(task, seq);
        store.commit(&rows, &ledger).await.unwrap();
    }
    let rows = RowChanges {
        standings: vec![standing(1, Some(4))],
        rewards: vec![reward(0, 1, ROOT), reward(10, 1, ROOT)],
        projects: vec![project(1, "Tool", ProjectState::Open), project(2, "old", ProjectState::Closed)],
        tips: vec![tip(1), tip(2), tip(3)],
        invitations: vec![InvitationRow { digest: [3; 32], uses_left: 2, expires_at: Timestamp(9), made_by: ROOT }],
        clock: Some(clock(70)),
        usages: vec![UsageRow { user: ANNA, used: 7, at: Timestamp(8) }],
        sessions: vec![session(1, SessionKind::Browser), session(2, SessionKind::Key)],
        ..RowChanges::default()
    };
    let ledger = LedgerChanges {
        accruals: vec![accrual(1, 5), accrual(2, 6)],
        vests: vec![vest(3, Source::Work, 4), vest(3, Source::Reward, 5)],
        balances: vec![
            (Account::Promo(ANNA), cpt(40)),
            (Account::Owner(ANNA), cpt(4)),
            (Account::Reward(ANNA), cpt(5)),
        ],
        ..LedgerChanges::default()
    };
    store.commit(&rows, &ledger).await.unwrap();
    (rows, ledger)
}

#[tokio::test]
async fn everything_reads_back_and_ends() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = filled(&store).await;
    let (recovered, books) = store.recover().await.unwrap().unwrap();
    assert_eq!(recovered.standings, rows.standings);
    assert_eq!(recovered.projects, rows.projects);
    assert_eq!(recovered.invitations, rows.invitations);
    assert_eq!(Some(recovered.clock), rows.clock);
    assert_eq!(recovered.usages, rows.usages);
    assert_eq!(recovered.sessions, rows.sessions);
    assert_eq!((books.accruals, books.last_at), (ledger.accruals.clone(), Timestamp(4)));
    let mut vests = books.vests;
    vests.sort_by_key(|vest| vest.key);
    assert_eq!(vests, ledger.vests);
    assert_eq!(books.holds, [hold(1, 2, 1), hold(2, 2, 1)]);
    let funds = Funds { available: cpt(150), promo: cpt(40), vesting: cpt(9), ..Funds::default() };
    assert_eq!(store.funds(ANNA).await.unwrap(), funds);
    assert_eq!(store.accruals(&[TaskId(2), TaskId(9)]).await.unwrap(), [accrual(2, 6)]);
    assert_eq!(store.node_earnings(Some(ROOT)).await.unwrap(), [(NodeId(1), cpt(13))]);
    assert_eq!(store.node_earnings(Some(ANNA)).await.unwrap(), []);
    assert_eq!(store.standings(ANNA).await.unwrap(), []);

    let gone =
        RowChanges { ended_invitations: vec![[3; 32]], standings: vec![standing(1, None)], ..RowChanges::default() };
    let exchanged =
        SessionRow { secret: SecretHash([9; 32]), previous: Some(SecretHash([8; 32])), ..rows.sessions[0].clone() };
    let gone = RowChanges {
        sessions: vec![exchanged.clone()],
        // The last one was opened and ended in one batch.
        ended_sessions: vec![SessionId(2), SessionId(3)],
        ..gone
    };
    let ended = LedgerChanges {
        ended_accruals: vec![first(1)],
        ended_vests: vec![ledger.vests[0].key],
        accruals: vec![accrual(2, 7)],
        ..LedgerChanges::default()
    };
    store.commit(&gone, &ended).await.unwrap();
    let (recovered, books) = store.recover().await.unwrap().unwrap();
    assert_eq!((recovered.standings, recovered.invitations), (vec![standing(1, None)], Vec::new()));
    assert_eq!(recovered.sessions, [exchanged]);
    assert_eq!((books.accruals, books.vests), (vec![accrual(2, 7)], vec![ledger.vests[1]]));
}

#[tokio::test]
async fn many_end_at_once() {
    let (_folder, path) = place();
    let store = open(&path).await;
    filled(&store).await;
    let some = LedgerChanges {
        vests: (10..90).map(|due| vest(due, if due % 3 == 0 { Source::Work } else { Source::Reward }, due)).collect(),
        ..LedgerChanges::default()
    };
    let invitation = |n| InvitationRow { digest: [n; 32], uses_left: 1, expires_at: Timestamp(9), made_by: ROOT };
    let codes = RowChanges { invitations: (10..90).map(invitation).collect(), ..RowChanges::default() };
    store.commit(&codes, &some).await.unwrap();
    let gone = RowChanges { ended_invitations: (3..80).map(|n| [n; 32]).collect(), ..RowChanges::default() };
    let ended = LedgerChanges {
        ended_accruals: vec![first(1), first(2)],
        ended_vests: some.vests.iter().map(|vest| vest.key).filter(|key| key.due.0 < 80).collect(),
        ended_holds: vec![TaskId(1), TaskId(2)],
        ..LedgerChanges::default()
    };
    store.commit(&gone, &ended).await.unwrap();
    let (recovered, books) = store.recover().await.unwrap().unwrap();
    let left: Vec<i64> = books.vests.iter().map(|vest| vest.key.due.0).collect();
    assert_eq!(left, [3, 3].into_iter().chain(80..90).collect::<Vec<_>>());
    assert!(books.accruals.is_empty() && books.holds.is_empty());
    assert_eq!(recovered.invitations, (80..90).map(invitation).collect::<Vec<_>>());
    let twice = store.commit(&RowChanges::default(), &ended).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict { .. }), "{twice}");
    let back = LedgerChanges {
        entries: vec![Entry { at: Timestamp(3), ..entry(5, Reason::Release { task: TaskId(1) }, &[]) }],
        ..LedgerChanges::default()
    };
    let refused = store.commit(&RowChanges::default(), &back).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { table: "journal", .. }), "{refused}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_whole() {
    let (_folder, path) = place();
    let store = open(&path).await;
    filled(&store).await;
    let before = store.recover().await.unwrap();
    let rows = |change: fn(&mut RowChanges)| {
        let mut rows = RowChanges::default();
        change(&mut rows);
        (rows, LedgerChanges::default())
    };
    let books = |change: fn(&mut LedgerChanges)| {
        let mut books = LedgerChanges::default();
        change(&mut books);
        (RowChanges::default(), books)
    };
    for (what, (rows, books)) in [
        ("a second reward", rows(|rows| rows.rewards = vec![reward(10, 1, ROOT)])),
        ("a second tip", rows(|rows| rows.tips = vec![tip(2)])),
        ("a name in use", rows(|rows| rows.projects = vec![project(3, "TOOL", ProjectState::Open)])),
        ("an accrual that is not there", books(|books| books.ended_accruals = vec![first(9)])),
        ("a vest that is not there", books(|books| books.ended_vests = vec![vest(1, Source::Work, 1).key])),
        ("a balance below zero", books(|books| books.balances = vec![(Account::Pending(ROOT), cpt(-1))])),
    ] {
        let refused = store.commit(&rows, &books).await;
        assert!(refused.is_err(), "{what} was taken");
        assert_eq!(store.recover().await.unwrap(), before, "{what} left something");
    }
}

/// 60 entries: transfers between Anna and Root, and work on three tasks, one each time unit.
fn entries(from: u64) -> Vec<Entry> {
    let make = |n: u64| {
        let attempt = first(n % 3 + 1);
        match n % 4 {
            0 => entry(
                n,
                Reason::Transfer { from: ANNA, to: ROOT },
                &[(Account::Available(ANNA), -1), (Account::Available(ROOT), 1)],
            ),
            1 => entry(
                n,
                Reason::Hold { task: attempt.element.task },
                &[(Account::Promo(ANNA), -1), (Account::Held(ANNA), 1)],
            ),
            2 => entry(n, Reason::Accrual { attempt }, &[(Account::Held(ANNA), -1), (Account::Pending(ROOT), 1)]),
            _ => entry(
                n,
                Reason::Reward { node: NodeId(1), from: Timestamp(0) },
                &[(Account::Treasury, -1), (Account::Available(ROOT), 1)],
            ),
        }
    };
    (from..from + 60).map(make).collect()
}

/// What a statement is, by looking at every entry.
fn expected(all: &[Entry], user: UserId, filter: &StatementFilter) -> Vec<u64> {
    let of = |entry: &&Entry| {
        let own = entry.postings.iter().filter(|posting| posting.account.user() == Some(user));
        let accounts =
            own.clone().any(|posting| filter.accounts.is_empty() || filter.accounts.contains(&posting.account.kind()));
        own.count() > 0
            && accounts
            && filter.from.is_none_or(|from| entry.at >= from)
            && filter.to.is_none_or(|to| entry.at < to)
            && filter.before.is_none_or(|before| entry.seq < before)
            && filter.task.is_none_or(|task| entry.reason.task() == Some(task))
            && (filter.kinds.is_empty() || filter.kinds.iter().any(|kind| kind == entry.reason.as_str()))
    };
    let limit = usize::try_from(filter.limit).unwrap();
    all.iter().rev().filter(of).take(limit).map(|entry| entry.seq).collect()
}

#[tokio::test]
async fn a_statement_is_what_a_look_at_every_entry_gives() {
    let (_folder, path) = place();
    let store = open(&path).await;
    filled(&store).await;
    let changes = LedgerChanges { entries: entries(5), ..LedgerChanges::default() };
    store.commit(&RowChanges::default(), &changes).await.unwrap();
    let all = store.journal(0, 1000).await.unwrap();
    let times = [None, Some(Timestamp(20)), Some(Timestamp(45))];
    let kinds: [&[&str]; 4] = [&[], &["transfer"], &["hold", "accrual"], &["reward", "hold"]];
    let accounts: [&[Kind]; 4] = [&[], &[Kind::Available], &[Kind::Held, Kind::Pending], &[Kind::Treasury]];
    for user in [ROOT, ANNA, UserId(9)] {
        for (from, to) in times.into_iter().flat_map(|from| times.map(|to| (from, to))) {
            for (kinds, accounts) in kinds.into_iter().flat_map(|kinds| accounts.map(|accounts| (kinds, accounts))) {
                for (task, before, limit) in [(None, None, 100), (Some(TaskId(2)), None, 3), (None, Some(40), 4)] {
                    let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
                    let filter = StatementFilter { from, to, kinds, accounts: accounts.to_vec(), task, before, limit };
                    let page = store.statement(user, &filter).await.unwrap();
                    let told: Vec<u64> = page.iter().map(|entry| entry.seq).collect();
                    assert_eq!(told, expected(&all, user, &filter), "{user} {filter:?}");
                    assert!(page.iter().all(|entry| all.contains(entry)));
                }
            }
        }
    }
    let about: Vec<u64> = store.task_entries(TaskId(2), 4).await.unwrap().iter().map(|entry| entry.seq).collect();
    let expected: Vec<u64> =
        all.iter().filter(|entry| entry.reason.task() == Some(TaskId(2))).map(|entry| entry.seq).take(4).collect();
    assert_eq!(about, expected);
}

#[tokio::test]
async fn an_edited_entry_is_told_by_its_number() {
    let (_folder, path) = place();
    let store = open(&path).await;
    filled(&store).await;
    let changes = LedgerChanges { entries: entries(5), ..LedgerChanges::default() };
    store.commit(&RowChanges::default(), &changes).await.unwrap();
    let mut conn = raw(&path).await;
    sqlx::raw_sql("DROP TRIGGER journal_keeps_what_it_has").execute(&mut conn).await.unwrap();
    for edit in ["reason = 'x'", "postings = '[[\"available\",1,2]]'", "user_a = 7", "user_b = 1", "task = 99"] {
        let keep = "CREATE TEMP TABLE kept AS SELECT * FROM journal WHERE seq = 9";
        sqlx::raw_sql(keep).execute(&mut conn).await.unwrap();
        let sql = format!("UPDATE journal SET {edit} WHERE seq = 9");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let error = store.journal(0, 100).await.unwrap_err();
        assert!(matches!(error, StoreError::BadEntry { seq: 9, .. }), "{edit}: {error}");
        let back = "REPLACE INTO journal SELECT * FROM kept; DROP TABLE kept";
        sqlx::raw_sql("DROP TRIGGER IF EXISTS journal_keeps_all").execute(&mut conn).await.unwrap();
        sqlx::raw_sql(back).execute(&mut conn).await.unwrap();
        assert_eq!(store.journal(0, 100).await.unwrap().len(), 64, "{edit}");
    }
}

#[tokio::test]
async fn pages_of_rewards_projects_and_tips() {
    let (_folder, path) = place();
    let store = open(&path).await;
    filled(&store).await;
    let more = RowChanges {
        nodes: vec![node(2, 2)],
        rewards: vec![reward(10, 2, ANNA), reward(20, 2, ANNA)],
        ..RowChanges::default()
    };
    store.commit(&more, &LedgerChanges::default()).await.unwrap();
    let page = async |filter: RewardFilter| {
        let rows = store.rewards(&RewardFilter { limit: 10, ..filter }).await.unwrap();
        rows.iter().map(|row| (row.from.0, row.node.0)).collect::<Vec<_>>()
    };
    assert_eq!(page(RewardFilter::default()).await, [(20, 2), (10, 1), (10, 2), (0, 1)]);
    assert_eq!(page(RewardFilter { owner: Some(ROOT), ..RewardFilter::default() }).await, [(10, 1), (0, 1)]);
    assert_eq!(page(RewardFilter { node: Some(NodeId(2)), ..RewardFilter::default() }).await, [(20, 2), (10, 2)]);
    let both = RewardFilter { node: Some(NodeId(2)), owner: Some(ROOT), ..RewardFilter::default() };
    assert_eq!(page(both).await, []);
    let after = Some((Timestamp(10), NodeId(1)));
    assert_eq!(page(RewardFilter { after, ..RewardFilter::default() }).await, [(10, 2), (0, 1)]);
    assert_eq!(
        store.rewards(&RewardFilter { limit: 1, ..RewardFilter::default() }).await.unwrap(),
        [reward(20, 2, ANNA)]
    );

    let names = store.projects(ProjectId(0), 1).await.unwrap();
    assert_eq!(names, [project(1, "Tool", ProjectState::Open)]);
    assert_eq!(store.projects(ProjectId(1), 9).await.unwrap(), [project(2, "old", ProjectState::Closed)]);
    assert_eq!(store.project_by_name("tOOl").await.unwrap(), Some(project(1, "Tool", ProjectState::Open)));
    assert_eq!(store.project_by_name("none").await.unwrap(), None);
    assert_eq!(store.tips(ProjectId(1), u64::MAX, 2).await.unwrap(), [tip(3), tip(2)]);
    assert_eq!(store.tips(ProjectId(1), 2, 2).await.unwrap(), [tip(1)]);
}

#[tokio::test]
async fn a_pool_without_its_clock_is_damaged() {
    let (_folder, path) = place();
    let store = open(&path).await;
    filled(&store).await;
    let mut conn = raw(&path).await;
    sqlx::raw_sql("DELETE FROM clock").execute(&mut conn).await.unwrap();
    let error = store.recover().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { table: "clock", .. }), "{error}");
}

#[tokio::test]
async fn what_a_node_was_paid_is_summed_by_day() {
    const DAY: i64 = 86_400_000;
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.new_tasks = vec![task(1, 2, TaskState::Pending), task(2, 2, TaskState::Pending)];
    store.commit(&rows, &ledger).await.unwrap();
    let paid = |task: u64, at: i64, micro: i64| {
        let mut row = attempt(task, 1, 1, ended(0));
        if let AttemptPhase::Ended { ended_at, cost, .. } = &mut row.phase {
            (*ended_at, *cost) = (Timestamp(at), cpt(micro));
        }
        row
    };
    let running = attempt(2, 1, 1, AttemptPhase::Assigned);
    let node = running.node;
    let first = RowChanges { attempts: vec![paid(1, DAY - 1, 5), running], ..RowChanges::default() };
    store.commit(&first, &LedgerChanges::default()).await.unwrap();
    let second = RowChanges { attempts: vec![paid(2, DAY, 7)], ..RowChanges::default() };
    store.commit(&second, &LedgerChanges::default()).await.unwrap();
    // A batch that is written again changes nothing; one that corrects it does.
    store.commit(&second, &LedgerChanges::default()).await.unwrap();
    let income = store.income(node, Timestamp(DAY + 5)).await.unwrap();
    assert_eq!((income.work_today, income.work), (cpt(7), cpt(12)));
    let less = RowChanges { attempts: vec![paid(2, DAY, 4)], ..RowChanges::default() };
    store.commit(&less, &LedgerChanges::default()).await.unwrap();
    let rewarded = RowChanges {
        rewards: vec![reward(DAY - 20, node.0, ROOT), reward(DAY, node.0, ROOT)],
        ..RowChanges::default()
    };
    store.commit(&rewarded, &LedgerChanges::default()).await.unwrap();
    let income = store.income(node, Timestamp(DAY + 5)).await.unwrap();
    assert_eq!((income.work_today, income.work), (cpt(4), cpt(9)));
    assert_eq!((income.rewards_today, income.rewards), (cpt(15), cpt(30)));
    assert_eq!(store.income(NodeId(99), Timestamp(0)).await.unwrap(), Income::default());
}
