//! Who may use the page.
//!
//! A secret lies in the worker's folder, readable for its user alone. A browser exchanges it for a session, a cookie that scripts
//! cannot read, together with a word that has to come back with everything that changes something; a program may send the
//! secret itself as a bearer. Start at [`Access::log_in`] and [`check`].
//!
//! Invariant: a secret is never in an address that is sent, in a log or in an answer but that of the login.

use super::Desk;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hivemind_http::Problem;
use hivemind_http::browser::{self, IsTls};
use hivemind_http::limit::Refused;
use hivemind_limit::Limiter;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Its name in DATA/worker.
const FILE: &str = "page.token";

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// Sessions at once; the oldest ends where there would be more.
const MAX_SESSIONS: usize = 32;

/// Between two looks whether a stream's session still is.
const LOOK: Duration = Duration::from_secs(2);

/// Logins that are tried in a minute.
const LOGINS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

/// Where the cookie is sent to.
const PATH: &str = "/api/v1/worker";

/// What a page needs to know of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Session {
    /// To be repeated in `X-CSRF-Token`.
    pub csrf_token: String,
    /// When it ends.
    pub expires_at_unix_ms: i64,
}

struct Known {
    id: String,
    ends: Instant,
    session: Session,
}

/// See the module.
pub(super) struct Access {
    token: String,
    /// Cookies are those of a host, whatever the port: several workers on one machine must not share a name.
    cookie: String,
    sessions: Mutex<VecDeque<Known>>,
    logins: Limiter<()>,
}

/// The secret in the worker's folder, made where there is none or none that is good.
///
/// # Errors
/// What the disk says.
pub(super) fn token(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join(FILE);
    let kept = crate::membership::read_if_there(&file)?.map(|text| text.trim().to_owned());
    let is_good = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let token = kept.filter(is_good).unwrap_or_else(browser::new_secret);
    // Written again, so that it is readable for nobody else, whoever touched it.
    hivemind_pki::write_private(&file, token.as_bytes())?;
    Ok(token)
}

impl Access {
    pub(super) fn new(token: String, port: u16) -> Self {
        let cookie = format!("hivemind_worker_{port}");
        Self { token, cookie, sessions: Mutex::default(), logins: Limiter::per_minute(LOGINS) }
    }

    /// How many sessions there are.
    pub(super) fn sessions(&self) -> usize {
        let now = Instant::now();
        self.sessions.lock().iter().filter(|known| known.ends > now).count()
    }

    /// Begins a session for who knows the secret; gives it and its cookie.
    ///
    /// # Errors
    /// 401 for another secret, 403 from another site's page, 429 after too many tries.
    pub(super) fn log_in(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        token: &str,
    ) -> Result<(Session, HeaderValue), Box<Response>> {
        browser::check_origin(uri, headers).map_err(boxed)?;
        if !browser::is_same(token.as_bytes(), self.token.as_bytes()) {
            // The right one is never held up: nobody can lock the owner out, and nobody guesses it.
            self.logins.take(&()).map_err(|refused| boxed(Refused(refused)))?;
            let detail =
                "that is not this worker's token; `hivemind worker status` shows the address with the right one";
            return Err(boxed(Problem::new(StatusCode::UNAUTHORIZED, "E_BAD_CREDENTIALS", detail)));
        }
        let id = browser::new_secret();
        let cookie = browser::set_cookie(&self.cookie, &id, PATH, SESSION, IsTls::No);
        let cookie = cookie.ok_or_else(|| boxed(Problem::internal("a session's cookie has no form")))?;
        let lasts = i64::try_from(SESSION.as_millis()).unwrap_or(i64::MAX);
        let session = Session {
            csrf_token: browser::new_secret(),
            expires_at_unix_ms: crate::enroll::now().0.saturating_add(lasts),
        };
        let mut sessions = self.sessions.lock();
        let now = Instant::now();
        sessions.retain(|known| known.ends > now);
        if sessions.len() >= MAX_SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(Known { id, ends: now + SESSION, session: session.clone() });
        Ok((session, cookie))
    }

    /// The session of a request, where it has one.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let id = browser::cookie(headers, &self.cookie)?;
        let now = Instant::now();
        let sessions = self.sessions.lock();
        let known = sessions.iter().find(|known| browser::is_same(known.id.as_bytes(), id.as_bytes()));
        known.filter(|known| known.ends > now).map(|known| known.session.clone())
    }

    /// Waits until who made a request with `headers` may no longer look.
    pub(super) async fn ended(&self, headers: &HeaderMap) {
        while self.allow(&Method::GET, &Uri::default(), headers).is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the session of a request; gives the cookie that removes its cookie.
    pub(super) fn log_out(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let id = browser::cookie(headers, &self.cookie)?;
        self.sessions.lock().retain(|known| !browser::is_same(known.id.as_bytes(), id.as_bytes()));
        browser::set_cookie(&self.cookie, "", PATH, Duration::ZERO, IsTls::No)
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// 401 without a session or the secret, 403 `E_CSRF` where a browser was made to ask.
    pub(super) fn allow(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
            let is_right = browser::is_same(token.trim().as_bytes(), self.token.as_bytes());
            return if is_right { Ok(()) } else { Err(unknown()) };
        }
        let session = self.session(headers).ok_or_else(unknown)?;
        browser::check_unsafe(method, uri, headers, &session.csrf_token)
    }
}

fn boxed(answer: impl IntoResponse) -> Box<Response> {
    Box::new(answer.into_response())
}

fn unknown() -> Problem {
    let detail =
        "this page is not open, or was open for too long; `hivemind worker status` shows the address that opens it";
    Problem::new(StatusCode::UNAUTHORIZED, "E_UNAUTHENTICATED", detail)
}

/// Lets through what [`Access::allow`] lets through.
pub(super) async fn check(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    match desk.access.allow(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    static URI: LazyLock<Uri> = LazyLock::new(|| Uri::from_static("/api/v1/worker/now"));

    fn access() -> Access {
        Access::new("a".repeat(64), 8082)
    }

    fn with(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::try_from(*value).unwrap())).collect()
    }

    fn open(access: &Access) -> (Session, String) {
        let (session, cookie) = access.log_in(&URI, &HeaderMap::new(), &"a".repeat(64)).map_err(|_| "refused").unwrap();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        (session, cookie)
    }

    #[tokio::test(start_paused = true)]
    async fn streams_end_with_their_session_and_not_before() {
        let access = access();
        let (_, cookie) = open(&access);
        let headers = with(&[("cookie", &cookie)]);
        assert!(tokio::time::timeout(SESSION / 2, access.ended(&headers)).await.is_err());
        assert!(access.log_out(&headers).is_some());
        tokio::time::timeout(LOOK * 2, access.ended(&headers)).await.unwrap();
        let bearer = format!("Bearer {}", "a".repeat(64));
        let forever = tokio::time::timeout(2 * SESSION, access.ended(&with(&[("authorization", &bearer)]))).await;
        assert!(forever.is_err(), "who has the secret may look on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_itself() {
        let access = access();
        let (session, cookie) = open(&access);
        assert_eq!(access.session(&with(&[("cookie", &cookie)])), Some(session));
        tokio::time::advance(SESSION).await;
        assert_eq!(access.session(&with(&[("cookie", &cookie)])), None);
        assert_eq!(access.sessions(), 0);
        let refused = access.allow(&Method::GET, &URI, &with(&[("cookie", &cookie)])).unwrap_err();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn what_changes_something_repeats_the_word() {
        let access = access();
        let (Session { csrf_token, .. }, cookie) = open(&access);
        let allow = |method: Method, more: &[(&'static str, &str)]| {
            let mut headers = with(&[("cookie", &cookie), ("host", "localhost:8082")]);
            headers.extend(with(more));
            access.allow(&method, &URI, &headers).map_err(|problem| problem.code().to_owned())
        };
        assert_eq!(allow(Method::GET, &[]), Ok(()));
        assert_eq!(allow(Method::POST, &[]), Err("E_CSRF".into()));
        assert_eq!(allow(Method::POST, &[("x-csrf-token", "x")]), Err("E_CSRF".into()));
        assert_eq!(allow(Method::POST, &[("x-csrf-token", &csrf_token)]), Ok(()));
        let foreign = [("x-csrf-token", csrf_token.as_str()), ("origin", "http://evil.example")];
        assert_eq!(allow(Method::POST, &foreign), Err("E_CSRF".into()));
        assert_eq!(allow(Method::POST, &[("authorization", "Bearer x")]), Err("E_UNAUTHENTICATED".into()));
        let secret = format!("Bearer {}", "a".repeat(64));
        assert_eq!(access.allow(&Method::POST, &URI, &with(&[("authorization", &secret)])), Ok(()));
        assert!(access.log_out(&with(&[("cookie", &cookie)])).is_some());
        assert_eq!(allow(Method::GET, &[]), Err("E_UNAUTHENTICATED".into()));
    }

    #[tokio::test]
    async fn sessions_and_tries_are_bounded() {
        let access = access();
        let (_, first) = open(&access);
        let wrong = access.log_in(&URI, &HeaderMap::new(), "b").unwrap_err();
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
        let evil = access.log_in(&URI, &with(&[("origin", "http://evil"), ("host", "localhost")]), "b").unwrap_err();
        assert_eq!(evil.status(), StatusCode::FORBIDDEN);
        let many = access.sessions.lock().pop_front().unwrap();
        for id in 0..MAX_SESSIONS {
            let session = many.session.clone();
            access.sessions.lock().push_back(Known { id: id.to_string(), ends: many.ends, session });
        }
        open(&access);
        assert_eq!(access.sessions(), MAX_SESSIONS);
        assert_eq!(access.session(&with(&[("cookie", &first)])), None);
        let tries = (0..60).filter_map(|_| access.log_in(&URI, &HeaderMap::new(), "b").err());
        assert!(tries.into_iter().any(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS));
    }

    #[test]
    fn the_secret_is_kept_for_its_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let first = token(folder.path()).unwrap();
        assert_eq!(token(folder.path()).unwrap(), first);
        let file = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        assert_ne!(token(folder.path()).unwrap(), first);
    }
}
