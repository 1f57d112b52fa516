//! What nodes are for an element, beside their room: owners, labels, tiers, images, inputs, backlogs.

use super::*;
use hivemind_model::{Egress, EgressPolicy, Kind, Kinds};

const PLENTY: Resources =
    Resources { cpu: MilliCores(8000), memory: Bytes::from_mib(1000), disk: Bytes::from_gib(100), gpus: 0 };

fn idle(id: u64) -> NodeView {
    node(id, PLENTY, PLENTY)
}

fn labels(texts: &[&str]) -> Labels {
    Labels::parse(texts).expect("labels")
}

/// Where one element goes, with each of eight seeds.
fn one(nodes: &[NodeView], need: &Need, wishes: &Wishes) -> BTreeSet<String> {
    let mut queue = Waits::default();
    queue.wish(1, 5, need.clone(), wishes.clone());
    (0..8).map(|seed| shown(&run(nodes, &queue, Bounds::default(), seed))).collect()
}

#[test]
fn what_is_asked_of_a_node_beside_room_is_a_bound() {
    let other = idle(1);
    let asks: [(NodeView, Need); 3] = [
        (
            NodeView { labels: labels(&["arch=arm64", "location=berlin"]), ..idle(2) },
            Need { labels: labels(&["location=berlin"]), ..need(1, 10, 0) },
        ),
        (NodeView { trust: TrustTier::Trusted, ..idle(2) }, Need { trust: TrustTier::Known, ..need(1, 10, 0) }),
        (
            NodeView { isolation: Isolation::Sandboxed, ..idle(2) },
            Need { isolation: Isolation::Sandboxed, ..need(1, 10, 0) },
        ),
    ];
    for (suits, need) in asks {
        let none = Wishes::default();
        assert_eq!(one(&[other.clone(), suits], &need, &none), BTreeSet::from(["1>2 ".into()]), "{need:?}");
        assert_eq!(one(std::slice::from_ref(&other), &need, &none), BTreeSet::from([String::new()]), "{need:?}");
    }
}

#[test]
fn the_image_then_the_inputs_come_before_the_fit_and_quality_after_it() {
    let tight = node(1, PLENTY, size(2, 1000, 0));
    let image = Need { image: 7, ..need(1, 10, 0) };
    let inputs = vec![Input { key: 5, bytes: 10 }, Input { key: 6, bytes: 30 }];
    let reads = Wishes { inputs, ..Wishes::default() };
    let none = Wishes::default();
    let has = |id, images: &[u64], inputs: &[u64]| NodeView {
        images: Keys::of(images.iter().copied()),
        inputs: Keys::of(inputs.iter().copied()),
        ..idle(id)
    };
    for (nodes, wishes, expected) in [
        (vec![tight.clone(), idle(2)], &none, "1>1 "),
        (vec![tight.clone(), has(2, &[3, 7], &[])], &none, "1>2 "),
        (vec![tight.clone(), has(2, &[], &[5]), has(3, &[], &[6])], &reads, "1>3 "),
        (vec![has(1, &[], &[5, 6]), has(2, &[7], &[])], &reads, "1>2 "),
        (vec![NodeView { reliability: 900, ..idle(1) }, idle(2)], &none, "1>2 "),
        (vec![idle(1), NodeView { speed: 2000, ..idle(2) }], &none, "1>2 "),
        (vec![NodeView { reliability: 500, ..tight.clone() }, idle(2)], &none, "1>1 "),
    ] {
        assert_eq!(one(&nodes, &image, wishes), BTreeSet::from([expected.to_owned()]), "{nodes:?}");
    }
    // What differs by less than a step does not.
    let alike = [NodeView { reliability: 990, ..idle(1) }, NodeView { speed: 1100, ..idle(2) }];
    assert_eq!(one(&alike, &image, &none).len(), 2);
}

#[test]
fn an_excluded_owner_is_never_chosen_and_holds_up_nobody_else() {
    let owned = |id, owner| NodeView { owner: UserId(owner), ..idle(id) };
    let nodes = [owned(1, 1), owned(2, 1), owned(3, 2)];
    let not = |owners: &[u64]| Wishes { not_owners: owners.iter().copied().map(UserId).collect(), ..Wishes::default() };
    assert_eq!(one(&nodes, &need(1, 10, 0), &not(&[1])), BTreeSet::from(["1>3 ".into()]));
    assert_eq!(one(&nodes, &need(1, 10, 0), &not(&[1, 2])), BTreeSet::from([String::new()]));
    let mut queue = Waits::default();
    (1..=5).for_each(|task| queue.wish(task, 5, need(1, 10, 0), not(&[1, 2])));
    queue.wish(6, 5, need(1, 10, 0), not(&[2]));
    queue.wish(7, 5, need(1, 10, 0), Wishes { failed_on: vec![NodeId(3)], ..not(&[1]) });
    let plan = run(&nodes, &queue, Bounds::default(), 0);
    let text = shown(&plan);
    assert!(text == "6>1 7>3 " || text == "6>2 7>3 ", "{text}");
    assert_eq!(plan.resume, None);
}

#[test]
fn beyond_the_candidates_the_search_goes_on_for_an_owner_and_for_a_node_without_failures() {
    let mut nodes: Vec<NodeView> = (1..=200).map(|id| NodeView { owner: UserId(1), ..idle(id) }).collect();
    nodes.push(NodeView { owner: UserId(2), ..idle(201) });
    let not_owners = vec![UserId(1)];
    let wishes = Wishes { not_owners, ..Wishes::default() };
    assert_eq!(one(&nodes, &need(1, 10, 0), &wishes), BTreeSet::from(["1>201 ".into()]));
    let failed_on: Vec<NodeId> = (1..=200).map(NodeId).collect();
    let wishes = Wishes { failed_on, ..Wishes::default() };
    assert_eq!(one(&nodes, &need(1, 10, 0), &wishes), BTreeSet::from(["1>201 ".into()]));
}

#[test]
fn what_finds_no_room_waits_on_the_node_that_takes_most() {
    let full = |id, waits| NodeView { waits, ..node(id, PLENTY, Resources::default()) };
    let mut queue = Waits::default();
    (1..=9).for_each(|task| queue.add(task, 5, need(8, 10, 0), &[]));
    let nodes = [full(1, 2), full(2, 3), NodeView { waits: 1, ..idle(3) }];
    let plan = run(&nodes, &queue, Bounds::default(), 1);
    let text = shown(&plan);
    assert!(text.starts_with("1>3 2>>2 "), "room comes first, then who takes most: {text}");
    let on = |node: u64| plan.placements.iter().filter(|line| line.node.0 == node && line.backlog).count();
    assert_eq!((plan.placements.len(), on(1), on(2), on(3)), (7, 2, 3, 1));
    let waits = |wishes: Wishes, need: Need| one(&nodes[..2], &need, &wishes);
    let wishes = Wishes { failed_on: vec![NodeId(2)], ..Wishes::default() };
    assert_eq!(waits(wishes, need(1, 10, 0)), BTreeSet::from(["1>>1 ".into()]));
    let wishes = Wishes { not_owners: vec![UserId(1002)], ..Wishes::default() };
    assert_eq!(waits(wishes, need(1, 10, 0)), BTreeSet::from(["1>>1 ".into()]));
    assert_eq!(waits(Wishes::default(), need(9, 10, 0)), BTreeSet::from([String::new()]), "too large when idle, too");
}

#[test]
fn a_node_that_is_kept_free_takes_nothing_into_its_backlog() {
    let busy = NodeView { waits: 3, ..node(1, PLENTY, size(3, 900, 0)) };
    let mut queue = Waits::default();
    queue.add(1, 5, need(8, 10, 0), &[]);
    queue.add(2, 5, need(8, 10, 0), &[]);
    queue.add(3, 5, need(1, 10, 0), &[]);
    let fleet = fleet(&[busy]);
    let plan = plan(&Snapshot { reserve_before: NOW, ..snapshot(&fleet, &queue) }, Bounds::default(), 1);
    assert_eq!(shown(&plan), "");
    assert_eq!(plan.reserved.map(|kept| (kept.rank.element().task.0, kept.node.0)), Some((1, 1)));
}

#[test]
fn no_node_of_an_excluded_owner_is_kept_free() {
    let busy = |id| node(id, PLENTY, size(3, 900, 0));
    let fleet = fleet(&[busy(1), node(2, PLENTY, size(2, 900, 0))]);
    for (not_owners, expected) in [(vec![], Some(1)), (vec![1001], Some(2)), (vec![1001, 1002], None)] {
        let mut queue = Waits::default();
        let not_owners = not_owners.into_iter().map(UserId).collect();
        queue.wish(1, 5, need(8, 10, 0), Wishes { not_owners, ..Wishes::default() });
        let plan = plan(&Snapshot { reserve_before: NOW, ..snapshot(&fleet, &queue) }, Bounds::default(), 1);
        assert_eq!((shown(&plan).as_str(), plan.reserved.map(|kept| kept.node.0)), ("", expected));
    }
}

#[test]
fn a_full_pool_stops_the_pass_but_not_the_search_for_what_has_waited() {
    let nodes = [node(1, PLENTY, Resources::default())];
    let mut queue = Waits::default();
    for task in 1..=40 {
        queue.push(task, Rank::new(5, NOW, ElementRef::only(TaskId(task))), need(1, 10, 0));
    }
    let old = Rank::new(5, Timestamp(5), ElementRef::only(TaskId(41)));
    queue.push(41, old, need(2, 10, 0));
    let fleet = fleet(&nodes);
    let reserved = |seed| {
        let snapshot = Snapshot { reserve_before: Timestamp(5), ..snapshot(&fleet, &queue) };
        let plan = plan(&snapshot, Bounds::default(), seed);
        assert_eq!((plan.placements.len(), plan.resume), (0, None));
        plan.reserved.map(|kept| kept.rank)
    };
    assert_eq!(
        (reserved(1), reserved(THOROUGH_PASS)),
        (None, Some(old)),
        "one pass of {THOROUGH_PASS} looks at all lines"
    );
}

fn suits() -> impl Strategy<Value = (Level, TrustTier, Isolation, Labels, Kinds, EgressPolicy)> {
    let labels = proptest::collection::btree_map("[ab]", "[xy]", 0..2).prop_map(|labels| {
        let texts: Vec<String> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        Labels::parse(&texts).expect("labels")
    });
    let level = (0..2usize).prop_map(|index| Level::ALL[index]);
    let trust = (0..2usize).prop_map(|index| TrustTier::ALL[index]);
    let isolation = (0..2usize).prop_map(|index| Isolation::ALL[index]);
    let kinds = (0..3usize).prop_map(|index| [Kinds::CONTAINER, Kinds::WASM, Kinds::ALL][index]);
    let egress = (0..4usize).prop_map(|index| {
        let words = [&[][..], &["public"], &["a.org:1"], &["*.b.org:1"]][index];
        EgressPolicy::parse(words).expect("a policy")
    });
    (level, trust, isolation, labels, kinds, egress)
}

/// What an element needs, its priority, where it failed and whose it must not be.
type Asked = (Need, u8, Vec<u64>, Vec<u64>);

fn asked() -> impl Strategy<Value = Asked> {
    let ids = || proptest::collection::vec(1u64..6, 0..3);
    let need = (sizes(), suits(), 0..3usize, 0..2usize).prop_map(|(resources, suits, egress, kind)| {
        let (level, trust, isolation, labels, _, _) = suits;
        let egress = Egress::parse([&[][..], &["a.org:1"], &["x.b.org:1"]][egress]).expect("endpoints");
        Need { resources, level, trust, isolation, labels, kind: Kind::ALL[kind], egress, image: 0 }
    });
    (need, 1u8..=10, ids(), ids())
}

proptest! {
    /// The plan is what the nodes allow, all of it, and the same each time.
    #[test]
    fn a_plan_keeps_to_room_owners_labels_tiers_and_backlogs(
        nodes in proptest::collection::vec((sizes(), suits(), 1u64..4, 0u32..3, any::<bool>()), 0..40),
        tasks in proptest::collection::vec(asked(), 0..40),
        seed: u64,
    ) {
        let nodes: Vec<NodeView> = (1..).zip(nodes).map(|(id, (capacity, suits, owner, waits, busy))| {
            let (level, trust, isolation, labels, kinds, egress) = suits;
            let free = if busy { Resources::default() } else { capacity };
            let view = NodeView { owner: UserId(owner), kinds, egress, waits, ..node(id, capacity, free) };
            NodeView { level, trust, isolation, labels, ..view }
        }).collect();
        let mut queue = Waits::default();
        let mut asked = BTreeMap::new();
        for (id, (need, priority, failed_on, not_owners)) in (1..).zip(tasks) {
            let failed_on = failed_on.into_iter().map(NodeId).collect();
            let wishes = Wishes { failed_on, not_owners: not_owners.into_iter().map(UserId).collect(), inputs: Vec::new() };
            queue.wish(id, priority, need.clone(), wishes.clone());
            asked.insert(TaskId(id), (need, wishes));
        }
        let plan = run(&nodes, &queue, Bounds::default(), seed);
        prop_assert_eq!(&plan, &run(&nodes, &queue, Bounds::default(), seed));
        let mut left: BTreeMap<NodeId, NodeView> = nodes.iter().map(|node| (node.id, node.clone())).collect();
        for line in &plan.placements {
            let (need, wishes) = asked.remove(&line.element.task).expect("placed once");
            let room = |left: &BTreeMap<NodeId, NodeView>| left.values()
                .filter(|node| node.has_room(&need) && !wishes.not_owners.contains(&node.owner)).count();
            let with_room = room(&left);
            let key = |node: &NodeView| {
                (wishes.failed_on.iter().filter(|&&failed| failed == node.id).count(), std::cmp::Reverse(node.waits))
            };
            let backlogs = left.values()
                .filter(|node| node.waits > 0 && node.could_run(&need) && !wishes.not_owners.contains(&node.owner));
            let best_backlog = backlogs.map(key).min();
            let node = left.get_mut(&line.node).expect("a node");
            prop_assert!(!wishes.not_owners.contains(&node.owner) && node.could_run(&need));
            if line.backlog {
                prop_assert_eq!(with_room, 0, "a backlog is for what finds no room");
                prop_assert_eq!(best_backlog, Some(key(node)), "least failures, then who takes most");
                node.waits = node.waits.checked_sub(1).expect("no more than it takes");
            } else {
                prop_assert!(node.has_room(&need));
                node.free = node.free.checked_sub(&need.resources).expect("within what is free");
            }
        }
        for (need, wishes) in asked.values() {
            for node in left.values().filter(|node| !wishes.not_owners.contains(&node.owner)) {
                prop_assert!(!node.has_room(need), "it would have fitted on {}", node.id);
                prop_assert!(!(node.could_run(need) && node.waits > 0), "it could have waited on {}", node.id);
            }
        }
    }

    /// A fleet that has changed is as good as one that is made anew.
    #[test]
    fn what_became_of_a_fleet_does_not_depend_on_how(
        changes in proptest::collection::vec((1u64..40, sizes(), suits(), 0u32..3, 0u8..4), 1..150),
        tasks in proptest::collection::vec(asked(), 0..40),
        seed: u64,
    ) {
        let mut fleet = Fleet::default();
        for (id, resources, (level, trust, isolation, labels, kinds, egress), waits, change) in changes {
            match change {
                0 => fleet.remove(NodeId(id)),
                1 => fleet.set_free(NodeId(id), resources),
                2 => fleet.set_waits(NodeId(id), waits),
                _ => {
                    let view = NodeView { kinds, egress, waits, ..node(id, resources, resources) };
                    fleet.set(NodeView { level, trust, isolation, labels, ..view });
                }
            }
        }
        let mut queue = Waits::default();
        for (id, (need, priority, failed_on, _)) in (1..).zip(tasks) {
            queue.add(id, priority, need, &failed_on);
        }
        let anew: Fleet = fleet.iter().cloned().collect();
        prop_assert_eq!(&anew, &fleet);
        let changed = plan(&snapshot(&fleet, &queue), Bounds::default(), seed);
        prop_assert_eq!(changed, plan(&snapshot(&anew, &queue), Bounds::default(), seed));
    }

    /// Sixteen candidates among many: the one that is taken leaves hardly more than the best of all.
    #[test]
    fn the_choice_is_never_far_from_the_best_of_all(
        free in proptest::collection::vec((1u32..64, 1u64..64), 1..300),
        cores in 1u32..8,
        gib in 1u64..8,
        seed: u64,
    ) {
        let whole = size(64, 64 << 10, 0);
        let nodes: Vec<NodeView> =
            (1..).zip(free).map(|(id, (cores, gib))| node(id, whole, size(cores, gib << 10, 0))).collect();
        let need = need(cores, gib << 10, 0);
        let mut queue = Waits::default();
        queue.wish(1, 5, need.clone(), Wishes::default());
        let plan = run(&nodes, &queue, Bounds::default(), seed);
        let fitting: Vec<&NodeView> = nodes.iter().filter(|node| node.has_room(&need)).collect();
        prop_assert_eq!(plan.placements.len(), fitting.len().min(1));
        let Some(line) = plan.placements.first() else { return Ok(()) };
        let chosen = nodes[usize::try_from(line.node.0 - 1).expect("an index")].free.cpu;
        // No more than fifteen others would have less CPU left.
        let tighter = fitting.iter().filter(|node| node.free.cpu < chosen).count();
        prop_assert!(tighter < 16, "{tighter} are tighter");
        if fitting.len() <= 16 {
            let best = fitting.iter().filter_map(|node| crate::score::score(node, &need, 0, seed)).min();
            prop_assert_eq!(best.map(|score| score.node), Some(line.node));
        }
    }
}
