//! The client itself: a channel, a token, and how a call is made.
//!
//! Start at [`Client::connect`]. The calls about tasks, money, machines, logs and contents are in
//! the modules of these names.
//!
//! Invariant: a call that is not safe to repeat is made once.

use crate::retry::Backoff;
use crate::{ClientError, Target, connect};
use hivemind_model::Timestamp;
use hivemind_proto::v1::auth_service_client::AuthServiceClient;
use hivemind_proto::v1::{CreateInvitationRequest, LoginRequest, RegisterRequest, WhoAmIRequest, WhoAmIResponse};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Largest message that is taken: an answer for 10,000 tasks, or a result with its metadata.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// How long a call that is safe to repeat is repeated while nobody answers.
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Bound on one try of a call with one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A user's way to the pool. Cloning shares the connection.
#[derive(Clone)]
pub struct Client {
    pub(crate) channel: Channel,
    pub(crate) server: Arc<str>,
    pub(crate) bearer: Option<MetadataValue<Ascii>>,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) retry_for: Duration,
}

/// What shows a pool that its gateway asks.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) secret: MetadataValue<Ascii>,
    /// Whom it speaks for, where it does so.
    pub(crate) address: Option<MetadataValue<Ascii>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("logged_in", &self.bearer.is_some())
            .finish_non_exhaustive()
    }
}

/// A login.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The user token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A code with which people can register.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The code.
    pub code: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects, with a user token or an API key, or (to register and log in) without.
    ///
    /// # Errors
    /// As of [`connect`]; [`ClientError::Login`] where the token cannot be one.
    pub async fn connect(target: &Target, token: Option<String>) -> Result<Self, ClientError> {
        let bearer = token.as_deref().map(bearer).transpose()?;
        let channel = connect(target).await?;
        Ok(Self { channel, server: target.server.as_str().into(), bearer, gateway: None, retry_for: RETRY_FOR })
    }

    /// The same connection with another token.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the token cannot be one.
    pub fn with_token(&self, token: &str) -> Result<Self, ClientError> {
        Ok(Self { bearer: Some(bearer(token)?), ..self.clone() })
    }

    /// The same connection, repeating calls for `patience` while nobody answers (30 s where this
    /// is not set; zero: each is tried once).
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self { retry_for: patience, ..self.clone() }
    }

    /// The address it talks to.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Makes an account.
    ///
    /// # Errors
    /// The refusal, such as `E_TAKEN`, or `E_INVITATION` where the pool asks for an invitation;
    /// never repeated by itself.
    pub async fn register(&self, username: &str, password: &str, email: &str) -> Result<(), ClientError> {
        self.register_invited(username, password, email, "").await
    }

    /// Makes an account with a code from the pool's operator; empty: without one.
    ///
    /// # Errors
    /// As of [`Client::register`].
    pub async fn register_invited(
        &self,
        username: &str,
        password: &str,
        email: &str,
        invitation: &str,
    ) -> Result<(), ClientError> {
        let request = RegisterRequest {
            username: username.to_owned(),
            password: password.to_owned(),
            email: email.to_owned(),
            invitation: invitation.to_owned(),
        };
        let what = "Register";
        let answer = self.answer(what, self.auth().register(self.request(request)).await)?;
        if answer.success { Ok(()) } else { Err(ClientError::refused(what, &answer.message)) }
    }

    /// Gets a user token.
    ///
    /// # Errors
    /// `E_BAD_CREDENTIALS` alike for an unknown user and a wrong password.
    pub async fn login(&self, username: &str, password: &str) -> Result<Session, ClientError> {
        let request = LoginRequest { username: username.to_owned(), password: password.to_owned() };
        let what = "Login";
        let answer = self.answer(what, self.auth().login(self.request(request)).await)?;
        if !answer.success {
            return Err(ClientError::refused(what, &answer.message));
        }
        Ok(Session { token: answer.token, expires_at: Timestamp(answer.expires_at_unix_ms) })
    }

    /// Who the bearer of the token is.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the token is not valid.
    pub async fn whoami(&self) -> Result<WhoAmIResponse, ClientError> {
        self.repeated("WhoAmI", async || self.auth().who_am_i(self.request(WhoAmIRequest::default())).await).await
    }

    /// Makes a code with which `uses` people (1 to 1000; zero: one) can register within `life`
    /// (whole seconds, up to 365 days; zero: a week). Each call makes another, so it is never
    /// repeated by itself.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where the caller is not an operator.
    pub async fn create_invitation(&self, uses: u32, life: Duration) -> Result<Invitation, ClientError> {
        let request = CreateInvitationRequest {
            token: String::new(),
            uses: i32::try_from(uses).unwrap_or(i32::MAX),
            valid_seconds: i64::try_from(life.as_secs()).unwrap_or(i64::MAX),
        };
        let answer = self.answer("CreateInvitation", self.auth().create_invitation(self.request(request)).await)?;
        Ok(Invitation { code: answer.invitation, expires_at: Timestamp(answer.expires_at_unix_ms) })
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    /// A request with one answer: with the token and a bound in time.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.stream_request(message);
        request.set_timeout(CALL_TIMEOUT);
        request
    }

    /// A request whose answer is a stream, which may last.
    pub(crate) fn stream_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        if let Some(gateway) = &self.gateway {
            gateway.show(request.metadata_mut());
        }
        request
    }

    pub(crate) fn answer<T>(&self, what: &str, answer: Result<Response<T>, Status>) -> Result<T, ClientError> {
        answer.map(Response::into_inner).map_err(|status| self.fault(what, &status))
    }

    /// Waits, within the bound of one call, for a stream to begin.
    pub(crate) async fn opened<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(answer) => self.answer(what, answer),
            Err(_) => {
                Err(ClientError::unreachable(&self.server, format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            }
        }
    }

    pub(crate) fn fault(&self, what: &str, status: &Status) -> ClientError {
        ClientError::from_status(&self.server, what, status)
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.retry_for)
    }

    /// Makes a call that is safe to repeat, again and again while nobody answers.
    pub(crate) async fn repeated<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut backoff = self.backoff();
        loop {
            match self.answer(what, call().await) {
                Ok(answer) => return Ok(answer),
                Err(error) => backoff.after(error).await?,
            }
        }
    }
}

impl Gateway {
    /// Puts the secret beside what the pool takes from its gateway alone: whom it speaks for, and of which span a call is part.
    fn show(&self, metadata: &mut MetadataMap) {
        let parent = hivemind_trace::traceparent().and_then(|parent| parent.parse::<MetadataValue<Ascii>>().ok());
        if parent.is_some() || self.address.is_some() {
            metadata.insert("x-hivemind-gateway", self.secret.clone());
        }
        if let Some(address) = &self.address {
            metadata.insert("x-hivemind-client", address.clone());
        }
        if let Some(parent) = parent {
            metadata.insert(hivemind_trace::TRACEPARENT, parent);
        }
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, ClientError> {
    header(format!("Bearer {token}"), "the token")
}

/// A value that goes with every request and appears in no log.
pub(crate) fn header(text: String, what: &str) -> Result<MetadataValue<Ascii>, ClientError> {
    let value = text.parse::<MetadataValue<Ascii>>();
    let mut value = value.map_err(|_| ClientError::Login {
        code: String::new(),
        message: format!("{what} contains characters that none has"),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
