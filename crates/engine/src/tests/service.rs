//! Cordon, drain, ban.

use super::fixture::*;
use hivemind_model::rows::{AttemptPhase, Role};
use hivemind_model::service::{NodeChange, Service};
use hivemind_model::state::Outcome;
use hivemind_model::*;

/// [`Pool::ready`] with the operator `olga`.
fn watched() -> Pool {
    let mut pool = Pool::ready();
    pool.register_as("olga", Role::Operator);
    pool
}

fn set(pool: &mut Pool, by: &str, node: &str, change: NodeChange) -> String {
    let command = Command::SetNode { by: pool.user(by), node: node.into(), change };
    match pool.run(command) {
        Ok(Reply::Done) => "done".into(),
        Ok(other) => panic!("answered {other:?}"),
        Err(no) => format!("{} [{}] {}", no.code, no.field, no.text),
    }
}

fn drain(millis: u64) -> NodeChange {
    NodeChange::Drain { within: Millis(millis) }
}

fn ban(reason: &str) -> NodeChange {
    NodeChange::Ban { reason: reason.into() }
}

fn service(pool: &Pool, name: &str) -> Service {
    pool.tables.nodes[&pool.node(name)].service.clone()
}

#[test]
fn owners_decide_for_their_own_nodes_and_operators_for_all() {
    let mut pool = watched();
    let long = "x".repeat(201);
    let answers = [
        set(&mut pool, "anna", "box", NodeChange::Cordon),
        set(&mut pool, "anna", "nowhere", ban("")),
        set(&mut pool, "bert", "BOX", NodeChange::Cordon),
        set(&mut pool, "bert", "box", NodeChange::Cordon),
        set(&mut pool, "olga", "box", NodeChange::Uncordon),
        set(&mut pool, "bert", "box", ban("mine")),
        set(&mut pool, "bert", "box", NodeChange::Unban),
        set(&mut pool, "bert", "box", drain(30 * 24 * 3_600_000 + 1)),
        set(&mut pool, "olga", "box", ban(" ")),
        set(&mut pool, "olga", "box", ban("a\u{202e}b")),
        set(&mut pool, "olga", "box", ban(&long)),
        set(&mut pool, "olga", "box", ban("it lied")),
        set(&mut pool, "bert", "box", NodeChange::Uncordon),
        set(&mut pool, "olga", "box", NodeChange::Unban),
    ];
    insta::assert_snapshot!(answers.join("\n"), @r"
    E_NOT_FOUND [node_id] node_id: no such node, or it is not yours
    E_NOT_FOUND [node_id] node_id: no such node, or it is not yours
    E_NOT_FOUND [node_id] node_id: no such node, or it is not yours
    done
    done
    E_FORBIDDEN [] only an operator bans a node; you can cordon it
    E_FORBIDDEN [] only an operator unbans a node; you can cordon it
    E_INVALID [deadline_seconds] deadline_seconds: is more than 2592000, which is 30 days; cordon the node to have no deadline
    E_INVALID [reason] reason: is missing; the owner of the node is told it
    E_INVALID [reason] reason: is longer than 200 bytes or contains a control character, or one that hides or turns around text
    E_INVALID [reason] reason: is longer than 200 bytes or contains a control character, or one that hides or turns around text
    done
    E_CONFLICT [] the node is banned (it lied); it gets no work until an operator unbans it
    done
    ");
    assert_eq!(service(&pool, "box"), Service::InService);
}

#[test]
fn a_cordoned_node_finishes_what_it_has_and_gets_nothing_over_restarts_and_links() {
    let mut pool = watched();
    let task = pool.submit("anna", 1);
    set(&mut pool, "bert", "box", NodeChange::Cordon);
    pool.sent();
    let waiting = pool.submit("anna", 1);
    assert_eq!(pool.sent(), "");
    let why = "no node is linked and takes work; the task starts when one does";
    assert_eq!(pool.engine.waiting_reason(waiting).as_deref(), Some(why));
    pool.connect("box", &[first(task, 1)]).expect("it is not banned");
    pool.restart();
    pool.connect("box", &[first(task, 1)]).expect("it is not banned");
    assert_eq!(pool.sent(), "", "a new link does not lift it");
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1).expect("still its own");
    assert_eq!(pool.sent(), "task_1 completed");
    set(&mut pool, "bert", "box", NodeChange::Uncordon);
    assert_eq!(pool.sent(), "node_1/3: run att_2.0.1");
}

#[test]
fn what_runs_at_the_deadline_of_a_drain_is_tried_elsewhere_and_is_nobodys_failure() {
    let mut pool = watched();
    let before = pool.money("anna");
    let task = pool.submit("anna", 2);
    pool.start("box", first(task, 1)).expect("it is current");
    pool.enroll("bert", "other", 2);
    pool.connect("other", &[]).expect("enrolled");
    set(&mut pool, "bert", "box", drain(5000));
    pool.sent();
    assert_eq!(pool.engine.next_due(), Some(pool.now.after(Millis(5000))));
    pool.pass(4999);
    assert_eq!(pool.sent(), "", "it may go on until then");
    pool.pass(1);
    insta::assert_snapshot!(pool.sent(), @r"
    node_1/1: stop att_1.0.1
    task_1 pending
    node_2/2: run att_1.0.2
    ");
    assert_eq!(service(&pool, "box"), Service::Cordoned);
    let row = &pool.tables.attempts[&first(task, 1)];
    let AttemptPhase::Ended { report, cost, .. } = &row.phase else { panic!("{row:?}") };
    let drained = Outcome::Infrastructure { reason: "its node was drained".into() };
    assert_eq!((&report.outcome, *cost), (&drained, Cpt::ZERO));
    assert_eq!(pool.element(ElementRef::only(task)).faults, 0);
    let tally = pool.tables.standings[&pool.node("box")].period;
    assert_eq!((tally.ended, tally.completed), (0, 0));
    let late = pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1);
    assert_eq!(late.map_err(|no| no.code), Err(Code::Stale));
    let cancel = Command::Cancel { user: pool.user("anna"), task, elements: None };
    pool.run(cancel).expect("it is open");
    assert_eq!(pool.money("anna"), before, "nobody was paid");
}

#[test]
fn a_drain_that_is_over_in_time_or_lifted_gives_nothing_up() {
    let mut pool = watched();
    let task = pool.submit("anna", 1);
    set(&mut pool, "bert", "box", drain(5000));
    set(&mut pool, "olga", "box", NodeChange::Uncordon);
    pool.sent();
    pool.pass(60_000);
    assert_eq!(pool.sent(), "");
    set(&mut pool, "bert", "box", drain(5000));
    set(&mut pool, "bert", "box", drain(9000));
    pool.restart();
    pool.connect("box", &[first(task, 1)]).expect("it is not banned");
    pool.pass(5000);
    assert_eq!(pool.sent(), "", "the later deadline counts");
    pool.finish("box", first(task, 1), Outcome::Exited { code: 0 }, 1).expect("still its own");
    pool.pass(4000);
    assert_eq!(service(&pool, "box"), Service::Cordoned);
    assert_eq!(pool.sent(), "task_1 completed");
}

#[test]
fn a_banned_node_is_put_out_and_stays_out() {
    let mut pool = watched();
    let task = pool.submit("anna", 2);
    pool.enroll("anna", "other", 2);
    pool.connect("other", &[]).expect("enrolled");
    pool.start("box", first(task, 1)).expect("it is current");
    pool.sent();
    set(&mut pool, "olga", "box", ban("it lied"));
    insta::assert_snapshot!(pool.sent(), @r"
    node_1/1: stop att_1.0.1
    task_1 pending
    node_1/1: unlink
    node_2/2: run att_1.0.2
    ");
    assert!(!pool.engine.is_linked(pool.node("box")));
    assert_eq!(pool.element(ElementRef::only(task)).faults, 0);
    pool.restart();
    let refused = pool.connect("box", &[first(task, 1)]).expect_err("it is banned");
    insta::assert_snapshot!(format!("{} {}", refused.code, refused.text), @"E_FORBIDDEN node_id: `box` is banned from this pool: it lied; its operator can lift that, then start the worker again");
    let again = Command::Enroll { owner: pool.user("bert"), offer: offer("box", 9), token: None };
    assert_eq!(pool.run(again).map_err(|no| no.code), Err(Code::Forbidden));
    pool.run(Command::Lost { node: pool.node("box") }).expect("known");
    set(&mut pool, "olga", "box", NodeChange::Unban);
    pool.connect("box", &[]).expect("it may come back");
}
