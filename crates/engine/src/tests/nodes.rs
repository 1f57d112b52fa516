//! Enrolment, links, loss.

use super::fixture::*;
use hivemind_model::command::JoinUse;
use hivemind_model::state::Outcome;
use hivemind_model::*;

fn stale(reply: Result<Reply, Rejection>) -> Vec<AttemptRef> {
    match reply {
        Ok(Reply::Connected { stale }) => stale,
        other => panic!("not connected: {other:?}"),
    }
}

#[test]
fn a_join_token_enrols_one_machine() {
    let mut pool = Pool::ready();
    let (anna, expires_at) = (pool.user("anna"), pool.now.after(Millis(900)));
    let enroll = |pool: &mut Pool, name: &str, id: &str, expires_at| {
        pool.run(Command::Enroll {
            owner: anna,
            offer: offer(name, 1),
            token: Some(JoinUse { id: id.into(), expires_at }),
        })
        .map_err(|no| no.code)
    };
    assert_eq!(enroll(&mut pool, "box", "t1", expires_at), Err(Code::Taken), "it is bert's");
    assert_eq!(enroll(&mut pool, "b x", "t1", expires_at), Err(Code::Invalid));
    assert_eq!(enroll(&mut pool, "mine", "t1", expires_at), Ok(Reply::Enrolled { node: NodeId(2) }));
    assert_eq!(enroll(&mut pool, "more", "t1", expires_at), Err(Code::TokenUsed));
    let now = pool.now;
    assert_eq!(enroll(&mut pool, "more", "t2", now), Err(Code::TokenExpired));
    assert_eq!(
        enroll(&mut pool, "mine", "t3", expires_at),
        Ok(Reply::Enrolled { node: NodeId(2) }),
        "the same owner may again"
    );
    assert_eq!(pool.engine.next_due(), Some(expires_at));
    pool.pass(900);
    assert!(pool.tables.used_tokens.is_empty());
    assert!(pool.engine.next_due() > Some(pool.now), "nothing is due at once");
}

#[test]
fn a_node_speaks_for_itself_only() {
    let mut pool = Pool::ready();
    let node = pool.node("box");
    let connect = |pool: &mut Pool, node, session, name: &str, cores| {
        let command = Command::Connected { node, session, offer: offer(name, cores), holds: Vec::new() };
        pool.run(command).map_err(|no| format!("{} [{}] {}", no.code, no.field, no.text))
    };
    let refusals = [
        connect(&mut pool, NodeId(9), 2, "box", 2),
        connect(&mut pool, node, 1, "box", 2),
        connect(&mut pool, node, 2, "other", 2),
        connect(&mut pool, node, 2, "box", 0),
    ];
    let texts: Vec<String> = refusals.into_iter().map(|refusal| refusal.expect_err("must be refused")).collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    E_NOT_FOUND [] node_9 does not exist, or is not yours
    E_CONFLICT [] link 1 of node_1 is older than its link 1; open a new one
    E_FORBIDDEN [node_id] node_id: `other` is not the name of the node whose certificate this is (`box`)
    E_INVALID [cpu_cores] cpu_cores: is zero; a node must offer some
    ");
    assert!(pool.engine.is_linked(node));
}

#[test]
fn a_short_break_costs_nothing() {
    let mut pool = Pool::ready();
    let node = pool.node("box");
    let task = pool.submit("anna", 1);
    pool.run(Command::Disconnected { node, session: 1 }).expect("known");
    let waiting = pool.submit("anna", 1);
    pool.sent();
    assert_eq!(stale(pool.connect("box", &[first(task, 1), first(TaskId(77), 1)])), [first(TaskId(77), 1)]);
    assert_eq!(pool.sent(), format!("node_1/2: run {}", first(waiting, 1)));
    pool.run(Command::Disconnected { node, session: 1 }).expect("known");
    assert!(pool.engine.is_linked(node), "the end of an older link is not the end of this one");
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1).expect("still its own");
}

#[test]
fn what_a_node_comes_back_without_is_tried_again_at_once() {
    let mut pool = Pool::ready();
    let task = pool.submit("anna", 1);
    pool.start("box", first(task, 1)).expect("it is current");
    pool.sent();
    assert!(stale(pool.connect("box", &[])).is_empty());
    insta::assert_snapshot!(pool.sent(), @r"
    task_1 pending
    node_1/2: run att_1.0.2
    ");
    assert_eq!(stale(pool.connect("box", &[first(task, 1), first(task, 2)])), [first(task, 1)]);
}

#[test]
fn a_lost_nodes_work_goes_elsewhere() {
    let mut pool = Pool::ready();
    pool.enroll("anna", "other", 2);
    let task = pool.submit("anna", 1);
    pool.connect("other", &[]).expect("enrolled");
    pool.sent();
    pool.run(Command::Lost { node: pool.node("box") }).expect("known");
    insta::assert_snapshot!(pool.sent(), @"node_2/2: run att_1.0.2");
    assert_eq!(
        pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1).map_err(|no| no.code),
        Err(Code::Stale)
    );
    assert_eq!(stale(pool.connect("box", &[first(task, 1)])), [first(task, 1)]);
    pool.run(Command::Lost { node: NodeId(99) }).expect_err("unknown");
}

#[test]
fn a_draining_node_finishes_what_it_has() {
    let mut pool = Pool::ready();
    let node = pool.node("box");
    let task = pool.submit("anna", 1);
    pool.run(Command::Drain { node, session: 1 }).expect("known");
    pool.sent();
    pool.submit("anna", 1);
    assert_eq!(pool.sent(), "");
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1).expect("still its own");
    assert_eq!(pool.sent(), "task_1 completed");
}

#[test]
fn a_node_that_shrinks_takes_no_more_until_it_fits() {
    let mut pool = Pool::ready();
    let node = pool.node("box");
    let tasks = [pool.submit("anna", 1), pool.submit("anna", 1), pool.submit("anna", 1)];
    let holds = vec![first(tasks[0], 1), first(tasks[1], 1)];
    pool.run(Command::Connected { node, session: 2, offer: offer("box", 1), holds }).expect("its own");
    pool.sessions = 2;
    pool.sent();
    pool.finish("box", first(tasks[0], 1), Outcome::Exited { code: 0 }, 1).expect("its own");
    assert_eq!(pool.sent(), "task_1 completed", "one core is taken of one");
    pool.finish("box", first(tasks[1], 1), Outcome::Exited { code: 0 }, 1).expect("its own");
    assert_eq!(pool.sent(), "task_2 completed\nnode_1/2: run att_3.0.1");
}

#[test]
fn a_node_that_gives_its_gpu_away_still_takes_work_without() {
    let mut pool = Pool::ready();
    let (node, anna) = (pool.node("box"), pool.user("anna"));
    let connect = |pool: &mut Pool, gpus, holds: &[AttemptRef]| {
        pool.sessions += 1;
        let mut offer = offer("box", 2);
        offer.capacity.gpus = gpus;
        stale(pool.run(Command::Connected { node, session: pool.sessions, offer, holds: holds.to_vec() }))
    };
    connect(&mut pool, 1, &[]);
    let mut with_gpu = (*spec(1)).clone();
    with_gpu.resources.gpus = 1;
    pool.run(Command::Submit { user: anna, spec: with_gpu.into(), max_price: None, ended: Vec::new(), once: None })
        .expect("there is money");
    connect(&mut pool, 0, &[first(TaskId(1), 1)]);
    pool.sent();
    let plain = pool.submit("anna", 1);
    assert_eq!(pool.sent(), format!("node_1/3: run {}", first(plain, 1)));
    for task in [TaskId(1), plain] {
        pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1).expect("its own");
    }
    assert_eq!(pool.engine.counts().live, 0);
}
