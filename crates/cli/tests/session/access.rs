//! API keys and sessions, as their users see them.

use crate::program::Up;
use std::fs;

#[test]
fn a_script_works_with_a_key_until_it_is_revoked() {
    let up = Up::start();
    let ann = up.user("ann");
    ann.ok(&["register", "ann", "--email", "ann@example.org"]);
    let told = ann.says(&["keys", "list"]);
    assert!(told.code == 0 && told.err.contains("hivemind keys create"), "{}", told.err);
    let made = ann.says(&["keys", "create", "nightly \u{1b}[31m", "--scope", "tasks:read"]);
    assert_eq!(made.code, 2, "a control character is no name: {}", made.err);

    let made = ann.says(&["keys", "create", "nightly", "--scope", "tasks:read", "--scope", "wallet:read"]);
    assert!(made.code == 0 && made.err.contains("the only time"), "{}", made.err);
    let key = made.out.trim();
    let id = key.rsplit_once('_').unwrap().0;
    let file = up.path("key");
    fs::write(&file, &made.out).unwrap();
    let script = up.user("script");
    let file = file.to_str().unwrap();
    assert_eq!(script.ok(&["--token-file", file, "wallet", "balance", "-q"]), "150.00\n");
    let refused = script.says(&["--token-file", file, "submit", "bb:1", "true"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("tasks:write") && !refused.err.contains(key), "{}", refused.err);

    let listed = ann.json(&["keys", "list"]);
    assert_eq!((listed["schema"].as_str(), listed["keys"][0]["key_id"].as_str()), (Some("hivemind.keys/1"), Some(id)));
    assert_eq!(listed["keys"][0]["scopes"], serde_json::json!(["tasks:read", "wallet:read"]));
    assert!(ann.ok(&["keys", "list"]).starts_with("KEY "));
    assert_eq!(ann.ok(&["keys", "list", "-q"]).trim(), id);
    ann.ok(&["keys", "revoke", id]);
    assert_eq!(script.says(&["--token-file", file, "wallet", "balance"]).code, 4);
    let again = ann.says(&["keys", "revoke", id]);
    assert!(again.code == 3 && again.err.contains("keys list"), "{}", again.err);

    assert!(ann.says(&["sessions", "list"]).err.contains("no browser"));
    let none = ann.says(&["sessions", "end", "sess_99"]);
    assert!(none.code == 3 && none.err.contains("sessions list"), "{}", none.err);
}
