//! Which shared folder has which file: an index from content ids to shares and finished downloads.
//!
//! It holds the first half of each id, 16 bytes: nobody can make two contents that agree in them.
//! Empty files are left out; single files need no index. Written in the transaction that writes the
//! share, and only where the files differ.

use potluck_base::ContentId;
use potluck_content::PieceMap;
use rusqlite::{Connection, params};

use crate::error::StoreError;
use crate::fingerprint::Fingerprint;
use crate::rows;
use crate::share::Origin;

/// The first half of a content id.
type Start = [u8; 16];

/// The files of one share, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(Vec<Start>);

impl Files {
    /// The files of a folder that are here.
    pub(crate) fn of(map: &PieceMap, here: &[Option<Fingerprint>]) -> Self {
        let mut starts: Vec<Start> = (0..map.files())
            .zip(here)
            .filter(|(_, here)| here.is_some())
            .map(|(file, _)| map.file(file))
            .filter(|file| !file.layout.is_empty())
            .map(|file| start(&file.id))
            .collect();
        starts.sort_unstable();
        starts.dedup();
        Self(starts)
    }
}

/// Brings the index from the files that a share had to those that it has.
pub(crate) fn update(
    connection: &Connection,
    origin: Origin,
    owner: i64,
    before: &Files,
    now: &Files,
) -> Result<(), StoreError> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM file_owners WHERE start = ?1 AND origin = ?2 AND owner = ?3",
    )?;
    for start in missing(&before.0, &now.0) {
        delete.execute(params![start, number(origin), owner])?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO file_owners (start, origin, owner) VALUES (?1, ?2, ?3)",
    )?;
    for start in missing(&now.0, &before.0) {
        insert.execute(params![start, number(origin), owner])?;
    }
    Ok(())
}

/// The folders, shared or downloaded, that have a file.
pub(crate) fn contents_with(
    connection: &Connection,
    file: &ContentId,
) -> Result<Vec<ContentId>, StoreError> {
    let mut read = connection.prepare_cached(
        "SELECT id FROM file_owners JOIN shares ON number = owner
         WHERE start = ?1 AND origin = 0
         UNION SELECT content FROM file_owners JOIN downloads ON number = owner
         WHERE start = ?1 AND origin = 1",
    )?;
    let mut found = read.query([start(file)])?;
    let mut contents = Vec::new();
    while let Some(row) = found.next()? {
        contents.push(rows::content_id(&row.get::<_, Vec<u8>>(0)?)?);
    }
    Ok(contents)
}

fn start(id: &ContentId) -> Start {
    let mut start = [0; 16];
    start.copy_from_slice(&id.0[..16]);
    start
}

fn number(origin: Origin) -> i64 {
    match origin {
        Origin::Shared => 0,
        Origin::Downloaded => 1,
    }
}

/// What is in the first sorted list and not in the second.
fn missing<'a>(these: &'a [Start], those: &'a [Start]) -> impl Iterator<Item = &'a Start> {
    let mut those = those.iter().peekable();
    these.iter().filter(move |this| {
        while those.next_if(|that| that < this).is_some() {}
        those.peek() != Some(this)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let of = |numbers: &[u8]| numbers.iter().map(|n| [*n; 16]).collect::<Vec<_>>();
        let (a, b) = (of(&[1, 2, 5, 9]), of(&[2, 3, 9, 10]));
        assert_eq!(missing(&a, &b).copied().collect::<Vec<_>>(), of(&[1, 5]));
        assert_eq!(missing(&b, &a).copied().collect::<Vec<_>>(), of(&[3, 10]));
        assert_eq!(missing(&a, &[]).count(), 4);
        assert_eq!(missing(&[], &a).count(), 0);
    }
}
