//! What the pool refused, and what did not work on the way to it, as problems.
//!
//! Start at [`Fault`]; [`status_of`] is the table from the pool's codes to HTTP's.
//!
//! Invariant: the pool's code stays as it is, and no answer tells how the gateway reaches the pool.

use axum::response::{IntoResponse, Response};
use hivemind_client::ClientError;
use hivemind_http::Problem;
use hivemind_model::Code;
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

/// After how long a busy pool may be asked again.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// After how long a pool that is away may be asked again.
const AWAY_WAIT: Duration = Duration::from_secs(2);

/// Why a request has no other answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub Problem);

impl Fault {
    /// 422 `E_INVALID` of one field.
    pub fn invalid(field: impl Into<String>, why: impl std::fmt::Display) -> Self {
        let field = field.into();
        let detail = format!("{field}: {why}");
        Self(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "E_INVALID", detail).at(field))
    }

    /// 404 `E_NOT_FOUND`: the same text whether it never was or is somebody else's.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        let detail = format!("{what} does not exist, or is not yours");
        Self(Problem::new(StatusCode::NOT_FOUND, "E_NOT_FOUND", detail))
    }

    /// 401 `E_UNAUTHENTICATED`.
    pub fn login(why: impl Into<String>) -> Self {
        Self(Problem::new(StatusCode::UNAUTHORIZED, "E_UNAUTHENTICATED", why))
    }

    /// 429 `E_BUSY`.
    pub fn busy(why: impl Into<String>) -> Self {
        Self(Problem::new(StatusCode::TOO_MANY_REQUESTS, "E_BUSY", why).retry_after(BUSY_WAIT))
    }

    /// 503 `E_UNAVAILABLE`: the pool does not answer.
    pub fn away() -> Self {
        let detail = "the pool does not answer; nothing was lost, and the same request works once it is back";
        Self(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "E_UNAVAILABLE", detail).retry_after(AWAY_WAIT))
    }

    /// 502 `E_PROTOCOL`: the pool answered what it should not; `why` goes to the log.
    fn protocol(why: &ClientError) -> Self {
        tracing::error!("{why}");
        let detail = "the pool gave an answer that this gateway does not understand; its log says which";
        Self(Problem::new(StatusCode::BAD_GATEWAY, "E_PROTOCOL", detail))
    }
}

/// The status of each of the pool's codes.
#[must_use]
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::BadCredentials | Code::TokenExpired => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::Invitation => StatusCode::FORBIDDEN,
        Code::InsufficientCpt | Code::MaxPrice => StatusCode::PAYMENT_REQUIRED,
        Code::Taken | Code::IdReused | Code::Conflict | Code::Stale | Code::TokenUsed => StatusCode::CONFLICT,
        Code::Busy => StatusCode::TOO_MANY_REQUESTS,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

/// The same of a code by its word; the pool's faults of its own have words that no refusal has.
fn status_of_word(word: &str) -> StatusCode {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == word) {
        return status_of(*code);
    }
    match word {
        "E_UNAUTHENTICATED" => StatusCode::UNAUTHORIZED,
        "E_UNAVAILABLE" | "E_DISK_FULL" | "E_TIMED_OUT" => StatusCode::SERVICE_UNAVAILABLE,
        _unknown => StatusCode::BAD_GATEWAY,
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => {
                tracing::debug!(%error, "the pool is away");
                Self::away()
            }
            ClientError::Rejected { code, field, message } => {
                let status = status_of_word(&code);
                let problem = Problem::new(status, code, message);
                let problem = if field.is_empty() { problem } else { problem.at(field) };
                Self(match status {
                    StatusCode::TOO_MANY_REQUESTS => problem.retry_after(BUSY_WAIT),
                    StatusCode::SERVICE_UNAVAILABLE => problem.retry_after(AWAY_WAIT),
                    _other => problem,
                })
            }
            ClientError::Login { code, message } if !code.is_empty() => {
                Self(Problem::new(StatusCode::UNAUTHORIZED, code, message))
            }
            ClientError::Login { message, .. } => Self::login(message),
            error => Self::protocol(&error),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let is_login = self.0.status() == StatusCode::UNAUTHORIZED;
        let mut response = self.0.into_response();
        if is_login {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_fault_of_the_asker_and_keeps_its_word() {
        for code in Code::ALL {
            assert!(status_of(*code).is_client_error(), "{code}");
            let error =
                ClientError::Rejected { code: code.to_string(), field: "array".into(), message: "array: no".into() };
            let Fault(problem) = error.into();
            assert_eq!((problem.status(), problem.code()), (status_of(*code), code.as_str()));
        }
    }

    #[test]
    fn a_pool_that_is_away_is_told_without_its_address() {
        let error = ClientError::Unreachable { server: "https://10.1.2.3:50051".into(), why: "refused".into() };
        let Fault(problem) = error.into();
        assert_eq!((problem.status(), problem.code()), (StatusCode::SERVICE_UNAVAILABLE, "E_UNAVAILABLE"));
        assert!(!problem.detail().contains("10.1.2.3"));
    }
}
