//! Typed client of the pool's API.
