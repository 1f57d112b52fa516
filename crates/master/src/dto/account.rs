//! Accounts.
//!
//! Invariant: no answer here carries a password.

use crate::wire::{asked, told};

asked! {
    /// A code with which people can register.
    Invite => CreateInvitationRequest {
        /// How many accounts it can make, 1 to 1000; 0: 1.
        #[schema(minimum = 0, maximum = 1000)]
        uses: i32,
        /// 1 to 31,536,000; 0: 604,800 (a week).
        #[schema(minimum = 0, maximum = 31_536_000)]
        valid_seconds: i64,
    }
}

told! {
    /// A code with which people can register.
    Invitation <= CreateInvitationResponse {
        /// Invitation.
        invitation: String,
        /// When it ends.
        expires_at_unix_ms: i64,
    }
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Me {
    /// User name.
    pub username: String,
    /// Id of the user.
    pub user_id: String,
    /// member, operator.
    pub role: String,
    /// The highest of the user's nodes: none, bronze, silver, gold, platinum, diamond.
    pub level: String,
    /// Sees beta features.
    pub beta: bool,
    /// Has a vote.
    pub vote: bool,
    /// What `X-CSRF-Token` repeats on requests that change something; empty with a bearer, which needs none.
    pub csrf_token: String,
    /// When the login ends.
    pub token_expires_at_unix_ms: i64,
}

/// A new account.
#[derive(Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// 3 to 32 of a-z A-Z 0-9 . _ -, unique without regard to case.
    #[schema(min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9._-]{3,32}$")]
    pub username: String,
    /// 8 to 1024 bytes.
    #[schema(min_length = 8, max_length = 1024)]
    pub password: String,
    /// Where the operator can reach the user.
    #[schema(max_length = 254)]
    pub email: String,
    /// A code from the operator, where the pool asks for one.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub invitation: String,
}

/// A login.
#[derive(Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name of the account.
    #[schema(max_length = 1024)]
    pub username: String,
    /// Its password.
    #[schema(max_length = 1024)]
    pub password: String,
}

told! {
    /// A session of a browser.
    SessionSummary <= SessionSummary {
        /// Session id.
        session_id: String,
        /// What its browser said it is: to be shown as text.
        about: String,
        /// Created at unix ms.
        created_at_unix_ms: i64,
        /// When it was refreshed last.
        used_at_unix_ms: i64,
        /// Expires at unix ms.
        expires_at_unix_ms: i64,
        /// The one whose token this is.
        current: bool,
    }
}

told! {
    /// An API key, without its secret.
    KeySummary <= KeySummary {
        /// As the key begins.
        key_id: String,
        /// Name.
        name: String,
        /// Scopes.
        scopes: Vec<String>,
        /// Created at unix ms.
        created_at_unix_ms: i64,
        /// To the hour; 0: never.
        used_at_unix_ms: i64,
        /// Expires at unix ms.
        expires_at_unix_ms: i64,
    }
}

told! {
    /// A new API key.
    NewKey <= CreateKeyResponse {
        /// Key id.
        key_id: String,
        /// Hm_...; this is the only time that the pool tells it.
        key: String,
        /// Name.
        name: String,
        /// Scopes.
        scopes: Vec<String>,
        /// Expires at unix ms.
        expires_at_unix_ms: i64,
    }
}

asked! {
    /// An API key to make.
    CreateKey => CreateKeyRequest {
        /// 1 to 200 bytes, for lists.
        #[schema(max_length = 200)]
        name: String,
        /// tasks:read, tasks:write, wallet:read, wallet:write, nodes:read, nodes:write, account, pool.
        #[schema(max_items = 8)]
        scopes: Vec<String>,
        /// 1 to 31,536,000 (a year); 0: 7,776,000 (90 days), or as long as the key that asks.
        #[schema(minimum = 0, maximum = 31_536_000)]
        valid_seconds: i64,
    }
}
