//! Every pair of phase and event, the lease, and whole conversations.

use super::*;
use crate::event::{Upload, Work};
use hivemind_model::rows::LogLengths;
use hivemind_model::spec::{BlobRef, Digest, InputFile, TaskSpec};
use hivemind_model::{Bytes, ElementRef, Metering, MilliCores, Millis, Outcome, TaskId};
use hivemind_proto::convert::LogPosition;

mod backlog;
mod news;
mod owner;
mod stories;

const LEASE: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_secs(1);

fn att(task: u64) -> AttemptRef {
    ElementRef::only(TaskId(task)).attempt(1)
}

fn need(cores: u32) -> Resources {
    Resources { cpu: MilliCores::from_cores(cores), memory: Bytes(cores.into()), disk: Bytes(0), gpus: 0 }
}

fn work(cores: u32) -> Work {
    let spec = TaskSpec {
        image: "img".into(),
        command: vec!["true".into()],
        files: vec![InputFile { path: "in".into(), blob: blob() }],
        priority: 5,
        max_runtime: Millis(1000),
        resources: need(cores),
        ..TaskSpec::default()
    };
    Work { spec: Arc::new(spec), env: Vec::new() }
}

fn blob() -> BlobRef {
    BlobRef { digest: Digest([7; 32]), size: Bytes(3) }
}

fn report(output: Option<BlobRef>) -> Report {
    Report {
        outcome: Outcome::Exited { code: 0 },
        metering: Metering::default(),
        logs: LogLengths::default(),
        image_id: "i".into(),
        output,
        digest: None,
    }
}

fn position(task: u64) -> LogPosition {
    LogPosition { attempt: att(task), stdout: Bytes(0), stderr: Bytes(0) }
}

/// An agent of four cores with a clock of its own.
struct Bench {
    agent: Agent,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        // Far from zero, so that times before it can be named.
        Self {
            agent: Agent::new(Machine { capacity: need(4) }, Vec::new()),
            now: Instant::now() + Duration::from_secs(1000),
        }
    }

    fn linked() -> Self {
        let mut bench = Self::new();
        bench.link();
        bench
    }

    fn link(&mut self) -> Vec<Action> {
        self.on(Event::LinkOpened);
        self.welcome(&[])
    }

    fn welcome(&mut self, stale: &[AttemptRef]) -> Vec<Action> {
        self.on(Event::Welcome { lease: LEASE, heartbeat_every: BEAT, stale: stale.to_vec(), logs: vec![] })
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let actions = self.agent.on(event, self.now);
        self.check();
        actions
    }

    fn pass(&mut self, millis: u64) -> Vec<Action> {
        self.now += Duration::from_millis(millis);
        self.on(Event::Tick)
    }

    fn assign(&mut self, task: u64, cores: u32) -> Vec<Action> {
        self.on(Event::Assign { attempt: att(task), work: work(cores) })
    }

    fn phase(&self, task: u64) -> Option<&Phase> {
        self.agent.attempts.get(&att(task)).map(|entry| &entry.phase)
    }

    /// The sums and the line are what the attempts say.
    fn check(&self) {
        let occupying = self.agent.attempts.values().filter(|entry| entry.phase.is_occupying());
        let sum = occupying.fold(Resources::default(), |sum, entry| sum.checked_add(&entry.need).unwrap());
        assert_eq!(self.agent.occupied, sum);
        let waiting = self.agent.attempts.iter().filter_map(|(attempt, entry)| match &entry.phase {
            Phase::Waiting { place, bytes, .. } => Some(((*place, *attempt), *bytes)),
            _ => None,
        });
        let (line, bytes): (BTreeMap<_, _>, Vec<_>) = waiting.unzip();
        assert_eq!((&self.agent.backlog, self.agent.backlog_bytes), (&line, bytes.iter().sum()));
        assert!(self.agent.backlog.len() <= MAX_BACKLOG);
        assert!(self.agent.machine.capacity.covers(&self.agent.occupied), "more runs than fits");
    }

    /// Brings attempt 1 (one core) into the phase that has this name.
    fn bring(&mut self, phase: &str) {
        if phase == "waiting" {
            self.assign(9, 4);
            self.on(Event::Started { attempt: att(9) });
            self.on(Event::Stop { attempt: att(9) });
        }
        if phase != "none" {
            self.assign(1, 1);
        }
        let output = if phase.starts_with("deliver") && phase != "delivering" { Some(blob()) } else { None };
        let steps: Vec<Event> = match phase {
            "none" | "waiting" | "fetching" => vec![],
            "preparing" => vec![Event::Prepared { attempt: att(1) }],
            "running" => vec![Event::Started { attempt: att(1) }],
            "discarding" => vec![Event::Started { attempt: att(1) }, Event::Stop { attempt: att(1) }],
            "reporting" => vec![Event::Started { attempt: att(1) }, Event::OwnerStops],
            "spooling" => vec![Event::Ended { attempt: att(1), report: Box::new(report(None)) }],
            "delivering" | "deliver-output" => {
                vec![
                    Event::Ended { attempt: att(1), report: Box::new(report(output)) },
                    Event::Spooled { attempt: att(1) },
                ]
            }
            "deliver-retry" => vec![
                Event::Ended { attempt: att(1), report: Box::new(report(output)) },
                Event::Spooled { attempt: att(1) },
                Event::Uploaded { attempt: att(1), result: Upload::Later { reason: "x".into() } },
            ],
            other => panic!("no phase {other}"),
        };
        for step in steps {
            self.on(step);
        }
    }

    fn phase_word(&self) -> &'static str {
        match self.phase(1) {
            None => "none",
            Some(Phase::Waiting { .. }) => "waiting",
            Some(Phase::Fetching) => "fetching",
            Some(Phase::Preparing) => "preparing",
            Some(Phase::Running) => "running",
            Some(Phase::Stopping(Afterwards::Discard)) => "discarding",
            Some(Phase::Stopping(Afterwards::Report { .. })) => "reporting",
            Some(Phase::Spooling { .. }) => "spooling",
            Some(Phase::Delivering { output: Output::Done | Output::Here, .. }) => "delivering",
            Some(Phase::Delivering { output: Output::Moving, .. }) => "deliver-output",
            Some(Phase::Delivering { output: Output::RetryAt(_), .. }) => "deliver-retry",
        }
    }
}

const PHASES: [&str; 11] = [
    "none",
    "waiting",
    "fetching",
    "preparing",
    "running",
    "discarding",
    "reporting",
    "spooling",
    "delivering",
    "deliver-output",
    "deliver-retry",
];

/// What is done, in one word each.
fn words(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::SendHello { .. } => "hello",
        Action::SendHeartbeat { .. } => "beat",
        Action::SendStarted { .. } => "tell-started",
        Action::SendProgress { .. } => "tell-progress",
        Action::SendOwner { .. } => "tell-owner",
        Action::SendMeasured { .. } => "tell-measured",
        Action::Measure { .. } => "measure",
        Action::AbortMeasure => "abort-measure",
        Action::HoldJob { held: true, .. } => "hold",
        Action::HoldJob { held: false, .. } => "let-go",
        Action::SendFinished { .. } => "tell-finished",
        Action::SendDrain => "tell-drain",
        Action::StartJob { .. } => "start",
        Action::StopJob { .. } => "stop",
        Action::Spool { .. } => "spool",
        Action::Forget { .. } => "forget",
        Action::RewindLogs { .. } => "rewind",
        Action::StoreOutput { .. } => "store",
        Action::KeepCertificate { .. } => "certificate",
        Action::Reconnect { .. } => "reconnect",
        Action::Warn { .. } => "warn",
    };
    actions.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// One row per event: for each of [`PHASES`], `new phase: actions`.
fn table(event: &Event, rows: [&str; 11]) {
    for (phase, expect) in PHASES.into_iter().zip(rows) {
        let mut bench = Bench::linked();
        bench.bring(phase);
        assert_eq!(bench.phase_word(), phase, "the way to {phase}");
        let actions = bench.on(event.clone());
        let got = format!("{}: {}", bench.phase_word(), words(&actions));
        assert_eq!(got.trim_end(), expect, "{event:?} in {phase}");
    }
}

/// The phases stay as they are and nothing is done, but where `except` says otherwise.
fn mostly_nothing(event: &Event, except: &[(&str, &str)]) {
    let rows: Vec<String> = PHASES
        .iter()
        .map(|phase| match except.iter().find(|(name, _)| name == phase) {
            Some((_, expect)) => (*expect).to_owned(),
            None => format!("{phase}:"),
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    table(event, rows.try_into().unwrap());
}

#[test]
fn what_the_pool_says_in_every_phase() {
    let attempt = att(1);
    let ended = |refusal: &str| Event::FinishedAck { attempt, refusal: refusal.into() };
    let gone = [
        ("waiting", "none: forget"),
        ("fetching", "discarding: stop"),
        ("preparing", "discarding: stop"),
        ("running", "discarding: stop"),
        ("reporting", "discarding:"),
        ("spooling", "none: forget"),
        ("delivering", "none: forget"),
        ("deliver-output", "none: forget"),
        ("deliver-retry", "none: forget"),
    ];
    mostly_nothing(&Event::Stop { attempt }, &gone);
    mostly_nothing(&ended(""), &gone);
    let told: Vec<(&str, String)> = gone
        .iter()
        .map(|(phase, expect)| {
            (*phase, if expect.ends_with(':') { (*expect).to_owned() } else { format!("{expect} warn") })
        })
        .collect();
    let told: Vec<(&str, &str)> = told.iter().map(|(phase, expect)| (*phase, expect.as_str())).collect();
    mostly_nothing(&ended("E_STALE_ATTEMPT: too late"), &told);
    // A second hand-out of what is here changes nothing.
    mostly_nothing(&Event::Assign { attempt, work: work(1) }, &[("none", "fetching: start")]);
    mostly_nothing(&Event::BadAssign { attempt, reason: "env.name: x".into() }, &[("none", "spooling: warn spool")]);
    table(
        &Event::LogResend { position: position(1) },
        [
            "none:",
            "waiting: rewind",
            "fetching: rewind",
            "preparing: rewind",
            "running: rewind",
            "discarding: rewind",
            "reporting: rewind",
            "spooling: rewind",
            "delivering: rewind tell-finished",
            "deliver-output: rewind",
            "deliver-retry: rewind",
        ],
    );
    mostly_nothing(&Event::HeartbeatAck { sequence: 1 }, &[]);
    mostly_nothing(&Event::Drain, &[]);
    for phase in PHASES {
        let mut bench = Bench::linked();
        bench.bring(phase);
        let pem = "new".to_owned();
        assert_eq!(bench.on(Event::Certificate { pem: pem.clone() }), [Action::KeepCertificate { pem }]);
    }
}

#[test]
fn what_the_job_says_in_every_phase() {
    let attempt = att(1);
    mostly_nothing(&Event::Prepared { attempt }, &[("fetching", "preparing:")]);
    mostly_nothing(
        &Event::Started { attempt },
        &[("fetching", "running: tell-started"), ("preparing", "running: tell-started")],
    );
    mostly_nothing(
        &Event::Note { attempt, text: "pulling".into() },
        &[
            ("fetching", "fetching: tell-progress"),
            ("preparing", "preparing: tell-progress"),
            ("running", "running: tell-progress"),
        ],
    );
    mostly_nothing(
        &Event::Ended { attempt, report: Box::new(report(None)) },
        &[
            ("fetching", "spooling: spool"),
            ("preparing", "spooling: spool"),
            ("running", "spooling: spool"),
            ("discarding", "none: forget"),
            ("reporting", "spooling: spool"),
        ],
    );
    mostly_nothing(&Event::Spooled { attempt }, &[("spooling", "delivering: tell-finished")]);
    mostly_nothing(
        &Event::SpoolFailed { attempt },
        &[
            ("none", "none: warn tell-drain"),
            ("waiting", "waiting: warn tell-drain"),
            ("fetching", "fetching: warn tell-drain"),
            ("preparing", "preparing: warn tell-drain"),
            ("running", "running: warn tell-drain"),
            ("discarding", "discarding: warn tell-drain"),
            ("spooling", "delivering: warn tell-drain tell-finished"),
            ("delivering", "delivering: warn tell-drain"),
            ("deliver-output", "deliver-output: warn tell-drain"),
            ("deliver-retry", "deliver-retry: warn tell-drain"),
        ],
    );
    mostly_nothing(
        &Event::LogsLost { attempt },
        &[
            ("spooling", "spooling: spool"),
            ("delivering", "spooling: spool"),
            ("deliver-output", "spooling: spool"),
            ("deliver-retry", "spooling: spool"),
        ],
    );
}

#[test]
fn what_an_upload_says_in_every_phase() {
    let attempt = att(1);
    let uploaded = |result| Event::Uploaded { attempt, result };
    let why = || "why".to_owned();
    // Where none is under way it is a late echo.
    mostly_nothing(&uploaded(Upload::Stored), &[("deliver-output", "delivering: tell-finished")]);
    mostly_nothing(&uploaded(Upload::Later { reason: why() }), &[("deliver-output", "deliver-retry: warn")]);
    mostly_nothing(&uploaded(Upload::Unwanted), &[("deliver-output", "none: forget")]);
    mostly_nothing(&uploaded(Upload::Refused { reason: why() }), &[("deliver-output", "spooling: spool")]);
}

#[test]
fn what_the_owner_and_the_link_say_in_every_phase() {
    let draining = PHASES.map(|phase| format!("{phase}: tell-drain"));
    table(&Event::OwnerDrains, draining.each_ref().map(String::as_str));
    table(
        &Event::OwnerStops,
        [
            "none: tell-drain",
            "spooling: tell-drain spool",
            "reporting: tell-drain stop",
            "reporting: tell-drain stop",
            "reporting: tell-drain stop",
            "discarding: tell-drain",
            "reporting: tell-drain",
            "spooling: tell-drain",
            "delivering: tell-drain",
            "deliver-output: tell-drain",
            "deliver-retry: tell-drain",
        ],
    );
    mostly_nothing(&Event::LinkLost, &[]);
    let hello = PHASES.map(|phase| format!("{phase}: hello"));
    table(&Event::LinkOpened, hello.each_ref().map(String::as_str));
    mostly_nothing(&Event::Slept { span: Duration::from_secs(1) }, &[]);
    mostly_nothing(&Event::Tick, &[]);
    // A Welcome that answers no Hello.
    mostly_nothing(&Event::Welcome { lease: LEASE, heartbeat_every: BEAT, stale: vec![att(1)], logs: vec![] }, &[]);
}

#[test]
fn a_task_that_waits_for_lost_nodes_outlasts_the_lease() {
    let mut bench = Bench::linked();
    let patience = hivemind_model::spec::Patience {
        lost_after: Some(hivemind_model::Millis(60_000)),
        ..hivemind_model::spec::Patience::default()
    };
    let spec = TaskSpec { patience, ..TaskSpec::clone(&work(1).spec) };
    bench.on(Event::Assign { attempt: att(1), work: Work { spec: Arc::new(spec), ..work(1) } });
    bench.assign(2, 1);
    bench.on(Event::LinkLost);
    bench.pass(9_000);
    assert!(!matches!(bench.phase(1), Some(Phase::Stopping(_)) | None), "it is stopped with the others");
    assert!(matches!(bench.phase(2), Some(Phase::Stopping(_)) | None), "it outlasts its lease");
    assert_eq!(bench.agent.next_deadline(), Some(bench.now + Duration::from_millis(45_000)));
    bench.pass(45_000);
    assert!(matches!(bench.phase(1), Some(Phase::Stopping(_)) | None));
}

#[test]
fn the_end_of_the_lease_in_every_phase() {
    let linked = [
        "none",
        "spooling",
        "reporting",
        "reporting",
        "reporting",
        "discarding",
        "reporting",
        "spooling",
        "delivering",
        "deliver-output",
        "deliver-retry",
    ];
    let unlinked = [
        "none",
        "none",
        "discarding",
        "discarding",
        "discarding",
        "discarding",
        "reporting",
        "spooling",
        "delivering",
        "deliver-output",
        "deliver-retry",
    ];
    for (is_linked, expected) in [(true, linked), (false, unlinked)] {
        for (phase, expect) in PHASES.into_iter().zip(expected) {
            let mut bench = Bench::linked();
            bench.bring(phase);
            if !is_linked {
                bench.on(Event::LinkLost);
            }
            bench.pass(8999);
            assert_eq!(bench.phase_word(), phase, "a lease that lives, {phase}");
            // The dead link may have been given up meanwhile; a new one has said Hello.
            if is_linked && bench.agent.link() == Link::Closing {
                bench.on(Event::LinkLost);
                bench.on(Event::LinkOpened);
            }
            bench.pass(1);
            assert_eq!(bench.phase_word(), expect, "linked: {is_linked}, {phase}");
        }
    }
}
