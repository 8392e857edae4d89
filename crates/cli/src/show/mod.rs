//! Answers in lines: what is a result, what a person is told beside it. Commands and the shell show
//! the same.

pub(crate) mod dht;
pub(crate) mod found;
pub(crate) mod networks;
pub(crate) mod stored;
pub(crate) mod tracker;

use std::io;

use potluck_api::PeerName;
use potluck_base::escape;

use crate::ui::table::Table;
use crate::ui::{Ui, shown};

/// Characters of a nickname or a network's name that are shown.
const LABEL_CHARS: usize = 64;

/// An answer in lines.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    results: Vec<String>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Shown {
    /// Adds a line of the result.
    pub(crate) fn result(&mut self, line: impl Into<String>) {
        self.results.push(line.into());
    }

    /// Adds a table to the result.
    pub(crate) fn table(&mut self, table: &Table) {
        self.results.extend(table.lines());
    }

    /// Adds a table without headings to the result.
    pub(crate) fn rows(&mut self, table: &Table) {
        self.results.extend(table.lines().into_iter().skip(1));
    }

    /// Adds something that should not be missed.
    pub(crate) fn warning(&mut self, line: impl Into<String>) {
        self.warnings.push(line.into());
    }

    /// Adds something good to know.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Shows all of it.
    pub(crate) fn print(&self, ui: &Ui) -> io::Result<()> {
        ui.out_lines(&self.results)?;
        for line in &self.warnings {
            ui.warn(line);
        }
        for line in &self.notes {
            ui.note(line);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        [self.results.join("\n"), self.warnings.join("\n"), self.notes.join("\n")].join("\n")
    }
}

/// A nickname or a network's name as a terminal may show it.
pub(crate) fn label(name: &str) -> String {
    escape(name, LABEL_CHARS)
}

/// A peer for people: its nickname if it has one, and enough of its id to tell it apart.
pub(crate) fn peer(name: &PeerName) -> String {
    match &name.nick {
        Some(nick) => format!("{} ({})", label(nick), name.id.short()),
        None => name.id.short(),
    }
}

/// Whether somebody is here, in a word and, where there is colour, in colour.
pub(crate) fn presence(online: bool) -> String {
    if online {
        format!("{} online", console::style("●").green())
    } else {
        format!("{} offline", console::style("○").dim())
    }
}

/// Words of a peer in a cell: never empty, so that columns stay columns.
pub(crate) fn cell(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { shown(text) }
}
