//! Random owners, honest, lying and lost, work on copies that are compared: every invariant after each command.

use super::fixture::*;
use hivemind_model::array::Array;
use hivemind_model::rows::{AttemptPhase, Report};
use hivemind_model::service::NodeChange;
use hivemind_model::spec::Digest;
use hivemind_model::verify::{Compare, Doubt, Rule, Verification};
use hivemind_model::*;
use proptest::prelude::*;
use std::sync::Arc;

const OWNERS: u64 = 8;

#[derive(Debug, Clone)]
enum Act {
    Submit { rule: u8, compare: u8, array: bool, cores: u32 },
    Start { pick: usize },
    Finish { pick: usize, content: u8, outcome: u8, wall: u64 },
    Answer { pick: usize, answer: u8 },
    Cancel { task: u64, some: bool },
    Connect { node: u64, keeps: bool },
    Disconnect { node: u64 },
    Lose { node: u64 },
    Set { node: u64, change: u8 },
    Pass { millis: u64 },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let node = 1u64..=2 * OWNERS;
    prop_oneof![
        4 => (0u8..6, 0u8..4, any::<bool>(), 1u32..3)
            .prop_map(|(rule, compare, array, cores)| Act::Submit { rule, compare, array, cores }),
        6 => (0usize..60).prop_map(|pick| Act::Start { pick }),
        24 => (0usize..60, 0u8..12, 0u8..12, 0u64..70_000)
            .prop_map(|(pick, content, outcome, wall)| Act::Finish { pick, content, outcome, wall }),
        12 => (0usize..60, 0u8..12).prop_map(|(pick, answer)| Act::Answer { pick, answer }),
        1 => (1u64..12, any::<bool>()).prop_map(|(task, some)| Act::Cancel { task, some }),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, keeps)| Act::Connect { node, keeps }),
        1 => node.clone().prop_map(|node| Act::Disconnect { node }),
        1 => node.clone().prop_map(|node| Act::Lose { node }),
        2 => (node, 0u8..6).prop_map(|(node, change)| Act::Set { node, change }),
        4 => prop_oneof![4 => 0u64..15_000, 1 => Just(120_000)].prop_map(|millis| Act::Pass { millis }),
        1 => Just(Act::Restart),
    ]
}

fn submission(rule: u8, compare: u8, array: bool, cores: u32) -> Arc<TaskSpec> {
    let rule = match rule {
        0 => Rule::Known { digest: Digest([1; 32]) },
        1 => Rule::Quorum { replicas: 3, quorum: 2 },
        2 => Rule::Quorum { replicas: 2, quorum: 2 },
        3 => Rule::Quorum { replicas: 4, quorum: 3 },
        4 => Rule::Confidence { doubt: Doubt(50_000) },
        _ => Rule::Confidence { doubt: Doubt(1000) },
    };
    let compare = if compare == 0 { Compare::Numeric { tolerance: 10 } } else { Compare::Exact };
    let array = array.then(|| Array { indices: "0-3".parse().expect("indices"), entries: None, max_fails: None });
    let verify = Verification { rule, compare };
    Arc::new(TaskSpec { verify, array, max_runtime: Millis::from_secs(60), ..(*spec(cores)).clone() })
}

/// Eight owners with two nodes each, the first of which is trusted for half of them.
fn town(spot_floor: u32) -> Pool {
    let mut policy = Policy { max_infrastructure_failures: 6, ..Policy::default() };
    (policy.scheduling.reserve_after, policy.trust.spot_floor) = (Millis(1000), spot_floor);
    let mut pool = Pool::new(policy);
    pool.register_as("anna", rows::Role::Operator);
    for owner in 1..=OWNERS {
        pool.register(&format!("owner{owner}"));
        for name in ["a", "b"] {
            pool.enroll(&format!("owner{owner}"), &format!("{name}{owner}"), 3);
        }
    }
    for (id, node) in pool.engine.nodes.iter_mut().filter(|(id, _)| id.0 % 4 == 1) {
        node.trust.valid = 600;
        pool.tables.trusts.insert(*id, node.trust);
    }
    pool.restart();
    (1..=2 * OWNERS).for_each(|node| pool.link(NodeId(node), true));
    pool
}

impl Pool {
    fn link(&mut self, id: NodeId, keeps: bool) {
        let name = self.tables.nodes[&id].name.clone();
        let live = self.engine.live.iter().filter(|(_, live)| live.node == id && keeps);
        let holds: Vec<AttemptRef> = live.map(|(attempt, _)| *attempt).collect();
        drop(self.connect(&name, &holds));
    }

    fn any_live(&self, pick: usize) -> Option<(NodeId, AttemptRef)> {
        let live = &self.engine.live;
        live.iter().nth(pick % live.len().max(1)).map(|(attempt, live)| (live.node, *attempt))
    }

    fn answer(&mut self, pick: usize, answer: u8) -> Option<Command> {
        let asked: Vec<(AttemptRef, Vec<AttemptRef>)> = self
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Compare { attempt, with, .. } => Some((*attempt, with.clone())),
                _ => None,
            })
            .collect();
        let (attempt, with) = asked.get(pick % asked.len().max(1))?.clone();
        Some(match answer {
            0 => Command::Incomparable { attempt, reason: "random".into() },
            1..=3 => Command::Compared { attempt, same_as: None },
            _ => Command::Compared { attempt, same_as: with.first().copied() },
        })
    }

    fn command_of(&mut self, act: Act) -> Option<Command> {
        Some(match act {
            Act::Submit { rule, compare, array, cores } => Command::Submit {
                user: UserId(1),
                max_price: None,
                ended: Vec::new(),
                spec: submission(rule, compare, array, cores),
                once: None,
            },
            Act::Start { pick } => {
                let (node, attempt) = self.any_live(pick)?;
                Command::Started { node, attempt }
            }
            Act::Finish { pick, content, outcome, wall } => {
                let (node, attempt) = self.any_live(pick)?;
                let outcome = match outcome {
                    0 => Outcome::Infrastructure { reason: "random".into() },
                    1 => Outcome::TimedOut,
                    2 => Outcome::Exited { code: 1 },
                    _ => Outcome::Exited { code: 0 },
                };
                let digest = Some(Digest([content.saturating_sub(8) + 1; 32]));
                Command::Finished { node, attempt, report: Report { digest, ..report(outcome, wall) } }
            }
            Act::Answer { pick, answer } => return self.answer(pick, answer),
            Act::Cancel { task, some } => {
                let elements = some.then(|| "0,2".parse().expect("indices"));
                Command::Cancel { user: UserId(1), task: TaskId(task), elements }
            }
            Act::Connect { node, keeps } => {
                self.link(NodeId(node), keeps);
                return None;
            }
            Act::Disconnect { node } => {
                let session = self.engine.nodes[&NodeId(node)].session;
                Command::Disconnected { node: NodeId(node), session }
            }
            Act::Lose { node } => Command::Lost { node: NodeId(node) },
            Act::Set { node, change } => {
                let change = match change {
                    0 => NodeChange::Cordon,
                    1 => NodeChange::Drain { within: Millis(1500) },
                    2 => NodeChange::Ban { reason: "random".into() },
                    3 => NodeChange::Unban,
                    _ => NodeChange::Uncordon,
                };
                let node = self.tables.nodes[&NodeId(node)].name.clone();
                Command::SetNode { by: UserId(1), node, change }
            }
            Act::Pass { millis } => {
                self.now = self.now.after(Millis(millis));
                Command::Tick
            }
            Act::Restart => {
                self.restart();
                return None;
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn copies_in_any_order_break_nothing(acts in proptest::collection::vec(act(), 1..160), floor in 0u32..1_000_000) {
        let mut pool = town(floor);
        for act in acts {
            if let Some(command) = pool.command_of(act) {
                drop(pool.run(command));
            }
            for node in pool.engine.nodes.values() {
                let at_stake = pool.engine.panels.values().flat_map(|copies| {
                    let votes = copies.panel.votes().iter().map(|vote| vote.node);
                    copies.panel.seats().iter().map(|seat| seat.node).chain(votes)
                });
                let at_stake = at_stake.filter(|id| *id == node.row.id).count();
                prop_assert_eq!(node.at_stake as usize, at_stake);
            }
        }
        paid_once(&pool.tables);
        let open: Vec<TaskId> = pool.engine.tasks.keys().copied().collect();
        for task in open {
            pool.run(Command::Cancel { user: UserId(1), task, elements: None }).expect("it is her own");
        }
        prop_assert!(pool.tables.holds.is_empty() && pool.tables.accruals.is_empty());
        prop_assert!(pool.engine.nodes.values().all(|node| node.at_stake == 0));
        let reported = |row: &rows::AttemptRow| matches!(row.phase, AttemptPhase::Reported { .. });
        prop_assert!(!pool.tables.attempts.values().any(reported));
        paid_once(&pool.tables);
    }
}
