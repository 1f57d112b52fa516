//! Chooses nodes for waiting work, with reasons.
