//! `wallet` and `ledger`.
//!
//! Invariant: a transfer always has an id, so that sending it again moves nothing twice.

use super::Context;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::quantity::parse_cpt;
use crate::show::pool::{Audit, Balance};
use crate::show::{Amount, Said};
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

/// Gives CPT to another user.
///
/// # Errors
/// The amount is none, the user does not exist, or there is too little.
pub async fn transfer(ctx: &mut Context, username: &str, amount: &str, id: Option<&str>) -> Done {
    let amount = parse_cpt(amount).map_err(|why| Failure::usage(format!("AMOUNT: {why}")))?;
    let id = id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let client = ctx.user().await?;
    let left = client.transfer(username, amount, &id).await.map_err(|error| {
        let failure = Failure::from(error);
        match failure.exit {
            Exit::Unreachable => failure.fix(format!("it is not known whether it was done; say the same with `--id {id}` to make sure, it moves nothing twice")),
            // The usual advice is about tasks.
            Exit::NotFound => failure.fix("look whether the name is spelled right"),
            Exit::InsufficientCpt => failure.fix(""),
            _ => failure,
        }
    })?;
    let facts = json!({"to": username, "amount": Amount::of(amount.micro()), "available": Amount::of(left.micro()), "transfer_id": id});
    ctx.face.show(&Said::new(format!("gave {amount} to {username}; {left} left"), facts).bare(id))?;
    Ok(Exit::Ok)
}

/// Checks the books of the pool.
///
/// # Errors
/// The user is no operator, or the pool does not answer.
pub async fn audit(ctx: &mut Context) -> Done {
    let audit = Audit::from(ctx.user().await?.audit().await?);
    ctx.face.show(&audit)?;
    Ok(if audit.balanced { Exit::Ok } else { Exit::Failure })
}
