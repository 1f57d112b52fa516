//! `nodes`, `nodes show` and `nodes join-token`.
//!
//! Invariant: a join token is printed alone, so that a script can pass it on.

use super::Context;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::pool::{Node, Nodes};
use crate::show::{Word, moment};
use hivemind_client::Whose;
use hivemind_model::Code;
use std::time::Duration;

/// Longest life of a join token.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Lists nodes.
///
/// # Errors
/// Nobody is logged in, or the pool does not answer.
pub async fn list(ctx: &mut Context, all: bool) -> Done {
    let nodes = ctx.user().await?.nodes(whose(all)).await?;
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
    let nodes = ctx.user().await?.nodes(whose(all)).await?;
    let node = nodes.into_iter().find(|node| node.node_id == name).ok_or_else(|| {
        Failure::refusal(Code::NotFound, format!("the node {name} does not exist, or is not yours"))
            .fix("`hivemind nodes` lists your nodes")
    })?;
    ctx.face.show(&Node::from(node))?;
    Ok(Exit::Ok)
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
