//! `nodes`: what there is, how a machine joins, and whether it gets work.
//!
//! Invariant: a join token is printed alone, so that a script can pass it on.

use super::Context;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::pool::{Node, Nodes};
use crate::show::{Word, moment};
use futures::{TryStreamExt, future};
use hivemind_client::Whose;
use hivemind_model::service::{MAX_DRAIN, NodeChange};
use hivemind_model::{Code, Millis};
use std::time::Duration;

/// Longest life of a join token.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Where the names are.
const NAMES: &str = "`hivemind nodes` lists your nodes";

/// Lists nodes.
///
/// # Errors
/// Nobody is logged in, or the pool does not answer.
pub async fn list(ctx: &mut Context, all: bool) -> Done {
    let nodes: Vec<_> = ctx.user().await?.nodes(whose(all)).try_collect().await?;
    let nodes = Nodes { nodes: nodes.into_iter().map(Node::from).collect() };
    let none = nodes.nodes.is_empty();
    ctx.face.show(&nodes)?;
    if none {
        ctx.face.say("no nodes; `hivemind nodes join-token` makes a token with which a machine joins as yours");
    }
    Ok(Exit::Ok)
}

const fn whose(all: bool) -> Whose {
    if all { Whose::Everyones } else { Whose::Mine }
}

/// Tells everything about a node.
///
/// # Errors
/// It does not exist or is somebody else's, nobody is logged in, or the pool does not answer.
pub async fn show(ctx: &mut Context, name: &str, all: bool) -> Done {
    let mut those = ctx.user().await?.nodes(whose(all)).try_filter(|node| future::ready(node.node_id == name));
    let node = those.try_next().await?.ok_or_else(|| {
        Failure::refusal(Code::NotFound, format!("the node {name} does not exist, or is not yours")).fix(NAMES)
    })?;
    ctx.face.show(&Node::from(node))?;
    Ok(Exit::Ok)
}

/// Decides whether a node gets work, and shows it as it is then.
///
/// # Errors
/// The node does not exist or is somebody else's, the change is not the caller's to make, nobody is logged in, or the
/// pool does not answer.
pub async fn set(ctx: &mut Context, name: &str, change: NodeChange) -> Done {
    let set = ctx.user().await?.set_node(name, &change).await.map_err(Failure::from).map_err(unknown)?;
    ctx.face.show(&Node::from(set))?;
    Ok(Exit::Ok)
}

/// Gives a node no new work, and what it has at most `deadline`.
///
/// # Errors
/// As [`set`]; the deadline is out of bounds.
pub async fn drain(ctx: &mut Context, name: &str, deadline: Duration) -> Done {
    let within = Millis(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    if within > MAX_DRAIN || within < Millis::from_secs(1) || deadline.subsec_nanos() != 0 {
        return Err(Failure::usage("--deadline: a drain takes between 1s and 30d, in whole seconds")
            .fix("`hivemind nodes cordon NODE` gives a node no new work and has no deadline"));
    }
    set(ctx, name, NodeChange::Drain { within }).await
}

/// The usual advice is about tasks.
fn unknown(failure: Failure) -> Failure {
    if failure.exit == Exit::NotFound { failure.fix(NAMES) } else { failure }
}

/// Makes a join token.
///
/// # Errors
/// It should live too long, nobody is logged in, or the pool does not answer.
pub async fn join_token(ctx: &mut Context, valid: Duration) -> Done {
    if valid > LONGEST || valid < Duration::from_secs(1) || valid.subsec_nanos() != 0 {
        return Err(Failure::usage("--valid: a join token lives between 1s and 15m, in whole seconds"));
    }
    let made = ctx.user().await?.create_join_token(valid).await?;
    let word = Word::new("join_token", made.token).with("expires_at", moment(made.expires_at.0));
    ctx.face.show(&word)?;
    let until = ctx.face.look.moment(made.expires_at.0);
    ctx.face.say(&format!("on the machine that joins, before {until}: hivemind worker --join TOKEN"));
    Ok(Exit::Ok)
}
