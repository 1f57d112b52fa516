//! Repository chores: fences, fixtures.
