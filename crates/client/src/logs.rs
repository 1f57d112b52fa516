//! What a task writes, as it writes it.
//!
//! Start at [`Client::follow_logs`]. Each attempt has its own two streams; where a new attempt
//! begins, they begin anew.
//!
//! Invariant: of one attempt no byte is given twice, and none is left out.

use crate::retry::Backoff;
use crate::{Client, ClientError, Events};
use bytes::{Buf, Bytes};
use futures::StreamExt;
use hivemind_model::TaskId;
use hivemind_model::ids::{AttemptRef, ElementRef};
use hivemind_proto::v1::log_chunk::Stream as WireStream;
use hivemind_proto::v1::{AttemptSummary, FollowLogsRequest, LogChunk};
use std::time::Duration;

const WHAT: &str = "FollowLogs";
/// How long following goes on while the pool does not answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Which of a command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far logs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// What is there now.
    Now,
    /// Everything, until the task ends.
    End,
}

/// How far the logs of an element were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// The attempt whose logs they are, from 1; 0: nothing was read.
    pub attempt: u32,
    /// Bytes of its standard output.
    pub stdout: u64,
    /// Bytes of its standard error.
    pub stderr: u64,
}

/// A piece of what a task wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// Number of the attempt that wrote it, from 1.
    pub attempt: u32,
    /// To which stream.
    pub stream: LogStream,
    /// Bytes of that stream before this part.
    pub offset: u64,
    /// What was written.
    pub data: Bytes,
}

impl Client {
    /// What the newest attempt wrote, from its beginning. A lost connection is made good where it
    /// broke off; a new attempt starts again at offset 0 under its own number.
    ///
    /// # Errors
    /// As an item of the stream, which ends it: `E_NOT_FOUND` where the task is not the user's;
    /// [`ClientError::Unreachable`] where the pool has not answered for 10 minutes.
    #[must_use]
    pub fn follow_logs(&self, task: TaskId, until: Until) -> Events<LogPart> {
        self.follow(task, None, until, 0)
    }

    /// [`Client::follow_logs`] of one element (of a plain task, its only one), from the last `tail_bytes` bytes on
    /// that are there of each stream, which may be in the middle of a line or a character; 0: from the beginning.
    /// A new attempt is given whole.
    #[must_use]
    pub fn follow_logs_tail(&self, element: ElementRef, until: Until, tail_bytes: u64) -> Events<LogPart> {
        self.follow(element.task, Some(element.index), until, tail_bytes)
    }

    /// [`Client::follow_logs`] of one element (of a plain task, its only one), from where somebody stopped reading. A newer
    /// attempt is given whole.
    #[must_use]
    pub fn follow_logs_from(&self, element: ElementRef, until: Until, from: LogPlace) -> Events<LogPart> {
        let LogPlace { attempt, stdout, stderr } = from;
        let place = Place { attempt, stdout, stderr, has_tail: false };
        self.follow_from(element.task, Some(element.index), until, 0, place)
    }

    pub(crate) fn follow(&self, task: TaskId, element: Option<u32>, until: Until, tail_bytes: u64) -> Events<LogPart> {
        let place = Place { has_tail: tail_bytes > 0, ..Place::default() };
        self.follow_from(task, element, until, tail_bytes, place)
    }

    fn follow_from(
        &self,
        task: TaskId,
        element: Option<u32>,
        until: Until,
        tail_bytes: u64,
        place: Place,
    ) -> Events<LogPart> {
        let follower = Follower {
            tail_bytes,
            client: self.clone(),
            task,
            element,
            until,
            place,
            open: None,
            backoff: Backoff::new(PATIENCE),
            ended: false,
        };
        futures::stream::unfold(follower, |mut follower| async move {
            if follower.ended {
                return None;
            }
            match follower.next().await {
                Ok(Some(part)) => Some((Ok(part), follower)),
                Ok(None) => None,
                Err(error) => {
                    follower.ended = true;
                    Some((Err(error), follower))
                }
            }
        })
        .boxed()
    }
}

/// How far the logs have been given out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    attempt: u32,
    stdout: u64,
    stderr: u64,
    /// A stream of which nothing was given yet may begin in its midst.
    has_tail: bool,
}

/// What a chunk means at a place.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Give(LogPart),
    Known,
    /// Bytes are missing before it: read again from the place.
    Gap,
}

impl Place {
    fn take(&mut self, chunk: LogChunk) -> Result<Verdict, ClientError> {
        let stream = match chunk.stream() {
            WireStream::Stdout => LogStream::Stdout,
            WireStream::Stderr => LogStream::Stderr,
            WireStream::Unspecified => return Err(ClientError::protocol(WHAT, "a part of neither stream")),
        };
        let offset = u64::try_from(chunk.offset).map_err(|_| ClientError::protocol(WHAT, "an offset below zero"))?;
        if chunk.attempt < self.attempt {
            return Ok(Verdict::Known);
        }
        if chunk.attempt > self.attempt {
            *self = Self { attempt: chunk.attempt, stdout: 0, stderr: 0, has_tail: self.has_tail };
        }
        let at = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        if self.has_tail && *at == 0 {
            *at = offset;
        }
        let Some(behind) = at.checked_sub(offset) else { return Ok(Verdict::Gap) };
        let mut data = chunk.data;
        if behind >= data.len() as u64 {
            return Ok(Verdict::Known);
        }
        data.advance(behind as usize);
        let part = LogPart { attempt: chunk.attempt, stream, offset: *at, data };
        *at += part.data.len() as u64;
        Ok(Verdict::Give(part))
    }

    fn is_start(&self) -> bool {
        self.stdout == 0 && self.stderr == 0
    }
}

/// A connection that is being read.
struct Reading {
    chunks: tonic::Streaming<LogChunk>,
    /// Opened behind the start, and nothing of it seen yet: it may be of a newer attempt that
    /// wrote less than that.
    unsure: bool,
}

struct Follower {
    client: Client,
    task: TaskId,
    /// Of an array: whose logs.
    element: Option<u32>,
    until: Until,
    tail_bytes: u64,
    place: Place,
    open: Option<Reading>,
    backoff: Backoff,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<LogPart>, ClientError> {
        loop {
            match self.step().await {
                Ok(Step::Part(part)) => return Ok(Some(part)),
                Ok(Step::End) => return Ok(None),
                Ok(Step::Again) => {}
                Err(error) => {
                    self.open = None;
                    self.backoff.after(error).await?;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Step, ClientError> {
        let reading = match &mut self.open {
            Some(reading) => reading,
            None => {
                let reading = self.read().await?;
                self.open.insert(reading)
            }
        };
        let received = reading.chunks.message().await.map_err(|status| self.client.fault(WHAT, &status))?;
        let Some(chunk) = received else {
            let unsure = reading.unsure;
            self.open = None;
            return if unsure && self.newer_attempt().await? { Ok(Step::Again) } else { Ok(Step::End) };
        };
        reading.unsure = false;
        match self.place.take(chunk)? {
            Verdict::Give(part) => {
                self.backoff.reset();
                Ok(Step::Part(part))
            }
            Verdict::Known => Ok(Step::Again),
            Verdict::Gap => {
                self.open = None;
                // Bounded: should the gap stay, patience ends.
                self.backoff
                    .after(ClientError::unreachable(&self.client.server, "a part of the logs is missing"))
                    .await?;
                Ok(Step::Again)
            }
        }
    }

    async fn read(&self) -> Result<Reading, ClientError> {
        let request = FollowLogsRequest {
            element: self.element.unwrap_or(0),
            token: String::new(),
            task_id: self.task.to_string(),
            follow: self.until == Until::End,
            stdout_offset: i64::try_from(self.place.stdout).unwrap_or(i64::MAX),
            stderr_offset: i64::try_from(self.place.stderr).unwrap_or(i64::MAX),
            tail_bytes: i64::try_from(self.tail_bytes).unwrap_or(i64::MAX),
        };
        let chunks =
            self.client.opened(WHAT, self.client.tasks().follow_logs(self.client.stream_request(request))).await?;
        Ok(Reading { chunks, unsure: !self.place.is_start() })
    }

    /// True where an attempt began after the one that was read last; it is then read from its start.
    async fn newer_attempt(&mut self) -> Result<bool, ClientError> {
        let newest = match self.element {
            None => self.client.status(self.task).await?.task.map_or(0, |task| task.attempts),
            Some(element) => newest_of(&self.client.status_of(self.task, element).await?.attempts),
        };
        if newest <= self.place.attempt {
            return Ok(false);
        }
        self.place = Place { attempt: newest, has_tail: self.place.has_tail, ..Place::default() };
        Ok(true)
    }
}

/// The number of the newest of some attempts; 0 where there is none.
fn newest_of(attempts: &[AttemptSummary]) -> u32 {
    let numbers = attempts.iter().filter_map(|attempt| attempt.attempt_id.parse::<AttemptRef>().ok());
    numbers.map(|attempt| attempt.number).max().unwrap_or(0)
}

enum Step {
    Part(LogPart),
    Again,
    End,
}

#[cfg(test)]
mod tests;
