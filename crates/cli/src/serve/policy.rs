//! The policy file, and what its economy means for whoever starts the pool.
//!
//! Start at [`read`].
//!
//! Invariant: a pool never starts with a policy that its operator did not mean: an unknown key and
//! a value that makes no sense are refused by their names.

use crate::failure::{Done, Failure};
use crate::quantity::show_span;
use hivemind_model::Policy;
use hivemind_model::economy::{Economy, Mode};
use std::path::Path;

/// The policy in a TOML file; without one, the default.
///
/// # Errors
/// The file cannot be read, has an unknown key, or a value that makes no sense.
pub(super) fn read(path: Option<&Path>) -> Done<Policy> {
    let Some(path) = path else { return Ok(Policy::default()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("--policy: {} cannot be read", path.display()), &error))?;
    parse(&text).map_err(|why| Failure::usage(format!("--policy: {}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Policy, String> {
    let policy: Policy = toml::from_str(text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        format!("{at}{}", error.message().replace('\n', "; "))
    })?;
    policy.check().map_err(|rejection| rejection.text)?;
    Ok(policy)
}

/// What holds where free credit is guarded; `None` where it is not.
pub(super) fn guard_in_words(economy: &Economy) -> Option<String> {
    let guard = match economy.mode {
        Mode::Open => return None,
        Mode::Guarded => &economy.guard,
    };
    let vesting = match guard.vesting.0 {
        0 => String::new(),
        _ => format!("; earnings can be spent after {}", show_span(guard.vesting)),
    };
    let invitations = if guard.invitations { ", each with a code of `hivemind invite`" } else { "" };
    Some(format!(
        "the economy is guarded: free credit buys tasks only{vesting}; {} sign-ups a day from one network address{invitations}",
        guard.signups_per_address
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::Millis;

    const GUARDED: &str = "
        signup_grant = 50000000
        [economy]
        mode = \"guarded\"
        meter_every = 5000
        [economy.rewards]
        period = 60000
        base = 1000000
        [economy.guard]
        vesting = 7200000
        signups_per_address = 5
        invitations = true
        [prices]
        core_hour = 1
    ";

    #[test]
    fn a_guarded_economy_is_taken_and_told() {
        let policy = parse(GUARDED).unwrap();
        let economy = &policy.economy;
        assert_eq!((economy.mode, economy.meter_every), (Mode::Guarded, Millis(5000)));
        assert_eq!((economy.rewards.period, economy.rewards.base.micro()), (Millis(60_000), 1_000_000));
        assert_eq!(economy.rewards.quality.micro(), 5_000_000, "what is left out keeps its default");
        let words = guard_in_words(economy).unwrap();
        assert_eq!(
            words,
            "the economy is guarded: free credit buys tasks only; earnings can be spent after 2h; 5 sign-ups a day from one network address, each with a code of `hivemind invite`"
        );
        assert_eq!(guard_in_words(&parse("").unwrap().economy), None);
        let lax = parse("[economy]\nmode = \"guarded\"\nguard = { vesting = 0, invitations = false }").unwrap();
        assert_eq!(
            guard_in_words(&lax.economy).unwrap(),
            "the economy is guarded: free credit buys tasks only; 3 sign-ups a day from one network address"
        );
    }

    #[test]
    fn nonsense_is_refused_by_its_key() {
        for (text, parts) in [
            ("[economy]\nmood = 1", ["line 2", "mood"]),
            ("[economy]\nmode = \"closed\"", ["line 2", "closed"]),
            ("[economy.guard]\nvesting = \"1d\"", ["line 2", "1d"]),
            ("[economy.guard]\nvestings = 1", ["line 2", "vestings"]),
            ("[economy.rewards]\nbase = -1", ["economy.rewards.base", "-1"]),
            ("[economy]\nmeter_every = 0", ["economy.meter_every", "0 ms"]),
            ("[economy.guard]\nsignups_per_address = 0", ["economy.guard.signups_per_address", "nobody could sign up"]),
            ("heartbeat_every = 0", ["heartbeat_every", "0"]),
            ("[economy", ["line 1", "]"]),
        ] {
            let why = parse(text).expect_err(text);
            assert!(parts.iter().all(|part| why.contains(part)) && !why.contains('\n'), "{text}: {why}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let failure = read(Some(&dir.path().join("policy.toml"))).unwrap_err();
        assert!(failure.what.contains("--policy") && failure.what.contains("policy.toml"), "{}", failure.what);
        assert_eq!(read(None), Ok(Policy::default()));
    }
}
