use super::{authority, names, now};
use crate::{Authority, PkiError, validity, write_private};
use std::fs::{Permissions, read_dir, read_to_string, remove_file, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o777
}

#[test]
fn an_authority_is_founded_once_and_found_again() {
    let (dir, first) = authority();
    let again = Authority::open(dir.path(), now()).expect("the same authority");
    assert_eq!(again.ca_hash(), first.ca_hash());
    assert_eq!(again.ca_pem(), first.ca_pem());
    let (from, until) = validity(first.ca_pem()).expect("a certificate");
    assert_eq!(until.since(from).secs(), 3650 * 24 * 3600 + 60);
}

#[test]
fn keys_are_readable_by_nobody_else() {
    let (dir, _) = authority();
    assert_eq!(mode(&dir.path().join("keys")), 0o700);
    assert_eq!(mode(&dir.path().join("keys/ca.key")), 0o600);
    assert_eq!(mode(&dir.path().join("ca.pem")), 0o644);
    let own = dir.path().join("node.key");
    write_private(&own, b"one").expect("written");
    set_permissions(&own, Permissions::from_mode(0o644)).expect("changed");
    write_private(&own, b"two").expect("written again");
    assert_eq!((mode(&own), read_to_string(&own).expect("readable").as_str()), (0o600, "two"));
    let left = read_dir(dir.path())
        .expect("a folder")
        .filter(|entry| entry.as_ref().expect("an entry").file_name().to_string_lossy().ends_with(".tmp"))
        .count();
    assert_eq!(left, 0);
}

#[test]
fn an_exposed_key_is_refused() {
    let (dir, _) = authority();
    set_permissions(dir.path().join("keys/ca.key"), Permissions::from_mode(0o640)).expect("changed");
    let refused = Authority::open(dir.path(), now()).expect_err("an exposed key");
    assert!(matches!(refused, PkiError::Exposed { mode: 0o640, .. }), "{refused}");
}

#[test]
fn a_missing_key_is_told_and_nothing_is_made_anew() {
    let (dir, _) = authority();
    remove_file(dir.path().join("keys/ca.key")).expect("removed");
    let refused = Authority::open(dir.path(), now()).expect_err("no key");
    assert!(matches!(refused, PkiError::Incomplete { .. }), "{refused}");
    assert!(!dir.path().join("keys/ca.key").exists());
}

#[test]
fn a_missing_certificate_is_restored_from_beside_its_key() {
    let (dir, first) = authority();
    remove_file(dir.path().join("ca.pem")).expect("removed");
    let again = Authority::open(dir.path(), now()).expect("the same authority");
    assert_eq!(again.ca_hash(), first.ca_hash());
    assert_eq!(read_to_string(dir.path().join("ca.pem")).expect("restored"), first.ca_pem());
}

#[test]
fn a_key_without_any_certificate_is_told() {
    let (dir, _) = authority();
    let key = dir.path().join("keys/ca.key");
    let text = read_to_string(&key).expect("readable");
    let end = text.find("-----BEGIN CERTIFICATE").expect("its certificate");
    write_private(&key, &text.as_bytes()[..end]).expect("written");
    assert!(Authority::open(dir.path(), now()).is_ok(), "a key alone is enough beside ca.pem");
    remove_file(dir.path().join("ca.pem")).expect("removed");
    let refused = Authority::open(dir.path(), now()).expect_err("no certificate");
    assert!(matches!(refused, PkiError::Incomplete { .. }), "{refused}");
}

#[test]
fn files_that_are_no_pair_are_refused() {
    let (dir, _) = authority();
    let (_other_dir, other) = authority();
    write(dir.path().join("ca.pem"), other.ca_pem()).expect("written");
    let refused = Authority::open(dir.path(), now()).expect_err("no pair");
    assert!(matches!(refused, PkiError::Mismatch { .. }), "{refused}");
    for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        write(dir.path().join("ca.pem"), text).expect("written");
        let refused = Authority::open(dir.path(), now()).expect_err("no certificate");
        assert!(matches!(refused, PkiError::Malformed { .. }), "{text:?}: {refused}");
    }
}

#[test]
fn names_that_cannot_be_in_a_certificate_are_refused() {
    let (_dir, authority) = authority();
    for name in ["", "a b", "https://host", "host:7700", "*"] {
        let refused = authority.issue_server(&[name.to_owned()], now()).expect_err("a bad name");
        assert!(matches!(refused, PkiError::BadName { .. }), "{name:?}: {refused}");
    }
    assert!(authority.issue_server(&[], now()).is_err());
    for name in ["localhost", "Pool.Example.org", "10.0.0.1", "::1", "[::1]"] {
        authority.issue_server(&[name.to_owned()], now()).expect(name);
    }
    authority.issue_server(&[names(), names()].concat(), now()).expect("a name may be given twice");
}
