//! Whether a machine may work now: its owner comes first.
