//! Machines, and the pool as a whole.
//!
//! Invariant: a join token is asked for once per call; each answer is another token.

use crate::client::MAX_MESSAGE_BYTES;
use crate::pages::{page_size, paged};
use crate::{Client, ClientError, Events};
use hivemind_model::Timestamp;
use hivemind_model::service::NodeChange;
use hivemind_proto::v1::node_service_client::NodeServiceClient;
use hivemind_proto::v1::pool_service_client::PoolServiceClient;
use hivemind_proto::v1::{
    AuditRequest, AuditResponse, CreateJoinTokenRequest, InfoRequest, InfoResponse, ListNodesRequest,
    ListNodesResponse, ListRewardsRequest, ListRewardsResponse, NodeHistoryRequest, NodeHistoryResponse, NodeSummary,
    OwnStandingRequest, OwnStandingResponse, RewardLine, SetNodeRequest, TrialBalanceRequest, TrialBalanceResponse,
};
use std::fmt;
use std::time::Duration;
use tonic::transport::Channel;

/// Bound on the replay of a whole journal.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(600);

/// Which machines are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The caller's.
    Mine,
    /// Everybody's; for operators.
    Everyones,
}

/// A one-time token with which a machine joins.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The token; it carries the pool's address and the hash of its CA.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Client {
    /// One page of the machines of the pool, by name.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where everybody's are asked for by somebody who is not an operator; the refusal of a page token that
    /// is none.
    pub async fn nodes_page(&self, request: ListNodesRequest) -> Result<ListNodesResponse, ClientError> {
        self.repeated("ListNodes", async || self.machines().list_nodes(self.request(request.clone())).await).await
    }

    /// The machines of the pool, by name, read page by page as they are taken.
    #[must_use]
    pub fn nodes(&self, whose: Whose) -> Events<NodeSummary> {
        let (this, all) = (self.clone(), whose == Whose::Everyones);
        paged("ListNodes", usize::MAX, move |page_token| {
            let request = ListNodesRequest { token: String::new(), all, page_size: page_size(usize::MAX), page_token };
            let this = this.clone();
            async move {
                let page = this.nodes_page(request).await?;
                Ok((page.nodes, page.next_page_token))
            }
        })
    }

    /// Decides whether the node of that name gets work; saying it twice changes nothing.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a node that never was and one of somebody else; `E_FORBIDDEN` where the
    /// change is the operators' alone; `E_CONFLICT` where the node is banned.
    pub async fn set_node(&self, node: &str, change: &NodeChange) -> Result<NodeSummary, ClientError> {
        let (word, deadline_seconds, reason) = match change {
            NodeChange::Cordon => ("cordon", 0, ""),
            NodeChange::Uncordon => ("uncordon", 0, ""),
            NodeChange::Drain { within } => {
                ("drain", i64::try_from(within.0.div_ceil(1000).max(1)).unwrap_or(i64::MAX), "")
            }
            NodeChange::Ban { reason } => ("ban", 0, reason.as_str()),
            NodeChange::Unban => ("unban", 0, ""),
        };
        let request = SetNodeRequest {
            token: String::new(),
            node_id: node.to_owned(),
            change: word.to_owned(),
            deadline_seconds,
            reason: reason.to_owned(),
        };
        self.set_node_request(request).await
    }

    /// [`Client::set_node`] in the pool's own words.
    ///
    /// # Errors
    /// As of [`Client::set_node`]; `E_INVALID` of a word that is none.
    pub async fn set_node_request(&self, request: SetNodeRequest) -> Result<NodeSummary, ClientError> {
        self.repeated("SetNode", async || self.machines().set_node(self.request(request.clone())).await).await
    }

    /// What a node of the caller did over time; operators: any node.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a node that never was and one of somebody else; the refusal of a range that goes backwards.
    pub async fn node_history(&self, request: NodeHistoryRequest) -> Result<NodeHistoryResponse, ClientError> {
        self.repeated("NodeHistory", async || self.machines().node_history(self.request(request.clone())).await).await
    }

    /// Makes a join token for a machine of the caller's, valid for `life` (whole seconds, 1 to
    /// 900; zero: as long as the pool allows).
    ///
    /// # Errors
    /// The refusal.
    pub async fn create_join_token(&self, life: Duration) -> Result<JoinToken, ClientError> {
        let valid_seconds = i32::try_from(life.as_secs()).unwrap_or(i32::MAX);
        let request = CreateJoinTokenRequest { token: String::new(), valid_seconds };
        let answer = self.answer("CreateJoinToken", self.machines().create_join_token(self.request(request)).await)?;
        Ok(JoinToken { token: answer.join_token, expires_at: Timestamp(answer.expires_at_unix_ms) })
    }

    /// One page of what the caller's nodes were rewarded, newest period first.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a node that never was and one of somebody else; the refusal of a
    /// page token that is none.
    pub async fn rewards(&self, request: ListRewardsRequest) -> Result<ListRewardsResponse, ClientError> {
        self.repeated("ListRewards", async || self.machines().list_rewards(self.request(request.clone())).await).await
    }

    /// Where the node stands whose certificate the connection has, and what it earned.
    ///
    /// # Errors
    /// [`ClientError::Login`] where it has none, or one that is no node's any more.
    pub async fn own_standing(&self) -> Result<OwnStandingResponse, ClientError> {
        let request = OwnStandingRequest {};
        self.repeated("OwnStanding", async || self.machines().own_standing(self.request(request)).await).await
    }

    /// The first `most` lines of what `node`, or where it is empty every node of the caller, was
    /// rewarded, newest period first, read page by page as they are taken.
    #[must_use]
    pub fn reward_lines(&self, node: &str, most: usize) -> Events<RewardLine> {
        let (this, node) = (self.clone(), node.to_owned());
        paged("ListRewards", most, move |page_token| {
            let (this, node) = (this.clone(), node.clone());
            let request = ListRewardsRequest { token: String::new(), node, page_size: page_size(most), page_token };
            async move {
                let page = this.rewards(request).await?;
                Ok((page.rewards, page.next_page_token))
            }
        })
    }

    /// The pool in figures.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the token is not valid.
    pub async fn info(&self) -> Result<InfoResponse, ClientError> {
        self.repeated("Info", async || self.pool().info(self.request(InfoRequest::default())).await).await
    }

    /// Has the pool replay its journal and compare it with its balances; may take minutes.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where the caller is not an operator.
    pub async fn audit(&self) -> Result<AuditResponse, ClientError> {
        let call = async || {
            let mut request = self.stream_request(AuditRequest::default());
            request.set_timeout(AUDIT_TIMEOUT);
            self.pool().audit(request).await
        };
        self.repeated("Audit", call).await
    }

    /// What the accounts of each kind have together, and the supply.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where the caller is not an operator.
    pub async fn trial_balance(&self) -> Result<TrialBalanceResponse, ClientError> {
        let call = async || self.pool().trial_balance(self.request(TrialBalanceRequest::default())).await;
        self.repeated("TrialBalance", call).await
    }

    fn machines(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn pool(&self) -> PoolServiceClient<Channel> {
        PoolServiceClient::new(self.channel.clone())
    }
}
