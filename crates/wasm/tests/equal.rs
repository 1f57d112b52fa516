//! The same job gives the same bytes, whoever runs it, whenever, and whatever else runs.

mod kit;

use hivemind_model::state::Outcome;
use hivemind_model::{ElementRef, TaskId};
use hivemind_runtime::Job;
use kit::{Kit, doing, module};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks for everything that could differ: clocks, chance, listings, descriptors, NaN, and how deep calls go.
fn curious() -> Vec<u8> {
    module(
        r#"(data (i32.const 1024) "output")
           (data (i32.const 1040) "output/result")
           (global $deep (mut i32) (i32.const 0))
           (func $clocks
             (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 16)))
             (call $number (i64.load (i32.const 16)))
             (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16)))
             (call $number (i64.load (i32.const 16))))
           (func $down (param $n i32) (result i32)
             (global.set $deep (local.get $n))
             (if (result i32) (i32.eqz (local.get $n))
               (then (i32.const 1))
               (else (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1)))))))
           (func (export "_start") (local $i i32) (local $x f64)
             (call $clocks)
             (drop (call $random (i32.const 70000) (i32.const 64)))
             (call $say (i32.const 70000) (i32.const 64))
             (call $number (i64.extend_i32_u (i32.reinterpret_f32 (f32.div (f32.const 0) (f32.const 0)))))
             (call $number (i64.reinterpret_f64 (f64.sqrt (f64.const -1))))
             (call $number (i64.reinterpret_f64 (f64.add (f64.const nan:0x123) (f64.const 1))))
             (local.set $x (f64.const 1.1))
             (loop $l
               (local.set $x (f64.sqrt (f64.add (f64.mul (local.get $x) (f64.const 1.7)) (f64.const 0.3))))
               (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
             (call $number (i64.reinterpret_f64 (local.get $x)))
             (call $errno (call $down (i32.const 10000)))
             (drop (call $mkdir (i32.const 3) (i32.const 1024) (i32.const 6)))
             (drop (call $open (i32.const 1040) (i32.const 13) (i32.const 1)))
             (call $put (call $opened) (i32.const 70000) (i32.const 64))
             (drop (call $fd_readdir (i32.const 3) (i32.const 70000) (i32.const 4096) (i64.const 0) (i32.const 16)))
             (call $say (i32.const 70000) (i32.load (i32.const 16)))
             (call $clocks))"#,
    )
}

/// Everything that a requester gets, as one digest.
async fn result(kit: &Kit, job: Job) -> String {
    let (finished, heard) = kit.run(job).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", heard.err());
    let output = finished.output.expect("an output");
    let digest = Sha256::new()
        .chain_update(&*heard.stdout.lock().expect("sound"))
        .chain_update(std::fs::read(output.path()).expect("read"))
        .finalize();
    hex::encode(digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_under_load() {
    let (one, other) = (Kit::new(), Kit::new());
    let module = curious();
    let expected = result(&one, one.job(&module)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let burners: Vec<_> = (0..3)
        .map(|_| {
            let is_over = is_over.clone();
            std::thread::spawn(move || while !is_over.load(Ordering::Relaxed) {})
        })
        .collect();
    let runs = (1..=6).map(|number| {
        let kit = if number % 2 == 0 { &one } else { &other };
        let mut job = kit.job(&module);
        // Copies and later tries have other numbers.
        job.attempt.number = number;
        result(kit, job)
    });
    let results = futures::future::join_all(runs).await;
    is_over.store(true, Ordering::Relaxed);
    for burner in burners {
        burner.join().expect("ended");
    }
    assert!(results.iter().all(|result| *result == expected), "{expected} {results:?}");
}

/// What [`curious`] gives under this profile.
const RESULT: &str = "3ff6a027d0ba92c5742cffbc732b5572f5a9e147ffa41908f57302fc5ef07c2e";

/// The figures are part of the promise: another processor, system or build must give them too.
#[tokio::test]
async fn on_every_machine() {
    let kit = Kit::new();
    assert_eq!(result(&kit, kit.job(&curious())).await, RESULT);
}

#[tokio::test]
async fn elements_differ() {
    let kit = Kit::new();
    let module = curious();
    let mut results = Vec::new();
    for (task, index) in [(7, 3), (7, 4), (8, 3)] {
        let attempt = ElementRef { task: TaskId(task), index }.attempt(1);
        results.push(result(&kit, Job { attempt, ..kit.job(&module) }).await);
    }
    assert!(results[0] != results[1] && results[0] != results[2] && results[1] != results[2]);
}

#[tokio::test]
async fn numbers_that_are_none_have_one_form() {
    let kit = Kit::new();
    let heard = kit
        .said(&doing(
            r"(call $errno (i32.reinterpret_f32 (f32.div (f32.const 0) (f32.const 0))))
              (call $errno (i32.reinterpret_f32 (f32.mul (f32.const nan:0x1) (f32.const -1))))
              (call $number (i64.reinterpret_f64 (f64.sub (f64.const inf) (f64.const inf))))",
        ))
        .await;
    assert_eq!(heard.numbers(), [0x7fc0_0000, 0x7fc0_0000, 0x7ff8_0000_0000_0000]);
}

#[tokio::test]
async fn the_clock_begins_in_2020_and_only_runs_forward() {
    let kit = Kit::new();
    let heard = kit
        .said(&doing(
            r"(drop (call $clock (i32.const 0) (i64.const 0) (i32.const 16)))
              (call $number (i64.load (i32.const 16)))
              (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 16)))
              (call $number (i64.load (i32.const 16)))",
        ))
        .await;
    let numbers = heard.numbers();
    assert_eq!(numbers[0] / 1_000_000, 1_577_836_800_000);
    assert!(numbers[1] > numbers[0]);
}
