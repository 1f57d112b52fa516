//! Seeded simulator of the whole pool.
