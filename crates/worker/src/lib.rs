//! Agent that runs tasks on one machine.
