//! Tests of the engine as its caller sees it: commands in, batches out, and a restart after each.

mod after;
mod avail;
mod backlog;
mod brake;
mod economy;
mod explain;
mod fixture;
mod guarded;
mod life;
mod million;
mod money;
mod nodes;
mod panels;
mod patience;
mod poison;
mod policies;
mod projects;
mod random;
mod service;
mod sessions;
mod sharing;
mod standing;
mod unknown;
mod verify;
