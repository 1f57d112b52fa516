//! What needs no pool: tokens and credentials.

use crate::profile::{Credentials, Profile};
use crate::{ClientError, join_token_peek};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hivemind_model::Timestamp;
use std::os::unix::fs::PermissionsExt;

fn token(payload: &str) -> String {
    format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload))
}

#[test]
fn a_join_token_tells_where_the_pool_is() {
    let ca = "ab".repeat(32);
    let good = token(&format!(
        r#"{{"typ":"join","aud":"hivemind:join","exp":1700000000,"jti":"x","sub":"user_1","srv":"https://pool:7700","ca":"{ca}"}}"#
    ));
    let claims = join_token_peek(&format!(" {good}\n")).expect("a join token");
    assert_eq!(
        (claims.server.as_str(), claims.ca_hash, claims.expires_at),
        ("https://pool:7700", [0xab; 32], Timestamp(1_700_000_000_000))
    );
}

#[test]
fn what_is_no_join_token_is_told() {
    let ca = "ab".repeat(32);
    for bad in [
        String::new(),
        "a.b".into(),
        "a.b.c.d".into(),
        "e30.!!!.c2ln".into(),
        token("not json"),
        token(r#"{"typ":"user","exp":1,"srv":"https://p:1"}"#),
        token(&format!(r#"{{"typ":"join","exp":1,"srv":"http://p:1","ca":"{ca}"}}"#)),
        token(&format!(r#"{{"typ":"join","srv":"https://p:1","ca":"{ca}"}}"#)),
        token(r#"{"typ":"join","exp":1,"srv":"https://p:1","ca":"abcd"}"#),
        "x".repeat(10_000),
    ] {
        let error = join_token_peek(&bad).expect_err("no join token");
        assert!(matches!(&error, ClientError::Invalid { what, .. } if what == "the join token"), "{error}");
    }
}

fn credentials() -> Credentials {
    Credentials {
        server: "https://pool:7700".into(),
        ca_pem: "-----BEGIN\nlines\n".into(),
        username: "ada".into(),
        token: "secret-token".into(),
        token_expires_at_unix_ms: 1000,
    }
}

#[test]
fn credentials_are_remembered_for_nobody_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let profile = Profile::at(dir.path().join("deep/hivemind/credentials.toml"));
    assert_eq!(profile.load().expect("read"), None);
    profile.clear().expect("nothing to forget");
    profile.save(&credentials()).expect("saved");
    assert_eq!(profile.load().expect("read"), Some(credentials()));
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(profile.path()), 0o600);
    assert_eq!(mode(profile.path().parent().expect("a folder")), 0o700);
    profile.clear().expect("forgotten");
    assert_eq!(profile.load().expect("read"), None);
    assert!(!format!("{:?}", credentials()).contains("secret-token"));
}

#[test]
fn a_spoilt_file_is_told_without_its_content() {
    let dir = tempfile::tempdir().expect("a folder");
    let profile = Profile::at(dir.path().join("credentials.toml"));
    std::fs::write(profile.path(), "token = secret-token").expect("written");
    let error = profile.load().expect_err("no credentials");
    assert!(!error.to_string().contains("secret-token") && error.to_string().contains("log in again"), "{error}");
}

#[test]
fn a_token_that_has_ended_is_a_login() {
    assert_eq!(credentials().token_at(Timestamp(999)).expect("valid"), "secret-token");
    for (credentials, at) in [(credentials(), 1000), (Credentials { token: String::new(), ..credentials() }, 0)] {
        let error = credentials.token_at(Timestamp(at)).expect_err("no login");
        assert!(matches!(error, ClientError::Login { .. }), "{error}");
    }
}
