//! Compiles `program/` into one static executable, which the library carries in itself.
//!
//! It has no dependencies, so the compiler alone makes it: no second workspace, no second target folder.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=program");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let program = PathBuf::from(variable("OUT_DIR")).join("guest");
    let status = Command::new(variable("RUSTC"))
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "guest", "--target", &variable("TARGET")])
        .args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols", "-C", "lto=fat"])
        .args(["-C", "codegen-units=1", "-C", "target-feature=+crt-static", "-D", "warnings"])
        .arg("-o")
        .arg(&program)
        .arg("program/main.rs")
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!(
            "the guest program does not compile ({status}); where the linker misses libc.a, install the C library's \
             static files (Debian: libc6-dev)"
        ),
        Err(error) => panic!("the compiler cannot be started: {error}"),
    }
}
