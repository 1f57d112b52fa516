//! In words: what an element waits for beside room on a node, and why it stays on a node that is lost.
//!
//! Start at [`told`].
//!
//! Invariant: names no task but those that its requester made it wait for, and no node.

use hivemind_engine::{BlockedBy, Faults, KeptWhy, WhyItWaits};
use hivemind_placement::Remedy;

/// Why a task is open of which nothing runs and nothing waits to be tried.
pub(super) const UNDECIDED: &str = "its result is not verified yet: copies are being compared, or one more has to run on a node of an owner who has none";
/// What to do then.
pub(super) const OTHERS: &str = "wait, or let a machine of another owner join";

/// Why it waits, and what to do.
pub(super) fn told(waits: &WhyItWaits, blocked_by: &[BlockedBy]) -> (String, String) {
    let nodes = &waits.constraints;
    // What a node would have to have it must be given in any case.
    let change = matches!(nodes.remedy, Remedy::Change(_) | Remedy::Nothing);
    let retried = |advice: &str| if change { remedy(&nodes.remedy) } else { advice.to_owned() };
    if waits.is_blocked {
        return (blocked(blocked_by), retried(&ask_those(blocked_by)));
    }
    if let Some(Faults { count, most, not_before: Some(_) }) = waits.faults {
        let reason =
            format!("it failed {count} of {most} times through no fault of its own, and is tried again shortly");
        return (reason, retried("wait: it is tried again by itself"));
    }
    if let Some(Faults { count, most, not_before: Some(_) }) = waits.failures {
        let reason = format!("it failed {count} of {} times by its own doing, and is tried again shortly", most + 1);
        return (reason, retried("wait: it is tried again by itself"));
    }
    let why = waits.why.to_string();
    match idle(waits) {
        None => (why, remedy(&nodes.remedy)),
        Some(idle) if nodes.capable == 0 => {
            (format!("no node that could run it gets work now: {idle}"), "wait, or let another machine join".into())
        }
        Some(idle) => (format!("{why}; of other nodes that could run it, {idle}"), remedy(&nodes.remedy)),
    }
}

fn blocked(by: &[BlockedBy]) -> String {
    match by {
        [] => "it waits for another task".into(),
        by => format!("it waits for {}", by.iter().map(BlockedBy::to_string).collect::<Vec<_>>().join(", and for ")),
    }
}

fn ask_those(by: &[BlockedBy]) -> String {
    match by {
        [] => "wait".into(),
        [first, ..] => format!("wait: `hivemind explain {}` tells how that one stands", first.task),
    }
}

/// The nodes that could run it and get no work for a while.
fn idle(waits: &WhyItWaits) -> Option<String> {
    let resting = waits.resting.map(|resting| format!("{} rest for having failed too often in a row", resting.nodes));
    let spent = match waits.spent {
        0 => None,
        spent => Some(format!("{spent} have done as much as unverified nodes may do in a day, and go on at 00:00 UTC")),
    };
    let kept = match waits.kept_by_owners {
        0 => None,
        kept => Some(format!("{kept} take nothing new by their owners' rules")),
    };
    let all: Vec<String> = [resting, spent, kept].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// What to do, given that what was submitted never changes.
fn remedy(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Change(_) => format!("cancel it and submit it again: {remedy}"),
        Remedy::Next { .. } | Remedy::Wait { .. } | Remedy::NoNode | Remedy::Nothing => remedy.to_string(),
    }
}

/// Why it stays on a node that is lost.
pub(super) fn kept(why: KeptWhy) -> &'static str {
    match why {
        KeptWhy::Brake => "; that node is lost, but most were lost at once, so it stays there for a moment",
        KeptWhy::Patience => "; that node is lost, and the task waits for it (--lost-after)",
    }
}
