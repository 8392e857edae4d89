//! From a row to a hit with its proof.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use potluck_base::{NetworkId, ShareKey};
use potluck_identity::Signed;
use potluck_proto::directory::record::{self, PageHead, Proof, path_of};
use potluck_proto::directory::tracker::{Hit, HitProof};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::facts::{Fact, Facts};
use super::rows::{decode, ids_from_bytes, leaves_from_bytes};
use crate::tracker::store::{Online, StoreFault};

/// Where an answer takes its hits from: one state of the index.
pub(super) struct Source<'a> {
    pub(super) connection: &'a Connection,
    pub(super) facts: &'a Facts,
    pub(super) network: NetworkId,
    pub(super) online: Online<'a>,
}

/// A file, as a search sees it.
#[derive(Clone, Debug)]
pub(super) struct FileRow {
    pub(super) id: i64,
    /// The row of its share.
    pub(super) share: i64,
    /// Its page; none if it is the share itself.
    pub(super) page: Option<u16>,
    pub(super) entry: record::Entry,
}

impl FileRow {
    /// The columns that [`FileRow::read`] reads, before those of the entry.
    pub(super) const COLUMNS: &str = "f.id, f.share, f.page";

    pub(super) fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        let entry = super::rows::entry(row, 3)?;
        Ok(Self { id: row.get(0)?, share: row.get(1)?, page: row.get(2)?, entry })
    }
}

/// Pages that were read for an answer.
#[derive(Default)]
pub(super) struct Pages(HashMap<(i64, u16), Sheet>);

/// What proofs are made from.
struct Sheet {
    head: Signed<PageHead>,
    leaves: Vec<[u8; 32]>,
    files: Vec<i64>,
}

impl Pages {
    /// The proof that this file stands in this page.
    pub(super) fn proof(
        &mut self,
        connection: &Connection,
        (share, page): (i64, u16),
        file: i64,
    ) -> Result<Proof, StoreFault> {
        let sheet = match self.0.entry((share, page)) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(gap) => gap.insert(Sheet::read(connection, share, page)?),
        };
        sheet.proof(file)
    }
}

impl Sheet {
    fn read(connection: &Connection, share: i64, page: u16) -> Result<Self, StoreFault> {
        let sql = "SELECT head, leaves, files FROM pages WHERE share = ?1 AND page = ?2";
        let mut query = connection.prepare_cached(sql)?;
        let mut rows = query.query((share, page))?;
        let row = rows.next()?.ok_or(StoreFault::Damaged("a file without its page"))?;
        Ok(Self {
            head: decode(row.get_ref(0)?.as_blob()?)?,
            leaves: leaves_from_bytes(row.get_ref(1)?.as_blob()?)?.to_vec(),
            files: ids_from_bytes(row.get_ref(2)?.as_blob()?)?,
        })
    }

    fn proof(&self, file: i64) -> Result<Proof, StoreFault> {
        let index = self.files.iter().position(|id| *id == file);
        let index = index.filter(|index| *index < self.leaves.len());
        let index = index.ok_or(StoreFault::Damaged("a file that is not in its page"))?;
        let siblings = path_of(&self.leaves, index);
        let index = u16::try_from(index).map_err(|_| StoreFault::Damaged("a page too large"))?;
        Ok(Proof { head: self.head.clone(), index, siblings })
    }
}

impl Source<'_> {
    /// Whose a share is.
    pub(super) fn fact(&self, share: i64) -> Result<std::sync::Arc<Fact>, StoreFault> {
        self.facts.of(self.connection, share)
    }

    /// Whether the peer of a share is there.
    pub(super) fn is_online(&self, share: i64) -> Result<bool, StoreFault> {
        Ok((self.online)(&self.network, &self.fact(share)?.peer))
    }

    /// The hit that a row is.
    pub(super) fn hit(&self, file: FileRow, pages: &mut Pages) -> Result<Hit, StoreFault> {
        let fact = self.fact(file.share)?;
        let (proof, entry) = match file.page {
            Some(page) => {
                let proof = pages.proof(self.connection, (file.share, page), file.id)?;
                (HitProof::Page(proof), file.entry)
            }
            None => {
                let sql = "SELECT head FROM shares WHERE id = ?1";
                let mut query = self.connection.prepare_cached(sql)?;
                let head: Vec<u8> = query.query_row([file.share], |row| row.get(0))?;
                (HitProof::Head(decode(&head)?), file.entry)
            }
        };
        Ok(Hit {
            peer: fact.peer,
            share: fact.share,
            entry,
            proof,
            online: (self.online)(&self.network, &fact.peer),
            last_seen_ms: self.last_seen_ms(fact.member)?,
        })
    }

    fn last_seen_ms(&self, member: i64) -> Result<u64, StoreFault> {
        let sql = "SELECT last_seen_ms FROM peers WHERE id = ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row([member], |row| row.get::<_, i64>(0))?.cast_unsigned())
    }

    /// The row of a share of a member.
    pub(super) fn share_row(
        &self,
        member: i64,
        share: &ShareKey,
    ) -> Result<Option<i64>, StoreFault> {
        let sql = "SELECT id FROM shares WHERE peer = ?1 AND share = ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row((member, share.0), |row| row.get(0)).optional()?)
    }
}
