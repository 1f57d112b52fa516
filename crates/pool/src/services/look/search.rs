//! Tasks by a part of their name or image.
//!
//! Start at [`Search::page`]. No index knows parts of names: tasks are read newest first, and those that fit are kept,
//! until a page is full or enough were looked at; the next page goes on there.
//!
//! Invariant: one page costs no more than a bounded number of rows, however many tasks a user has.

use super::super::submission::cut as shortened;
use crate::shared::Shared;
use crate::status;
use hivemind_model::rows::TaskRow;
use hivemind_model::{Rejection, TaskId, UserId};
use hivemind_store::TaskFilter;
use tonic::Status;

/// Longest text that is looked for, in bytes.
const MOST_BYTES: usize = 200;
/// Tasks read at once, and tasks that are looked at for one page.
const READ_AHEAD: u32 = 500;
const MOST_LOOKED_AT: usize = 5000;

/// What is looked for.
pub(super) struct Search {
    /// In small letters.
    text: String,
}

impl Search {
    /// Reads what a caller looks for; `None` where it is nothing.
    pub(super) fn read(text: &str) -> Result<Option<Self>, Rejection> {
        if text.len() > MOST_BYTES {
            let why = format!("`{}...` is longer than {MOST_BYTES} bytes", shortened(text));
            return Err(Rejection::invalid("q", why));
        }
        let text = text.trim().to_lowercase();
        Ok((!text.is_empty()).then_some(Self { text }))
    }

    fn fits(&self, row: &TaskRow) -> bool {
        [&row.spec.name, &row.spec.image].iter().any(|text| text.to_lowercase().contains(&self.text))
    }

    /// The tasks that fit of those that `filter` lets through, one less than its limit, and the last task that was
    /// looked at where there may be more.
    pub(super) async fn page(
        &self,
        shared: &Shared,
        user: UserId,
        filter: TaskFilter,
    ) -> Result<(Vec<TaskRow>, Option<TaskId>), Status> {
        let size = usize::try_from(filter.limit.saturating_sub(1)).unwrap_or(usize::MAX);
        let _turn = shared.turns.take(user).await.map_err(|rejection| status::rejected(&rejection))?;
        let mut filter = TaskFilter { limit: READ_AHEAD, ..filter };
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let rows = shared.store.tasks(user, &filter).await.map_err(|error| status::store(&error))?;
            let all = rows.len() < READ_AHEAD as usize;
            for row in rows {
                // Where the page is full there may be more, but only if there is a row behind it.
                if found.len() >= size || looked_at >= MOST_LOOKED_AT {
                    return Ok((found, filter.before));
                }
                looked_at += 1;
                filter.before = Some(row.progress.id);
                if self.fits(&row) {
                    found.push(row);
                }
            }
            if all {
                return Ok((found, None));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_blanks_are_no_search_and_long_ones_are_refused() {
        assert!(Search::read("").unwrap().is_none() && Search::read("  ").unwrap().is_none());
        assert_eq!(Search::read(" ÄB ").unwrap().map(|search| search.text).as_deref(), Some("äb"));
        assert!(Search::read(&"x".repeat(MOST_BYTES)).unwrap().is_some());
        assert_eq!(Search::read(&"x".repeat(MOST_BYTES + 1)).err().map(|refused| refused.field).as_deref(), Some("q"));
    }
}
