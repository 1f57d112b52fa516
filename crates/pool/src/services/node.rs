//! `NodeService`: machines, as their owners see them.
//! What a node did over time comes from [`crate::monitor`].
//!
//! Invariant: a node's certificate speaks for that node only, a user's token for their nodes only.

use super::auth::signing_fault;
use super::machine;
use super::node_change::change;
use super::page::{after, cut, size, token};
use super::refusal_or_fault;
use super::rewards;
use crate::liveness::Usage;
use crate::monitor::Sample;
use crate::shared::{Shared, has_bearer, operators_only};
use crate::status;
use crate::tokens::{Caller, MAX_JOIN_SECONDS};
use hivemind_model::command::NodeOffer;
use hivemind_model::rows::NodeRow;
use hivemind_model::service::NodeChange;
use hivemind_model::{
    Bytes, Code, Command, MilliCores, Millis, NodeId, Rejection, Resources, Scope, Timestamp, UserId,
};
use hivemind_proto::v1::node_service_server::NodeService;
use hivemind_proto::v1::{
    CreateJoinTokenRequest, CreateJoinTokenResponse, ListNodesRequest, ListNodesResponse, ListRewardsRequest,
    ListRewardsResponse, NodeHistoryRequest, NodeHistoryResponse, NodeSample, NodeSummary, OwnStandingRequest,
    OwnStandingResponse, RegisterNodeRequest, RegisterNodeResponse, ResourceReportRequest, ResourceReportResponse,
    SetNodeRequest,
};
use hivemind_store::NodeFilter;
use std::net::IpAddr;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Nodes on a page where nothing is said.
const DEFAULT_PAGE: u32 = 100;
const LIST: &str = "nodes";

/// The service.
pub(crate) struct NodeCalls(pub(crate) Arc<Shared>);

/// On whose word a node is changed.
enum Speaker {
    Owner(UserId),
    Node(NodeRow),
}

#[tonic::async_trait]
impl NodeService for NodeCalls {
    async fn register_node(
        &self,
        request: Request<RegisterNodeRequest>,
    ) -> Result<Response<RegisterNodeResponse>, Status> {
        let speaker = self.speaker(&request)?;
        let checked = offer(request.into_inner()).map(|offer| self.with_what_its_worker_says(offer));
        let checked = checked.and_then(|offer| Ok((owner(&speaker, &offer.name)?, offer)));
        let outcome = match checked {
            Ok((owner, offer)) => {
                refusal_or_fault(self.0.writer.apply(Command::Enroll { owner, offer, token: None }).await)?
            }
            Err(rejection) => Err(rejection),
        };
        Ok(Response::new(match outcome {
            Ok(_) => RegisterNodeResponse {
                success: true,
                message: "registered; it takes work once its worker is linked".into(),
                vpn_config: String::new(),
            },
            Err(rejection) => {
                RegisterNodeResponse { message: rejection.to_string(), ..RegisterNodeResponse::default() }
            }
        }))
    }

    async fn report_resource(
        &self,
        request: Request<ResourceReportRequest>,
    ) -> Result<Response<ResourceReportResponse>, Status> {
        let speaker = self.speaker(&request)?;
        let outcome = self.take_sample(&speaker, &request.into_inner());
        Ok(Response::new(match outcome {
            Ok(()) => ResourceReportResponse { success: true, message: "stored".into() },
            Err(rejection) => ResourceReportResponse { success: false, message: rejection.to_string() },
        }))
    }

    async fn list_nodes(&self, request: Request<ListNodesRequest>) -> Result<Response<ListNodesResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let ListNodesRequest { all, page_size, page_token, .. } = request.get_ref();
        let owner = if *all {
            operators_only(&caller)?;
            None
        } else {
            Some(caller.id)
        };
        let asked = size(*page_size, DEFAULT_PAGE).and_then(|size| Ok((size, after(LIST, page_token)?)));
        let (size, after) = asked.map_err(|rejection| status::rejected(&rejection))?;
        let filter = NodeFilter { owner, after: after.map(|[id]| NodeId(id)), limit: size + 1 };
        let mut rows = self.0.store.nodes(&filter).await.map_err(|error| status::store(&error))?;
        let more = cut(&mut rows, size);
        let next = rows.last().filter(|_| more).map(|last| token(LIST, [last.id.0]));
        let nodes = machine::summaries(&self.0, rows, owner).await?;
        Ok(Response::new(ListNodesResponse { nodes, next_page_token: next.unwrap_or_default() }))
    }

    async fn set_node(&self, request: Request<SetNodeRequest>) -> Result<Response<NodeSummary>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let request = request.into_inner();
        let change = change(&request).map_err(|rejection| status::rejected(&rejection))?;
        if !caller.scopes.has(Scope::Pool) {
            self.own_only(&caller, &request.node_id, &change)?;
        }
        let said = change.clone();
        let command = Command::SetNode { by: caller.id, node: request.node_id.clone(), change };
        self.0.writer.apply(command).await.map_err(|refused| status::refused(&refused))?;
        tracing::info!(node = request.node_id, by = %caller.id, change = ?said, "whether a node gets work is decided");
        let gone = || Status::internal("E_INTERNAL: a node that was changed is not there, which is a bug");
        let id = self.0.live.board.node_named(&request.node_id).ok_or_else(gone)?.id;
        let row = self.0.store.node(id).await.map_err(|error| status::store(&error))?.ok_or_else(gone)?;
        let owner = row.owner;
        let one = machine::summaries(&self.0, vec![row], Some(owner)).await?;
        one.into_iter().next().map(Response::new).ok_or_else(gone)
    }

    async fn node_history(
        &self,
        request: Request<NodeHistoryRequest>,
    ) -> Result<Response<NodeHistoryResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let row = self.0.live.board.node_named(&request.get_ref().node_id);
        let own = row.filter(|row| row.owner == caller.id || caller.role == hivemind_model::rows::Role::Operator);
        let row = own.ok_or_else(|| {
            status::rejected(&Rejection::field(Code::NotFound, "node_id", "no such node, or it is not yours"))
        })?;
        history(&self.0, &row, request.get_ref()).map(Response::new).map_err(|rejection| status::rejected(&rejection))
    }

    async fn list_rewards(
        &self,
        request: Request<ListRewardsRequest>,
    ) -> Result<Response<ListRewardsResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        rewards::page(&self.0, &caller, request.get_ref()).await.map(Response::new)
    }

    async fn own_standing(
        &self,
        request: Request<OwnStandingRequest>,
    ) -> Result<Response<OwnStandingResponse>, Status> {
        let shown = self.0.node_of(&request)?;
        let gone = || status::unauthenticated("this node is not of this pool any more");
        let row = self.0.store.node(shown.id).await.map_err(|error| status::store(&error))?.ok_or_else(gone)?;
        let standing = rewards::own(&self.0, &row).await?;
        let owner = row.owner;
        let node = machine::summaries(&self.0, vec![row], Some(owner)).await?.into_iter().next();
        Ok(Response::new(OwnStandingResponse { node, ..standing }))
    }

    async fn create_join_token(
        &self,
        request: Request<CreateJoinTokenRequest>,
    ) -> Result<Response<CreateJoinTokenResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let seconds = match u32::try_from(request.get_ref().valid_seconds) {
            Ok(0) => MAX_JOIN_SECONDS,
            Ok(seconds) if seconds <= MAX_JOIN_SECONDS => seconds,
            _ => {
                return Err(status::rejected(&Rejection::invalid(
                    "valid_seconds",
                    format!("{} is outside 1 to {MAX_JOIN_SECONDS}", request.get_ref().valid_seconds),
                )));
            }
        };
        let shared = &self.0;
        let issued = shared.tokens.issue_join(
            caller.id,
            Millis::from_secs(seconds.into()),
            &shared.server_url,
            &shared.authority.ca_hash(),
        );
        let issued = issued.map_err(|error| signing_fault(&error))?;
        Ok(Response::new(CreateJoinTokenResponse { join_token: issued.token, expires_at_unix_ms: issued.expires_at.0 }))
    }
}

impl NodeCalls {
    fn speaker<T>(&self, request: &Request<T>) -> Result<Speaker, Status> {
        if has_bearer(request.metadata()) {
            return Ok(Speaker::Owner(self.0.caller("", request.metadata())?.id));
        }
        match self.0.node_of(request) {
            Ok(node) => Ok(Speaker::Node(node)),
            Err(_) => Err(status::unauthenticated(
                "this call needs `authorization: Bearer <user token>` metadata or a node certificate",
            )),
        }
    }

    /// What the engine allows goes by the user; a key of an operator without the scope `pool` may do what members may.
    fn own_only(&self, caller: &Caller, name: &str, change: &NodeChange) -> Result<(), Status> {
        match change {
            NodeChange::Cordon | NodeChange::Uncordon | NodeChange::Drain { .. } => {}
            NodeChange::Ban { .. } | NodeChange::Unban => operators_only(caller)?,
        }
        let own = self.0.live.board.node_named(name).is_some_and(|row| row.owner == caller.id);
        own.then_some(()).ok_or_else(|| {
            status::rejected(&Rejection::field(Code::NotFound, "node_id", "no such node, or it is not yours"))
        })
    }

    /// A node that is there keeps what only its worker knows: labels, isolation, kinds of programs, network.
    fn with_what_its_worker_says(&self, offer: NodeOffer) -> NodeOffer {
        match self.0.live.board.node_named(&offer.name) {
            Some(row) => NodeOffer {
                labels: row.labels,
                isolation: row.isolation,
                kinds: row.kinds,
                egress: row.egress,
                ..offer
            },
            None => offer,
        }
    }

    fn take_sample(&self, speaker: &Speaker, report: &ResourceReportRequest) -> Result<(), Rejection> {
        let unknown = || Rejection::field(Code::NotFound, "node_id", "no such node, or it is not yours");
        let node = self.0.live.board.node_named(&report.node_id).ok_or_else(unknown)?;
        if owner(speaker, &node.name)? != node.owner {
            return Err(unknown());
        }
        let usage = Usage {
            cpu: report.cpu_usage,
            memory: report.memory_usage,
            disk: report.disk_usage,
            gpu: report.gpu_usage,
        };
        if let Some(field) = usage.fault() {
            return Err(Rejection::invalid(field, "is not a percentage from 0 to 100"));
        }
        if report.active_tasks < 0 {
            return Err(Rejection::invalid("active_tasks", format!("{} is negative", report.active_tasks)));
        }
        self.0.liveness.sample(node.id, usage);
        Ok(())
    }
}

/// What a node did over time.
fn history(shared: &Shared, row: &NodeRow, request: &NodeHistoryRequest) -> Result<NodeHistoryResponse, Rejection> {
    let now = shared.clock.now();
    let time = |field: &str, value: i64, default: Timestamp| match value {
        0 => Ok(default),
        1.. => Ok(Timestamp(value)),
        _ => Err(Rejection::invalid(field, format!("{value} is before 1970; leave it 0 for the default"))),
    };
    let to = time("to_unix_ms", request.to_unix_ms, now)?;
    let from = time("from_unix_ms", request.from_unix_ms, to.before(Millis::from_secs(3600)))?;
    if from >= to {
        return Err(Rejection::invalid("from_unix_ms", "is not before to_unix_ms; give the earlier moment first"));
    }
    let points = match request.points {
        0 => DEFAULT_POINTS,
        given => u32::try_from(given)
            .ok()
            .filter(|given| (1..=MAX_POINTS).contains(given))
            .ok_or_else(|| Rejection::invalid("points", format!("{given} is outside 1 to {MAX_POINTS}")))?,
    };
    let sample = |(at, Sample(figures)): (Timestamp, Sample)| {
        let [cpu_usage, memory_usage, disk_usage, gpu_usage, received, sent, temperature_celsius, attempts] = figures;
        NodeSample {
            at_unix_ms: at.0,
            cpu_usage,
            memory_usage,
            disk_usage,
            gpu_usage,
            received_bytes_per_second: received as i64,
            sent_bytes_per_second: sent as i64,
            temperature_celsius,
            attempts,
        }
    };
    let samples = shared.monitor.history(row.id, from, to, points).into_iter().map(sample).collect();
    Ok(NodeHistoryResponse { samples })
}

/// Points of a chart where none are named, and at most.
const DEFAULT_POINTS: u32 = 120;
const MAX_POINTS: u32 = 1000;

/// Whole MiB as the wire carries them.
pub(super) fn wire_mib(size: Bytes) -> i64 {
    i64::try_from(size.mib()).unwrap_or(i64::MAX)
}

/// The owner on whose behalf `speaker` may change the node of that name.
fn owner(speaker: &Speaker, name: &str) -> Result<UserId, Rejection> {
    match speaker {
        Speaker::Owner(user) => Ok(*user),
        Speaker::Node(node) if node.name == name => Ok(node.owner),
        Speaker::Node(node) => Err(Rejection::field(
            Code::Forbidden,
            "node_id",
            format!("the certificate is that of {}; a node speaks only for itself", node.name),
        )),
    }
}

fn offer(request: RegisterNodeRequest) -> Result<NodeOffer, Rejection> {
    if !request.ip_address.is_empty() && request.ip_address.parse::<IpAddr>().is_err() {
        return Err(Rejection::invalid(
            "ip_address",
            "is not an IPv4 or IPv6 address; leave it empty if there is none",
        ));
    }
    if !(0..=65_535).contains(&request.port) {
        return Err(Rejection::invalid("port", format!("{} is outside 0 to 65535", request.port)));
    }
    if request.gpu_info.len() > 200 || request.gpu_info.chars().any(char::is_control) {
        return Err(Rejection::invalid("gpu_info", "is longer than 200 bytes or contains a control character"));
    }
    let cores = quantity("cpu_cores", request.cpu_cores.into(), 1, 100_000)?;
    let memory = quantity("memory_mb", request.memory_mb, 1, 1 << 30)?;
    let disk = quantity("disk_gb", request.disk_gb, 0, 1 << 30)?;
    let capacity = Resources {
        cpu: MilliCores::from_cores(u32::try_from(cores).unwrap_or(u32::MAX)),
        memory: Bytes::from_mib(memory),
        disk: Bytes::from_gib(disk),
        gpus: u32::from(request.has_gpu),
    };
    Ok(NodeOffer {
        name: request.node_id,
        capacity,
        gpu_info: request.gpu_info,
        labels: hivemind_model::Labels::default(),
        isolation: hivemind_model::Isolation::Basic,
        kinds: hivemind_model::Kinds::CONTAINER,
        egress: hivemind_model::EgressPolicy::None,
    })
}

fn quantity(field: &str, value: i64, least: u64, most: u64) -> Result<u64, Rejection> {
    u64::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| Rejection::invalid(field, format!("{value} is outside {least} to {most}")))
}
