use super::*;
use hivemind_model::{Bytes, MilliCores, UserId};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn size(cpu: u32, memory: u64) -> Resources {
    Resources { cpu: MilliCores(cpu), memory: Bytes(memory), ..Resources::default() }
}

fn node(id: u64, cpu: u32, memory: u64, label: u32) -> Arc<NodeView> {
    let labels = Labels::parse(&[format!("kind={label}")]).expect("a label");
    Arc::new(NodeView { labels, ..NodeView::plain(NodeId(id), UserId(1), size(cpu, memory)) })
}

fn key(node: &NodeView) -> Key {
    Key::of(node.free.cpu.0.into(), node.id)
}

fn depth(link: &Link) -> usize {
    link.as_ref().map_or(0, |branch| 1 + depth(&branch.left).max(depth(&branch.right)))
}

/// The keys in order, the priorities as a heap, every summary that of its part.
fn check(link: &Link) -> Vec<Key> {
    let Some(branch) = link else { return Vec::new() };
    let below = [&branch.left, &branch.right];
    let mut most = Most::of(&branch.node);
    for below in below.into_iter().flatten() {
        assert!(below.priority() < branch.priority());
        most.join(&below.most);
    }
    assert_eq!(most, branch.most);
    let keys: Vec<Key> = check(&branch.left).into_iter().chain([branch.key]).chain(check(&branch.right)).collect();
    assert!(keys.is_sorted());
    keys
}

fn ids(index: &Index, from: Key, to: Option<Key>, may: &impl Fn(&Most) -> bool) -> Vec<u64> {
    let mut ids = Vec::new();
    let _ = index.ascend(from, to, may, &mut |node| {
        ids.push(node.id.0);
        ControlFlow::Continue(())
    });
    ids
}

#[test]
fn ten_thousand_equal_nodes_make_a_flat_tree() {
    let mut index = Index::default();
    (1..=10_000).map(|id| node(id, 4000, 1, 0)).for_each(|node| index.insert(key(&node), node));
    assert!(depth(&index.0) < 45, "{}", depth(&index.0));
    let first = ids(&index, Key::first(0), None, &|_| true);
    assert_eq!(first.len(), 10_000);
    assert!(!first[..10].is_sorted(), "low ids come first: {:?}", &first[..10]);
}

#[test]
fn a_copy_keeps_what_it_was_copied_from() {
    let mut index = Index::default();
    (1..=100).map(|id| node(id, 1000, id, 0)).for_each(|node| index.insert(key(&node), node));
    let before = ids(&index, Key::first(0), None, &|_| true);
    let mut copy = index.clone();
    for id in 1..=50 {
        copy.remove(Key::of(1000, NodeId(id)));
        copy.insert(Key::of(2000, NodeId(id)), node(id, 2000, id, 0));
    }
    assert_eq!(ids(&index, Key::first(0), None, &|_| true), before);
    assert_eq!(check(&copy.0).len(), 100);
    assert_eq!(ids(&copy, Key::first(1001), None, &|_| true).len(), 50);
}

#[test]
fn a_search_for_what_nobody_has_ends_at_the_top() {
    let mut index = Index::default();
    (1..=1000).map(|id| node(id, 1000, 10, 0)).for_each(|node| index.insert(key(&node), node));
    let asked = std::cell::Cell::new(0);
    let may = |most: &Most| {
        asked.set(asked.get() + 1);
        most.free.memory.0 > 10
    };
    assert_eq!((ids(&index, Key::first(0), None, &may), asked.get()), (vec![], 1));
    let rare = node(1001, 1000, 11, 0);
    index.insert(key(&rare), rare);
    assert_eq!(ids(&index, Key::first(0), None, &may), [1001]);
    assert!(asked.get() < 200, "{} looks", asked.get());
}

proptest! {
    #[test]
    fn it_finds_what_a_map_finds(
        steps in proptest::collection::vec((1u64..40, 0u32..6, 0u64..6, 0u32..4, any::<bool>()), 0..120),
        from in 0u64..6,
        to in proptest::option::of(0u64..7),
        memory in 0u64..6,
        label in proptest::option::of(0u32..4),
    ) {
        let (mut index, mut map) = (Index::default(), BTreeMap::<u64, Arc<NodeView>>::new());
        for (id, cpu, memory, label, stays) in steps {
            if let Some(old) = map.remove(&id) {
                index.remove(key(&old));
            }
            if stays {
                let node = node(id, cpu, memory, label);
                index.insert(key(&node), node.clone());
                map.insert(id, node);
            }
        }
        prop_assert_eq!(check(&index.0).len(), map.len());
        let labels = label.map_or_else(Labels::default, |label| node(0, 0, 0, label).labels.clone());
        let need = Need { resources: size(0, memory), labels, ..Need::default() };
        let bits = label_bits(&need.labels);
        let may = |most: &Most| most.free.covers(&need.resources) && most.may_admit(&need, bits);
        let (from, to) = (Key::first(from), to.map(Key::first));
        let mut found = ids(&index, from, to, &may);
        found.retain(|id| map[id].has_room(&need));
        let mut expected: Vec<_> = map.values().filter(|node| node.has_room(&need)).map(|node| (key(node), node.id.0)).collect();
        expected.retain(|(key, _)| *key >= from && to.is_none_or(|to| *key < to));
        expected.sort_unstable();
        prop_assert_eq!(&found, &expected.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        let mut back = Vec::new();
        let _ = index.descend(&may, &mut |node| {
            if node.has_room(&need) {
                back.push(key(node));
            }
            ControlFlow::Continue(())
        });
        let mut all: Vec<_> = map.values().filter(|node| node.has_room(&need)).map(|node| key(node)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        prop_assert_eq!(back, all);
    }
}
