//! What is not run, and says why.

mod kit;

use hivemind_model::state::Outcome;
use hivemind_runtime::{Image, Job};
use kit::{Kit, doing};

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let kit = Kit::new();
    let text = |text: &str| wat::parse_str(text).expect("a module");
    for (bytes, word) in [
        (b"\0asm\x0d\0\x01\0".to_vec(), "component"),
        (b"#!/bin/sh\n".to_vec(), "no WebAssembly"),
        (Vec::new(), "no WebAssembly"),
        (b"\0asm\x01\0\0\0\x03".to_vec(), "not valid"),
        (text(r#"(module (memory (export "memory") 1))"#), "no `_start`"),
        (text(r#"(module (func (export "_start")))"#), "no `memory`"),
        (text(r#"(module (func (export "_start") (param i32)) (memory (export "memory") 1))"#), "without parameters"),
        (text(r#"(module (func (export "_initialize")) (memory (export "memory") 1))"#), "library"),
        (text(r#"(module (import "env" "x" (func)) (func (export "_start")) (memory (export "memory") 1))"#), "`env`"),
        (
            text(
                r#"(module (import "wasi_snapshot_preview1" "fd_close" (func)) (func (export "_start")) (memory (export "memory") 1))"#,
            ),
            "imports",
        ),
        (text(r#"(module (memory (export "memory") 1 1 shared) (func (export "_start")))"#), "not valid"),
        (text(r#"(module (memory (export "memory") i64 1) (func (export "_start")))"#), "not valid"),
    ] {
        for _ in 0..2 {
            let (finished, _) = kit.run(kit.job(&bytes)).await;
            assert!(
                matches!(&finished.outcome, Outcome::BadImage { reason } if reason.contains(word)),
                "{word}: {:?}",
                finished.outcome
            );
        }
    }
    let egress = hivemind_model::Egress::parse(&["example.org:443"]).expect("egress");
    let hello = doing("");
    for job in [
        Job { egress, ..kit.job(&hello) },
        Job { image: Image::Named("alpine".into()), ..kit.job(&hello) },
        Job { kind: hivemind_model::Kind::Container, ..kit.job(&hello) },
        Job { files: vec![("../x".into(), "/dev/null".into())], ..kit.job(&hello) },
    ] {
        let (finished, _) = kit.run(job).await;
        assert!(matches!(&finished.outcome, Outcome::BadImage { .. }), "{:?}", finished.outcome);
    }
}

/// A module of one section after the other, as bytes.
fn sections(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in parts {
        bytes.push(*id);
        bytes.extend(number(content.len()));
        bytes.extend(content);
    }
    bytes
}

fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[tokio::test]
async fn modules_that_harm_a_compiler_harm_nothing_else() {
    let kit = Kit::new();
    let types = (1, vec![1, 0x60, 0, 0]);
    let count = 200_001;
    let many = sections(&[types.clone(), (3, [number(count), vec![0; count]].concat())]);
    let (finished, _) = kit.run(kit.job(&many)).await;
    assert!(matches!(&finished.outcome, Outcome::BadImage { reason } if reason.contains("functions")), "{finished:?}");

    let depth = 20_000;
    let body = [vec![0], [2, 0x40].repeat(depth), vec![0x0b; depth + 1]].concat();
    let code = [number(1), number(body.len()), body].concat();
    let exports = [vec![2, 6], b"_start".to_vec(), vec![0, 0, 6], b"memory".to_vec(), vec![2, 0]].concat();
    let deep = sections(&[types, (3, vec![1, 0]), (5, vec![1, 0, 1]), (7, exports), (10, code)]);
    let (finished, _) = kit.run(kit.job(&deep)).await;
    assert!(matches!(&finished.outcome, Outcome::BadImage { .. } | &Outcome::Exited { code: 0 }), "{finished:?}");
}
