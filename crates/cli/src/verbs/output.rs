//! The bytes of a task, passed on as they come.
//!
//! Invariant: what a task wrote is never mixed with words of this program on standard output.

use crate::face::{Channel, Face};
use crate::failure::Done;
use hivemind_client::{LogPart, LogStream};

/// Said where the pool keeps less than was written.
pub const CUT: &str = "the task wrote more than is kept; its output is cut";

/// What was passed on so far.
#[derive(Debug, Default)]
pub struct Output {
    attempt: u32,
    has_begun: bool,
}

impl Output {
    /// Passes one part on, to a terminal without what would do harm there; tells where a new attempt begins from the start.
    ///
    /// # Errors
    /// This process's own stream cannot be written to.
    pub fn pass(&mut self, part: &LogPart, face: &mut Face) -> Done<()> {
        if self.has_begun && part.attempt != self.attempt {
            face.warn(&format!("the task was started again (attempt {}); its output begins anew", part.attempt));
        }
        self.attempt = part.attempt;
        self.has_begun = true;
        let channel = match part.stream {
            LogStream::Stdout => Channel::Out,
            LogStream::Stderr => Channel::Err,
        };
        face.of_task(&part.data, channel)
    }
}
