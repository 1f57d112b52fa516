//! What modules can do, and how they end.

mod kit;

use hivemind_model::state::Outcome;
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::Job;
use kit::{Kit, doing, module, unpacked};

const EXITED: Outcome = Outcome::Exited { code: 0 };

#[tokio::test]
async fn words_and_codes() {
    let kit = Kit::new();
    let hello = module(
        r#"(data (i32.const 1024) "hello\nworse\n")
           (func (export "_start")
             (call $say (i32.const 1024) (i32.const 6))
             (call $put (i32.const 2) (i32.const 1030) (i32.const 6))
             (call $exit (i32.const 7)))"#,
    );
    let (finished, heard) = kit.run(kit.job(&hello)).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 7 }, "{}", heard.err());
    assert_eq!((heard.out().as_str(), heard.err().as_str()), ("hello\n", "worse\n"));
    assert!(finished.output.is_none() && finished.image_id.starts_with("sha256:"));
    assert!(heard.started.is_cancelled());
}

#[tokio::test]
async fn arguments_and_environment() {
    let kit = Kit::new();
    let echo = doing(
        r#"(drop (call $args_sizes (i32.const 16) (i32.const 20)))
           (drop (call $args (i32.const 4096) (i32.const 8192)))
           (call $say (i32.const 8192) (i32.load (i32.const 20)))
           (drop (call $environ_sizes (i32.const 16) (i32.const 20)))
           (drop (call $environ (i32.const 4096) (i32.const 8192)))
           (call $say (i32.const 8192) (i32.load (i32.const 20)))"#,
    );
    let command = vec!["one".into(), String::new(), "drei \u{e4}".into()];
    let env = vec![("HIVEMIND_ENTRY".into(), "x=y".into()), ("PATH".into(), "/bin".into())];
    let (finished, heard) = kit.run(Job { command, env, ..kit.job(&echo) }).await;
    assert_eq!(finished.outcome, EXITED);
    let expected =
        "module.wasm\0one\0\0drei \u{e4}\0PWD=/task\0HIVEMIND_TASK=task_7\0HIVEMIND_INDEX=3\0HIVEMIND_ENTRY=x=y\0";
    assert_eq!(heard.out(), expected);
}

#[tokio::test]
async fn files_come_in_and_go_out() {
    let kit = Kit::new();
    let copy = module(
        r#"(data (i32.const 1024) "in/data")
           (data (i32.const 1040) "output")
           (data (i32.const 1050) "output/copy")
           (data (i32.const 1070) ".hivemind")
           (data (i32.const 1080) ".hivemind/progress")
           (data (i32.const 1100) "42\n")
           (func (export "_start") (local $in i32) (local $n i32)
             (call $errno (call $open (i32.const 1024) (i32.const 7) (i32.const 0)))
             (local.set $in (call $opened))
             (i32.store (i32.const 0) (i32.const 70000))
             (i32.store (i32.const 4) (i32.const 1000))
             (call $errno (call $fd_read (local.get $in) (i32.const 0) (i32.const 1) (i32.const 20)))
             (local.set $n (i32.load (i32.const 20)))
             (call $errno (call $mkdir (i32.const 3) (i32.const 1040) (i32.const 6)))
             (call $errno (call $open (i32.const 1050) (i32.const 11) (i32.const 9)))
             (call $put (call $opened) (i32.const 70000) (local.get $n))
             (call $put (call $opened) (i32.const 70000) (local.get $n))
             (call $put (local.get $in) (i32.const 70000) (local.get $n))
             (call $errno (call $mkdir (i32.const 3) (i32.const 1070) (i32.const 9)))
             (call $errno (call $open (i32.const 1080) (i32.const 18) (i32.const 9)))
             (call $put (call $opened) (i32.const 1100) (i32.const 3)))"#,
    );
    let input = kit.folder.path().join("input");
    std::fs::write(&input, "text\n").expect("written");
    let files = vec![("in/data".to_owned(), input.clone()), ("in/more".to_owned(), input.clone())];
    let job = Job { files, ..kit.job(&copy) };
    let (finished, heard) = kit.run(job.clone()).await;
    assert_eq!((&finished.outcome, heard.numbers()), (&EXITED, vec![0; 6]));
    assert_eq!(unpacked(&finished), [("copy".to_owned(), "text\ntext\n".to_owned())]);
    assert_eq!(*heard.progress.lock().expect("sound"), [42]);
    assert_eq!(std::fs::read_to_string(&input).expect("read"), "text\n", "an input is copied before it is written to");

    let (finished, _) =
        kit.run(Job { outputs: vec!["in".into(), "none".into(), "output/copy".into()], ..job.clone() }).await;
    let pair = |path: &str, content: &str| (path.to_owned(), content.to_owned());
    let expected = [
        pair("in", ""),
        pair("in/data", "text\ntext\n"),
        pair("in/more", "text\n"),
        pair("output/copy", "text\ntext\n"),
    ];
    assert_eq!(unpacked(&finished), expected);

    let mut small = job;
    small.resources.disk = Bytes(4096);
    let (finished, _) = kit.run(small).await;
    assert!(
        matches!(&finished.outcome, Outcome::CannotStart { reason } if reason.contains("more disk")),
        "{finished:?}"
    );
}

#[tokio::test]
async fn listings_are_in_order_and_nothing_has_a_time() {
    let kit = Kit::new();
    let list = module(
        r#"(data (i32.const 1024) "zab")
           (func (export "_start")
             (drop (call $mkdir (i32.const 3) (i32.const 1024) (i32.const 1)))
             (drop (call $mkdir (i32.const 3) (i32.const 1025) (i32.const 1)))
             (drop (call $mkdir (i32.const 3) (i32.const 1026) (i32.const 1)))
             (call $errno (call $fd_readdir (i32.const 3) (i32.const 70000) (i32.const 4096) (i64.const 0) (i32.const 16)))
             (call $say (i32.const 70000) (i32.load (i32.const 16)))
             (call $errno (call $fd_filestat_get (i32.const 3) (i32.const 80000)))
             (call $say (i32.const 80000) (i32.const 64)))"#,
    );
    let heard = kit.said(&list).await;
    let out = heard.stdout.lock().expect("sound").clone();
    let listing = &out[17..out.len() - 17 - 64];
    let mut names = Vec::new();
    let mut rest = listing;
    while rest.len() >= 24 {
        let length = usize::from(rest[16]);
        names.push((String::from_utf8_lossy(&rest[24..24 + length]).into_owned(), rest[8]));
        rest = &rest[24 + length..];
    }
    let expected = [(".", 1), ("..", 1), ("a", 3), ("b", 4), ("z", 2)].map(|(name, ino)| (name.to_owned(), ino));
    assert_eq!(names, expected);
    assert_eq!(out[out.len() - 24..], [0; 24], "its three times");
}

#[tokio::test]
async fn time_ends_for_all() {
    let kit = Kit::new();
    let (finished, _) = kit.run(Job { max_runtime: Millis(100), ..kit.job(&doing("(loop $l (br $l))")) }).await;
    assert_eq!(finished.outcome, Outcome::TimedOut);
    // An hour of waiting is over at once, and what was there until then is kept.
    let wait = module(
        r#"(data (i32.const 1024) "output")
           (func (export "_start")
             (drop (call $mkdir (i32.const 3) (i32.const 1024) (i32.const 6)))
             (drop (call $open (i32.const 1024) (i32.const 6) (i32.const 2)))
             (call $errno (call $path_open (call $opened) (i32.const 0) (i32.const 1024) (i32.const 3) (i32.const 1)
               (i64.const 0x3fffffff) (i64.const 0) (i32.const 0) (i32.const 12)))
             (i32.store (i32.const 4112) (i32.const 1))
             (i64.store (i32.const 4120) (i64.const 3600000000000))
             (call $errno (call $poll (i32.const 4096) (i32.const 8192) (i32.const 1) (i32.const 16))))"#,
    );
    let (finished, heard) = kit.run(kit.job(&wait)).await;
    assert_eq!((&finished.outcome, heard.numbers()), (&Outcome::TimedOut, vec![0]));
    assert_eq!(unpacked(&finished), [("out".to_owned(), String::new())]);
    let (finished, heard) = kit.run(Job { max_runtime: Millis(4_000_000), ..kit.job(&wait) }).await;
    assert_eq!((&finished.outcome, heard.numbers()), (&EXITED, vec![0, 0]));
}

#[tokio::test]
async fn memory_ends_for_all() {
    let kit = Kit::new();
    let refused = |what: &str| doing(&format!("{what} unreachable"));
    for hog in [
        refused("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))"),
        refused("(drop (memory.grow (i32.const 65535)))"),
        refused("(drop (memory.grow (i32.const 70000)))"),
        module(r#"(table 10000000 funcref) (func (export "_start"))"#),
        module(r#"(memory 2000) (func (export "_start"))"#),
    ] {
        let (finished, heard) = kit.run(kit.job(&hog)).await;
        assert_eq!(finished.outcome, Outcome::OutOfMemory, "{}", heard.err());
    }
    // Who takes the refusal well goes on, and what is allowed can be used.
    let most = doing(
        r"(call $errno (memory.grow (i32.const 1021)))
          (call $errno (memory.grow (i32.const 1020)))
          (memory.fill (i32.const 65536) (i32.const 1) (i32.const 67043328))",
    );
    let (finished, heard) = kit.run(kit.job(&most)).await;
    assert_eq!((&finished.outcome, heard.numbers()), (&EXITED, vec![0xffff_ffff, 4]));
    assert!(finished.metering.peak_memory >= Bytes::from_mib(63), "{:?}", finished.metering);
}

#[tokio::test]
async fn traps_have_a_code_and_a_line() {
    let kit = Kit::new();
    for (body, word) in [
        (r#"(func (export "_start") unreachable)"#, "unreachable"),
        (r#"(func (export "_start") (drop (i32.div_u (i32.const 1) (i32.const 0))))"#, "divide by zero"),
        (r#"(func (export "_start") (drop (i32.load (i32.const -8))))"#, "out of bounds memory"),
        (r#"(func $r (export "_start") (call $r) (call $say (i32.const 0) (i32.const 0)))"#, "stack exhausted"),
        (r#"(func $f unreachable) (start $f) (func (export "_start"))"#, "unreachable"),
    ] {
        let (finished, heard) = kit.run(kit.job(&module(body))).await;
        assert_eq!(finished.outcome, Outcome::Exited { code: 134 }, "{body}");
        assert!(heard.err().contains(word) && heard.err().lines().count() == 1, "{}", heard.err());
    }
}

#[tokio::test]
async fn a_great_deal_of_output_arrives_whole() {
    let kit = Kit::new();
    let spew = doing(
        r"(local $i i32)
          (memory.fill (i32.const 65536) (i32.const 120) (i32.const 131072))
          (loop $l
            (call $say (i32.const 65536) (i32.const 131072))
            (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 256))))",
    );
    let heard = kit.said(&spew).await;
    let out = heard.stdout.lock().expect("sound");
    assert_eq!(out.len(), 32 << 20);
    assert!(out.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn no_path_leads_out() {
    const NOTCAPABLE: u64 = 76;
    let kit = Kit::new();
    let attempt = module(
        r#"(data (i32.const 1024) "../etc/passwd")
           (data (i32.const 1040) "/etc/passwd")
           (data (i32.const 1060) "a/../../etc/passwd")
           (data (i32.const 1080) "..")
           (data (i32.const 1090) "link")
           (data (i32.const 1100) "/proc/self/exe")
           (func (export "_start")
             (drop (call $mkdir (i32.const 3) (i32.const 1060) (i32.const 1)))
             (call $errno (call $open (i32.const 1024) (i32.const 13) (i32.const 0)))
             (call $errno (call $open (i32.const 1040) (i32.const 11) (i32.const 0)))
             (call $errno (call $open (i32.const 1060) (i32.const 18) (i32.const 0)))
             (call $errno (call $open (i32.const 1080) (i32.const 2) (i32.const 2)))
             (call $errno (call $open (i32.const 1100) (i32.const 14) (i32.const 0)))
             (call $errno (call $rename (i32.const 3) (i32.const 1060) (i32.const 1) (i32.const 3) (i32.const 1024) (i32.const 4)))
             (call $errno (call $symlink (i32.const 1040) (i32.const 11) (i32.const 3) (i32.const 1090) (i32.const 4)))
             (call $errno (call $link (i32.const 3) (i32.const 0) (i32.const 1040) (i32.const 11) (i32.const 3) (i32.const 1090) (i32.const 4)))
             (call $errno (call $open (i32.const 1090) (i32.const 4) (i32.const 0)))
             (call $errno (call $open (i32.const -8) (i32.const 100) (i32.const 0))))"#,
    );
    let heard = kit.said(&attempt).await;
    let mut expected = vec![NOTCAPABLE; 6];
    expected.extend([58, 58, 44, 21]);
    assert_eq!(heard.numbers(), expected);
}

#[tokio::test]
async fn descriptors_and_files_are_bounded() {
    let kit = Kit::new();
    let open = module(
        r#"(data (i32.const 1024) "f")
           (func (export "_start") (local $n i32) (local $e i32)
             (loop $l
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $l (i32.eqz (local.tee $e (call $open (i32.const 1024) (i32.const 1) (i32.const 1))))))
             (call $errno (local.get $n))
             (call $errno (local.get $e)))"#,
    );
    assert_eq!(kit.said(&open).await.numbers(), [1020, 33]);
    // Names of eight digits, until there is no room for more.
    let make = module(
        r#"(func (export "_start") (local $n i64) (local $e i32)
             (loop $l
               (local.set $n (i64.add (local.get $n) (i64.const 1)))
               (i64.store (i32.const 1024) (i64.or (local.get $n) (i64.const 0x4040404000000000)))
               (i32.store (i32.const 1024) (i32.add
                 (i32.and (i32.wrap_i64 (local.get $n)) (i32.const 0x7f))
                 (i32.add
                   (i32.shl (i32.and (i32.wrap_i64 (i64.shr_u (local.get $n) (i64.const 7))) (i32.const 0x3f)) (i32.const 8))
                   (i32.add
                     (i32.shl (i32.and (i32.wrap_i64 (i64.shr_u (local.get $n) (i64.const 13))) (i32.const 0x3f)) (i32.const 16))
                     (i32.const 0x40404000)))))
               (i32.store8 (i32.const 1028) (i32.const 65))
               (if (i32.lt_u (i32.load8_u (i32.const 1024)) (i32.const 48)) (then
                 (i32.store8 (i32.const 1028) (i32.const 66))
                 (i32.store8 (i32.const 1024) (i32.add (i32.load8_u (i32.const 1024)) (i32.const 48)))))
               (local.set $e (call $mkdir (i32.const 3) (i32.const 1024) (i32.const 5)))
               (br_if $l (i32.or (i32.eqz (local.get $e)) (i32.eq (local.get $e) (i32.const 20)))))
             (call $errno (local.get $e)))"#,
    );
    assert_eq!(kit.said(&make).await.numbers(), [51]);
}

#[tokio::test]
async fn a_thousand_inputs_and_paths_of_every_kind() {
    let kit = Kit::new();
    let input = kit.folder.path().join("input");
    std::fs::write(&input, "x").expect("written");
    let files = (0..1000).map(|n| (format!("output/{n:03}"), input.clone())).collect();
    // One name that nobody could unpack, and one that comes first by text but not by path.
    let make = module(
        r#"(data (i32.const 1024) "output/a\nb")
           (data (i32.const 1040) "output-")
           (func (export "_start")
             (call $errno (call $mkdir (i32.const 3) (i32.const 1024) (i32.const 10)))
             (call $errno (call $mkdir (i32.const 3) (i32.const 1040) (i32.const 7))))"#,
    );
    let mut job = Job { files, outputs: vec!["output-".into(), "output".into()], ..kit.job(&make) };
    let (finished, heard) = kit.run(job.clone()).await;
    assert_eq!((&finished.outcome, heard.numbers()), (&EXITED, vec![0, 0]), "{}", heard.err());
    assert!(heard.err().starts_with("hivemind: 1 outputs left out"), "{}", heard.err());
    let paths: Vec<String> = unpacked(&finished).into_iter().map(|(path, _)| path).collect();
    assert_eq!((paths.len(), paths[0].as_str(), paths[1].as_str()), (1002, "output", "output/000"));
    assert_eq!(paths[1001], "output-");
    job.outputs = vec!["nothing".into()];
    assert!(kit.run(job).await.0.output.is_none());
}

#[tokio::test]
async fn files_are_read_and_written_anywhere() {
    let kit = Kit::new();
    let anywhere = module(
        r#"(data (i32.const 1024) "f")
           (data (i32.const 1030) "0123456789")
           (func (export "_start")
             (call $errno (call $open (i32.const 1024) (i32.const 1) (i32.const 5)))
             (call $put (call $opened) (i32.const 1030) (i32.const 10))
             (call $errno (call $tell (i32.const 5) (i32.const 16)))
             (call $number (i64.load (i32.const 16)))
             ;; Five bytes behind the end, which leaves a hole.
             (call $errno (call $seek (i32.const 5) (i64.const 5) (i32.const 2) (i32.const 16)))
             (call $number (i64.load (i32.const 16)))
             (call $put (i32.const 5) (i32.const 1030) (i32.const 1))
             (call $errno (call $seek (i32.const 5) (i64.const -17) (i32.const 1) (i32.const 16)))
             (i32.store (i32.const 0) (i32.const 1031))
             (i32.store (i32.const 4) (i32.const 2))
             (call $errno (call $pwrite (i32.const 5) (i32.const 0) (i32.const 1) (i64.const 7) (i32.const 20)))
             (i32.store (i32.const 0) (i32.const 70000))
             (i32.store (i32.const 4) (i32.const 100))
             (call $errno (call $pread (i32.const 5) (i32.const 0) (i32.const 1) (i64.const 6) (i32.const 20)))
             (call $errno (i32.load (i32.const 20)))
             (call $number (i64.load (i32.const 70000)))
             ;; Only new: it is there. As a folder: it is none. Without its name it lives on.
             (call $errno (call $open (i32.const 1024) (i32.const 1) (i32.const 5)))
             (call $errno (call $open (i32.const 1024) (i32.const 1) (i32.const 2)))
             (call $errno (call $unlink (i32.const 3) (i32.const 1024) (i32.const 1)))
             (call $errno (call $unlink (i32.const 3) (i32.const 1024) (i32.const 1)))
             (call $errno (call $set_size (i32.const 5) (i64.const 3)))
             (call $errno (call $renumber (i32.const 5) (i32.const 0)))
             (call $errno (call $fd_close (i32.const 5)))
             (call $errno (call $seek (i32.const 0) (i64.const 0) (i32.const 2) (i32.const 16)))
             (call $number (i64.load (i32.const 16)))
             (call $errno (call $fd_close (i32.const 0)))
             (call $errno (call $fd_close (i32.const 0)))
             (call $errno (call $fd_close (i32.const -1)))
             (call $errno (call $seek (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 16))))"#,
    );
    let text = u64::from_le_bytes(*b"6129\0\0\0\0");
    let expected = [0, 0, 10, 0, 15, 28, 0, 0, 10, text, 20, 54, 0, 44, 0, 0, 8, 0, 3, 0, 8, 8, 70];
    assert_eq!(kit.said(&anywhere).await.numbers(), expected);
}
