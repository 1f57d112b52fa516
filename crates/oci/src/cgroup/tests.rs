use super::*;

const HYBRID: &str = "\
30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
35 30 0:31 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
36 30 0:32 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
";

#[test]
fn both_generations_are_found_in_what_is_mounted() {
    let place = Path::new("hivemind/i");
    let hybrid = Tree::find(HYBRID, place).expect("found");
    assert_eq!((hybrid.generation(), hybrid.can_freeze()), ("cgroup v1", true));
    let Group::First(controllers) = hybrid.group("att_1") else { panic!("the second generation") };
    let folder = Path::new("/sys/fs/cgroup/cpu,cpuacct/hivemind/i/att_1");
    assert_eq!(controllers["cpu"], (folder.to_owned(), "cpu,cpuacct".to_owned()));
    assert_eq!(controllers.keys().collect::<Vec<_>>(), ["cpu", "cpuacct", "freezer", "memory", "pids"]);
    let unified = Tree::find("1 2 0:3 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n", place).expect("found");
    let folder = PathBuf::from("/sys/fs/cgroup/hivemind/i/a");
    assert_eq!(unified.group("a"), Group::Second { folder, root: "/sys/fs/cgroup".into() });
    assert!(Tree::find("", place).is_err());
    let error = Tree::find(&HYBRID.replace("rw,pids", "rw,x"), place).expect_err("complete");
    assert!(error.contains("pids"), "{error}");
}

#[test]
fn the_instance_leaves_its_own_groups_where_they_are_empty() {
    let mounted = tempfile::tempdir().expect("a folder");
    let root = mounted.path().to_owned();
    let tree = Tree::Second { root: root.clone(), place: "hivemind-i".into() };
    tree.leave();
    fs::create_dir_all(root.join("hivemind-i/att_1")).expect("made");
    tree.leave();
    assert!(root.join("hivemind-i/att_1").exists(), "a container is in it");
    fs::remove_dir(root.join("hivemind-i/att_1")).expect("removed");
    tree.leave();
    assert!(!root.join("hivemind-i").exists());
}

/// A folder with `files` in it, in place of what the kernel shows.
fn shown(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("written");
    }
    folder
}

#[test]
fn the_limits_of_the_second_generation_are_written_to_its_files() {
    let files = ["memory.max", "memory.swap.max", "cpu.max", "pids.max", "cgroup.procs", "cgroup.freeze"];
    let root = shown(&[("cgroup.subtree_control", "memory cpu pids")]);
    let folder = root.path().join("a");
    fs::create_dir(&folder).expect("made");
    for file in files {
        fs::write(folder.join(file), "").expect("written");
    }
    let group = Group::Second { folder: folder.clone(), root: root.path().to_owned() };
    group.create(&Limits { memory_bytes: 4096, millicores: 1500, processes: 7 }).expect("limited");
    group.freeze(true).expect("frozen");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
    let written = files.map(read);
    assert_eq!(written, ["4096", "0", "150000 100000", "7", "", "1"]);
    assert!(group.kill(), "there is nothing to kill");
    assert_eq!(read("cgroup.freeze"), "0", "what stands still does not die");
}

#[test]
fn the_counters_of_both_generations_are_read() {
    let first = shown(&[
        ("cpuacct.usage", "7000\n"),
        ("memory.usage_in_bytes", "100\n"),
        ("memory.stat", "inactive_file 1\ntotal_inactive_file 30\n"),
        ("memory.max_usage_in_bytes", "200\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ]);
    let at = (first.path().to_owned(), "x".to_owned());
    let group = Group::First(["cpuacct", "memory"].map(|name| (name.to_owned(), at.clone())).into());
    assert_eq!(group.usage(), Usage { cpu_nanos: 7000, memory_bytes: 70, peak_bytes: 200, ooms: 2 });
    let second = shown(&[
        ("cpu.stat", "usage_usec 7\nuser_usec 1\n"),
        ("memory.current", "100\n"),
        ("memory.stat", "inactive_file 30\n"),
        ("memory.events", "oom 3\noom_kill 1\n"),
    ]);
    let group = Group::Second { folder: second.path().to_owned(), root: second.path().to_owned() };
    assert_eq!(group.usage(), Usage { cpu_nanos: 7000, memory_bytes: 70, peak_bytes: 70, ooms: 1 });
}
