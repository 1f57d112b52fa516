//! What the pool's messages mean to the agent.
//!
//! Start at [`event`].
//!
//! Invariant: form is checked here, and nothing else.

use crate::event::{self, Event, Work};
use hivemind_owner::benchmark::{MAX_ROUNDS, MAX_SEED_BYTES};
use hivemind_proto::convert::{self, BadMessage};
use hivemind_proto::worker::pool_event::Event as Incoming;
use hivemind_proto::worker::{Assign, Benchmark, Drain};
use std::sync::Arc;
use std::time::Duration;

/// What one event of the pool means.
///
/// # Errors
/// Where no pool of this release says it.
pub(crate) fn event(said: Incoming) -> Result<Event, BadMessage> {
    Ok(match said {
        Incoming::Welcome(welcome) => Event::Welcome {
            lease: span("lease_ms", welcome.lease_ms)?,
            heartbeat_every: span("heartbeat_every_ms", welcome.heartbeat_every_ms)?,
            stale: convert::attempts(&welcome.stale)?,
            logs: welcome
                .logs
                .into_iter()
                .map(|position| convert::log_position(Some(position)))
                .collect::<Result<_, _>>()?,
        },
        Incoming::Beat(beat) => Event::HeartbeatAck { sequence: beat.sequence },
        Incoming::Assign(assign) => {
            let attempt = convert::attempt(assign.attempt)?;
            match work(assign) {
                Ok(work) => Event::Assign { attempt, work },
                Err(why) => Event::BadAssign { attempt, reason: why.to_string() },
            }
        }
        Incoming::Stop(stop) => Event::Stop { attempt: convert::attempt(stop.attempt)? },
        Incoming::LogResend(resend) => Event::LogResend { position: convert::log_position(resend.position)? },
        Incoming::FinishedAck(ack) => {
            Event::FinishedAck { attempt: convert::attempt(ack.attempt)?, refusal: convert::bounded(&ack.refusal) }
        }
        Incoming::Certificate(certificate) => Event::Certificate { pem: certificate.certificate_pem },
        Incoming::Drain(Drain {}) => Event::Drain,
        Incoming::Benchmark(ask) => Event::Benchmark { ask: benchmark(ask)? },
    })
}

fn work(assign: Assign) -> Result<Work, BadMessage> {
    Ok(Work { spec: Arc::new(convert::task_spec(assign.spec)?), env: convert::env(assign.env)? })
}

fn benchmark(ask: Benchmark) -> Result<event::Benchmark, BadMessage> {
    let Benchmark { nonce, seed, rounds } = ask;
    if seed.len() > MAX_SEED_BYTES {
        return Err(BadMessage::new("seed", format!("{} bytes; at most {MAX_SEED_BYTES}", seed.len())));
    }
    if !(1..=MAX_ROUNDS).contains(&rounds) {
        return Err(BadMessage::new("rounds", format!("{rounds} is outside 1 to {MAX_ROUNDS}")));
    }
    Ok(event::Benchmark { nonce, seed: seed.to_vec(), rounds })
}

/// A span that a lease or a heartbeat can have: 10 ms to an hour.
fn span(field: &'static str, millis: u64) -> Result<Duration, BadMessage> {
    if (10..=3_600_000).contains(&millis) {
        Ok(Duration::from_millis(millis))
    } else {
        Err(BadMessage::new(field, format!("{millis} is outside 10 to 3600000")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{ElementRef, TaskId, TaskSpec};
    use hivemind_proto::worker::{EnvVar, FinishedAck, LogPosition, LogResend, Stop, Welcome};

    #[test]
    fn what_no_pool_says_is_refused_by_the_name_of_the_field() {
        let welcome = |lease_ms, heartbeat_every_ms| {
            Incoming::Welcome(Welcome { lease_ms, heartbeat_every_ms, ..Welcome::default() })
        };
        for (said, field) in [
            (welcome(0, 1000), "lease_ms"),
            (welcome(10_000, u64::MAX), "heartbeat_every_ms"),
            (Incoming::Assign(Assign::default()), "attempt"),
            (Incoming::Stop(Stop::default()), "attempt"),
            (Incoming::LogResend(LogResend { position: Some(LogPosition::default()) }), "attempt"),
            (Incoming::FinishedAck(FinishedAck::default()), "attempt"),
            (Incoming::Benchmark(Benchmark::default()), "rounds"),
            (Incoming::Benchmark(Benchmark { rounds: u32::MAX, ..Benchmark::default() }), "rounds"),
            (Incoming::Benchmark(Benchmark { rounds: 1, seed: vec![0; MAX_SEED_BYTES + 1].into(), nonce: 1 }), "seed"),
        ] {
            assert_eq!(event(said.clone()).unwrap_err().field, field, "{said:?}");
        }
        assert!(event(welcome(10_000, 1000)).is_ok());
    }

    /// An attempt that cannot be understood still has a name, so its end can be told.
    #[test]
    fn an_attempt_that_cannot_be_understood_is_told_by_the_name_of_the_field() {
        let attempt = ElementRef::only(TaskId(1)).attempt(1);
        let spec =
            TaskSpec { image: "i".into(), priority: 5, max_runtime: hivemind_model::Millis(1), ..TaskSpec::default() };
        let assign = |name: &str, value: &str| {
            let env = vec![EnvVar { name: name.into(), value: value.into() }];
            event(Incoming::Assign(Assign { attempt: Some(attempt.into()), spec: Some((&spec).into()), env })).unwrap()
        };
        let env = vec![("HIVEMIND_ENTRY".to_owned(), "a b".to_owned())];
        let work = Work { spec: Arc::new(spec.clone()), env };
        assert_eq!(assign("HIVEMIND_ENTRY", "a b"), Event::Assign { attempt, work });
        for (bad, field) in [
            (assign("PATH", "/x"), "env.name"),
            (assign("HIVEMIND_ENTRY", "a\0b"), "env.value"),
            (assign("HIVEMIND_ENTRY", &"x".repeat((32 << 10) + 1)), "env.value"),
            (event(Incoming::Assign(Assign { attempt: Some(attempt.into()), ..Assign::default() })).unwrap(), "spec"),
        ] {
            let Event::BadAssign { attempt: named, reason } = bad else { panic!("{bad:?}") };
            assert!(named == attempt && reason.starts_with(field), "{reason}");
        }
    }
}
