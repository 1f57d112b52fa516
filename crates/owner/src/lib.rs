//! Whether a machine may work now: its owner comes first.
//!
//! [`sensors::Sensors`] looks at the machine, [`Decider`] says what follows from the owner's [`Preferences`],
//! [`Share`] holds what runs within its part of the machine. The worker joins them: look, decide, obey, and look again
//! after [`Decision::look_again`]. Start at [`rules`]; [`machine`] and [`benchmark`] only measure, and [`service`] makes the
//! worker a service of systemd.
//!
//! Invariant: nothing here knows the pool, starts a task, or keeps what an owner types.

pub mod benchmark;
pub mod clock;
pub mod hours;
pub mod machine;
pub mod preferences;
pub mod reason;
pub mod rules;
pub mod sensors;
pub mod service;
pub mod share;

pub use clock::Moment;
pub use machine::{GpuUsage, Machine, MachineUsage};
pub use preferences::{BadPreferences, Mode, Preferences};
pub use reason::Reason;
pub use rules::{Decider, Decision, Observation, Power};
pub use sensors::{Ours, Sensors};
pub use share::{Capacity, Driver, NoShare, Share};
