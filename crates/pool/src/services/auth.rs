//! `AuthService`: accounts and logins.
//!
//! Invariant: the answer to a wrong password does not tell whether the user exists.

use super::{refusal_or_fault, sessions, wrong_reply};
use crate::invitation;
use crate::shared::{Shared, address, operators_only};
use crate::status;
use hivemind_model::rows::{Role, UserRow};
use hivemind_model::{Code, Command, Level, Millis, Rejection, Reply, network_of};
use hivemind_proto::v1::auth_service_server::AuthService;
use hivemind_proto::v1::{
    CreateInvitationRequest, CreateInvitationResponse, CreateKeyRequest, CreateKeyResponse, EndSessionRequest,
    EndSessionResponse, ListKeysRequest, ListKeysResponse, ListSessionsRequest, ListSessionsResponse, LoginRequest,
    LoginResponse, OpenSessionRequest, RefreshSessionRequest, RegisterRequest, RegisterResponse, RevokeKeyRequest,
    RevokeKeyResponse, SessionResponse, WhoAmIRequest, WhoAmIResponse,
};
use std::net::IpAddr;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

/// Most accounts of one invitation.
const MAX_USES: u32 = 1000;
/// Life of an invitation where none is named, in seconds: a week.
const INVITATION_SECONDS: u64 = 604_800;

/// The service.
pub(crate) struct AuthCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl AuthService for AuthCalls {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let from = address(&request);
        let RegisterRequest { username, password, email, invitation } = request.into_inner();
        let password = Zeroizing::new(password);
        let checked = self.0.auth.may_register(from).and_then(|()| invitation::digest(&invitation));
        let checked = match checked {
            Ok(invitation) => self.0.auth.hash(password).await.map(|password_hash| (password_hash, invitation)),
            Err(rejection) => Err(rejection),
        };
        let outcome = match checked {
            Ok((password_hash, invitation)) => {
                let (role, from) = (Role::Member, network_name(from));
                let command = Command::Register { username, email, password_hash, role, from, invitation };
                refusal_or_fault(self.0.writer.apply(command).await)?
            }
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
        let user = match user_of(&self.0, &username, Zeroizing::new(password), from).await? {
            Ok(user) => user,
            Err(rejection) => {
                return Ok(Response::new(LoginResponse { message: rejection.to_string(), ..LoginResponse::default() }));
            }
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
        let standings = self.0.store.standings(caller.id).await.map_err(|error| status::store(&error))?;
        let levels = standings.iter().map(|standing| Level::of(self.0.runtime(standing)));
        let level = levels.max().unwrap_or_default();
        Ok(Response::new(WhoAmIResponse {
            username: caller.name.clone(),
            user_id: caller.id.to_string(),
            role: sessions::role_word(caller.role).into(),
            token_expires_at_unix_ms: caller.expires_at.0,
            level: level.as_str().into(),
            beta: level.has_beta(),
            vote: level.has_vote(),
        }))
    }

    async fn open_session(&self, request: Request<OpenSessionRequest>) -> Result<Response<SessionResponse>, Status> {
        sessions::open(&self.0, request).await.map(Response::new)
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<SessionResponse>, Status> {
        sessions::refresh(&self.0, request).await.map(Response::new)
    }

    async fn end_session(&self, request: Request<EndSessionRequest>) -> Result<Response<EndSessionResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        sessions::end_session(&self.0, &caller, request.get_ref()).await?;
        Ok(Response::new(EndSessionResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        Ok(Response::new(ListSessionsResponse { sessions: sessions::list(&self.0, &caller) }))
    }

    async fn create_key(&self, request: Request<CreateKeyRequest>) -> Result<Response<CreateKeyResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        sessions::create_key(&self.0, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn list_keys(&self, request: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        Ok(Response::new(ListKeysResponse { keys: sessions::list_keys(&self.0, &caller) }))
    }

    async fn revoke_key(&self, request: Request<RevokeKeyRequest>) -> Result<Response<RevokeKeyResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        sessions::revoke_key(&self.0, &caller, request.get_ref()).await?;
        Ok(Response::new(RevokeKeyResponse {}))
    }

    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Result<Response<CreateInvitationResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        operators_only(&caller)?;
        let (uses, life) = bounds(request.get_ref()).map_err(|rejection| status::rejected(&rejection))?;
        let (code, digest) = invitation::make();
        let expires_at = self.0.clock.now().after(life);
        let command = Command::Invite { by: caller.id, digest, uses, expires_at };
        match self.0.writer.apply(command).await.map_err(|refused| status::refused(&refused))? {
            Reply::Done => {
                Ok(Response::new(CreateInvitationResponse { invitation: code, expires_at_unix_ms: expires_at.0 }))
            }
            other => Err(wrong_reply(&other)),
        }
    }
}

/// The user of that name, where the password is theirs. Unknown user and wrong password are refused alike, and counted.
pub(super) async fn user_of(
    shared: &Shared,
    username: &str,
    password: Zeroizing<String>,
    from: IpAddr,
) -> Result<Result<UserRow, Rejection>, Status> {
    let user = known(shared, username, password, from).await?;
    if user.is_err() {
        shared.live.figures.meters.login_refused();
    }
    Ok(user)
}

async fn known(
    shared: &Shared,
    username: &str,
    password: Zeroizing<String>,
    from: IpAddr,
) -> Result<Result<UserRow, Rejection>, Status> {
    if let Err(rejection) = shared.auth.may_log_in(username, from) {
        return Ok(Err(rejection));
    }
    let user = shared.store.user_by_name(username).await.map_err(|error| status::store(&error))?;
    let right = match shared.auth.verify(password, user.as_ref().map(|user| user.password_hash.clone())).await {
        Ok(right) => right,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let right = right && user.is_some();
    shared.auth.tried(username, from, right);
    let wrong = || Rejection::new(Code::BadCredentials, "wrong user name or password");
    Ok(user.filter(|_| right).ok_or_else(wrong))
}

/// The network of an address, as it is counted and stored; empty where it is unknown.
fn network_name(from: IpAddr) -> String {
    if from.is_unspecified() { String::new() } else { network_of(from).to_string() }
}

/// How many accounts an invitation can make, and how long it lives.
fn bounds(request: &CreateInvitationRequest) -> Result<(u32, Millis), Rejection> {
    let uses = match u32::try_from(request.uses) {
        Ok(0) => 1,
        Ok(uses) if uses <= MAX_USES => uses,
        Ok(_) | Err(_) => {
            return Err(Rejection::invalid("uses", format!("{} is outside 1 to {MAX_USES}", request.uses)));
        }
    };
    Ok((uses, sessions::life(request.valid_seconds, INVITATION_SECONDS)?))
}

/// The status of a token that could not be signed.
pub(super) fn signing_fault(error: &jsonwebtoken::errors::Error) -> Status {
    tracing::error!(%error, "a token could not be signed");
    Status::internal("E_INTERNAL: the pool could not sign a token; its operator finds the cause in the log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_the_first_half_of_an_ipv6_one() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
            ("::1", "::"),
            ("0.0.0.0", ""),
        ] {
            assert_eq!(network_name(address.parse().unwrap()), network, "{address}");
        }
    }
}
