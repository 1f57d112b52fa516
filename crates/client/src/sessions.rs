//! Sessions of browsers and API keys.
//!
//! Start at [`Client::open_session`] and [`Client::create_key`]. A gateway speaks for the browsers behind it with
//! [`Client::for_browser`]; with [`Client::of_gateway`] it is known without speaking for anybody.
//!
//! Invariant: no secret appears in `Debug`, and what makes a new one is asked for once per call.

use crate::client::{Gateway, header};
use crate::{Client, ClientError};
use hivemind_model::Timestamp;
use hivemind_proto::v1::{
    CreateKeyRequest, EndSessionRequest, KeySummary, ListKeysRequest, ListSessionsRequest, OpenSessionRequest,
    RefreshSessionRequest, RevokeKeyRequest, SessionResponse, SessionSummary,
};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A session of a browser, with the tokens that it has now.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The token for calls; it lives for 15 minutes.
    pub access_token: String,
    /// When that ends.
    pub access_expires_at: Timestamp,
    /// What the next tokens are got for, once.
    pub refresh_token: String,
    /// When the session ends if it is not used.
    pub refresh_expires_at: Timestamp,
    /// Which session it is: `sess_12`.
    pub session_id: String,
    /// Whose it is.
    pub username: String,
    /// The same as an id.
    pub user_id: String,
    /// `member` or `operator`.
    pub role: String,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("session_id", &self.session_id)
            .field("username", &self.username)
            .field("access_expires_at", &self.access_expires_at)
            .field("refresh_expires_at", &self.refresh_expires_at)
            .finish_non_exhaustive()
    }
}

impl From<SessionResponse> for Opened {
    fn from(answer: SessionResponse) -> Self {
        Self {
            access_token: answer.access_token,
            access_expires_at: Timestamp(answer.access_expires_at_unix_ms),
            refresh_token: answer.refresh_token,
            refresh_expires_at: Timestamp(answer.refresh_expires_at_unix_ms),
            session_id: answer.session_id,
            username: answer.username,
            user_id: answer.user_id,
            role: answer.role,
        }
    }
}

/// A new API key.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Which key it is, as it begins: `hm_12`.
    pub key_id: String,
    /// The key. The pool tells it this once.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey")
            .field("key_id", &self.key_id)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a session; `about` is what the browser says it is (of more than 200 bytes the rest is left out). Each call
    /// opens another, so it is never repeated by itself.
    ///
    /// # Errors
    /// `E_BAD_CREDENTIALS` alike for an unknown user and a wrong password; `E_BUSY` after too many tries.
    pub async fn open_session(&self, username: &str, password: &str, about: &str) -> Result<Opened, ClientError> {
        let request = OpenSessionRequest {
            username: username.to_owned(),
            password: password.to_owned(),
            about: about.to_owned(),
        };
        self.answer("OpenSession", self.auth().open_session(self.request(request)).await).map(Opened::from)
    }

    /// Exchanges a refresh token for the next tokens. It may be repeated for a minute: then the answer is the same session
    /// with the same refresh token. Later than that, an exchanged token ends the session.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the session has ended, or the token is not its newest.
    pub async fn refresh_session(&self, refresh_token: &str) -> Result<Opened, ClientError> {
        let request = RefreshSessionRequest { refresh_token: refresh_token.to_owned() };
        let call = async || self.auth().refresh_session(self.request(request.clone())).await;
        self.repeated("RefreshSession", call).await.map(Opened::from)
    }

    /// Ends a session of the caller; empty: the one whose token this client has.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where it has ended already, or is somebody else's.
    pub async fn end_session(&self, session_id: &str) -> Result<(), ClientError> {
        let request = EndSessionRequest { token: String::new(), session_id: session_id.to_owned() };
        let call = async || self.auth().end_session(self.request(request.clone())).await;
        self.repeated("EndSession", call).await.map(drop)
    }

    /// The caller's sessions, used last first.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the token is not valid; `E_FORBIDDEN` for a key without the scope `account`.
    pub async fn sessions(&self) -> Result<Vec<SessionSummary>, ClientError> {
        let call = async || self.auth().list_sessions(self.request(ListSessionsRequest::default())).await;
        self.repeated("ListSessions", call).await.map(|answer| answer.sessions)
    }

    /// Makes an API key that lives for `life` (whole seconds, up to 365 days; zero: 90 days, or as long as the key that
    /// asks). Each call makes another, so it is never repeated by itself.
    ///
    /// # Errors
    /// `E_INVALID` for a scope that there is not; `E_FORBIDDEN` for more than the caller's own key may do; `E_BUSY` where
    /// there are 50 already.
    pub async fn create_key(&self, name: &str, scopes: &[String], life: Duration) -> Result<NewKey, ClientError> {
        let request = CreateKeyRequest {
            token: String::new(),
            name: name.to_owned(),
            scopes: scopes.to_vec(),
            valid_seconds: i64::try_from(life.as_secs()).unwrap_or(i64::MAX),
        };
        let answer = self.answer("CreateKey", self.auth().create_key(self.request(request)).await)?;
        Ok(NewKey {
            key_id: answer.key_id,
            key: answer.key,
            name: answer.name,
            scopes: answer.scopes,
            expires_at: Timestamp(answer.expires_at_unix_ms),
        })
    }

    /// The caller's API keys, newest first.
    ///
    /// # Errors
    /// As of [`Client::sessions`].
    pub async fn keys(&self) -> Result<Vec<KeySummary>, ClientError> {
        let call = async || self.auth().list_keys(self.request(ListKeysRequest::default())).await;
        self.repeated("ListKeys", call).await.map(|answer| answer.keys)
    }

    /// Ends an API key of the caller.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where it has ended already, or is somebody else's.
    pub async fn revoke_key(&self, key_id: &str) -> Result<(), ClientError> {
        let request = RevokeKeyRequest { token: String::new(), key_id: key_id.to_owned() };
        let call = async || self.auth().revoke_key(self.request(request.clone())).await;
        self.repeated("RevokeKey", call).await.map(drop)
    }

    /// The same connection, speaking for somebody at `address`: what the pool limits per address counts for them. `secret`
    /// is what the pool keeps in `gateway.key`; with another one the pool goes by this connection's own address.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the secret cannot be one.
    pub fn for_browser(&self, secret: &str, address: IpAddr) -> Result<Self, ClientError> {
        let secret = header(secret.trim().to_owned(), "the gateway's secret")?;
        let address = Some(header(address.to_string(), "the address")?);
        Ok(Self { gateway: Some(Gateway { secret, address }), ..self.clone() })
    }

    /// The same connection, of the gateway that knows `secret`: where spans are exported, the pool takes those of its calls as parts
    /// of this side's.
    ///
    /// # Errors
    /// As of [`Client::for_browser`].
    pub fn of_gateway(&self, secret: &str) -> Result<Self, ClientError> {
        let secret = header(secret.trim().to_owned(), "the gateway's secret")?;
        Ok(Self { gateway: Some(Gateway { secret, address: None }), ..self.clone() })
    }
}
