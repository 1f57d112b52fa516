//! Who asks.
//!
//! A session's cookie, or `Authorization: Bearer` with a user token or an API key. Start at [`Caller`].
//!
//! Invariant: a request that changes something on the word of a cookie has shown that it comes from a page of this gateway.

use crate::app::App;
use crate::fault::Fault;
use crate::link::Reserved;
use crate::routes::live;
use crate::sessions::{Key, Session};
use axum::extract::FromRequestParts;
use hivemind_client::Client;
use hivemind_http::browser;
use hivemind_limit::Place;
use http::header;
use http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;

/// Longest token that is handed on, in bytes.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// Somebody who is logged in; whether the login still holds is the pool's to say.
pub(crate) struct Caller {
    /// The way to the pool with that login.
    pub(crate) client: Client,
    /// By what.
    pub(crate) by: By,
    token: String,
}

/// By what somebody is logged in.
#[derive(Clone)]
pub(crate) enum By {
    /// A cookie.
    Cookie(Session),
    /// A token of their own.
    Bearer(Key),
}

/// Whose what lasts is. Sessions of one user are one; a bearer may see less, and stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// All sessions of a user, by the user's id.
    User(String),
    /// One token.
    Bearer(Key),
}

impl By {
    pub(crate) fn whose(&self) -> Whose {
        match self {
            Self::Cookie(session) => Whose::User(session.user_id.clone()),
            Self::Bearer(key) => Whose::Bearer(*key),
        }
    }
}

/// Where a request comes from.
pub(crate) struct Peer(pub(crate) IpAddr);

impl FromRequestParts<App> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fault> {
        let (token, by) = match parts.headers.get(header::AUTHORIZATION) {
            Some(value) => {
                let token = value
                    .to_str()
                    .ok()
                    .and_then(bearer)
                    .ok_or_else(|| Fault::login("Authorization must be `Bearer` and a token"))?;
                (token.to_owned(), By::Bearer(Key::of(token)))
            }
            None => {
                let found = browser::cookie(&parts.headers, app.cookies().session).map(Key::of);
                let found = found.and_then(|key| app.sessions().find(&key));
                let session =
                    found.ok_or_else(|| Fault::login("nobody is logged in, or the login has ended; log in"))?;
                browser::check_unsafe(&parts.method, &parts.uri, &parts.headers, &app.csrf_of(&session))?;
                (session.token.clone(), By::Cookie(session))
            }
        };
        let client = app.pool().caller(&token).await?;
        Ok(Self { client, by, token })
    }
}

/// Somebody whose login holds, with a place for a large body: for requests whose bodies take memory when they are read.
pub(crate) struct Known {
    /// Who.
    pub(crate) caller: Caller,
    _place: Place<String>,
}

impl FromRequestParts<App> for Known {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fault> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let place = app.large_body(&live::holds(app, caller.token()).await?).await?;
        Ok(Self { caller, _place: place })
    }
}

impl Caller {
    /// The login, as the pool gave it.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Room for a stream that lasts, with the same login.
    ///
    /// # Errors
    /// As of [`crate::link::PoolLink::lane`].
    pub(crate) async fn lane(&self, app: &App) -> Result<Reserved, Fault> {
        // All tokens of a user share the user's room.
        let user = match &self.by {
            By::Cookie(session) => session.user_id.clone(),
            By::Bearer(_) => live::holds(app, &self.token).await?,
        };
        let Reserved { client, place } = app.pool().lane(&user).await?;
        Ok(Reserved { client: client.with_token(&self.token)?, place })
    }
}

impl FromRequestParts<App> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(app.address_of(&parts.headers, &parts.extensions)))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_one = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN_BYTES;
    is_one.then_some(token)
}
