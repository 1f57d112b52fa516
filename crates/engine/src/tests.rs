//! Tests of the engine as its caller sees it: commands in, batches out, and a restart after each.

mod fixture;
mod life;
mod money;
mod nodes;
mod random;
