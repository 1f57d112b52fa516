//! `AuthService`: accounts and logins.
//!
//! Invariant: the answer to a wrong password does not tell whether the user exists.

use super::refusal_or_fault;
use crate::shared::{Shared, address};
use crate::status;
use hivemind_model::rows::Role;
use hivemind_model::{Code, Command, Rejection};
use hivemind_proto::v1::auth_service_server::AuthService;
use hivemind_proto::v1::{
    LoginRequest, LoginResponse, RegisterRequest, RegisterResponse, WhoAmIRequest, WhoAmIResponse,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

/// The service.
pub(crate) struct AuthCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl AuthService for AuthCalls {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let from = address(&request);
        let RegisterRequest { username, password, email } = request.into_inner();
        let password = Zeroizing::new(password);
        let hashed = match self.0.auth.may_register(from) {
            Ok(()) => self.0.auth.hash(password).await,
            Err(rejection) => Err(rejection),
        };
        let outcome = match hashed {
            Ok(password_hash) => refusal_or_fault(
                self.0.writer.apply(Command::Register { username, email, password_hash, role: Role::Member }).await,
            )?,
            Err(rejection) => Err(rejection),
        };
        Ok(Response::new(match outcome {
            Ok(_) => RegisterResponse {
                success: true,
                message: format!("registered; you start with {}", self.0.policy.signup_grant),
            },
            Err(rejection) => RegisterResponse { success: false, message: rejection.to_string() },
        }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let from = address(&request);
        let LoginRequest { username, password } = request.into_inner();
        let password = Zeroizing::new(password);
        let refuse = |rejection: Rejection| {
            Ok(Response::new(LoginResponse { message: rejection.to_string(), ..LoginResponse::default() }))
        };
        if let Err(rejection) = self.0.auth.may_log_in(&username, from) {
            return refuse(rejection);
        }
        let user = self.0.store.user_by_name(&username).await.map_err(|error| status::store(&error))?;
        let right = match self.0.auth.verify(password, user.as_ref().map(|user| user.password_hash.clone())).await {
            Ok(right) => right,
            Err(rejection) => return refuse(rejection),
        };
        let Some(user) = user.filter(|_| right) else {
            return refuse(Rejection::new(Code::BadCredentials, "wrong user name or password"));
        };
        let issued = self.0.tokens.issue_user(&user).map_err(|error| signing_fault(&error))?;
        Ok(Response::new(LoginResponse {
            success: true,
            token: issued.token,
            message: format!("logged in as {}", user.username),
            expires_at_unix_ms: issued.expires_at.0,
        }))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let role = match caller.role {
            Role::Member => "member",
            Role::Operator => "operator",
        };
        Ok(Response::new(WhoAmIResponse {
            username: caller.name.clone(),
            user_id: caller.id.to_string(),
            role: role.into(),
            token_expires_at_unix_ms: caller.expires_at.0,
        }))
    }
}

/// The status of a token that could not be signed.
pub(super) fn signing_fault(error: &jsonwebtoken::errors::Error) -> Status {
    tracing::error!(%error, "a token could not be signed");
    Status::internal("E_INTERNAL: the pool could not sign a token; its operator finds the cause in the log")
}
