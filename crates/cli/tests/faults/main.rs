//! Real processes, killed without warning: nothing lost, nothing paid twice, the books balance.

mod docker;
mod pool;
mod work;
mod worker;
