//! The tasks of a graph that was handed in.
//!
//! Invariant: they are in the order of the file.

use super::Amount;
use crate::face::table::{Align, Rows};
use crate::face::{Document, Look};
use hivemind_client::GraphSubmitted;
use serde::Serialize;

/// All tasks of a graph.
#[derive(Debug, Clone, Serialize)]
pub struct Graph {
    /// One entry a task.
    pub tasks: Vec<Named>,
    /// What all together can cost at most.
    pub price_cap: Amount,
}

/// One task of a graph.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// Its name in the graph.
    pub name: String,
    /// Its id.
    pub task: String,
    /// What it can cost at most.
    pub price_cap: Amount,
}

impl From<GraphSubmitted> for Graph {
    fn from(graph: GraphSubmitted) -> Self {
        let named = |(name, task): (String, hivemind_client::Submitted)| Named {
            name,
            task: task.task.to_string(),
            price_cap: Amount::of(task.cap.micro()),
        };
        Self { tasks: graph.tasks.into_iter().map(named).collect(), price_cap: Amount::of(graph.cap.micro()) }
    }
}

impl Document for Graph {
    const SCHEMA: &'static str = "hivemind.graph/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 3] = [("TASK", Align::Left), ("NAME", Align::Left), ("PRICE CAP", Align::Right)];
        let mut rows = Rows::new(look, &COLUMNS);
        for task in &self.tasks {
            rows.add(&[task.task.clone(), task.name.clone(), task.price_cap.to_string()]);
        }
        rows.add(&["all".into(), format!("{} tasks", self.tasks.len()), self.price_cap.to_string()]);
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.tasks.iter().map(|task| task.task.as_str()).collect::<Vec<_>>().join("\n")
    }
}
