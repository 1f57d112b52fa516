//! What each client command does.
//!
//! Start at [`run`] for the way of a task through this program. Each verb asks the pool through
//! [`Context`], makes a document, and shows it.
//!
//! Invariant: no verb prints by itself, and none decides an exit code by a code's name.

pub mod access;
pub mod account;
pub mod doctor;
pub mod explain;
pub mod fetch;
pub mod files;
pub mod image;
pub mod ledger;
pub mod listing;
pub mod logs;
pub mod nodes;
pub mod output;
pub mod plan;
pub mod project;
pub mod request;
pub mod retry;
pub mod run;
pub mod status;
pub mod submit;
pub mod tasks;
pub mod wait;
pub mod wallet;
pub mod worker;

use crate::args::Global;
use crate::connect::Route;
use crate::face::Face;
use crate::failure::{Done, Failure};
use hivemind_client::Client;
use hivemind_model::TaskId;
use hivemind_model::ids::BadId;

/// What every verb gets.
pub struct Context {
    /// The options of every command.
    pub global: Global,
    /// Where to print.
    pub face: Face,
}

impl Context {
    /// The way to the pool.
    ///
    /// # Errors
    /// No certificate of it is known, or a file cannot be read.
    pub fn route(&self) -> Done<Route> {
        Route::find(&self.global)
    }

    /// A connection with the login.
    ///
    /// # Errors
    /// The pool does not answer, or nobody is logged in.
    pub async fn user(&self) -> Done<Client> {
        self.route()?.user().await
    }
}

/// Reads a task's id.
///
/// # Errors
/// The text is none.
pub fn task_id(text: &str) -> Done<TaskId> {
    text.parse().map_err(|bad: BadId| Failure::usage(bad).fix("`hivemind ps` lists the ids of your tasks"))
}

/// The pool's answer to a question about a task is about none.
#[must_use]
pub fn no_task() -> Failure {
    Failure::new(
        crate::exit::Exit::Failure,
        "E_PROTOCOL",
        "the pool's answer has no task in it; it is older than this program",
    )
}

/// Reads the ids of some tasks; each counts once.
///
/// # Errors
/// One of the texts is none.
pub fn task_ids(texts: &[String]) -> Done<Vec<TaskId>> {
    let mut ids = Vec::with_capacity(texts.len());
    for text in texts {
        let id = task_id(text)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
