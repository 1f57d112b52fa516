//! What `SetNode` asks for, read from its message.
//!
//! Invariant: an option of another change than the one asked for is refused, not overlooked.

use hivemind_model::service::NodeChange;
use hivemind_model::{Millis, Rejection};
use hivemind_proto::v1::SetNodeRequest;

/// The deadline of a drain that names none.
const DEFAULT_DRAIN_SECONDS: u64 = 600;

/// The change that a request asks for.
pub(super) fn change(request: &SetNodeRequest) -> Result<NodeChange, Rejection> {
    let SetNodeRequest { change, deadline_seconds, reason, .. } = request;
    if change != "drain" && *deadline_seconds != 0 {
        return Err(Rejection::invalid("deadline_seconds", "is of a drain only; leave it 0"));
    }
    if change != "ban" && !reason.is_empty() {
        return Err(Rejection::invalid("reason", "is of a ban only; leave it empty"));
    }
    match change.as_str() {
        "cordon" => Ok(NodeChange::Cordon),
        "uncordon" => Ok(NodeChange::Uncordon),
        "drain" => match u64::try_from(*deadline_seconds) {
            Ok(0) => Ok(NodeChange::Drain { within: Millis::from_secs(DEFAULT_DRAIN_SECONDS) }),
            Ok(seconds) => Ok(NodeChange::Drain { within: Millis(seconds.saturating_mul(1000)) }),
            Err(_) => Err(Rejection::invalid("deadline_seconds", format!("{deadline_seconds} is negative"))),
        },
        "ban" => Ok(NodeChange::Ban { reason: reason.clone() }),
        "unban" => Ok(NodeChange::Unban),
        _ => Err(Rejection::invalid("change", "is none of cordon, uncordon, drain, ban, unban")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_takes_its_own_options_only() {
        let read = |word: &str, deadline_seconds, reason: &str| {
            let request =
                SetNodeRequest { change: word.into(), deadline_seconds, reason: reason.into(), ..Default::default() };
            change(&request).map_err(|rejection| rejection.field)
        };
        for (found, expected) in [
            (read("cordon", 0, ""), Ok(NodeChange::Cordon)),
            (read("uncordon", 0, ""), Ok(NodeChange::Uncordon)),
            (read("unban", 0, ""), Ok(NodeChange::Unban)),
            (read("drain", 0, ""), Ok(NodeChange::Drain { within: Millis(600_000) })),
            (read("drain", 2, ""), Ok(NodeChange::Drain { within: Millis(2000) })),
            (read("drain", i64::MAX, ""), Ok(NodeChange::Drain { within: Millis(u64::MAX) })),
            (read("ban", 0, "it lied"), Ok(NodeChange::Ban { reason: "it lied".into() })),
            (read("drain", -1, ""), Err("deadline_seconds".into())),
            (read("cordon", 5, ""), Err("deadline_seconds".into())),
            (read("unban", 0, "sorry"), Err("reason".into())),
            (read("", 0, ""), Err("change".into())),
            (read("Cordon", 0, ""), Err("change".into())),
        ] {
            assert_eq!(found, expected);
        }
    }
}
