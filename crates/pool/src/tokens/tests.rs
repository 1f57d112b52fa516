use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn tokens(dir: &Path, floor: Timestamp) -> Tokens {
    hivemind_pki::install_provider();
    Tokens::open(&dir.join("jwt.pem"), Arc::new(Clock::from(floor))).unwrap()
}

fn user() -> UserRow {
    UserRow {
        id: UserId(7),
        username: "ada".into(),
        email: String::new(),
        password_hash: String::new(),
        role: Role::Member,
        registered_at: Timestamp(0),
        registered_from: String::new(),
    }
}

#[test]
fn a_user_token_reads_back_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let issued = tokens(dir.path(), Timestamp(0)).issue_user(&user()).unwrap();
    let again = tokens(dir.path(), Timestamp(0));
    for _ in 0..2 {
        let caller = again.user(&issued.token).unwrap();
        assert_eq!((caller.id, caller.name.as_str(), caller.role), (UserId(7), "ada", Role::Member));
    }
}

#[test]
fn a_token_is_taken_only_for_its_use() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = tokens(dir.path(), Timestamp(0));
    let user = tokens.issue_user(&user()).unwrap().token;
    let join = tokens.issue_join(UserId(7), Millis::from_secs(60), "https://localhost:1", &[7; 32]).unwrap().token;
    assert_eq!(tokens.join(&user), Err(BadToken::Invalid));
    assert_eq!(tokens.user(&join), Err(BadToken::Invalid));
    assert_eq!(tokens.join(&join).unwrap().owner, UserId(7));
}

#[test]
fn time_ends_every_token() {
    let dir = tempfile::tempdir().unwrap();
    let issued = tokens(dir.path(), Timestamp(0)).issue_user(&user()).unwrap();
    let later = tokens(dir.path(), issued.expires_at);
    assert_eq!(later.user(&issued.token), Err(BadToken::Expired));
}

#[test]
fn forged_and_foreign_tokens_are_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mine = tokens(dir.path(), Timestamp(0));
    let token = mine.issue_user(&user()).unwrap().token;
    let foreign = tokens(other.path(), Timestamp(0)).issue_user(&user()).unwrap().token;
    let parts: Vec<&str> = token.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let operator = URL_SAFE_NO_PAD.encode(claims.replace("member", "operator"));
    let forged = [
        foreign,
        format!("{none}.{}.", parts[1]),
        format!("{}.{operator}.{}", parts[0], parts[2]),
        "x".repeat(5000),
        String::new(),
        "a.b.c".into(),
    ];
    for token in forged {
        assert_eq!(mine.user(&token), Err(BadToken::Invalid), "{token} was taken");
    }
}

#[test]
fn an_access_token_lives_for_a_quarter_of_an_hour_and_names_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let first = tokens(dir.path(), Timestamp(0));
    let issued = first.issue_access(&user(), SessionId(12)).unwrap();
    let login = first.issue_user(&user()).unwrap();
    let caller = first.user(&issued.token).unwrap();
    assert_eq!((caller.id, caller.session, caller.scopes), (UserId(7), Some(SessionId(12)), Scopes::ALL));
    assert_eq!(first.user(&login.token).unwrap().session, None);
    assert_eq!(login.expires_at.since(issued.expires_at).0.div_ceil(60_000), 24 * 60 - 15);
    let later = tokens(dir.path(), issued.expires_at);
    assert_eq!(later.user(&issued.token), Err(BadToken::Expired));
    assert!(later.user(&login.token).is_ok());
}
