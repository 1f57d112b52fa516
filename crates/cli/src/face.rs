//! The three faces of every result: for people, as JSON, and bare.
//!
//! A result is a [`Document`]; [`Face::show`] prints it on standard output in the face that was
//! asked for. Talk (progress, notes, errors) goes to standard error.
//!
//! Invariant: nothing but a document, a list as CSV, or the bytes of a task ever reaches standard output.

use crate::failure::Failure;
use hivemind_model::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};

pub mod csv;
pub mod table;
mod terminal;

use terminal::Harmless;

/// Something that can be printed in each face.
pub trait Document: Serialize {
    /// Name and version of the JSON form, `hivemind.<thing>/1`.
    const SCHEMA: &'static str;

    /// For people; ends without a line break.
    fn human(&self, look: &Look) -> String;

    /// The bare result, such as ids one a line; empty: nothing is printed.
    fn quiet(&self) -> String;
}

/// What the human face needs to know of where it is read.
#[derive(Debug, Clone)]
pub struct Look {
    /// The present moment, for ages.
    pub now: Timestamp,
    /// The zone in which moments are shown.
    pub zone: TimeZone,
    /// Colours are wanted and understood.
    pub colour: bool,
}

impl Look {
    /// A moment in the reader's zone; `-` for a moment that has not come.
    #[must_use]
    pub fn moment(&self, unix_ms: i64) -> String {
        if unix_ms == 0 {
            return "-".into();
        }
        match jiff::Timestamp::from_millisecond(unix_ms) {
            Ok(moment) => moment.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            Err(_) => format!("{unix_ms} ms"),
        }
    }

    /// How long ago a moment was.
    #[must_use]
    pub fn age(&self, unix_ms: i64) -> String {
        crate::quantity::show_age(Timestamp(unix_ms), self.now)
    }
}

/// Which face was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Tables and sentences.
    Human,
    /// One JSON document.
    Json,
    /// The bare result.
    Quiet,
}

/// Where talk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// To standard error as it is.
    Plain,
    /// Into the log.
    Log,
}

/// Prints results and talk.
pub struct Face {
    /// Which face.
    pub mode: Mode,
    /// For the human face.
    pub look: Look,
    live: bool,
    talk: Talk,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// For what tasks wrote, where it goes to a terminal: output and errors.
    harmless: [Option<Harmless>; 2],
}

impl Face {
    /// The face for this process's own standard output and error.
    #[must_use]
    pub fn of_process(mode: Mode) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let look = Look {
            now: Timestamp(jiff::Timestamp::now().as_millisecond()),
            zone: TimeZone::system(),
            colour: !plain && !dumb && io::stdout().is_terminal(),
        };
        let live = mode == Mode::Human && !dumb && io::stderr().is_terminal();
        let filter = |is_terminal: bool| is_terminal.then(Harmless::default);
        let harmless = [filter(io::stdout().is_terminal()), filter(io::stderr().is_terminal())];
        Self { mode, look, live, talk: Talk::Plain, out: Box::new(io::stdout()), err: Box::new(io::stderr()), harmless }
    }

    /// A face that writes elsewhere.
    #[must_use]
    pub fn new(mode: Mode, look: Look, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { mode, look, live: false, talk: Talk::Plain, out, err, harmless: [None, None] }
    }

    /// From now on talk is part of the log, whose form its readers rely on.
    pub fn talk_through_log(&mut self) {
        self.talk = Talk::Log;
    }

    /// True where a progress line can be redrawn on standard error.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Prints a result.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub fn show<D: Document>(&mut self, document: &D) -> Result<(), Failure> {
        let text = match self.mode {
            Mode::Human => document.human(&self.look),
            Mode::Quiet => document.quiet(),
            Mode::Json => to_json(document)?.to_string(),
        };
        if text.is_empty() {
            return Ok(());
        }
        self.bytes(format!("{text}\n").as_bytes(), Channel::Out)
    }

    /// Passes on what a task wrote: exactly, but to a terminal only what does no harm there.
    ///
    /// # Errors
    /// The stream cannot be written to.
    pub fn of_task(&mut self, data: &[u8], channel: Channel) -> Result<(), Failure> {
        let [out, err] = &mut self.harmless;
        let harmless = match channel {
            Channel::Out => out,
            Channel::Err => err,
        };
        match harmless.as_mut().map(|harmless| harmless.pass(data)) {
            Some(shown) => self.bytes(&shown, channel),
            None => self.bytes(data, channel),
        }
    }

    /// Passes bytes on, exactly.
    ///
    /// # Errors
    /// The stream cannot be written to.
    pub fn bytes(&mut self, data: &[u8], channel: Channel) -> Result<(), Failure> {
        let (writer, name) = match channel {
            Channel::Out => (&mut self.out, "standard output"),
            Channel::Err => (&mut self.err, "standard error"),
        };
        let done = writer.write_all(data).and_then(|()| writer.flush());
        done.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Failure::new(crate::exit::Exit::Failure, "E_CLOSED", format!("{name} was closed by its reader"))
            }
            _ => Failure::io(format!("{name} cannot be written to"), &error),
        })
    }

    /// Says something to a person; nothing in the other faces.
    pub fn say(&mut self, text: &str) {
        match (self.mode, self.talk) {
            (Mode::Human, Talk::Plain) => self.write_err(&format!("{text}\n")),
            (Mode::Human, Talk::Log) => tracing::info!("{text}"),
            (Mode::Json | Mode::Quiet, _) => {}
        }
    }

    /// Says something that must not be missed, in every face but the bare one.
    pub fn warn(&mut self, text: &str) {
        match self.mode {
            _ if self.talk == Talk::Log => tracing::warn!("{text}"),
            Mode::Human => self.write_err(&format!("warning: {text}\n")),
            Mode::Json => self.write_err(&format!("{}\n", json!({"schema": "hivemind.warning/1", "message": text}))),
            Mode::Quiet => {}
        }
    }

    /// Tells why the command did not succeed.
    pub fn fail(&mut self, failure: &Failure) {
        match self.mode {
            _ if failure.code == "E_CLOSED" => {}
            _ if self.talk == Talk::Log => tracing::error!(code = failure.code, fix = failure.fix, "{}", failure.what),
            Mode::Json => self.write_err(&format!("{}\n", failure.json())),
            Mode::Human | Mode::Quiet => self.write_err(&failure.human()),
        }
    }

    fn write_err(&mut self, text: &str) {
        // Nobody is left to tell where standard error itself is gone.
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}

/// One of the two streams of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

fn to_json<D: Document>(document: &D) -> Result<Value, Failure> {
    let bug = |why: String| {
        Failure::new(crate::exit::Exit::Failure, "E_BUG", format!("{} has no JSON form: {why}", D::SCHEMA))
    };
    match serde_json::to_value(document).map_err(|error| bug(error.to_string()))? {
        Value::Object(fields) => {
            let mut whole = serde_json::Map::from_iter([("schema".to_owned(), Value::from(D::SCHEMA))]);
            whole.extend(fields);
            Ok(Value::Object(whole))
        }
        other => Err(bug(format!("it is not an object but {other}"))),
    }
}

/// Text from elsewhere made harmless for a terminal: what steers it instead of being shown becomes `?`.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns_text(c) { '?' } else { c }).collect()
}

/// Whether a character turns the direction of what follows, or breaks the line without being a control
/// character. With these a stranger's message could show another amount than the one that was moved.
const fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
