//! Certificate authority, certificates and TLS settings.
//!
//! Invariant: a private key never leaves the folder it was made in, and no file of one is
//! readable by others.

