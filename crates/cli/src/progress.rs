//! What moves on a terminal while something takes its time.
//!
//! Invariant: nothing moves where standard error is no terminal, and what moves leaves nothing behind.

use crate::face::{Face, Mode};
use crate::quantity::show_span;
use hivemind_model::{Bytes, Millis};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(120);
/// How often a line is told where nothing can move.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A line that tells the present state; its clones are the same line.
#[derive(Clone)]
pub struct Spinner(ProgressBar);

impl Spinner {
    /// Starts with `text`; draws nothing where `live` is false.
    #[must_use]
    pub fn start(live: bool, text: &str) -> Self {
        if !live {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // One line, cut to the width of the terminal: what wraps cannot be drawn anew.
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows another state; nothing once cleared.
    pub fn say(&self, text: &str) {
        if !self.0.is_finished() {
            self.0.set_message(text.to_owned());
        }
    }

    /// Takes the line away for good.
    pub fn clear(&self) {
        if !self.0.is_finished() {
            self.0.finish_and_clear();
        }
    }
}

/// Bytes on their way: a bar with rate and time left on a terminal, else a line now and then.
pub struct Bar {
    bar: ProgressBar,
    lines: Option<Lines>,
}

/// What is told where nothing can move.
struct Lines {
    what: String,
    began: Instant,
    /// When the last one was, and how much was there before the first.
    state: Mutex<(Instant, Option<u64>)>,
}

impl Bar {
    /// Draws nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), lines: None }
    }

    /// Starts empty, as `face` is read.
    #[must_use]
    pub fn of(face: &Face, what: &str) -> Self {
        if !face.is_live() {
            let now = Instant::now();
            let lines = || Lines { what: what.to_owned(), began: now, state: Mutex::new((now, None)) };
            return Self { bar: ProgressBar::hidden(), lines: (face.mode == Mode::Human).then(lines) };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self { bar, lines: None }
    }

    /// Shows `done` of `whole` bytes.
    pub fn set(&self, done: u64, whole: u64) {
        self.bar.set_length(whole);
        self.bar.set_position(done);
        if let Some(line) = self.lines.as_ref().and_then(|lines| lines.due(done, whole)) {
            // That nobody reads it is no reason to stop.
            let _unread = writeln!(std::io::stderr(), "{}", crate::face::harmless(&line));
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Lines {
    /// The next line, where it is time for one.
    fn due(&self, done: u64, whole: u64) -> Option<String> {
        let mut state = self.state.lock().ok()?;
        let from = *state.1.get_or_insert(done);
        if state.0.elapsed() < LINE_EVERY {
            return None;
        }
        state.0 = Instant::now();
        let rate = done.saturating_sub(from) / self.began.elapsed().as_secs().max(1);
        let left = whole.saturating_sub(done).checked_div(rate);
        let left = left.map(|seconds| format!(", {} left", show_span(Millis::from_secs(seconds)))).unwrap_or_default();
        Some(format!("{}: {} of {}, {}/s{left}", self.what, Bytes(done), Bytes(whole), Bytes(rate)))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
