//! From a submission's message to what its requester wishes beside resources: elements, patience, kinds of
//! nodes, verification.
//!
//! Whether the numbers are within the pool's bounds is decided by `TaskSpec::check`; here words are read,
//! and fields that exclude or need one another are refused.
//!
//! Invariant: a field that was set is never ignored.

use super::submission::{cut, natural};
use hivemind_model::after::Unmet;
use hivemind_model::array::{Array, Indices};
use hivemind_model::egress::Egress;
use hivemind_model::node::{Isolation, Labels, TrustTier};
use hivemind_model::spec::Patience;
use hivemind_model::verify::{Compare, Rule, Verification};
use hivemind_model::{Millis, Rejection, Timestamp};
use hivemind_proto::v1::SubmitTaskRequest;

/// How much numbers may differ where nothing is said, in billionths.
const DEFAULT_TOLERANCE: u32 = 1000;
/// Billionths of one.
const BILLION: f64 = 1e9;

/// The elements, still without their entries; `None`: a plain task.
pub(super) fn array(request: &SubmitTaskRequest) -> Result<Option<Array>, Rejection> {
    if request.array.is_empty() {
        let needs = |field| Err(Rejection::invalid(field, "is given without array; give the indices in array"));
        return match (request.entries_digest.is_empty(), request.max_fails) {
            (false, _) => needs("entries_digest"),
            (true, Some(_)) => needs("max_fails"),
            (true, None) => Ok(None),
        };
    }
    let indices = indices("array", &request.array)?;
    Ok(Some(Array { indices, entries: None, max_fails: request.max_fails }))
}

/// A set of indices in the field of that name.
pub(super) fn indices(field: &str, text: &str) -> Result<Indices, Rejection> {
    text.parse().map_err(|bad| Rejection::invalid(field, bad))
}

/// As [`indices`]; `None` where nothing is said.
pub(super) fn some_indices(field: &str, text: &str) -> Result<Option<Indices>, Rejection> {
    if text.is_empty() { Ok(None) } else { indices(field, text).map(Some) }
}

/// What becomes of it where a dependency does not become what it must.
pub(super) fn unmet(request: &SubmitTaskRequest) -> Result<Unmet, Rejection> {
    match request.unmet.as_str() {
        "" | "skip" => Ok(Unmet::Skip),
        "cancel" => Ok(Unmet::Cancel),
        word => Err(Rejection::invalid("unmet", format!("`{}` is neither skip nor cancel", cut(word)))),
    }
}

/// How often it is tried again.
pub(super) fn retries(request: &SubmitTaskRequest) -> Result<u32, Rejection> {
    u32::try_from(request.retries)
        .map_err(|_| Rejection::invalid("retries", format!("{} is negative; leave it 0 for none", request.retries)))
}

/// How long it is waited for. A deadline must be after `after`.
pub(super) fn patience(request: &SubmitTaskRequest, after: Timestamp) -> Result<Patience, Rejection> {
    let seconds = |field, value| {
        let seconds = natural(field, value)?;
        Ok::<_, Rejection>((seconds > 0).then(|| Millis::from_secs(seconds)))
    };
    let deadline = match request.deadline_unix_ms {
        0 => None,
        at if at > after.0 => Some(Timestamp(at)),
        _ => {
            let why = "is in the past; give a time to come in milliseconds since 1970, or 0 for none";
            return Err(Rejection::invalid("deadline_unix_ms", why));
        }
    };
    Ok(Patience {
        queue: seconds("max_wait_seconds", request.max_wait_seconds)?,
        total: seconds("max_total_seconds", request.max_total_seconds)?,
        deadline,
        lost_after: seconds("lost_after_seconds", request.lost_after_seconds)?,
    })
}

/// What it may reach.
pub(super) fn network(request: &SubmitTaskRequest) -> Result<Egress, Rejection> {
    Egress::parse(&request.network).map_err(|bad| Rejection::invalid("network", bad))
}

/// What its nodes must have.
pub(super) fn labels(request: &SubmitTaskRequest) -> Result<Labels, Rejection> {
    Labels::parse(&request.labels).map_err(|bad| Rejection::invalid("labels", bad))
}

/// What trust its nodes must have earned.
pub(super) fn min_trust(request: &SubmitTaskRequest) -> Result<TrustTier, Rejection> {
    tier("min_trust", &request.min_trust, TrustTier::parse, TrustTier::ALL.iter().map(|tier| tier.as_str()))
}

/// How well its nodes must isolate.
pub(super) fn min_isolation(request: &SubmitTaskRequest) -> Result<Isolation, Rejection> {
    tier("min_isolation", &request.min_isolation, Isolation::parse, Isolation::ALL.iter().map(|tier| tier.as_str()))
}

fn tier<T: Default>(
    field: &str,
    word: &str,
    parse: fn(&str) -> Option<T>,
    words: impl Iterator<Item = &'static str>,
) -> Result<T, Rejection> {
    if word.is_empty() {
        return Ok(T::default());
    }
    parse(word).ok_or_else(|| {
        let words: Vec<&str> = words.collect();
        Rejection::invalid(field, format!("`{}` is none of {}; leave it empty for any", cut(word), words.join(", ")))
    })
}

/// How its results are verified.
pub(super) fn verification(request: &SubmitTaskRequest) -> Result<Verification, Rejection> {
    Ok(Verification { rule: rule(request)?, compare: compare(request)? })
}

fn rule(request: &SubmitTaskRequest) -> Result<Rule, Rejection> {
    let copies = |field, value: i32, most: &str| {
        u8::try_from(value)
            .map_err(|_| Rejection::invalid(field, format!("{value} is outside 0 to {most}; 0 is the default")))
    };
    let replicas = copies("replicas", request.replicas, "16")?;
    let quorum = copies("quorum", request.quorum, "the number of replicas")?;
    let counted = replicas > 0 || quorum > 0;
    match (request.confidence.is_empty(), request.expect_digest.is_empty()) {
        (_, false) if counted || !request.confidence.is_empty() => Err(Rejection::invalid(
            "expect_digest",
            "is given beside replicas, quorum or confidence; where the right result is known nothing is compared",
        )),
        (_, false) => {
            let digest = request.expect_digest.parse();
            let digest = digest.map_err(|bad| {
                Rejection::invalid("expect_digest", format!("`{}`: {bad}", cut(&request.expect_digest)))
            })?;
            Ok(Rule::Known { digest })
        }
        (false, true) if counted => Err(Rejection::invalid(
            "confidence",
            "is given beside replicas or quorum; it adds as many copies as it needs; give one of the two",
        )),
        (false, true) => {
            let doubt = request.confidence.parse().map_err(|bad| Rejection::invalid("confidence", bad))?;
            Ok(Rule::Confidence { doubt })
        }
        // One copy that agrees with itself.
        (true, true) if replicas <= 1 && quorum <= 1 => Ok(Rule::First),
        (true, true) => {
            let replicas = replicas.max(1);
            Ok(Rule::Quorum { replicas, quorum: if quorum == 0 { replicas } else { quorum } })
        }
    }
}

fn compare(request: &SubmitTaskRequest) -> Result<Compare, Rejection> {
    let (tolerance, argv) = (request.compare_tolerance, &request.compare_argv);
    let numeric = request.compare == "numeric";
    if !numeric && tolerance != 0.0 {
        return Err(Rejection::invalid("compare_tolerance", "is given, but compare is not numeric"));
    }
    if request.compare != "command" && !argv.is_empty() {
        return Err(Rejection::invalid("compare_argv", "is given, but compare is not command"));
    }
    match request.compare.as_str() {
        "" | "exact" => Ok(Compare::Exact),
        "numeric" => Ok(Compare::Numeric { tolerance: billionths(tolerance)? }),
        "command" => Ok(Compare::Command { argv: argv.clone() }),
        word => Err(Rejection::invalid("compare", format!("`{}` is none of exact, numeric, command", cut(word)))),
    }
}

fn billionths(tolerance: f64) -> Result<u32, Rejection> {
    if tolerance == 0.0 {
        return Ok(DEFAULT_TOLERANCE);
    }
    if !(1.0 / BILLION..=1.0).contains(&tolerance) {
        return Err(Rejection::invalid(
            "compare_tolerance",
            format!("{tolerance} is outside 0.000000001 to 1; it is a part of the larger of two numbers"),
        ));
    }
    // Between 1 and 10^9: it fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let billionths = (tolerance * BILLION).round() as u32;
    Ok(billionths)
}

/// How results are verified, for people; empty: not.
pub(super) fn in_words(verify: &Verification) -> String {
    let rule = match verify.rule {
        Rule::First => return String::new(),
        Rule::Quorum { replicas, quorum } => format!("{quorum} of {replicas} copies must agree"),
        Rule::Confidence { doubt } => format!("copies are added until the result is right with a chance of {doubt}"),
        Rule::Known { digest } => return format!("the right result is known: {digest}"),
    };
    match &verify.compare {
        Compare::Exact => rule,
        Compare::Numeric { tolerance } => {
            format!("{rule}; numbers may differ by {} of the larger", f64::from(*tolerance) / BILLION)
        }
        Compare::Command { argv } => {
            format!("{rule}; compared by `{}`", argv.first().map(|word| cut(word)).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(change: impl FnOnce(&mut SubmitTaskRequest)) -> Result<Verification, String> {
        let mut request = SubmitTaskRequest::default();
        change(&mut request);
        verification(&request).and_then(|verify| verify.check().map(|()| verify)).map_err(|rejection| rejection.field)
    }

    fn rule_of(replicas: i32, quorum: i32) -> Result<Rule, String> {
        verified(|request| (request.replicas, request.quorum) = (replicas, quorum)).map(|verify| verify.rule)
    }

    #[test]
    fn zero_copies_are_the_default_and_zero_that_agree_are_all() {
        assert_eq!((rule_of(0, 0), rule_of(1, 0), rule_of(1, 1)), (Ok(Rule::First), Ok(Rule::First), Ok(Rule::First)));
        assert_eq!(rule_of(3, 0), Ok(Rule::Quorum { replicas: 3, quorum: 3 }));
        assert_eq!(rule_of(3, 2), Ok(Rule::Quorum { replicas: 3, quorum: 2 }));
        for (given, field) in [
            ((3, 4), "quorum"),
            ((0, 2), "quorum"),
            ((17, 0), "replicas"),
            ((300, 0), "replicas"),
            ((-1, 0), "replicas"),
            ((2, -1), "quorum"),
        ] {
            assert_eq!(rule_of(given.0, given.1), Err(field.into()), "{given:?}");
        }
    }

    #[test]
    fn tolerances_are_parts_of_the_larger_number() {
        let tolerance = |given: f64| {
            let verify = verified(|request| {
                (request.replicas, request.compare, request.compare_tolerance) = (2, "numeric".into(), given);
            })?;
            match verify.compare {
                Compare::Numeric { tolerance } => Ok::<u32, String>(tolerance),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((tolerance(0.0), tolerance(1e-9), tolerance(0.01)), (Ok(1000), Ok(1), Ok(10_000_000)));
        assert_eq!(tolerance(1.0), Ok(1_000_000_000));
        for bad in [-0.1, 1.1, 1e-12, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(tolerance(bad), Err("compare_tolerance".into()), "{bad}");
        }
    }

    #[test]
    fn a_verification_is_told_in_words() {
        let told = |change: fn(&mut SubmitTaskRequest)| in_words(&verified(change).unwrap());
        assert_eq!(told(|_| ()), "");
        assert_eq!(told(|request| (request.replicas, request.quorum) = (3, 2)), "2 of 3 copies must agree");
        assert_eq!(
            told(|request| request.confidence = "0.999".into()),
            "copies are added until the result is right with a chance of 0.999"
        );
        assert_eq!(
            told(|request| (request.replicas, request.compare) = (2, "numeric".into())),
            "2 of 2 copies must agree; numbers may differ by 0.000001 of the larger"
        );
    }
}
