//! Writes the document of the API to standard output: `cargo run -p hivemind-master --bin hivemind-openapi > docs/openapi.json`.
//!
//! Invariant: it asks no pool.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let document = hivemind_master::document::json()?;
    std::io::stdout().write_all(document.as_bytes())
}
