//! Tests of the engine as its caller sees it: commands in, batches out, and a restart after each.

mod backlog;
mod brake;
mod economy;
mod explain;
mod fixture;
mod guarded;
mod life;
mod money;
mod nodes;
mod poison;
mod policies;
mod projects;
mod random;
mod service;
mod sharing;
mod standing;
mod unknown;
