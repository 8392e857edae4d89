//! A share as it was recorded, to be asked by path.

use std::ops::Range;

use potluck_base::RelPath;
use potluck_content::{Entry, Kind};

use crate::fingerprint::Fingerprint;
use crate::refresh::What;
use crate::share::ShareRecord;

pub(crate) struct Before<'a> {
    pub(crate) record: &'a ShareRecord,
    /// The places of the files among the manifest's entries.
    files: Vec<usize>,
}

impl<'a> Before<'a> {
    pub(crate) fn of(record: &'a ShareRecord) -> Self {
        let entries = record.manifest.as_ref().map_or(&[][..], |manifest| manifest.entries());
        let is_file = |place: &usize| matches!(entries[*place].kind, Kind::File { .. });
        Self { record, files: (0..entries.len()).filter(is_file).collect() }
    }

    /// The manifest's entries; none of a single file.
    pub(crate) fn entries(&self) -> &'a [Entry] {
        self.record.manifest.as_ref().map_or(&[], |manifest| manifest.entries())
    }

    /// The places of the entries at and below a path.
    pub(crate) fn below(&self, rel: &RelPath) -> Range<usize> {
        let entries = self.entries();
        let start = entries.partition_point(|entry| entry.path < *rel);
        let inside = |entry: &Entry| is_below(entry.path.as_str(), rel.as_str());
        start..start + entries[start..].partition_point(inside)
    }

    /// The place of the entry at a path.
    pub(crate) fn place(&self, rel: &RelPath) -> Option<usize> {
        self.entries().binary_search_by(|entry| entry.path.cmp(rel)).ok()
    }

    /// What is known of the file at a path.
    pub(crate) fn file(&self, rel: &RelPath) -> Option<What> {
        if self.record.manifest.is_none() {
            let (size, executable) = (self.record.size, self.record.executable);
            let print = self.record.files.first().copied().flatten();
            return Some(What::File { print, size, id: self.record.id, executable });
        }
        self.at(self.place(rel)?).filter(|what| matches!(what, What::File { .. }))
    }

    /// The fingerprint of the file at a path.
    pub(crate) fn print(&self, rel: &RelPath) -> Option<Fingerprint> {
        match self.file(rel)? {
            What::File { print, .. } => print,
            _ => None,
        }
    }

    /// What stands at a place.
    pub(crate) fn at(&self, place: usize) -> Option<What> {
        Some(match &self.entries().get(place)?.kind {
            Kind::File { size, id, executable } => {
                let number = self.files.binary_search(&place).ok()?;
                let print = self.record.files.get(number).copied().flatten();
                What::File { print, size: *size, id: *id, executable: *executable }
            }
            Kind::Folder => What::Folder,
            Kind::Link { target } => What::Link(target.clone()),
        })
    }
}

/// Whether a path is another, or below it.
pub(crate) fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
