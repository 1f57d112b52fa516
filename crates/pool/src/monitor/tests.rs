use super::*;
use hivemind_model::{ElementRef, Millis, TaskId};

const START: Timestamp = Timestamp(1_800_000_000_000);

fn beat(cpu: f32, attempts: u32) -> Heartbeat {
    let machine =
        MachineUsage { temperature_celsius: 50.0, received_bytes_per_second: 1000, ..MachineUsage::default() };
    Heartbeat { cpu_usage: cpu, active_attempts: attempts, machine: Some(machine), ..Heartbeat::default() }
}

fn monitor() -> (tempfile::TempDir, Monitor) {
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = Monitor::open(folder.path().join("usage"));
    (folder, monitor)
}

fn at(seconds: u64) -> Timestamp {
    START.after(Millis::from_secs(seconds))
}

#[test]
fn a_chart_has_the_mean_of_each_part_and_no_part_without_news() {
    let (_folder, monitor) = monitor();
    let node = NodeId(7);
    for second in (0..60).chain(120..180) {
        monitor.hear(node, &beat(if second < 60 { 20.0 } else { 80.0 }, 1), at(second), |_| true);
    }
    let told = monitor.history(node, at(0), at(180), 3);
    let figures: Vec<(u64, f32, f32, f32)> =
        told.iter().map(|(when, Sample(s))| (when.since(START).secs(), s[0], s[4], s[6])).collect();
    assert_eq!(figures, [(30, 20.0, 1000.0, 50.0), (150, 80.0, 1000.0, 50.0)]);
    assert!(monitor.history(NodeId(8), at(0), at(180), 3).is_empty());
    assert!(monitor.history(node, at(180), at(0), 3).is_empty(), "backwards there is nothing");
    assert_eq!(monitor.history(node, at(0), at(180), u32::MAX).len(), 4, "no finer than half a minute");
}

#[test]
fn the_past_gets_coarser_and_is_forgotten() {
    let (_folder, monitor) = monitor();
    let node = NodeId(1);
    for quarter in 0..700 {
        monitor.hear(node, &beat(quarter as f32 / 10.0, 0), at(quarter * 900), |_| true);
    }
    let week = monitor.history(node, at(0), at(700 * 900), 1000);
    assert_eq!(week.len(), 672);
    assert!((week[0].1.0[0] - 2.8).abs() < 0.01, "the oldest are gone: {:?}", week[0]);
    assert!(monitor.history(node, at(699 * 900 - 60), at(700 * 900), 10).len() == 1);
}

#[test]
fn what_is_no_number_counts_nothing() {
    let beat = Heartbeat { cpu_usage: f32::NAN, memory_usage: 101.0, gpu_usage: -1.0, ..Heartbeat::default() };
    let machine = MachineUsage { temperature_celsius: f32::INFINITY, ..MachineUsage::default() };
    assert_eq!(Sample::of(&beat, &machine), Sample::default());
}

#[test]
fn figures_of_attempts_live_as_long_as_they() {
    let (_folder, monitor) = monitor();
    let (node, live, gone) =
        (NodeId(3), ElementRef::only(TaskId(1)).attempt(1), ElementRef::only(TaskId(2)).attempt(1));
    let usage =
        |attempt: AttemptRef| AttemptUsage { attempt: Some(attempt.into()), cpu_ms: 5, ..AttemptUsage::default() };
    let attempts = vec![usage(live), usage(gone), AttemptUsage::default()];
    let news = Heartbeat { attempts, active_attempts: 1, ..Heartbeat::default() };
    monitor.hear(node, &news, START, |attempt| attempt == live);
    assert_eq!(monitor.attempt(node, live).map(|usage| usage.cpu_ms), Some(5));
    assert_eq!((monitor.attempt(node, gone), monitor.attempt(NodeId(4), live)), (None, None));
    monitor.hear(node, &beat(1.0, 0), at(20), |_| false);
    assert_eq!(monitor.attempt(node, live), None);
}

#[test]
fn a_machine_with_a_million_graphics_processors_takes_little_room() {
    let gpu = GpuUsage { name: "x".repeat(1000), busy: 70.0, ..GpuUsage::default() };
    let machine = MachineUsage { gpus: vec![gpu; 10_000], temperature_celsius: 40.0, ..MachineUsage::default() };
    let kept = kept(&machine);
    assert_eq!((kept.gpus.len(), kept.temperature_celsius), (MOST_GPUS, 40.0));
    assert!(kept.gpus.iter().all(|gpu| gpu.name.is_empty() && gpu.busy > 69.0));
}

#[test]
fn one_machine_alone_does_not_make_all_others_slow() {
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = Monitor::open(folder.path().join("usage"));
    (1..4).for_each(|node| monitor.note_speed(NodeId(node), 1e6));
    monitor.note_speed(NodeId(4), 1e12);
    assert_eq!(
        (monitor.speed(NodeId(1), monitor.pace()), monitor.speed(NodeId(4), monitor.pace())),
        (Some(1.0), Some(1e6))
    );
}

#[test]
fn histories_outlast_a_restart_and_a_broken_file_is_left_aside() {
    let (folder, monitor) = monitor();
    for node in 1..4 {
        monitor.hear(NodeId(node), &beat(node as f32, 1), START, |_| true);
    }
    monitor.note_speed(NodeId(1), 3e6);
    monitor.note_speed(NodeId(2), 1e6);
    monitor.save().expect("saved");
    let path = folder.path().join("usage");
    let again = Monitor::open(path.clone());
    for node in 1..4 {
        let of = |monitor: &Monitor| monitor.history(NodeId(node), at(0), at(60), 10);
        assert_eq!(of(&again), of(&monitor));
    }
    assert_eq!(
        (
            again.speed(NodeId(1), again.pace()),
            again.speed(NodeId(2), again.pace()),
            again.speed(NodeId(3), again.pace())
        ),
        (Some(1.5), Some(0.5), None)
    );
    let whole = std::fs::read(&path).expect("written");
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("cut");
        assert!(Monitor::open(path.clone()).history(NodeId(1), at(0), at(60), 10).is_empty());
    }
}
