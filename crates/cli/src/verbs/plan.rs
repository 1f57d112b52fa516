//! `plan`: what a task would cost and who could run it.
//!
//! Invariant: nothing is uploaded, submitted or set aside.

use super::Context;
use super::request::{self, Asked};
use crate::args::PlanArgs;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::Amount;
use crate::show::plan::Plan;
use hivemind_model::Code;
use hivemind_proto::v1::SubmitTaskRequest;
use std::path::Path;

/// Asks what would be if it were submitted, and shows it. That it would wait is no failure; that
/// it would be refused for its price is one, told after the plan is shown.
///
/// # Errors
/// The pool would refuse the task, the balance is below the price cap, the cap is above
/// `--max-price`, an input cannot be used, or the pool does not answer.
pub async fn plan(ctx: &mut Context, args: &PlanArgs) -> Done {
    // What could not be sent later is told now.
    let asked =
        Asked { options: &args.options, array: &args.array, conditions: &args.conditions, program: &args.program };
    let (request, kind) = request::planned(request::prepare(asked, Path::new(""))?).await?;
    let bound = request.max_price_micro;
    // Asked without the bound, so that there is a plan to show where it is exceeded.
    let request = SubmitTaskRequest { max_price_micro: 0, ..request };
    let (image, network) = (request.docker_image.clone(), request.network.clone());
    let quote = ctx.user().await?.quote_of(request, kind).await?;
    let plan = Plan { image, kind: (!kind.is_empty()).then(|| kind.to_owned()), network, ..Plan::from(quote) };
    ctx.face.show(&plan)?;
    refusal(&plan, bound).map_or(Ok(Exit::Ok), Err)
}

/// Why submitting it would be refused, as far as money goes. `bound` is in micro-CPT, 0: none.
fn refusal(plan: &Plan, bound: i64) -> Option<Failure> {
    let cap = &plan.price_cap;
    if bound > 0 && cap.micro > bound {
        let bound = Amount::of(bound);
        return Some(Failure::refusal(
            Code::MaxPrice,
            format!("the price cap of {cap} is above --max-price, which is {bound}; it would not be taken"),
        ));
    }
    (!plan.affordable).then(|| {
        let available = &plan.available;
        let what = format!("the price cap of {cap} is above your balance of {available}; it would not be taken");
        Failure::refusal(Code::InsufficientCpt, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_proto::v1::QuoteResponse;

    #[test]
    fn a_price_that_cannot_be_paid_is_told_by_its_exit_code() {
        let judge = |balance_micro: i64, bound: i64| {
            let quote = QuoteResponse { price_cap_micro: 10, balance_micro, ..QuoteResponse::default() };
            refusal(&Plan::from(quote), bound).map(|failure| (failure.exit.number(), failure.code))
        };
        assert_eq!(judge(10, 0), None);
        assert_eq!(judge(10, 10), None);
        assert_eq!(judge(9, 0), Some((6, "E_INSUFFICIENT_CPT".into())));
        assert_eq!(judge(10, 9), Some((6, "E_MAX_PRICE".into())));
        assert_eq!(judge(9, 9), Some((6, "E_MAX_PRICE".into())));
    }
}
