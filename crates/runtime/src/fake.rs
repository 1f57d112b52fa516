//! A runtime without containers, for tests and benchmarks.
