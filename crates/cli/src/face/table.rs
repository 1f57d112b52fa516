//! Tables without lines, as `docker ps` draws them, and lists of names with their values.
//!
//! Invariant: a cell never contains a control character, whatever a task or a node is called.

use super::{Look, harmless};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a header, one line a row.
pub struct Rows<'a> {
    table: Table,
    columns: &'a [(&'a str, Align)],
    colour: bool,
}

impl<'a> Rows<'a> {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(look: &Look, columns: &'a [(&'a str, Align)]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if look.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(columns.iter().map(|(name, align)| cell(name, *align)).collect::<Vec<_>>());
        for index in 0..columns.len() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 3));
            }
        }
        Self { table, columns, colour: look.colour }
    }

    /// Adds a row; words that are states get their colour.
    pub fn add(&mut self, cells: &[String]) {
        let row = cells.iter().zip(self.columns).map(|(text, (_, align))| {
            let plain = cell(&harmless(text), *align);
            match tint(text) {
                Some(colour) if self.colour => plain.fg(colour),
                _ => plain,
            }
        });
        self.table.add_row(row.collect::<Vec<_>>());
    }

    /// The table without trailing blanks and without a line break at the end.
    #[must_use]
    pub fn finish(self) -> String {
        self.table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

fn cell(text: &str, align: Align) -> Cell {
    Cell::new(text).set_alignment(match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}

fn tint(word: &str) -> Option<Color> {
    // What stands behind a state, such as its progress, has its colour.
    match word.split_once(" (").map_or(word, |(state, _)| state) {
        "completed" | "online" | "ok" => Some(Color::Green),
        "running" => Some(Color::Cyan),
        "pending" | "draining" | "silent" | "weak" => Some(Color::Yellow),
        "failed" | "cancelled" | "offline" | "bad" => Some(Color::Red),
        _ => None,
    }
}

/// Names with their values, one a line, values under each other; empty values are left out.
#[must_use]
pub fn pairs(lines: &[(&str, String)]) -> String {
    let width = lines.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.len()).max().unwrap_or(0);
    let shown = lines.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(name, value)| format!("{name:width$}  {}", harmless(value))).collect::<Vec<_>>().join("\n")
}
