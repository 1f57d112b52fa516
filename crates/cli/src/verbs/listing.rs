//! Lists that come line by line: collected up to a bound to be shown as a whole, or passed on as
//! comma-separated values as they come.
//!
//! Invariant: what is kept in memory has a bound, however long the list is.

use super::Context;
use crate::args::money::Much;
use crate::face::csv::{self, Record};
use crate::face::{Channel, Face, Mode};
use crate::failure::{Done, Failure};
use futures::StreamExt;
use hivemind_client::Events;

/// Lines that are written at once.
const CHUNK: usize = 1000;

/// The number of lines to ask for where `most` are shown: one more tells that there are more.
#[must_use]
pub const fn and_one(most: usize) -> usize {
    most.saturating_add(1)
}

/// The first `most` lines, and whether there are more.
///
/// # Errors
/// The list broke off.
pub async fn collect<T, R: From<T>>(mut lines: Events<T>, most: usize) -> Done<(Vec<R>, bool)> {
    let mut kept = Vec::new();
    while let Some(line) = lines.next().await {
        let line = line?;
        if kept.len() == most {
            return Ok((kept, true));
        }
        kept.push(R::from(line));
    }
    Ok((kept, false))
}

/// Writes every line as it comes, after the line of the columns' names.
///
/// # Errors
/// The list broke off: what came before is written. Or standard output is closed.
pub async fn pass_on<T, R: Record + From<T>>(lines: Events<T>, face: &mut Face) -> Done<()> {
    let mut lines = lines.ready_chunks(CHUNK);
    let mut text = csv::header::<R>();
    while let Some(chunk) = lines.next().await {
        let mut broken = None;
        for line in chunk {
            match line {
                Ok(line) => csv::append(&mut text, &R::from(line)),
                Err(error) => broken = Some(Failure::from(error)),
            }
        }
        face.bytes(text.as_bytes(), Channel::Out)?;
        text.clear();
        if let Some(failure) = broken {
            return Err(failure);
        }
    }
    // The names of the columns, where there was no line.
    face.bytes(text.as_bytes(), Channel::Out)
}

/// Refuses two forms at once.
///
/// # Errors
/// CSV and JSON are both asked for.
pub fn one_form(ctx: &Context, csv: bool) -> Done<()> {
    match csv && ctx.face.mode == Mode::Json {
        true => Err(Failure::usage("--csv and --json are two forms of the same; ask for one of them")),
        false => Ok(()),
    }
}

/// Tells that a list goes on.
pub fn tell_more(face: &mut Face, much: &Much, more: bool) {
    match (more, much.all) {
        (false, _) => {}
        (true, false) => face.say("there are more: ask with --limit N or --all"),
        (true, true) => face.warn(&format!("only the first {} lines are shown", much.lines())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::money::Line;
    use hivemind_proto::v1::StatementLine;

    fn lines(count: i64) -> Events<StatementLine> {
        let line = |entry| Ok(StatementLine { entry, ..StatementLine::default() });
        futures::stream::iter((1..=count).map(line)).boxed()
    }

    #[tokio::test]
    async fn a_list_is_cut_where_it_was_asked_to() {
        for (there, most, kept, more) in [(3, 3, 3, false), (4, 3, 3, true), (0, 3, 0, false)] {
            let (got, goes_on) = collect::<_, Line>(lines(there), most).await.unwrap();
            assert_eq!((got.len(), goes_on), (kept, more), "{most} of {there}");
        }
    }
}
