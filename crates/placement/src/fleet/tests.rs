use super::*;
use hivemind_model::{Bytes, MilliCores, UserId};

fn size(cores: u32, gpus: u32) -> Resources {
    Resources { cpu: MilliCores::from_cores(cores), memory: Bytes(100), disk: Bytes(100), gpus }
}

fn node(id: u64, cores: u32, gpus: u32) -> NodeView {
    NodeView::plain(NodeId(id), UserId(id), size(cores, gpus))
}

fn search(cores: u32, gpus: u32) -> Search {
    Search::new(Need { resources: size(cores, gpus), ..Need::default() })
}

fn with_room(fleet: &Fleet, search: &Search, start: u64) -> Vec<u64> {
    let mut ids = Vec::new();
    fleet.indexes().with_room(search, start, &mut |node| {
        ids.push(node.id.0);
        ControlFlow::Continue(())
    });
    ids
}

#[test]
fn the_tightest_come_first_and_those_with_gpus_last() {
    let mut fleet: Fleet = [node(1, 8, 0), node(2, 2, 1), node(3, 4, 0), node(4, 1, 0)].into_iter().collect();
    assert_eq!(with_room(&fleet, &search(2, 0), 0), [3, 1, 2]);
    assert_eq!(with_room(&fleet, &search(2, 1), 0), [2]);
    fleet.set_free(NodeId(1), size(3, 0));
    assert_eq!(with_room(&fleet, &search(2, 0), 0), [1, 3, 2]);
    fleet.set(node(3, 1, 0));
    fleet.remove(NodeId(2));
    fleet.remove(NodeId(2));
    fleet.set_free(NodeId(2), size(9, 0));
    assert_eq!((with_room(&fleet, &search(2, 0), 0), fleet.len()), (vec![1], 3));
    assert_eq!((fleet.get(NodeId(1)).map(|node| node.free), fleet.get(NodeId(2))), (Some(size(3, 0)), None));
    assert_eq!(fleet.iter().map(|node| node.id.0).collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn a_node_that_gets_gpus_changes_its_index() {
    let mut fleet: Fleet = [node(1, 2, 0)].into_iter().collect();
    fleet.set(node(1, 2, 1));
    assert_eq!((with_room(&fleet, &search(1, 1), 0), with_room(&fleet, &search(1, 0), 0)), (vec![1], vec![1]));
    fleet.remove(NodeId(1));
    assert!(with_room(&fleet, &search(1, 0), 0).is_empty() && fleet.is_empty());
}

#[test]
fn every_start_shows_every_node_once_in_another_order() {
    let fleet: Fleet = (1..=20).map(|id| node(id, 4, 0)).chain([node(21, 5, 0)]).collect();
    let orders: Vec<Vec<u64>> =
        (0..8u64).map(|start| with_room(&fleet, &search(1, 0), start.wrapping_mul(1 << 61))).collect();
    for order in &orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=21).collect::<Vec<_>>());
        assert_eq!(order.last(), Some(&21), "the tightest come first, whatever the start");
    }
    assert!(orders.iter().any(|order| *order != orders[0]));
}

#[test]
fn who_takes_most_into_its_backlog_comes_first() {
    let mut fleet: Fleet = (1..=3).map(|id| node(id, 2, 0)).collect();
    let backlog = |fleet: &Fleet, cores| {
        let mut ids = Vec::new();
        fleet.indexes().with_backlog(&search(cores, 0), &mut |node| {
            ids.push(node.id.0);
            ControlFlow::Continue(())
        });
        ids
    };
    assert!(backlog(&fleet, 1).is_empty());
    fleet.set_waits(NodeId(2), 4);
    fleet.set_waits(NodeId(3), 2);
    fleet.set_free(NodeId(2), Resources::default());
    fleet.set_waits(NodeId(9), 2);
    assert_eq!((backlog(&fleet, 1), backlog(&fleet, 3)), (vec![2, 3], vec![]));
    fleet.set_waits(NodeId(2), 1);
    assert_eq!(backlog(&fleet, 2), [3, 2]);
    fleet.set_waits(NodeId(2), 0);
    assert_eq!(backlog(&fleet, 2), [3]);
}
