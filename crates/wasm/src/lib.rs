//! A runtime for WebAssembly modules whose results are equal on every machine.
