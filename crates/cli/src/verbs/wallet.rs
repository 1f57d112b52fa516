//! `wallet`: what the user has, what moved, and moving it.
//!
//! Invariant: a transfer and a tip always have an id, so that sending one again moves nothing twice.

use super::listing::{and_one, collect, one_form, pass_on, tell_more};
use super::{Context, task_id};
use crate::args::money::{RewardsArgs, StatementArgs};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::quantity::parse_cpt;
use crate::show::money::{Balance, Line, Statement};
use crate::show::rewards::{Reward, Rewards};
use crate::show::{Amount, Said};
use hivemind_model::Cpt;
use hivemind_proto::v1::StatementRequest;
use serde_json::json;

/// Shows what the user has.
///
/// # Errors
/// Nobody is logged in, or the pool does not answer.
pub async fn balance(ctx: &mut Context) -> Done {
    let balance = ctx.user().await?.balance().await?;
    ctx.face.show(&Balance::from(balance))?;
    Ok(Exit::Ok)
}

/// Shows what moved on the user's accounts.
///
/// # Errors
/// The range runs backwards, nobody is logged in, or the pool does not answer.
pub async fn statement(ctx: &mut Context, args: &StatementArgs) -> Done {
    one_form(ctx, args.csv)?;
    let filter = filter(args)?;
    let client = ctx.user().await?;
    if args.csv {
        pass_on::<_, Line>(client.statement_lines(filter, args.much.streamed()), &mut ctx.face).await?;
        return Ok(Exit::Ok);
    }
    let most = args.much.lines();
    let (lines, more) = collect(client.statement_lines(filter, and_one(most)), most).await?;
    ctx.face.show(&Statement { lines, more })?;
    tell_more(&mut ctx.face, &args.much, more);
    Ok(Exit::Ok)
}

fn filter(args: &StatementArgs) -> Done<StatementRequest> {
    let moment = |bound: Option<hivemind_model::Timestamp>| bound.map_or(0, |moment| moment.0);
    // On the wire zero is no bound; nothing lies before 1970 either.
    if args.to.is_some_and(|to| to.0 == 0 || args.from.is_some_and(|from| from > to)) {
        return Err(Failure::usage("--from and --to: the range runs backwards, nothing lies in it")
            .fix("give --from the earlier moment, and --to the later one"));
    }
    let task = args.task.as_deref().map(task_id).transpose()?;
    Ok(StatementRequest {
        from_unix_ms: moment(args.from),
        to_unix_ms: moment(args.to),
        kinds: each_once(&args.kind),
        accounts: each_once(&args.account),
        task_id: task.map(|task| task.to_string()).unwrap_or_default(),
        ..StatementRequest::default()
    })
}

fn each_once(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words
}

/// Shows what the user's nodes were rewarded.
///
/// # Errors
/// The node does not exist, nobody is logged in, or the pool does not answer.
pub async fn rewards(ctx: &mut Context, args: &RewardsArgs) -> Done {
    one_form(ctx, args.csv)?;
    let client = ctx.user().await?;
    let unknown = |failure: Failure| match failure.exit {
        Exit::NotFound => failure.fix("`hivemind nodes` lists your nodes"),
        _ => failure,
    };
    if args.csv {
        let lines = client.reward_lines(&args.node, args.much.streamed());
        pass_on::<_, Reward>(lines, &mut ctx.face).await.map_err(unknown)?;
        return Ok(Exit::Ok);
    }
    let most = args.much.lines();
    let (rewards, more) = collect(client.reward_lines(&args.node, and_one(most)), most).await.map_err(unknown)?;
    ctx.face.show(&Rewards { rewards, more })?;
    tell_more(&mut ctx.face, &args.much, more);
    Ok(Exit::Ok)
}

/// Gives CPT to another user.
///
/// # Errors
/// The amount is none, the user does not exist, or there is too little.
pub async fn transfer(ctx: &mut Context, username: &str, amount: &str, id: Option<&str>) -> Done {
    let (amount, id) = (read(amount)?, id_or_new(id));
    let client = ctx.user().await?;
    let left = client.transfer(username, amount, &id).await;
    let left = left.map_err(|error| not_given(error.into(), &id, "look whether the name is spelled right"))?;
    let facts = json!({"to": username, "amount": Amount::of(amount.micro()), "available": Amount::of(left.micro()), "transfer_id": id});
    ctx.face.show(&Said::new(format!("gave {amount} to {username}; {left} left"), facts).bare(id))?;
    Ok(Exit::Ok)
}

/// Gives CPT to a project.
///
/// # Errors
/// The amount is none, the project does not exist or is closed, or there is too little.
pub async fn tip(ctx: &mut Context, project: &str, amount: &str, message: &str, id: Option<&str>) -> Done {
    let (amount, id) = (read(amount)?, id_or_new(id));
    let client = ctx.user().await?;
    let left = client.tip(project, amount, message, &id).await;
    let left = left.map_err(|error| not_given(error.into(), &id, "`hivemind project list` shows the names"))?;
    let facts = json!({"project": project, "amount": Amount::of(amount.micro()), "available": Amount::of(left.micro()), "tip_id": id});
    ctx.face.show(&Said::new(format!("tipped {project} with {amount}; {left} left"), facts).bare(id))?;
    Ok(Exit::Ok)
}

fn read(amount: &str) -> Done<Cpt> {
    parse_cpt(amount).map_err(|why| Failure::usage(format!("AMOUNT: {why}")))
}

fn id_or_new(id: Option<&str>) -> String {
    id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// Why money did not go where it was sent. The usual advice is about tasks.
fn not_given(failure: Failure, id: &str, unknown: &str) -> Failure {
    match failure.exit {
        Exit::Unreachable => failure.fix(format!(
            "it is not known whether it was done; say the same with `--id {id}` to make sure, it moves nothing twice"
        )),
        Exit::NotFound => failure.fix(unknown),
        Exit::InsufficientCpt => failure.fix("`hivemind wallet balance` shows what can be given"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::Timestamp;

    #[test]
    fn a_range_that_runs_backwards_is_refused_here() {
        let judge = |from: Option<i64>, to: Option<i64>| {
            let args = StatementArgs { from: from.map(Timestamp), to: to.map(Timestamp), ..StatementArgs::default() };
            filter(&args).map(|request| (request.from_unix_ms, request.to_unix_ms)).map_err(|failure| failure.exit)
        };
        assert_eq!(judge(None, None), Ok((0, 0)));
        assert_eq!(judge(Some(5), None), Ok((5, 0)));
        assert_eq!(judge(Some(5), Some(5)), Ok((5, 5)));
        assert_eq!(judge(Some(6), Some(5)), Err(Exit::Usage));
        assert_eq!(judge(None, Some(0)), Err(Exit::Usage));
        assert_eq!(judge(Some(0), Some(0)), Err(Exit::Usage));
    }

    #[test]
    fn filters_are_sent_once_each() {
        let kind = vec!["tip".to_owned(), "hold".to_owned(), "tip".to_owned()];
        let args = StatementArgs { kind, task: Some("7".into()), ..StatementArgs::default() };
        let request = filter(&args).unwrap();
        assert_eq!((request.kinds, request.task_id.as_str()), (vec!["hold".to_owned(), "tip".to_owned()], "task_7"));
        let args = StatementArgs { task: Some("tsk_7".into()), ..StatementArgs::default() };
        assert_eq!(filter(&args).unwrap_err().exit, Exit::Usage);
    }
}
