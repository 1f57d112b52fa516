//! A runtime of its own for containers, without a daemon.
