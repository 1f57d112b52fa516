//! `doctor`: what is in order here, what is not, and what to do about it.
//!
//! Start at [`doctor`]. A check that cannot be made because an earlier one failed is left out.
//!
//! Invariant: a check changes nothing that it looks at.

use super::Context;
use crate::args::server::RuntimeKind;
use crate::connect::Route;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::pool::Checks;
use crate::{place, runtimes};
use futures::TryStreamExt;
use hivemind_client::{Client, Whose};
use hivemind_model::{Bytes, Timestamp};
use hivemind_proto::v1::{InfoResponse, NodeSummary};
use hivemind_runtime::{Check, Verdict};
use std::path::Path;
use std::time::Duration;

/// Below this, images and results may not fit.
const LITTLE_SPACE: Bytes = Bytes::from_gib(5);
/// Below this, not even the books may fit.
const NO_SPACE: Bytes = Bytes::from_mib(256);
/// Clocks further apart than this confuse tokens and certificates.
const MAX_SKEW: Duration = Duration::from_secs(30);
/// How long a single question to the pool may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes all checks and shows them; exit code 1 where one is bad.
///
/// # Errors
/// There is no place for data at all.
pub async fn doctor(ctx: &mut Context) -> Done {
    let data = place::data(&ctx.global)?;
    let mut checks = folder(&data);
    checks.extend(runtime(&data).await);
    checks.extend(pool(ctx.route()).await);
    let checks = Checks::from(checks);
    ctx.face.show(&checks)?;
    Ok(if checks.ok { Exit::Ok } else { Exit::Failure })
}

fn check(name: &str, verdict: Verdict, detail: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { name: name.to_owned(), verdict, detail: detail.into(), fix: fix.into() }
}

fn good(name: &str, detail: impl Into<String>) -> Check {
    check(name, Verdict::Good, detail, "")
}

fn bad(name: &str, failure: &Failure) -> Check {
    check(name, Verdict::Bad, failure.what.clone(), failure.fix.clone())
}

fn folder(data: &Path) -> Vec<Check> {
    let elsewhere = "name another folder with --data DIR or HIVEMIND_DATA";
    // A folder that is not there yet is made by the first server or login; its parent tells.
    let Some(there) = data.ancestors().find(|path| path.exists()) else {
        return vec![check("data folder", Verdict::Bad, format!("nothing of {} exists", data.display()), elsewhere)];
    };
    let written = tempfile::NamedTempFile::new_in(there);
    let write = match written {
        Ok(_) if there == data => good("data folder", format!("{} can be written to", data.display())),
        Ok(_) => good("data folder", format!("{} will be made when it is needed", data.display())),
        Err(error) => {
            check("data folder", Verdict::Bad, format!("{} cannot be written to: {error}", there.display()), elsewhere)
        }
    };
    vec![write, space(there)]
}

fn space(folder: &Path) -> Check {
    let name = "disk space";
    match rustix::fs::statvfs(folder) {
        Err(error) => check(name, Verdict::Weak, format!("is not known: {error}"), ""),
        Ok(stat) => {
            let free = Bytes(stat.f_bavail.saturating_mul(stat.f_frsize));
            let fix = "make room, or move the data with --data DIR";
            match free {
                free if free < NO_SPACE => check(name, Verdict::Bad, format!("only {free} free"), fix),
                free if free < LITTLE_SPACE => check(name, Verdict::Weak, format!("{free} free"), fix),
                free => good(name, format!("{free} free")),
            }
        }
    }
}

async fn runtime(data: &Path) -> Vec<Check> {
    let fix = "needed only where tasks are to run: start Docker (on Debian and Ubuntu: apt install docker.io) and see that this user may use it";
    let owner = match hivemind_worker::owner_preferences(data) {
        Ok(owner) => owner,
        Err(error) => {
            let detail = format!("{error:#}");
            return vec![check("owner's preferences", Verdict::Bad, detail, "correct the file, or move it away")];
        }
    };
    // The folder of the checks goes away with them: nothing of a worker here is touched.
    let dir = match tempfile::tempdir() {
        Ok(dir) => dir,
        Err(error) => return vec![bad("runtime", &Failure::io("no folder for the checks could be made", &error))],
    };
    tracing::debug!("checking what can run tasks for {}", data.display());
    match runtimes::choose(RuntimeKind::Auto, dir.path(), &owner, None).await {
        Ok(chosen) => {
            let name = format!("{} runs {} here", chosen.runtime.name(), chosen.runtime.kinds());
            let mut checks = vec![good("runtime", name)];
            checks.extend(chosen.runtime.health().await);
            checks
        }
        Err(why) => vec![check("runtime", Verdict::Bad, why.what, fix)],
    }
}

async fn pool(route: Done<Route>) -> Vec<Check> {
    let route = match route {
        Ok(route) => route,
        Err(failure) => return vec![bad("pool's certificate", &failure)],
    };
    let mut checks = vec![good("pool's certificate", format!("from {}", route.ca_from))];
    let anonymous = match route.anonymous().await {
        Ok(client) => client,
        Err(failure) => {
            checks.push(bad("pool", &failure));
            return checks;
        }
    };
    checks.push(good("pool", format!("{} answers and is the right one", route.server)));
    let client = match route.token().and_then(|token| Ok(anonymous.with_patience(PATIENCE).with_token(&token)?)) {
        Ok(client) => client,
        Err(failure) => {
            checks.push(bad("login", &failure));
            return checks;
        }
    };
    match client.whoami().await {
        Ok(who) => checks.push(good("login", format!("{} ({})", who.username, who.role))),
        Err(error) => {
            checks.push(bad("login", &error.into()));
            return checks;
        }
    }
    checks.extend(of_user(&client).await);
    checks
}

async fn of_user(client: &Client) -> Vec<Check> {
    let mut checks = Vec::new();
    match client.info().await {
        Ok(info) => {
            checks.push(online(&info));
            checks.extend(economy(&info));
        }
        Err(error) => checks.push(bad("nodes online", &error.into())),
    }
    match client.nodes(Whose::Mine).try_collect::<Vec<_>>().await {
        Ok(nodes) => {
            let now = Timestamp(jiff::Timestamp::now().as_millisecond());
            checks.extend(nodes.iter().map(own_node));
            checks.extend(skew(&nodes, now));
        }
        Err(error) => checks.push(bad("own nodes", &error.into())),
    }
    checks
}

fn online(info: &InfoResponse) -> Check {
    let name = "nodes online";
    match info.nodes_online {
        0 => check(
            name,
            Verdict::Weak,
            "none: tasks wait",
            "on a machine with Docker: hivemind worker --join TOKEN, with a token of `hivemind nodes join-token`",
        ),
        count => good(name, format!("{count}; {} tasks wait, {} run", info.tasks_pending, info.tasks_running)),
    }
}

/// Nothing where the pool does not say how it treats free credit.
fn economy(info: &InfoResponse) -> Option<Check> {
    let name = "economy";
    let fix = "its operator puts `[economy]` and below it `mode = \"guarded\"` into a policy file, and starts the pool with --policy FILE";
    match (info.economy.as_str(), info.listens_outside) {
        ("", _) => None,
        ("open", true) => Some(check(
            name,
            Verdict::Weak,
            "open, and other machines reach the pool: whoever signs up often gets free credit often, as money",
            fix,
        )),
        (mode, true) => Some(good(name, format!("{mode}; other machines reach the pool"))),
        (mode, false) => Some(good(name, format!("{mode}; only this machine reaches the pool"))),
    }
}

fn own_node(node: &NodeSummary) -> Check {
    let name = format!("node {}", node.node_id);
    match node.state.as_str() {
        "online" => good(&name, format!("online, {} attempts", node.active_attempts)),
        other => check(&name, Verdict::Weak, other, "start its worker again: hivemind worker"),
    }
}

/// An online node was heard of about a second ago by the pool's clock, which tells that clock.
fn skew(nodes: &[NodeSummary], now: Timestamp) -> Option<Check> {
    let heard = nodes.iter().filter(|node| node.state == "online").map(|node| node.seen_at_unix_ms).max()?;
    let apart = Duration::from_millis(now.0.abs_diff(heard));
    let fix = "set both clocks by NTP: timedatectl set-ntp true";
    Some(match apart > MAX_SKEW {
        true => check("clock", Verdict::Bad, format!("{} s away from the pool's", apart.as_secs()), fix),
        false => good("clock", "within some seconds of the pool's"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_by_the_newest_word_of_an_online_node() {
        let node = |state: &str, seen: i64| NodeSummary {
            state: state.into(),
            seen_at_unix_ms: seen,
            ..NodeSummary::default()
        };
        let verdict = |nodes: &[NodeSummary]| skew(nodes, Timestamp(100_000)).map(|check| check.verdict);
        assert_eq!(verdict(&[node("offline", 1)]), None);
        assert_eq!(verdict(&[node("online", 99_000), node("online", 1)]), Some(Verdict::Good));
        assert_eq!(verdict(&[node("online", 200_000)]), Some(Verdict::Bad));
    }

    #[test]
    fn an_open_economy_within_reach_of_others_is_weak() {
        let verdict = |economy: &str, listens_outside: bool| {
            let info = InfoResponse { economy: economy.into(), listens_outside, ..InfoResponse::default() };
            super::economy(&info).map(|check| (check.verdict, check.fix.contains("mode = \"guarded\"")))
        };
        assert_eq!(verdict("open", true), Some((Verdict::Weak, true)));
        assert_eq!(verdict("open", false), Some((Verdict::Good, false)));
        assert_eq!(verdict("guarded", true), Some((Verdict::Good, false)));
        assert_eq!(verdict("", true), None, "an older pool");
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let checks = folder(&dir.path().join("a/b"));
        assert_eq!(checks[0].verdict, Verdict::Good);
        assert!(checks[0].detail.contains("will be made"));
    }
}
