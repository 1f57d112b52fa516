//! The helper of the built-in runtime as a program of its own, for tests and examples.

use std::process::ExitCode;

fn main() -> ExitCode {
    hivemind_oci::helper_main(std::env::args_os().skip(1))
}
