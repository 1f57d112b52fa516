//! How the worker on this machine does, for its owner.
//!
//! Invariant: nothing here tells what a task computes, or for whom.

use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use crate::quantity::show_span;
use hivemind_model::{Bytes, Millis};
use hivemind_owner::service::Step;
use hivemind_runtime::selftest::Line;
use hivemind_worker::control::Overview;
use serde::Serialize;

/// How things stand.
#[derive(Debug, Clone, Serialize)]
pub struct Machine(pub Overview);

impl Document for Machine {
    const SCHEMA: &'static str = "hivemind.worker/1";

    fn human(&self, look: &Look) -> String {
        let Overview { node, linked, sentence, gpu_state, gpu_reason, mode, .. } = &self.0;
        let link = match (linked, &self.0.last_error) {
            (true, _) => "the pool answers".to_owned(),
            (false, Some(why)) => format!("no link to the pool: {why}"),
            (false, None) => "no link to the pool yet".to_owned(),
        };
        let until = self.0.mode_until_unix_ms.map(|at| format!(" until {}", look.moment(at))).unwrap_or_default();
        let gpu = match gpu_state == &self.0.state {
            true => String::new(),
            false => format!("{gpu_state}: {gpu_reason}"),
        };
        let count = |count: usize, what: &str| if count == 0 { String::new() } else { format!("{count} {what}") };
        let back = self.0.give_back_in_ms.map(|left| format!("given back in {}", show_span(Millis(left))));
        let draining = if self.0.draining { "drains: takes no more work until it is started again" } else { "" };
        let mut text = pairs(&[
            ("node", node.clone()),
            ("now", sentence.clone()),
            ("by hand", format!("{mode}{until}")),
            ("graphics", gpu),
            ("link", link),
            ("drain", draining.to_owned()),
            ("page", self.0.page.clone().unwrap_or_default()),
            ("stands still", back.unwrap_or_default()),
            ("waiting", count(self.0.waiting, "for their turn")),
            ("undelivered", count(self.0.undelivered, "not acknowledged by the pool")),
        ]);
        if self.0.running.is_empty() {
            return format!("{text}\nnothing runs");
        }
        text.push_str("\n\n");
        text.push_str(&self.running(look));
        text
    }

    fn quiet(&self) -> String {
        self.0.state.clone()
    }
}

impl Machine {
    fn running(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 7] = [
            ("ATTEMPT", Align::Left),
            ("IMAGE", Align::Left),
            ("STATE", Align::Left),
            ("SINCE", Align::Right),
            ("CPU", Align::Right),
            ("MEMORY", Align::Right),
            ("DONE", Align::Right),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        let known = |number: u64, text: String| if number == 0 { "-".to_owned() } else { text };
        for running in &self.0.running {
            rows.add(&[
                running.attempt.clone(),
                super::tasks::shortened(&running.image, 40),
                if running.paused { "paused" } else { "running" }.to_owned(),
                look.age(running.since_unix_ms),
                known(running.cpu_ms, show_span(Millis(running.cpu_ms))),
                known(running.memory_bytes, Bytes(running.memory_bytes).to_string()),
                known(running.progress_percent.into(), format!("{} %", running.progress_percent)),
            ]);
        }
        rows.finish()
    }
}

/// Preferences in the form of their file.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// Where they are kept.
    pub path: String,
    /// What is in it.
    pub toml: String,
}

impl Document for Written {
    const SCHEMA: &'static str = "hivemind.preferences/1";

    fn human(&self, _look: &Look) -> String {
        format!("# {}\n{}", self.path, self.toml.trim_end())
    }

    fn quiet(&self) -> String {
        self.toml.trim_end().to_owned()
    }
}

/// What is done to make a service, or to remove it.
#[derive(Debug, Clone, Serialize)]
pub struct Steps {
    /// One sentence each, in order.
    pub steps: Vec<String>,
    /// The text of the unit; `None` where none is written.
    pub unit: Option<String>,
}

impl Steps {
    /// Those.
    #[must_use]
    pub fn of(steps: &[Step]) -> Self {
        let unit = steps.iter().find_map(|step| match step {
            Step::File { contents, .. } => Some(contents.clone()),
            Step::Folder { .. } | Step::Remove { .. } | Step::Run { .. } => None,
        });
        Self { steps: steps.iter().map(ToString::to_string).collect(), unit }
    }
}

impl Document for Steps {
    const SCHEMA: &'static str = "hivemind.service/1";

    fn human(&self, _look: &Look) -> String {
        let steps = self.steps.iter().map(|step| format!("# {step}")).collect::<Vec<_>>().join("\n");
        match &self.unit {
            Some(unit) => format!("{steps}\n\n{}", unit.trim_end()),
            None => steps,
        }
    }

    fn quiet(&self) -> String {
        self.unit.as_deref().map(|unit| unit.trim_end().to_owned()).unwrap_or_default()
    }
}

/// What an attack on this machine's isolation showed.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// What was attacked.
    pub runtime: String,
    /// Every required promise holds.
    pub holds: bool,
    /// One for each promise.
    pub promises: Vec<Promised>,
}

/// One promise.
#[derive(Debug, Clone, Serialize)]
pub struct Promised {
    /// Its name.
    pub promise: &'static str,
    /// For people.
    pub title: &'static str,
    /// Without it a worker does not start.
    pub required: bool,
    /// pass, fail, skipped.
    pub verdict: String,
    /// What was seen.
    pub detail: String,
    /// What to do; empty where nothing.
    pub fix: String,
}

impl Tested {
    /// The lines of a self-test.
    #[must_use]
    pub fn of(runtime: &str, lines: &[Line]) -> Self {
        let promised = |line: &Line| Promised {
            promise: line.promise.id(),
            title: line.promise.title(),
            required: line.required,
            verdict: line.verdict.to_string(),
            detail: line.detail.clone(),
            fix: line.fix.clone(),
        };
        Self {
            runtime: runtime.to_owned(),
            holds: !lines.iter().any(Line::forbids_to_join),
            promises: lines.iter().map(promised).collect(),
        }
    }
}

impl Document for Tested {
    const SCHEMA: &'static str = "hivemind.selftest/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 4] =
            [("PROMISE", Align::Left), ("RESULT", Align::Left), ("REQUIRED", Align::Left), ("SEEN", Align::Left)];
        let mut rows = Rows::new(look, &COLUMNS);
        for line in &self.promises {
            rows.add(&[
                line.title.to_owned(),
                line.verdict.clone(),
                if line.required { "yes" } else { "no" }.to_owned(),
                line.detail.clone(),
            ]);
        }
        let mut text = rows.finish();
        for line in self.promises.iter().filter(|line| !line.fix.is_empty()) {
            text.push_str(&format!("\n{}: {}", line.title, line.fix));
        }
        let end =
            if self.holds { "every required promise holds" } else { "tasks are not kept in here: no worker starts" };
        format!("{text}\n{end}")
    }

    fn quiet(&self) -> String {
        if self.holds { "holds" } else { "broken" }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::Timestamp;
    use hivemind_worker::Running;
    use jiff::tz::TimeZone;

    fn look() -> Look {
        Look { now: Timestamp(100_000), zone: TimeZone::UTC, colour: false }
    }

    fn overview() -> Overview {
        Overview {
            node: "lab-1".into(),
            linked: true,
            state: "open".into(),
            sentence: "Open: takes work".into(),
            gpu_state: "open".into(),
            mode: "start".into(),
            ..Overview::default()
        }
    }

    #[test]
    fn an_owner_reads_what_runs_and_why_not() {
        let text = Machine(overview()).human(&look());
        assert_eq!(
            text,
            "node     lab-1\nnow      Open: takes work\nby hand  start\nlink     the pool answers\nnothing runs"
        );
        let running = Running {
            attempt: "att_1.0.1".into(),
            image: "python:3.12\u{1b}[31m".into(),
            since_unix_ms: 40_000,
            cpu_ms: 61_000,
            memory_bytes: 64 << 20,
            disk_bytes: 0,
            paused: true,
            progress_percent: 42,
        };
        let paused = Overview {
            state: "paused".into(),
            sentence: "Paused: somebody uses the machine".into(),
            gpu_state: "paused".into(),
            mode: "pause".into(),
            mode_until_unix_ms: Some(3_600_000),
            give_back_in_ms: Some(540_000),
            running: vec![running],
            waiting: 2,
            ..overview()
        };
        let text = Machine(paused).human(&look());
        for part in
            ["pause until 1970-01-01 01:00", "given back in 9m", "2 for their turn", "att_1.0.1", "42 %", "64 MiB"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
