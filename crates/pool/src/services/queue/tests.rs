use super::*;
use hivemind_model::{Bytes, MilliCores, NodeId, Resources, TaskSpec, UserId};
use hivemind_placement::NodeView;

const NOW: Timestamp = Timestamp(10_000_000);

fn cores(cores: u32) -> Resources {
    Resources { cpu: MilliCores::from_cores(cores), memory: Bytes(u64::from(cores)), disk: Bytes(1), gpus: 0 }
}

/// A task that asks for so many cores and was handed in so long ago.
fn line(task: u64, age: Millis, elements: u64, need: u32, is_blocked: bool) -> Line {
    let spec = TaskSpec { resources: cores(need), ..TaskSpec::default() };
    Line { task: TaskId(task), since: NOW.before(age), elements, spec: spec.into(), is_blocked }
}

fn told(lines: &[Line], idle: usize) -> QueueResponse {
    let mut found = Found::new(NOW);
    lines.iter().for_each(|line| found.add(line));
    let mut node = NodeView::plain(NodeId(1), UserId(1), cores(4));
    node.free = cores(0);
    found.told(&Fleet::from_iter([node]), idle)
}

fn shown(queue: &QueueResponse) -> Vec<(&str, i64, i64, &str)> {
    let group = |group: &'_ QueueGroup| (group.tasks, group.elements);
    let groups = queue.groups.iter();
    groups.map(|it| (it.kind.as_str(), group(it).0, group(it).1, it.example_task_id.as_str())).collect()
}

#[test]
fn what_waits_for_the_same_is_one_group() {
    let queue = told(
        &[
            line(1, Millis(1), 10, 2, false),
            line(2, Millis(700_000), 5, 3, false),
            line(3, Millis(5), 100, 64, false),
            line(4, Millis(5), 1, 2, true),
        ],
        0,
    );
    let all = [("too_big", 1, 100, "task_3"), ("all_busy", 2, 15, "task_2"), ("blocked", 1, 1, "task_4")];
    assert_eq!((shown(&queue), queue.elements, queue.tasks), (all.to_vec(), 116, 4));
    assert_eq!(queue.groups[1].oldest_ms, 700_000);
    let ages: Vec<i64> = queue.ages.iter().map(|age| age.elements).collect();
    assert_eq!(ages, [111, 0, 5, 0, 0, 0]);
}

#[test]
fn nodes_that_are_kept_back_are_told_of_where_no_other_can() {
    let queue = told(&[line(1, Millis(1), 1, 2, false), line(2, Millis(1), 2, 64, false)], 3);
    assert!(queue.groups[0].reason.contains("3 more nodes are linked"), "{}", queue.groups[0].reason);
    assert!(!queue.groups[1].reason.contains("more nodes"), "{}", queue.groups[1].reason);
}

#[test]
fn needs_of_few_are_put_together() {
    let needs = u32::try_from(MOST_NEEDS).unwrap() + 50;
    let lines: Vec<Line> = (1..=needs).map(|need| line(need.into(), Millis(1), need.into(), need, false)).collect();
    let queue = told(&lines, 0);
    let other = queue.groups.iter().find(|group| group.kind == "other").unwrap();
    assert_eq!(other.tasks, i64::from(needs) - i64::try_from(MOST_LOOKED_AT).unwrap());
    assert_eq!((queue.tasks, queue.groups.len() <= MOST_LOOKED_AT + 1), (i64::from(needs), true));
    assert_eq!(shown(&told(&[], 0)), []);
}
