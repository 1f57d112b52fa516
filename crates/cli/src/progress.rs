//! What moves on a terminal while something takes its time.
//!
//! Invariant: nothing is drawn where standard error is no terminal, and nothing is left behind.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(120);

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

/// A bar of bytes with rate and time left.
pub struct Bar(ProgressBar);

impl Bar {
    /// Starts empty; draws nothing where `live` is false.
    #[must_use]
    pub fn start(live: bool, what: &str) -> Self {
        if !live {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Shows `done` of `whole` bytes.
    pub fn set(&self, done: u64, whole: u64) {
        self.0.set_length(whole);
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
