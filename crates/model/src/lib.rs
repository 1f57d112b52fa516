//! The words of HiveMind: ids, units, task specifications, states, commands, changes and effects.
//!
//! Every other crate speaks in these types. Start at [`command`] for what can be asked of the
//! pool, at [`rows`] for what it remembers, at [`effect`] for what it tells the outside.
//!
//! Invariant: no clock, no randomness, no I/O, no async, no hash-ordered collections.

pub mod after;
pub mod array;
pub mod churn;
pub mod command;
pub mod economy;
pub mod effect;
pub mod egress;
pub mod ids;
pub mod level;
pub mod network;
pub mod node;
pub mod owner;
pub mod policy;
pub mod rejection;
pub mod resources;
pub mod rows;
pub mod service;
pub mod session;
pub mod spec;
pub mod state;
pub mod text;
pub mod units;
pub mod verify;

pub use array::Indices;
pub use command::{Command, Reply};
pub use effect::Effect;
pub use egress::{Egress, EgressPolicy, Endpoint};
pub use ids::{AttemptRef, ElementRef, NodeId, ProjectId, SessionId, TaskId, UserId};
pub use level::Level;
pub use network::network_of;
pub use node::{Isolation, Kind, Kinds, Label, Labels, TrustTier};
pub use owner::Availability;
pub use policy::Policy;
pub use rejection::{Code, Rejection};
pub use resources::Resources;
pub use session::{Scope, Scopes};
pub use spec::TaskSpec;
pub use state::{Metering, Outcome, TaskState};
pub use units::{Bytes, Cpt, MilliCores, Millis, Timestamp};
