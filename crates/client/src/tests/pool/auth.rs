//! Accounts, sessions and keys: the calls of the scripted pool.

use super::Scripts;
use hivemind_proto::v1::auth_service_server::AuthService;
use hivemind_proto::v1::*;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl AuthService for Scripts {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        self.register.one(request.into_inner()).await
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let good = request.into_inner().password == "right";
        let message = if good { "" } else { "E_BAD_CREDENTIALS: user name or password is wrong" };
        Ok(Response::new(LoginResponse {
            success: good,
            token: "good".to_owned(),
            message: message.to_owned(),
            expires_at_unix_ms: 99,
        }))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        match request.metadata().get("authorization").map(|value| value.as_bytes()) {
            Some(b"Bearer good") => Ok(Response::new(WhoAmIResponse {
                username: "ada".to_owned(),
                level: "platinum".to_owned(),
                beta: true,
                ..WhoAmIResponse::default()
            })),
            _ => Err(Status::unauthenticated("E_TOKEN_EXPIRED: the token has expired")),
        }
    }

    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Result<Response<CreateInvitationResponse>, Status> {
        self.invitation.one(request.into_inner()).await
    }

    async fn open_session(&self, request: Request<OpenSessionRequest>) -> Result<Response<SessionResponse>, Status> {
        let said = |name: &str| {
            let value = request.metadata().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        self.told.lock().expect("whole").push((said("x-hivemind-gateway"), said("x-hivemind-client")));
        self.open.one(request.into_inner()).await
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<SessionResponse>, Status> {
        self.refresh.one(request.into_inner()).await
    }

    async fn end_session(&self, request: Request<EndSessionRequest>) -> Result<Response<EndSessionResponse>, Status> {
        self.end.one(request.into_inner()).await
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        self.sessions.one(request.into_inner()).await
    }

    async fn create_key(&self, request: Request<CreateKeyRequest>) -> Result<Response<CreateKeyResponse>, Status> {
        self.key.one(request.into_inner()).await
    }

    async fn list_keys(&self, request: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        self.keys.one(request.into_inner()).await
    }

    async fn revoke_key(&self, request: Request<RevokeKeyRequest>) -> Result<Response<RevokeKeyResponse>, Status> {
        self.revoke.one(request.into_inner()).await
    }
}
