//! The one program that workers put into containers themselves.
//!
//! [`PROGRAM`] is a static executable for this machine's kind of processor; its source is in `program/`,
//! and `build.rs` compiles it. It keeps a container's namespaces, attacks a runtime from inside, and runs
//! many elements of an array in one container.
//!
//! Invariant: the program has no dependencies; what it prints is a stranger's word to whoever reads it.

#[path = "../program/wire.rs"]
pub mod wire;

/// The executable.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest"));

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn it_is_static_and_runs_where_nothing_else_is() {
        let root = std::env::temp_dir().join(format!("hivemind-guest-{}", std::process::id()));
        std::fs::create_dir(&root).expect("a folder");
        let program = root.join("guest");
        std::fs::write(&program, PROGRAM).expect("written");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        let output = Command::new(&program).env_clear().output().expect("it runs");
        std::fs::remove_dir_all(&root).expect("removed");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: guest"));
    }

    /// The kernel alone starts it: among its program headers (ELF, 64 bits) none names an interpreter.
    #[test]
    fn it_names_no_interpreter() {
        const INTERPRETER: usize = 3;
        let number = |at: usize, bytes: usize| {
            PROGRAM[at..at + bytes].iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte))
        };
        assert_eq!((&PROGRAM[..4], PROGRAM[4], PROGRAM[5]), (&b"\x7fELF"[..], 2, 1));
        let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
        let kinds: Vec<usize> = (0..count).map(|header| number(first + header * size, 4)).collect();
        assert!(!kinds.is_empty() && !kinds.contains(&INTERPRETER), "{kinds:?}");
    }
}
