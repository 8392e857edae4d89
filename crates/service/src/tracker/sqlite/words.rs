//! The index of words and the vocabulary, kept in step with the files.
//!
//! What changes is gathered and written at the end of a transaction: a savepoint after a change of
//! the index would make SQLite write a piece of index for each page of files.
//!
//! The index has no copy of the texts. An entry is taken out by the text that went in, which is
//! made anew from the row; so other rules for words mean that the index is built anew. (FTS5 could
//! take an entry out by its id alone, but then it looks at a list of such ids for each match.)

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use potluck_proto::directory::record::{Entry, EntryKind};
use potluck_proto::directory::tracker::FileType;
use potluck_proto::directory::words::{file_type, mark, tokens};
use rusqlite::Connection;

use super::schema::NUMBER_BITS;

use super::{catalogue, rows};
use crate::tracker::store::StoreFault;

/// Where the marks of size classes begin; those of file types come before.
const SIZE_MARKS: u8 = 64;
/// Files whose words are read anew in one go: they are in memory together.
const REBUILT_AT_ONCE: usize = 20_000;

/// What of a file is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doc {
    /// Its path below the share.
    pub(super) path: String,
    /// The share's name and tags.
    pub(super) around: Rc<str>,
    /// Its bytes.
    pub(super) size: u64,
    /// What it is.
    pub(super) kind: EntryKind,
}

impl Doc {
    /// Of an entry of a share with this name and these tags.
    pub(super) fn of(entry: &Entry, around: Rc<str>) -> Self {
        Self { path: entry.path.clone(), around, size: entry.size, kind: entry.kind }
    }

    /// Whether the index would hold the same of both.
    pub(super) fn reads_like(&self, other: &Self) -> bool {
        let same_text = self.path == other.path && self.around == other.around;
        same_text && self.kind == other.kind && size_class(self.size) == size_class(other.size)
    }
}

/// Changes of the index that are still to be written.
#[derive(Default)]
pub(super) struct Pending(Vec<Change>);

enum Change {
    In(i64, Doc),
    Out(i64, Doc),
}

impl Pending {
    /// A file appears.
    pub(super) fn add(&mut self, id: i64, doc: Doc) {
        self.0.push(Change::In(id, doc));
    }

    /// A file goes.
    pub(super) fn remove(&mut self, id: i64, doc: Doc) {
        self.0.push(Change::Out(id, doc));
    }

    /// How much there is, to come back to with [`Pending::forget_since`].
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what was added since there was so much.
    pub(super) fn forget_since(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Writes all of it.
    pub(super) fn write(self, connection: &Connection) -> Result<(), StoreFault> {
        let mut insert =
            connection.prepare_cached("INSERT INTO words (rowid, text) VALUES (?1, ?2)")?;
        let mut delete = connection
            .prepare_cached("INSERT INTO words (words, rowid, text) VALUES ('delete', ?1, ?2)")?;
        let mut counts = Counts::default();
        let mut text = String::new();
        for change in self.0 {
            match change {
                Change::In(id, doc) => {
                    counts.read(id >> NUMBER_BITS, &doc, 1, &mut text);
                    insert.execute((id, &text))?;
                }
                Change::Out(id, doc) => {
                    counts.read(id >> NUMBER_BITS, &doc, -1, &mut text);
                    delete.execute((id, &text))?;
                }
            }
        }
        counts.write(connection)
    }
}

/// How much more, or less, often words occur; by network.
#[derive(Default)]
struct Counts(HashMap<i64, HashMap<String, i64>>);

impl Counts {
    /// Reads a document: its words are counted, its entries put into `text`.
    fn read(&mut self, network: i64, doc: &Doc, change: i64, text: &mut String) {
        let counts = self.0.entry(network).or_default();
        text.clear();
        for part in [doc.path.as_str(), &doc.around] {
            tokens(part, &mut |token| {
                text.push_str(token.text);
                text.push(' ');
                if !token.suggests() {
                    return;
                }
                match counts.get_mut(token.text) {
                    Some(count) => *count += change,
                    None => drop(counts.insert(token.text.to_owned(), change)),
                }
            });
        }
        text.push(type_mark(file_type(doc.kind, &doc.path)));
        text.push(' ');
        text.push(mark(SIZE_MARKS + size_class(doc.size)));
    }

    fn write(self, connection: &Connection) -> Result<(), StoreFault> {
        let mut more = connection.prepare_cached(
            "INSERT INTO vocabulary VALUES (?1, ?2, ?3)
             ON CONFLICT (network, word) DO UPDATE SET files = files + ?3",
        )?;
        let mut less = connection.prepare_cached(
            "UPDATE vocabulary SET files = files + ?3 WHERE network = ?1 AND word = ?2",
        )?;
        let mut none = connection.prepare_cached(
            "DELETE FROM vocabulary WHERE network = ?1 AND word = ?2 AND files <= 0",
        )?;
        for (network, counts) in self.0 {
            // In order, so that neighbours are written together.
            let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count != 0).collect();
            counts.sort_unstable();
            for (word, count) in counts {
                if count > 0 {
                    more.execute((network, word, count))?;
                } else {
                    less.execute((network, &word, count))?;
                    none.execute((network, word))?;
                }
            }
        }
        Ok(())
    }
}

/// What stands in the index for a type of file.
pub(super) fn type_mark(of: FileType) -> char {
    mark(of as u8)
}

/// What stands in the index for sizes like this one: a mark covers a factor of four.
fn size_class(size: u64) -> u8 {
    (64 - size.leading_zeros()).div_ceil(2) as u8
}

/// What stands in the index for all sizes of a range, and some more.
pub(super) fn size_marks(sizes: RangeInclusive<u64>) -> impl Iterator<Item = char> {
    let classes = size_class(*sizes.start())..=size_class(*sizes.end());
    classes.map(|class| mark(SIZE_MARKS + class))
}

/// Builds words and vocabulary anew from the files.
pub(super) fn rebuild(connection: &Connection) -> Result<(), StoreFault> {
    connection.execute_batch(
        "INSERT INTO words (words) VALUES ('delete-all');
         INSERT INTO ci_words (ci_words) VALUES ('delete-all');
         DELETE FROM vocabulary;",
    )?;
    let mut files = connection.prepare(
        "SELECT f.id, f.path, f.size, f.flags, s.name, s.tags FROM files f
         JOIN shares s ON s.id = f.share ORDER BY f.id",
    )?;
    let mut rows = files.query([])?;
    let mut pending = Pending::default();
    while let Some(row) = rows.next()? {
        let doc = Doc {
            path: row.get(1)?,
            around: around(row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str()?),
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            kind: rows::kind(row.get(3)?),
        };
        pending.add(row.get(0)?, doc);
        if pending.len() == REBUILT_AT_ONCE {
            std::mem::take(&mut pending).write(connection)?;
        }
    }
    pending.write(connection)?;
    catalogue::rebuild(connection)
}

/// Name and tags of a share as one text.
pub(super) fn around(name: &str, tags: &str) -> Rc<str> {
    format!("{name} {tags}").into()
}
