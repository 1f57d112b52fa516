//! The helper alone, for tests and benchmarks of this crate; the worker's program is its own helper.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_none_or(|word| word != hivemind_wasm::HELPER_WORD) {
        eprintln!("this is a part of the worker, which starts it by itself");
        return ExitCode::from(2);
    }
    arguments.remove(0);
    hivemind_wasm::helper_main(&arguments)
}
