use super::*;

fn global(data: &Path) -> Global {
    Global { data: Some(data.to_owned()), ..Global::default() }
}

fn session() -> Session {
    Session { token: "t".into(), expires_at: Timestamp(i64::MAX) }
}

#[test]
fn an_unknown_pool_is_refused_with_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let failure = Route::find(&global(dir.path())).unwrap_err();
    assert_eq!(failure.code, "E_NO_CA");
    assert!(failure.fix.contains("--ca"));
}

#[test]
fn a_local_pool_needs_no_flags() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.pem"), "local").unwrap();
    let route = Route::find(&global(dir.path())).unwrap();
    assert_eq!((route.server.as_str(), route.ca_pem.as_str()), (DEFAULT_SERVER, "local"));
    assert_eq!(route.token().unwrap_err().exit.number(), 4);
}

#[test]
fn a_login_is_remembered_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("far.pem");
    fs::write(&ca, "far").unwrap();
    fs::write(dir.path().join("ca.pem"), "local").unwrap();
    let far = Global { server: Some("https://far:1/".into()), ca: Some(ca), ..global(dir.path()) };
    Route::find(&far).unwrap().remember("ann", &session()).unwrap();

    let plain = Route::find(&global(dir.path())).unwrap();
    assert_eq!((plain.server.as_str(), plain.ca_pem.as_str()), ("https://far:1", "far"));
    assert_eq!(plain.token(), Ok("t".into()));

    assert_eq!(forget(&global(dir.path())), Ok(true));
    assert_eq!(forget(&global(dir.path())), Ok(false));
    let after = Route::find(&global(dir.path())).unwrap();
    assert_eq!((after.server.as_str(), after.token().unwrap_err().exit.number()), ("https://far:1", 4));
}

#[test]
fn a_token_goes_only_to_its_own_pool() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.pem"), "local").unwrap();
    Route::find(&global(dir.path())).unwrap().remember("ann", &session()).unwrap();
    let moved = Global { server: Some("https://127.0.0.1:7".into()), ..global(dir.path()) };
    assert_eq!(Route::find(&moved).unwrap().token(), Ok("t".into()), "the same pool at another port");
    fs::write(dir.path().join("ca.pem"), "another").unwrap();
    assert_eq!(Route::find(&moved).unwrap().token().unwrap_err().exit.number(), 4);
}

#[test]
fn a_token_file_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.pem"), "local").unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "abc\n").unwrap();
    let global = Global { token_file: Some(file), ..global(dir.path()) };
    assert_eq!(Route::find(&global).unwrap().token(), Ok("abc".into()));
}
