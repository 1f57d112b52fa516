//! Tables: nodes, an ask, and what is said of it.

use super::*;
use hivemind_model::{
    Bytes, Egress, EgressPolicy, Endpoint, Isolation, Kinds, Label, Labels, Level, MilliCores, NodeId, TrustTier,
    UserId,
};
use proptest::prelude::*;
use std::fmt::Write as _;

const LEAST: Resources =
    Resources { cpu: MilliCores(1000), memory: Bytes::from_mib(16), disk: Bytes::from_mib(16), gpus: 0 };

fn size(milli: u32, memory_mib: u64, disk_mib: u64, gpus: u32) -> Resources {
    Resources { cpu: MilliCores(milli), memory: Bytes::from_mib(memory_mib), disk: Bytes::from_mib(disk_mib), gpus }
}

fn node(id: u64, capacity: Resources, level: Level) -> NodeView {
    NodeView { level, ..NodeView::plain(NodeId(id), UserId(1), capacity) }
}

/// Three machines: a small one, a large one without GPU, one with.
fn lab() -> Vec<NodeView> {
    vec![
        node(1, size(2000, 4096, 10_000, 0), Level::None),
        node(2, size(8500, 16_384, 10_000, 0), Level::Silver),
        node(3, size(4000, 8192, 10_000, 1), Level::Bronze),
    ]
}

fn told(nodes: &[NodeView], resources: Resources, level: Level) -> String {
    told_of(nodes, &Need { resources, level, ..Need::default() })
}

fn told_of(nodes: &[NodeView], need: &Need) -> String {
    let told = constraints(nodes, need, &LEAST);
    let mut text = format!("{} linked, {} capable, {} with room\n", told.linked, told.capable, told.room);
    for Standing { constraint, asked, too_small, busy, largest } in &told.standings {
        let shown = |ask: &Option<Ask>| ask.as_ref().map_or("-".into(), ToString::to_string);
        let (name, asked, largest) = (constraint.as_str(), shown(asked), shown(largest));
        let _ = writeln!(text, "{name}: {asked}; {too_small} too small, {busy} busy; largest {largest}");
    }
    text + &told.remedy.to_string()
}

#[test]
fn sixty_four_cores_are_too_many_for_every_node() {
    insta::assert_snapshot!(told(&lab(), size(64_000, 512, 1024, 0), Level::None), @"
    3 linked, 0 capable, 0 with room
    cores: 64 cores; 3 too small, 0 busy; largest 8 cores
    memory: 512 MiB memory; 0 too small, 0 busy; largest -
    disk: 1 GiB disk; 0 too small, 0 busy; largest -
    together: -; 3 too small, 0 busy; largest -
    ask for 8 cores instead of 64 cores
    ");
}

#[test]
fn the_rest_of_what_is_asked_bounds_the_largest_ask() {
    // Only the node with a GPU counts for cores, only those with the cores for memory.
    insta::assert_snapshot!(told(&lab(), size(6000, 512, 1024, 1), Level::None), @"
    3 linked, 0 capable, 0 with room
    cores: 6 cores; 2 too small, 0 busy; largest 4 cores
    memory: 512 MiB memory; 0 too small, 0 busy; largest -
    disk: 1 GiB disk; 0 too small, 0 busy; largest -
    gpus: 1 GPU; 2 too small, 0 busy; largest no GPU
    together: -; 3 too small, 0 busy; largest -
    ask for 4 cores instead of 6 cores
    ");
}

#[test]
fn a_level_that_none_has_is_lowered() {
    insta::assert_snapshot!(told(&lab(), size(1000, 512, 1024, 0), Level::Diamond), @"
    3 linked, 0 capable, 0 with room
    cores: 1 core; 0 too small, 0 busy; largest -
    memory: 512 MiB memory; 0 too small, 0 busy; largest -
    disk: 1 GiB disk; 0 too small, 0 busy; largest -
    level: level diamond; 3 too small, 0 busy; largest level silver
    together: -; 3 too small, 0 busy; largest -
    ask for level silver instead of level diamond
    ");
}

#[test]
fn two_quantities_change_where_one_does_not_do() {
    insta::assert_snapshot!(told(&lab(), size(64_000, 32_768, 1024, 0), Level::None), @"
    3 linked, 0 capable, 0 with room
    cores: 64 cores; 3 too small, 0 busy; largest -
    memory: 32 GiB memory; 3 too small, 0 busy; largest -
    disk: 1 GiB disk; 0 too small, 0 busy; largest -
    together: -; 3 too small, 0 busy; largest -
    ask for 8 cores instead of 64 cores, and for 16 GiB memory instead of 32 GiB memory
    ");
}

#[test]
fn the_smaller_reduction_wins() {
    // 4 of 5 cores on the node with a GPU, or no GPU at all elsewhere: a fifth is less than all.
    let nodes = [lab()[1].clone(), lab()[2].clone()];
    let need = |resources| Need { resources, ..Need::default() };
    let told = constraints(nodes, &need(size(5000, 512, 64, 1)), &LEAST);
    assert_eq!(told.remedy.to_string(), "ask for 4 cores instead of 5 cores");
    let told = constraints(lab(), &need(size(9000, 512, 64, 2)), &LEAST);
    assert_eq!(told.remedy.to_string(), "ask for 4 cores instead of 9 cores, and for 1 GPU instead of 2 GPUs");
}

#[test]
fn what_is_busy_is_waited_for() {
    let mut nodes = lab();
    for node in &mut nodes {
        node.free.cpu = MilliCores(500);
    }
    insta::assert_snapshot!(told(&nodes, size(2000, 512, 1024, 0), Level::None), @"
    3 linked, 3 capable, 0 with room
    cores: 2 cores; 0 too small, 3 busy; largest 8 cores
    memory: 512 MiB memory; 0 too small, 0 busy; largest 16 GiB memory
    disk: 1 GiB disk; 0 too small, 0 busy; largest 9.7 GiB disk
    together: -; 0 too small, 3 busy; largest -
    wait: 3 nodes are big enough, all busy
    ");
    nodes[2].free = nodes[2].capacity;
    assert!(told(&nodes, size(2000, 512, 1024, 0), Level::None).ends_with("wait: a node has room for it"));
    assert!(told(&nodes[..1], size(2000, 512, 1024, 0), Level::None).ends_with("wait: 1 node is big enough, and busy"));
}

#[test]
fn without_nodes_and_with_tiny_ones_no_change_helps() {
    assert!(told(&[], size(1000, 512, 1024, 0), Level::None).contains("no node is linked"));
    let tiny = [node(1, size(500, 4096, 4096, 0), Level::None)];
    let told = told(&tiny, size(1000, 512, 1024, 0), Level::None);
    assert!(told.contains("1 too small, 0 busy; largest -"), "{told}");
    assert!(told.ends_with("wait for a larger node: those there are cannot run the smallest task"), "{told}");
}

#[test]
fn labels_and_tiers_are_named_as_asked_with_who_fails_each() {
    let labels = |texts: &[&str]| Labels::parse(texts).expect("labels");
    let mut nodes = lab();
    nodes[0].labels = labels(&["location=berlin", "arch=arm64"]);
    nodes[1] = NodeView { trust: TrustTier::Known, labels: labels(&["arch=x86"]), ..nodes[1].clone() };
    nodes[2].isolation = Isolation::Rootless;
    let resources = size(1000, 512, 1024, 0);
    let asks = Need {
        resources,
        trust: TrustTier::Proven,
        isolation: Isolation::Sandboxed,
        labels: labels(&["location=berlin", "arch=x86"]),
        ..Need::default()
    };
    insta::assert_snapshot!(told_of(&nodes, &asks), @"
    3 linked, 0 capable, 0 with room
    cores: 1 core; 0 too small, 0 busy; largest -
    memory: 512 MiB memory; 0 too small, 0 busy; largest -
    disk: 1 GiB disk; 0 too small, 0 busy; largest -
    trust: trust proven; 3 too small, 0 busy; largest -
    isolation: isolation sandboxed; 3 too small, 0 busy; largest -
    labels: arch=x86; 2 too small, 0 busy; largest -
    labels: location=berlin; 2 too small, 0 busy; largest -
    together: -; 3 too small, 0 busy; largest -
    ask for trust known instead of trust proven, and for any isolation instead of isolation sandboxed, and drop --label location=berlin
    ");
    let berlin = Need { resources, labels: labels(&["location=berlin"]), ..Need::default() };
    assert!(told_of(&nodes, &berlin).ends_with("wait: a node has room for it"));
    assert!(told_of(&nodes[1..], &berlin).ends_with("\ndrop --label location=berlin"));
    let trusted = Need { resources, trust: TrustTier::Trusted, ..Need::default() };
    assert!(told_of(&nodes, &trusted).ends_with("\nask for trust known instead of trust trusted"));
    assert!(told_of(&nodes[..1], &trusted).ends_with("\nask for any trust instead of trust trusted"));
    let apart = Need { isolation: Isolation::Sandboxed, ..berlin };
    assert!(
        told_of(&nodes[1..], &apart)
            .ends_with("\nask for isolation rootless instead of isolation sandboxed, and drop --label location=berlin")
    );
}

fn level() -> impl Strategy<Value = Level> {
    (0..Level::ALL.len()).prop_map(|index| Level::ALL[index])
}

fn resources() -> impl Strategy<Value = Resources> {
    (1u32..9000, 1u64..1 << 34, 1u64..1 << 34, 0u32..4).prop_map(|(cpu, memory, disk, gpus)| Resources {
        cpu: MilliCores(cpu),
        memory: Bytes(memory),
        disk: Bytes(disk),
        gpus,
    })
}

fn apply(need: &Need, to: &Change) -> Need {
    let mut need = need.clone();
    match &to.to {
        Ask::Cores(cores) => need.resources.cpu = *cores,
        Ask::Memory(bytes) => need.resources.memory = *bytes,
        Ask::Disk(bytes) => need.resources.disk = *bytes,
        Ask::Gpus(count) => need.resources.gpus = *count,
        Ask::Level(level) => need.level = *level,
        Ask::Trust(tier) => need.trust = *tier,
        Ask::Isolation(tier) => need.isolation = *tier,
        Ask::Label(label) => {
            let dropped = |other: &Label| label.is_none() && to.from == Ask::Label(Some(other.clone()));
            let kept: Vec<Label> = need.labels.as_slice().iter().filter(|other| !dropped(other)).cloned().collect();
            need.labels = Labels::try_from(kept).expect("fewer");
        }
        Ask::Host(host) => {
            let dropped = |other: &Endpoint| host.is_none() && to.from == Ask::Host(Some(other.clone()));
            let kept: Vec<Endpoint> = need.egress.as_slice().iter().filter(|other| !dropped(other)).cloned().collect();
            need.egress = Egress::try_from(kept).expect("fewer");
        }
        Ask::Kind(kind) => need.kind = kind.expect("nothing is asked in the place of a kind"),
    }
    need
}

/// Level, trust, isolation, some of three labels, kinds, and what may be reached.
fn suits() -> impl Strategy<Value = (Level, TrustTier, Isolation, Labels, Kinds, EgressPolicy)> {
    let labels = proptest::collection::btree_map("[a-c]", "[xy]", 0..3).prop_map(|labels| {
        let texts: Vec<String> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        Labels::parse(&texts).expect("labels")
    });
    let trust = (0..TrustTier::ALL.len()).prop_map(|index| TrustTier::ALL[index]);
    let isolation = (0..Isolation::ALL.len()).prop_map(|index| Isolation::ALL[index]);
    let kinds = (0..3usize).prop_map(|index| [Kinds::CONTAINER, Kinds::WASM, Kinds::ALL][index]);
    let egress = (0..4usize).prop_map(|index| {
        let words = [&[][..], &["public"], &["a.org:1"], &["*.b.org:1", "a.org:1"]][index];
        EgressPolicy::parse(words).expect("a policy")
    });
    (level(), trust, isolation, labels, kinds, egress)
}

fn asks() -> impl Strategy<Value = (Kind, Egress)> {
    let egress = (0..3usize).prop_map(|index| {
        let words = [&[][..], &["a.org:1"], &["x.b.org:1", "a.org:1"]][index];
        Egress::parse(words).expect("endpoints")
    });
    ((0..2usize).prop_map(|index| Kind::ALL[index]), egress)
}

proptest! {
    /// Whatever is told would really run, and the counts are those of the nodes.
    #[test]
    fn what_is_promised_runs(
        nodes in proptest::collection::vec((resources(), suits()), 0..8),
        resources in resources(),
        (level, trust, isolation, labels, _, _) in suits(),
        (kind, egress) in asks(),
    ) {
        let view = |(id, (capacity, (level, trust, isolation, labels, kinds, egress)))| {
            NodeView { trust, isolation, labels, kinds, egress, ..node(id, capacity, level) }
        };
        let nodes: Vec<NodeView> = (1..).zip(nodes).map(view).collect();
        let need = Need { resources, level, trust, isolation, labels, kind, egress, image: 0 };
        let told = constraints(&nodes, &need, &LEAST);
        let runs = |need: &Need| nodes.iter().any(|node| node.could_run(need));
        for Standing { asked, too_small, busy, largest, .. } in &told.standings {
            if let (Some(from), Some(to)) = (asked, largest) {
                let change = Change { from: from.clone(), to: to.clone() };
                prop_assert!(runs(&apply(&need, &change)), "{to} would not run");
            }
            prop_assert!(too_small + busy <= told.linked);
        }
        match &told.remedy {
            Remedy::Change(changes) => {
                let changed = changes.iter().fold(need.clone(), |need, change| apply(&need, change));
                prop_assert!(!runs(&need) && runs(&changed));
                for change in changes {
                    prop_assert!(change.to < change.from);
                }
            }
            Remedy::Next { room } => prop_assert!(*room > 0 && runs(&need)),
            Remedy::Wait { .. } => prop_assert!(false, "nobody is busy here"),
            Remedy::NoNode => prop_assert!(nodes.is_empty()),
            Remedy::Nothing => prop_assert!(!runs(&need)),
        }
    }
}
