//! The committed document is the one that the code makes.

use std::path::Path;

const RENEW: &str = "docs/openapi.json is not what the code makes; renew it: \
    cargo run -p hivemind-master --bin hivemind-openapi > docs/openapi.json";

#[test]
fn the_committed_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = hivemind_master::document::json().unwrap();
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{RENEW}");
}
