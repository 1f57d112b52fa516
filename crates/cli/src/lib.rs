//! The hivemind command.
