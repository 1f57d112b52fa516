//! The `hivemind` command.

use std::ffi::OsString;
use std::process::ExitCode;

/// A pool makes some hundred small objects per task; with the C library's allocator a quarter of
/// its processor time went into making and freeing them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    hivemind_cli::main(&argv)
}
