//! Everything that one process can try alone and in a moment.
//!
//! Invariant: the order matters only in that what gives up rights comes last.

use super::{Options, Report, escape, identity, limits, network};

/// Runs them all.
pub fn run(report: &mut Report, options: &Options<'_>) {
    identity::user(report);
    identity::capabilities(report);
    identity::system_calls(report);
    identity::processes(report);
    identity::own_names(report);
    limits::open_files(report);
    limits::swap(report, options);
    limits::tmp(report);
    network::run(report, options);
    escape::run(report, options);
    identity::root(report);
    identity::setuid(report);
    identity::new_users(report);
}
