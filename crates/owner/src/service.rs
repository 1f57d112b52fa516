//! The worker as a service of systemd.
//!
//! [`Notifier`] tells systemd that the worker is ready and alive; [`unit`] is the text of its unit, [`install`] and
//! [`uninstall`] are what has to be done for it, step by step, and [`carry_out`] does them.
//!
//! Invariant: a plan changes nothing; only [`carry_out`] does.

mod notify;
mod steps;
mod unit;

pub use notify::Notifier;
pub use steps::{Failed, Step, carry_out, install, run, uninstall};
pub use unit::{BadUnit, NAME, unit};
