use super::*;
use crate::sensors::root::fake::Fake;
use std::process::{Child, Command};

const MACHINE: Capacity = Capacity { cores: 8, memory_bytes: 8 << 30 };

fn shares(cpu_percent: u32, memory_percent: u32) -> Shares {
    Shares { cpu_percent, memory_percent }
}

/// A machine with version two, whose group is there already: a folder of files makes no files by itself.
fn two() -> Fake {
    let fake = Fake::new();
    fake.file("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    fake.file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
    fake.file("sys/fs/cgroup/cgroup.subtree_control", "cpu io\n");
    for file in ["cpu.weight", "cpu.max", "memory.max", "cgroup.freeze", "cgroup.subtree_control"] {
        fake.file(&format!("sys/fs/cgroup/hivemind_a_b.slice/{file}"), "");
    }
    fake.file("sys/fs/cgroup/hivemind_a_b.slice/cpu.stat", "usage_usec 1500000\nuser_usec 1\n");
    fake
}

#[test]
fn version_two_has_its_values_and_keeps_them() {
    let fake = two();
    let read = |file: &str| fake.read(&format!("sys/fs/cgroup/hivemind_a_b.slice/{file}"));
    let mut share = Share::make(fake.path(), "a-b", &shares(50, 25), MACHINE).unwrap();
    assert_eq!((read("cpu.weight"), read("cpu.max")), ("10".into(), "400000 100000".into()));
    assert_eq!((read("memory.max"), read("cgroup.freeze")), ((2u64 << 30).to_string(), "0".into()));
    assert_eq!(fake.read("sys/fs/cgroup/cgroup.subtree_control"), "+pids");
    assert_eq!(share.parent(Driver::Cgroupfs), "/hivemind_a_b.slice");
    assert_eq!(share.parent(Driver::Systemd), "hivemind_a_b.slice");
    assert_eq!(share.cpu_used(), Duration::from_millis(1500));
    assert!(!share.keep().unwrap());
    fake.file("sys/fs/cgroup/hivemind_a_b.slice/cpu.max", "max 100000\n");
    assert!(share.keep().unwrap() && read("cpu.max") == "400000 100000");
    share.set(&shares(100, 100)).unwrap();
    assert_eq!((read("cpu.max"), read("memory.max")), ("max 100000".into(), (8u64 << 30).to_string()));
    share.freeze(true).unwrap();
    assert_eq!(read("cgroup.freeze"), "1");
}

#[test]
fn a_hybrid_machine_is_used_through_version_one() {
    let fake = Fake::new();
    let (mut mounts, group) = (String::new(), "hivemind_a.slice");
    for (number, controllers) in ["cpu,cpuacct", "memory", "freezer", "pids", "name=systemd"].into_iter().enumerate() {
        let folder = format!("sys/fs/cgroup/{number}");
        mounts +=
            &format!("3{number} 23 0:2{number} / /{folder} rw,relatime shared:9 - cgroup cgroup rw,{controllers}\n");
        fake.file(&format!("{folder}/cgroup.procs"), "");
    }
    mounts += "40 23 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    fake.file("proc/self/mountinfo", mounts);
    for file in
        ["0/cpu.shares", "0/cpu.cfs_period_us", "0/cpu.cfs_quota_us", "1/memory.limit_in_bytes", "2/freezer.state"]
    {
        let (hierarchy, file) = file.split_once('/').unwrap();
        fake.file(&format!("sys/fs/cgroup/{hierarchy}/{group}/{file}"), "");
    }
    fake.file(&format!("sys/fs/cgroup/0/{group}/cpuacct.usage"), "2500000000\n");
    let read = |file: &str| fake.read(&format!("sys/fs/cgroup/{}", file.replace('/', &format!("/{group}/"))));
    let mut share = Share::make(fake.path(), "a", &shares(50, 25), MACHINE).unwrap();
    assert_eq!((read("0/cpu.shares"), read("0/cpu.cfs_quota_us")), ("102".into(), "400000".into()));
    assert_eq!((read("1/memory.limit_in_bytes"), read("2/freezer.state")), ((2u64 << 30).to_string(), "THAWED".into()));
    assert_eq!(share.cpu_used(), Duration::from_millis(2500));
    share.set(&shares(100, 25)).unwrap();
    assert_eq!(read("0/cpu.cfs_quota_us"), "-1");
    share.freeze(true).unwrap();
    assert_eq!(read("2/freezer.state"), "FROZEN");
    let made: Vec<bool> = share.folders().iter().map(|folder| folder.exists()).collect();
    assert_eq!((made.len(), made.iter().filter(|made| **made).count()), (6, 3));
    // Files of a real control group are no hindrance; those here are.
    assert!(share.remove().unwrap_err().to_string().contains("end what runs in it first"));
}

#[test]
fn the_smallest_share_is_still_one_that_the_kernel_takes() {
    let fake = two();
    let least = Capacity { cores: 1, memory_bytes: 1 << 30 };
    Share::make(fake.path(), "a-b", &shares(1, 1), least).unwrap();
    assert_eq!(fake.read("sys/fs/cgroup/hivemind_a_b.slice/cpu.max"), "1000 100000");
    assert_eq!(fake.read("sys/fs/cgroup/hivemind_a_b.slice/memory.max"), "10735616");
}

#[test]
fn a_worker_offers_no_more_than_its_share() {
    assert_eq!(MACHINE.shared(&shares(75, 50)), (MilliCores(6000), Bytes(4 << 30)));
    let least = Capacity { cores: 1, memory_bytes: 100 };
    assert_eq!(least.shared(&shares(1, 1)), (MilliCores(10), Bytes(1)));
    let most = Capacity { cores: u32::MAX, memory_bytes: u64::MAX };
    assert_eq!(most.shared(&shares(100, 100)), (MilliCores(u32::MAX), Bytes(u64::MAX)));
    let here = Capacity::here();
    assert!(here.cores > 0 && here.memory_bytes > 0);
}

#[test]
fn where_it_cannot_be_it_says_why() {
    let refused = |fake: &Fake, name: &str| {
        Share::make(fake.path(), name, &Shares::default(), MACHINE).expect_err("no group").to_string()
    };
    let none = Fake::new();
    assert!(refused(&none, "a").contains("has no control groups"));
    none.file("proc/self/mountinfo", "odd\n1 2 - \n1 2 3 4 - cgroup\n5 - cgroup2 x y\n");
    assert!(refused(&none, "a").contains("has no control groups"));
    let long = "a".repeat(65);
    for name in ["", "a/b", "..", "a\nb", &long] {
        assert!(refused(&none, name).contains("cannot name a control group"), "{name}");
    }
    let blocked = two();
    // A file in the way.
    blocked.file("sys/fs/cgroup/hivemind_x.slice", "");
    assert!(refused(&blocked, "x").contains("hivemind_x.slice"));
}

/// A process that uses all that it gets.
struct Busy(Child);

impl Busy {
    fn within(share: &Share) -> Self {
        let busy = Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        for folder in share.folders().iter().filter(|folder| folder.exists()) {
            std::fs::write(folder.join("cgroup.procs"), busy.0.id().to_string()).unwrap();
        }
        busy
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// Waits for a condition, with a deadline.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// The folders of a share on this machine, each with a group in it.
fn folders_of(share: &Share) -> Vec<std::path::PathBuf> {
    let folders: Vec<_> = share.folders().into_iter().filter(|folder| folder.exists()).collect();
    for folder in &folders {
        std::fs::create_dir_all(folder.join("part")).unwrap();
    }
    folders
}

#[test]
fn this_machine_holds_a_share_freezes_it_and_forgets_it() {
    let instance = format!("owner-test-{}", std::process::id());
    let here = Capacity { cores: 1, memory_bytes: 1 << 30 };
    let mut share = match Share::make(Path::new("/"), &instance, &shares(50, 50), here) {
        Ok(share) => share,
        Err(why) => {
            assert!(!rustix::process::geteuid().is_root() || matches!(why, NoShare::NoControllers), "{why}");
            return;
        }
    };
    assert!(!share.keep().unwrap(), "the kernel keeps what was written");
    let busy = Busy::within(&share);
    until("it runs", || share.cpu_used() > Duration::from_millis(50));
    share.freeze(true).unwrap();
    until("it stands still", || {
        let before = share.cpu_used();
        let start = std::time::Instant::now();
        until("time passes", || start.elapsed() > Duration::from_millis(100));
        share.cpu_used() == before
    });
    share.freeze(false).unwrap();
    let before = share.cpu_used();
    until("it goes on", || share.cpu_used() > before);
    // A container that was made when there was more; control groups of version one mind that.
    let parts: Vec<_> = folders_of(&share).into_iter().map(|folder| folder.join("part/cpu.cfs_quota_us")).collect();
    for part in parts.iter().filter(|part| part.exists()) {
        std::fs::write(part, "40000").unwrap();
    }
    share.set(&shares(20, 40)).unwrap();
    for part in parts.iter().filter(|part| part.exists()) {
        assert_eq!(std::fs::read_to_string(part).unwrap().trim(), "20000");
    }
    assert!(!share.keep().unwrap());
    // An earlier process of the same agent left it frozen: the next one takes it over.
    share.freeze(true).unwrap();
    let again = Share::make(Path::new("/"), &instance, &shares(20, 40), here).unwrap();
    let before = again.cpu_used();
    until("it goes on", || again.cpu_used() > before);
    drop(again);
    drop(busy);
    let folders = share.folders();
    until("what ran has left", || {
        folders.iter().all(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().is_empty())
    });
    // What a runtime makes below, in hierarchies that are not ours, too, goes with it.
    for folder in &folders {
        std::fs::create_dir_all(folder.join("left")).unwrap();
    }
    share.remove().unwrap();
    assert!(folders.iter().all(|folder| !folder.exists()));
}
