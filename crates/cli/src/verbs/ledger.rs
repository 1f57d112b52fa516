//! `ledger`: the books of the pool, for its operators.
//!
//! Invariant: nothing here changes the books.

use super::Context;
use super::listing::one_form;
use crate::exit::Exit;
use crate::face::{Channel, csv};
use crate::failure::Done;
use crate::show::books::{Audit, Trial, TrialRecord};

/// Has the books replayed and compared; exit code 1 where something is wrong.
///
/// # Errors
/// The user is no operator, or the pool does not answer.
pub async fn verify(ctx: &mut Context) -> Done {
    let audit = Audit::from(ctx.user().await?.audit().await?);
    ctx.face.show(&audit)?;
    if !audit.balanced {
        ctx.face.say("stop the pool, keep its data folder as it is, and compare with the last backup");
    }
    Ok(if audit.balanced { Exit::Ok } else { Exit::Failure })
}

/// Shows what the accounts have together; exit code 1 where that is not the supply.
///
/// # Errors
/// The user is no operator, or the pool does not answer.
pub async fn trial_balance(ctx: &mut Context, as_csv: bool) -> Done {
    one_form(ctx, as_csv)?;
    let trial = Trial::from(ctx.user().await?.trial_balance().await?);
    if as_csv {
        let mut text = csv::header::<TrialRecord>();
        trial.records().iter().for_each(|record| csv::append(&mut text, record));
        ctx.face.bytes(text.as_bytes(), Channel::Out)?;
    } else {
        ctx.face.show(&trial)?;
    }
    Ok(if trial.balanced { Exit::Ok } else { Exit::Failure })
}
