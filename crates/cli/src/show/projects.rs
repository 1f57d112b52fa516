//! Projects and their tips.
//!
//! Invariant: what strangers wrote (names, messages) reaches the terminal only through a cell.

use super::{Amount, moment};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use hivemind_proto::v1::{ProjectSummary, TipSummary};
use serde::Serialize;

/// One project.
#[derive(Debug, Clone, Serialize)]
pub struct Project {
    /// Its id.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Where its source is.
    pub repository: String,
    /// Who collects.
    pub owner: String,
    /// open, closed.
    pub state: String,
    /// RFC 3339.
    pub registered_at: Option<String>,
    /// How many tips it got.
    pub tips: i64,
    /// All of them together.
    pub tipped: Amount,
}

impl From<ProjectSummary> for Project {
    fn from(project: ProjectSummary) -> Self {
        Self {
            project: project.project_id,
            name: project.name,
            repository: project.repository,
            owner: project.owner,
            state: project.state,
            registered_at: moment(project.registered_at_unix_ms),
            tips: project.tips,
            tipped: Amount::of(project.tipped_micro),
        }
    }
}

impl Document for Project {
    const SCHEMA: &'static str = "hivemind.project/1";

    fn human(&self, _: &Look) -> String {
        pairs(&[
            ("project", self.project.clone()),
            ("name", self.name.clone()),
            ("repository", self.repository.clone()),
            ("owner", self.owner.clone()),
            ("state", self.state.clone()),
        ])
    }

    fn quiet(&self) -> String {
        self.name.clone()
    }
}

/// Projects in the order of registration.
#[derive(Debug, Clone, Serialize)]
pub struct Projects {
    /// One entry a project.
    pub projects: Vec<Project>,
    /// There are younger ones.
    pub more: bool,
}

impl Document for Projects {
    const SCHEMA: &'static str = "hivemind.projects/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 6] = [
            ("PROJECT", Align::Left),
            ("STATE", Align::Left),
            ("OWNER", Align::Left),
            ("TIPS", Align::Right),
            ("TIPPED", Align::Right),
            ("REPOSITORY", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for project in &self.projects {
            rows.add(&[
                project.name.clone(),
                project.state.clone(),
                project.owner.clone(),
                project.tips.to_string(),
                project.tipped.to_string(),
                project.repository.clone(),
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// Tips of one project, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Tips {
    /// The project's name.
    pub project: String,
    /// One entry a tip.
    pub tips: Vec<Tip>,
    /// There are older ones.
    pub more: bool,
}

/// One tip.
#[derive(Debug, Clone, Serialize)]
pub struct Tip {
    /// Its number among the tips of the project, from 1.
    pub number: i64,
    /// Who gave it.
    pub from: String,
    /// How much.
    pub amount: Amount,
    /// What they said.
    pub message: String,
    /// RFC 3339.
    pub at: Option<String>,
    /// For moments.
    #[serde(skip)]
    pub at_unix_ms: i64,
}

impl From<TipSummary> for Tip {
    fn from(tip: TipSummary) -> Self {
        Self {
            number: tip.number,
            from: tip.from,
            amount: Amount::of(tip.amount_micro),
            message: tip.message,
            at: moment(tip.at_unix_ms),
            at_unix_ms: tip.at_unix_ms,
        }
    }
}

impl Document for Tips {
    const SCHEMA: &'static str = "hivemind.tips/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 5] = [
            ("TIP", Align::Right),
            ("TIME", Align::Left),
            ("FROM", Align::Left),
            ("AMOUNT", Align::Right),
            ("MESSAGE", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for tip in &self.tips {
            rows.add(&[
                tip.number.to_string(),
                look.moment(tip.at_unix_ms),
                tip.from.clone(),
                tip.amount.to_string(),
                tip.message.clone(),
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.tips.iter().map(|tip| tip.number.to_string()).collect::<Vec<_>>().join("\n")
    }
}
