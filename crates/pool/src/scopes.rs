//! What each call of the public services may be done with.
//!
//! One table, [`CALLS`]: a call that is not in it can be made with a login or a session, which have every scope, and with no
//! API key. A test walks the contract and fails for a call without a line. Start at [`check`].
//!
//! Invariant: whose object it is, is decided elsewhere; here is only what a token may be used for.

use crate::gate;
use crate::status;
use crate::tokens::Caller;
use hivemind_model::Scope::{
    self, Account, NodesRead, NodesWrite, Pool, TasksRead, TasksWrite, WalletRead, WalletWrite,
};
use hivemind_model::{Code, Rejection, Scopes};
use std::collections::HashMap;
use std::sync::LazyLock;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// What a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing: strangers may.
    Nobody,
    /// The certificate of a node, and no token.
    Certificate,
    /// Any token.
    Anybody,
    /// A token with all of these.
    With(Scopes),
}

const fn with(scope: Scope) -> Need {
    Need::With(Scopes::of(&[scope]))
}

/// Service, call, what it takes.
const CALLS: &[(&str, Need)] = &[
    ("/hivemind.v1.AuthService/Register", Need::Nobody),
    ("/hivemind.v1.AuthService/Login", Need::Nobody),
    ("/hivemind.v1.AuthService/OpenSession", Need::Nobody),
    ("/hivemind.v1.AuthService/RefreshSession", Need::Nobody),
    ("/hivemind.v1.AuthService/WhoAmI", Need::Anybody),
    ("/hivemind.v1.AuthService/CreateInvitation", with(Pool)),
    ("/hivemind.v1.AuthService/EndSession", with(Account)),
    ("/hivemind.v1.AuthService/ListSessions", with(Account)),
    ("/hivemind.v1.AuthService/CreateKey", with(Account)),
    ("/hivemind.v1.AuthService/ListKeys", with(Account)),
    ("/hivemind.v1.AuthService/RevokeKey", with(Account)),
    ("/hivemind.v1.TokenService/Transfer", with(WalletWrite)),
    ("/hivemind.v1.TokenService/TransferMany", with(WalletWrite)),
    ("/hivemind.v1.TokenService/Balance", with(WalletRead)),
    ("/hivemind.v1.TokenService/Statement", with(WalletRead)),
    ("/hivemind.v1.TokenService/TaskEntries", with(WalletRead)),
    ("/hivemind.v1.TaskService/SubmitTask", with(TasksWrite)),
    ("/hivemind.v1.TaskService/SubmitTasks", with(TasksWrite)),
    ("/hivemind.v1.TaskService/SubmitGraph", with(TasksWrite)),
    ("/hivemind.v1.TaskService/RetryTask", with(TasksWrite)),
    ("/hivemind.v1.TaskService/CancelTask", with(TasksWrite)),
    ("/hivemind.v1.TaskService/Upload", with(TasksWrite)),
    // Part of an upload: what need not be sent.
    ("/hivemind.v1.TaskService/FindContent", with(TasksWrite)),
    ("/hivemind.v1.TaskService/Quote", with(TasksRead)),
    ("/hivemind.v1.TaskService/TaskStatus", with(TasksRead)),
    ("/hivemind.v1.TaskService/Explain", with(TasksRead)),
    ("/hivemind.v1.TaskService/ListTasks", with(TasksRead)),
    ("/hivemind.v1.TaskService/ListElements", with(TasksRead)),
    ("/hivemind.v1.TaskService/WatchTasks", with(TasksRead)),
    ("/hivemind.v1.TaskService/FollowLogs", with(TasksRead)),
    ("/hivemind.v1.TaskService/DownloadOutput", with(TasksRead)),
    ("/hivemind.v1.TaskService/ElementGrid", with(TasksRead)),
    ("/hivemind.v1.TaskService/FailureGroups", with(TasksRead)),
    ("/hivemind.v1.TaskService/Timeline", with(TasksRead)),
    ("/hivemind.v1.TaskService/ListFiles", with(TasksRead)),
    ("/hivemind.v1.TaskService/ReadFile", with(TasksRead)),
    ("/hivemind.v1.NodeService/RegisterNode", with(NodesWrite)),
    ("/hivemind.v1.NodeService/ReportResource", with(NodesWrite)),
    ("/hivemind.v1.NodeService/SetNode", with(NodesWrite)),
    ("/hivemind.v1.NodeService/CreateJoinToken", with(NodesWrite)),
    ("/hivemind.v1.NodeService/ListNodes", with(NodesRead)),
    ("/hivemind.v1.NodeService/NodeHistory", with(NodesRead)),
    ("/hivemind.v1.NodeService/ListRewards", with(NodesRead)),
    ("/hivemind.v1.NodeService/OwnStanding", Need::Certificate),
    ("/hivemind.v1.ProjectService/RegisterProject", with(WalletWrite)),
    ("/hivemind.v1.ProjectService/CloseProject", with(WalletWrite)),
    ("/hivemind.v1.ProjectService/CollectTips", with(WalletWrite)),
    ("/hivemind.v1.ProjectService/Tip", with(WalletWrite)),
    ("/hivemind.v1.ProjectService/ListProjects", with(WalletRead)),
    ("/hivemind.v1.ProjectService/ListTips", with(WalletRead)),
    ("/hivemind.v1.PoolService/Info", Need::Anybody),
    ("/hivemind.v1.PoolService/PublicCounters", Need::Nobody),
    ("/hivemind.v1.PoolService/Audit", with(Pool)),
    ("/hivemind.v1.PoolService/TrialBalance", with(Pool)),
    ("/hivemind.v1.PoolService/Health", with(Pool)),
    ("/hivemind.v1.PoolService/Queue", with(Pool)),
    ("/hivemind.v1.PoolService/ListJournal", with(Pool)),
    // It tells of one's nodes and one's balance.
    ("/hivemind.v1.PoolService/WatchPool", Need::With(Scopes::of(&[NodesRead, WalletRead]))),
];

static BY_PATH: LazyLock<HashMap<&'static str, (&'static str, Need)>> =
    LazyLock::new(|| CALLS.iter().map(|(path, need)| (*path, (*path, *need))).collect());

/// The call of that path, where it is in the table.
pub(crate) fn known_call(path: &str) -> Option<&'static str> {
    BY_PATH.get(path).map(|(known, _)| *known)
}

/// Whether the call of that path is made with a token.
pub(crate) fn takes_token(path: &str) -> bool {
    match BY_PATH.get(path) {
        Some((_, Need::Anybody | Need::With(_))) => true,
        Some((_, Need::Nobody | Need::Certificate)) | None => false,
    }
}

/// Refuses a caller whose token may not be used for the call that the gate noted.
pub(crate) fn check(caller: &Caller, metadata: &MetadataMap) -> Result<(), Status> {
    let need = gate::call(metadata).and_then(|call| BY_PATH.get(call)).map(|(_, need)| *need);
    let need = match need {
        Some(Need::Nobody | Need::Anybody) => Scopes::NONE,
        Some(Need::With(scopes)) => scopes,
        // Where no token is meant, or nothing is known, nothing less than everything will do.
        Some(Need::Certificate) | None => Scopes::ALL,
    };
    let missing = need.without(caller.scopes);
    if missing.is_empty() {
        return Ok(());
    }
    Err(status::rejected(&Rejection::new(
        Code::Forbidden,
        format!(
            "this call needs the scope `{missing}`, and the API key has only `{}`; use a key that has it, or log in",
            caller.scopes
        ),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use std::collections::BTreeSet;

    /// The calls of every public service, as paths.
    fn contract() -> Vec<String> {
        let set = prost_types::FileDescriptorSet::decode(hivemind_proto::DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "hivemind.v1");
        let services = files.flat_map(|file| &file.service);
        services
            .flat_map(|service| {
                service.method.iter().map(|call| format!("/hivemind.v1.{}/{}", service.name(), call.name()))
            })
            .collect()
    }

    #[test]
    fn every_call_of_the_contract_has_a_line() {
        let calls = contract();
        assert!(calls.len() > 30, "{calls:?}");
        let missing: Vec<&String> = calls.iter().filter(|call| known_call(call).is_none()).collect();
        assert!(missing.is_empty(), "say in CALLS which scope these need: {missing:?}");
    }

    #[test]
    fn no_call_has_two_lines() {
        let paths: BTreeSet<&str> = CALLS.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths.len(), CALLS.len());
    }

    #[test]
    fn only_these_calls_are_open_to_strangers() {
        let open: Vec<&str> = CALLS
            .iter()
            .filter(|(_, need)| *need == Need::Nobody)
            .map(|(path, _)| path.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(open, ["Register", "Login", "OpenSession", "RefreshSession", "PublicCounters"]);
    }
}
