//! `Quote`: what a task would cost, and who could run it.
//!
//! The price cap is what a submission would hold. What it is likely to cost comes from the caller's
//! own newest tasks. Start at [`quote`].
//!
//! Invariant: nothing is submitted, stored or held, and no other user's tasks are read.

use super::submission::{self, Refusal};
use super::token::spendable;
use crate::shared::Shared;
use crate::status;
use hivemind_model::policy::Prices;
use hivemind_model::rows::AttemptRow;
use hivemind_model::verify::Rule;
use hivemind_model::{Bytes, Cpt, MilliCores, Millis, Resources, TaskId, TaskSpec, TaskState, UserId};
use hivemind_placement::WhyWaiting;
use hivemind_proto::v1::{PriceLine, QuoteRequest, QuoteResponse};
use hivemind_store::TaskFilter;
use std::collections::BTreeSet;
use tonic::Status;

/// Completed tasks that the expected run time is taken from.
const HISTORY: u32 = 200;
const HOUR: Millis = Millis::from_secs(3600);

/// Tells what `request` would cost its user.
pub(super) async fn quote(shared: &Shared, user: UserId, request: QuoteRequest) -> Result<QuoteResponse, Status> {
    let QuoteRequest { token: _, task, kind } = request;
    let spec =
        submission::preview(shared, user, task.unwrap_or_default(), &kind).await.map_err(|refusal| match refusal {
            Refusal::Rejected(rejection) => status::rejected(&rejection),
            Refusal::Fault(fault) => fault,
        })?;
    let prices = &shared.policy.prices;
    let cap = shared.policy.cap(&spec).map_err(|rejection| status::rejected(&rejection))?;
    let (wall, basis) = expected(shared, user, &spec).await?;
    let runs = i64::from(spec.elements()).saturating_mul(copies(&spec).into());
    let expected = prices.price(&spec.resources, wall).and_then(|price| price.micro().checked_mul(runs));
    let expected = expected.map_or(cap, |price| Cpt::from_micro(price).min(cap));
    let funds = shared.store.funds(user).await.map_err(|error| status::store(&error))?;
    let prospects = shared.writer.prospects(spec.need()).await.map_err(|refused| status::refused(&refused))?;
    let waiting_reason = match prospects.why {
        WhyWaiting::Next => String::new(),
        why @ (WhyWaiting::NoNode
        | WhyWaiting::TooBig { .. }
        | WhyWaiting::LevelTooLow { .. }
        | WhyWaiting::TrustTooLow { .. }
        | WhyWaiting::IsolationTooLow { .. }
        | WhyWaiting::NoKind { .. }
        | WhyWaiting::NoLabels { .. }
        | WhyWaiting::NoNetwork { .. }
        | WhyWaiting::AllBusy { .. }) => why.to_string(),
    };
    Ok(QuoteResponse {
        price_cap_micro: cap.micro(),
        expected_micro: expected.micro(),
        expected_basis: basis,
        expected_wall_ms: i64::try_from(wall.0).unwrap_or(i64::MAX),
        lines: lines(prices, &spec, cap),
        balance_micro: spendable(&funds).micro(),
        nodes_capable: i64::try_from(prospects.capable).unwrap_or(i64::MAX),
        nodes_free: i64::try_from(prospects.free).unwrap_or(i64::MAX),
        waiting_reason,
    })
}

/// How many copies of an element are likely to run.
fn copies(spec: &TaskSpec) -> u8 {
    match spec.verify.rule {
        Rule::First | Rule::Known { .. } => 1,
        Rule::Quorum { replicas, .. } => replicas,
        // One alone is believed only of the best nodes.
        Rule::Confidence { .. } => 2,
    }
}

/// How long an element is likely to run, and how that is known.
async fn expected(shared: &Shared, user: UserId, spec: &TaskSpec) -> Result<(Millis, String), Status> {
    let filter = TaskFilter { states: vec![TaskState::Completed], before: None, limit: HISTORY };
    let tasks = shared.store.tasks(user, &filter).await.map_err(|error| status::store(&error))?;
    let same_image = tasks.iter().filter(|task| task.spec.image == spec.image && task.spec.array.is_none());
    let same_image: Vec<_> = same_image.collect();
    let alike =
        same_image.iter().filter(|task| task.spec.command == spec.command && task.spec.resources == spec.resources);
    let alike: BTreeSet<TaskId> = alike.map(|task| task.progress.id).collect();
    let ids: Vec<TaskId> = match alike.is_empty() {
        true => same_image.iter().map(|task| task.progress.id).collect(),
        false => alike.iter().copied().collect(),
    };
    let attempts = match ids.is_empty() {
        true => Vec::new(),
        false => shared
            .store
            .newest_attempts(&ids.into_iter().map(hivemind_model::ElementRef::only).collect::<Vec<_>>())
            .await
            .map_err(|error| status::store(&error))?,
    };
    let Some(median) = median(&attempts) else {
        let basis = "no completed task of yours had this image: this is the price cap, for the whole of max_runtime";
        return Ok((spec.max_runtime, basis.into()));
    };
    let count = attempts.len();
    let newest =
        if count == 1 { "your newest completed task".into() } else { format!("your {count} newest completed tasks") };
    let with = if alike.is_empty() { "this image" } else { "this image, command and resources" };
    let what = if count == 1 { "run time" } else { "median run time" };
    Ok((median.min(spec.max_runtime), format!("the {what} of {newest} with {with}")))
}

/// The run time that half of the attempts did not exceed; the longer of two in the middle.
fn median(attempts: &[AttemptRow]) -> Option<Millis> {
    let reports = attempts.iter().filter_map(super::summary::report);
    let mut walls: Vec<Millis> = reports.map(|report| report.metering.wall).collect();
    walls.sort_unstable();
    walls.get(walls.len() / 2).copied()
}

/// What the price cap is made of. Together the lines are the cap exactly: each is what its quantity
/// adds to those before, rounded as the price of one attempt is, for all attempts that can be paid.
fn lines(prices: &Prices, spec: &TaskSpec, cap: Cpt) -> Vec<PriceLine> {
    let attempts = spec.paid_attempts().saturating_mul(spec.elements().into());
    // The cap, which is in 64 bits, is a multiple of it.
    let attempts = i64::try_from(attempts).unwrap_or(i64::MAX).max(1);
    let mut lines = lines_of_one(prices, &spec.resources, spec.max_runtime, Cpt::from_micro(cap.micro() / attempts));
    for line in &mut lines {
        line.amount_micro = line.amount_micro.saturating_mul(attempts);
        if attempts > 1 {
            line.quantity = format!("{}, {attempts} attempts", line.quantity);
        }
    }
    lines
}

fn lines_of_one(prices: &Prices, need: &Resources, time: Millis, cap: Cpt) -> Vec<PriceLine> {
    let free = Prices { minimum: Cpt::ZERO, ..prices.clone() };
    let nothing = Resources { cpu: MilliCores(0), memory: Bytes(0), disk: Bytes(0), gpus: 0 };
    let plural = if need.gpus == 1 { "" } else { "s" };
    let parts = [
        ("cores", need.cpu.to_string(), Resources { cpu: need.cpu, ..nothing }),
        ("memory", need.memory.to_string(), Resources { memory: need.memory, ..nothing }),
        ("gpus", format!("{} GPU{plural}", need.gpus), Resources { gpus: need.gpus, ..nothing }),
    ];
    let (mut so_far, mut lines, mut together) = (Cpt::ZERO, Vec::new(), nothing);
    for (what, quantity, part) in parts {
        if part == nothing {
            continue;
        }
        // Parts of what the cap could be computed for.
        together = together.checked_add(&part).unwrap_or(together);
        let sum = free.price(&together, time).unwrap_or(so_far);
        let amount_micro = sum.micro() - so_far.micro();
        let per_hour_micro = free.price(&part, HOUR).map_or(i64::MAX, Cpt::micro);
        lines.push(PriceLine { what: what.into(), quantity, per_hour_micro, amount_micro });
        so_far = sum;
    }
    if cap > so_far {
        let quantity = format!("at least {} for an attempt", prices.minimum);
        let amount_micro = cap.micro() - so_far.micro();
        lines.push(PriceLine { what: "minimum".into(), quantity, per_hour_micro: 0, amount_micro });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_the_cap_exactly() {
        let odd = Prices {
            core_hour: Cpt::from_micro(1_234_567),
            gib_hour: Cpt::from_micro(7),
            gpu_hour: Cpt::from_micro(3),
            minimum: Cpt::from_micro(40),
        };
        let nothing_costs =
            Prices { core_hour: Cpt::ZERO, gib_hour: Cpt::ZERO, gpu_hour: Cpt::ZERO, minimum: Cpt::from_micro(9) };
        for prices in [Prices::default(), odd, nothing_costs] {
            for (cores, memory, gpus, millis) in
                [(1, 512 << 20, 0, 3_600_000), (3, 1, 1, 1), (1000, 7_777_777, 64, 86_399_999), (1, 0, 0, 0)]
            {
                let need = Resources { cpu: MilliCores(cores), memory: Bytes(memory), disk: Bytes(1), gpus };
                let cap = prices.price(&need, Millis(millis)).unwrap();
                let lines = lines_of_one(&prices, &need, Millis(millis), cap);
                assert_eq!(lines.iter().map(|line| line.amount_micro).sum::<i64>(), cap.micro(), "{lines:?}");
                assert!(lines.iter().all(|line| line.amount_micro >= 0), "{lines:?}");
                assert_eq!(lines.iter().any(|line| line.what == "gpus"), gpus > 0);
                let spec = TaskSpec { resources: need, max_runtime: Millis(millis), retries: 2, ..TaskSpec::default() };
                let thrice = Cpt::from_micro(cap.micro() * 3);
                let lines = super::lines(&prices, &spec, thrice);
                assert_eq!(lines.iter().map(|line| line.amount_micro).sum::<i64>(), thrice.micro(), "{lines:?}");
            }
        }
    }
}
