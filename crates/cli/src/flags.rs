//! The names that fields of the API have on the command line.
//!
//! Invariant: a refusal of the pool names what its reader typed.

/// Field of the API, option of the command line.
const NAMES: &[(&str, &str)] = &[
    ("task_name", "--name"),
    ("docker_image", "IMAGE"),
    ("command", "CMD"),
    ("argv", "CMD"),
    ("files", "--input"),
    ("inputs", "--input"),
    ("priority", "--priority"),
    ("max_runtime", "--timeout"),
    ("required_memory", "--memory"),
    ("required_cpu_cores", "--cpus"),
    ("required_disk_mb", "--disk"),
    ("required_gpus", "--gpus"),
    ("max_price_micro", "--max-price"),
    ("min_level", "--min-level"),
    ("array", "--array"),
    ("entries_digest", "--each-line/--from-json"),
    ("max_fails", "--max-fails"),
    ("after", "--after"),
    ("unmet", "--if-dependency-fails"),
    ("retries", "--retries"),
    ("max_wait_seconds", "--max-wait"),
    ("max_total_seconds", "--max-total"),
    ("deadline_unix_ms", "--deadline"),
    ("lost_after_seconds", "--lost-after"),
    ("replicas", "--replicas"),
    ("quorum", "--quorum"),
    ("confidence", "--confidence"),
    ("expect_digest", "--expect"),
    ("compare", "--compare"),
    ("compare_tolerance", "--compare-tolerance"),
    ("compare_argv", "--compare-command"),
    ("labels", "--label"),
    ("min_trust", "--min-trust"),
    ("min_isolation", "--min-isolation"),
    ("network", "--network"),
    ("outputs", "--output"),
    ("warm", "--warm"),
    ("reuse", "--reuse"),
    ("elements", "--elements"),
];

/// The option that sets a field; `None` where there is none.
#[must_use]
pub fn of_field(field: &str) -> Option<&'static str> {
    NAMES.iter().find(|(name, _)| *name == field).map(|(_, flag)| *flag)
}

/// A refusal `field: why` with the option in the place of the field; anything else as it is.
#[must_use]
pub fn reworded(field: &str, message: &str) -> String {
    let rest = message.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
    match (of_field(field), rest) {
        (Some(flag), Some(rest)) => format!("{flag}: {rest}"),
        (Some(_) | None, _) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_was_typed() {
        assert_eq!(
            reworded("quorum", "quorum: 3 of 2 replicas cannot agree"),
            "--quorum: 3 of 2 replicas cannot agree"
        );
        assert_eq!(reworded("username", "username: ann is in use"), "username: ann is in use");
        assert_eq!(reworded("", "too many open tasks"), "too many open tasks");
    }

    #[test]
    fn every_option_that_is_named_exists() {
        use clap::CommandFactory;
        let cli = crate::args::Cli::command();
        let has = |verb: &str, flag: &str| {
            let verb = cli.find_subcommand(verb).unwrap();
            verb.get_arguments().any(|arg| arg.get_long() == flag.strip_prefix("--"))
        };
        for (field, flags) in NAMES {
            for flag in flags.split('/').filter(|flag| flag.starts_with("--")) {
                assert!(has("submit", flag) || has("status", flag), "{field}: {flag}");
            }
        }
    }
}
