//! Shares, pages and files: what is written of them.

use std::collections::HashMap;
use std::rc::Rc;

use potluck_base::{NetworkId, PeerId, ShareKey};
use potluck_identity::Signed;
use potluck_proto::directory::record::{Entry, EntryKind, Page, ShareHead, Withdrawal};
use potluck_proto::directory::tracker::{Conflict, Written};
use rusqlite::{OptionalExtension as _, Row};

use super::rows::{encode, flags, ids_from_bytes, ids_to_bytes, kind, leaves_from_bytes};
use super::words::{Doc, around};
use super::write::{Batch, Refused};
use crate::tracker::store::StoreFault;

/// A share as it is kept.
struct ShareRow {
    id: i64,
    sequence: u64,
    pages: u16,
    /// The row of the share itself among the files, if it is a folder.
    file: Option<i64>,
    around: Rc<str>,
    head: Vec<u8>,
}

/// A page as it is kept.
struct PageRow {
    id: i64,
    sequence: u64,
    head: Vec<u8>,
    leaves: Vec<u8>,
    files: Vec<u8>,
}

impl ShareRow {
    const COLUMNS: &str = "id, sequence, pages, file, name, tags, head";

    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            sequence: row.get::<_, i64>(1)?.cast_unsigned(),
            pages: row.get(2)?,
            file: row.get(3)?,
            around: around(row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str()?),
            head: row.get(6)?,
        })
    }
}

impl Batch<'_> {
    pub(super) fn put_share(&mut self, signed: &Signed<ShareHead>) -> Result<Written, Refused> {
        let head = &signed.value;
        let (network, peer) = self.member(&head.network, &head.peer)?.ok_or(Conflict::Unknown)?;
        let (bytes, tags) = (encode(signed), head.tags.join("\n"));
        let old = self.share(peer, &head.share)?;
        if let Some(old) = &old {
            if old.head == bytes {
                return Ok(Written::Done);
            }
            refuse_stale(Some(old.sequence), head.sequence)?;
        }
        let withdrawn = self.withdrawn(&head.network, &head.peer, &head.share)?;
        refuse_stale(withdrawn, head.sequence)?;
        let around = around(&head.name, &tags);
        match &old {
            Some(old) if old.pages != head.pages => self.drop_pages(old)?,
            Some(old) if old.around != around => self.reword(old, &around)?,
            _ => {}
        }
        let values = (
            peer,
            head.share.0,
            head.sequence.cast_signed(),
            head.expires_ms.cast_signed(),
            head.pages,
            head.size.cast_signed(),
            head.partial,
            &head.name,
            tags,
            bytes,
        );
        let sql = "INSERT INTO shares
             (peer, share, sequence, expires_ms, pages, size, partial, name, tags, head)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (peer, share) DO UPDATE SET sequence = ?3, expires_ms = ?4, pages = ?5,
                 size = ?6, partial = ?7, name = ?8, tags = ?9, head = ?10
             RETURNING id";
        let id: i64 = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        self.put_folder(network, id, old.as_ref(), (head, around))?;
        self.done()
    }

    /// A folder as a whole is found like a file.
    fn put_folder(
        &mut self,
        network: i64,
        share: i64,
        old: Option<&ShareRow>,
        (head, around): (&ShareHead, Rc<str>),
    ) -> Result<(), StoreFault> {
        let there = old.and_then(|old| Some((old.file?, Rc::clone(&old.around))));
        let file = match (there, head.kind) {
            (None, EntryKind::File) => return Ok(()),
            (None, EntryKind::Folder) => {
                Some(self.insert_file((network, share, None), &head.entry(), around)?)
            }
            (Some((file, _)), EntryKind::Folder) => {
                let old = self.doc(file, old.map_or(&around, |old| &old.around))?;
                self.update_file(file, old, &head.entry(), around)?;
                return Ok(());
            }
            (Some((file, around)), EntryKind::File) => {
                self.drop_file(file, &around)?;
                None
            }
        };
        let sql = "UPDATE shares SET file = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute((share, file))?;
        Ok(())
    }

    pub(super) fn put_page(
        &mut self,
        page: &Page,
        leaves: &[[u8; 32]],
    ) -> Result<Written, Refused> {
        let head = &page.head.value;
        let (network, peer) = self.member(&head.network, &head.peer)?.ok_or(Conflict::Unknown)?;
        let share = self.share(peer, &head.share)?.filter(|share| share.pages == head.pages);
        let share = share.ok_or(Conflict::Unknown)?;
        let bytes = encode(&page.head);
        let old = self.page(share.id, head.page)?;
        if let Some(old) = &old {
            if old.head == bytes {
                return Ok(Written::Done);
            }
            refuse_stale(Some(old.sequence), head.sequence)?;
        }
        let withdrawn = self.withdrawn(&head.network, &head.peer, &head.share)?;
        refuse_stale(withdrawn, head.sequence)?;
        if leaves.len() != page.entries.len() {
            return Err(StoreFault::Damaged("leaves of another page").into());
        }
        let files = self.put_entries((network, head.page, &share), old.as_ref(), page, leaves)?;
        let sql = "INSERT INTO pages
             (id, share, page, sequence, root, entries, expires_ms, head, leaves, files)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET sequence = ?4, root = ?5, entries = ?6,
                 expires_ms = ?7, head = ?8, leaves = ?9, files = ?10";
        self.connection.prepare_cached(sql)?.execute((
            old.map(|old| old.id),
            share.id,
            head.page,
            head.sequence.cast_signed(),
            head.root,
            head.entries,
            head.expires_ms.cast_signed(),
            bytes,
            leaves.as_flattened(),
            ids_to_bytes(&files),
        ))?;
        self.done()
    }

    /// Makes the rows of a page those of its entries, and returns their ids in order. An entry that
    /// was there with the same leaf is not touched.
    fn put_entries(
        &mut self,
        (network, number, share): (i64, u16, &ShareRow),
        old: Option<&PageRow>,
        page: &Page,
        leaves: &[[u8; 32]],
    ) -> Result<Vec<i64>, StoreFault> {
        let mut left: HashMap<[u8; 32], i64> = HashMap::new();
        if let Some(old) = old {
            let ids = ids_from_bytes(&old.files)?;
            left.extend(leaves_from_bytes(&old.leaves)?.iter().copied().zip(ids));
        }
        let same: Vec<Option<i64>> = leaves.iter().map(|leaf| left.remove(leaf)).collect();
        let mut changed: HashMap<String, (i64, Doc)> = HashMap::new();
        for id in left.into_values() {
            let doc = self.doc(id, &share.around)?;
            changed.insert(doc.path.clone(), (id, doc));
        }
        // Rows that go make room first: a path is there once.
        let new = page.entries.iter().zip(&same).filter(|(_, same)| same.is_none());
        let mut kept: HashMap<&str, (i64, Doc)> = HashMap::new();
        for (entry, _) in new {
            if let Some(row) = changed.remove(&entry.path) {
                kept.insert(&entry.path, row);
            }
        }
        for (id, doc) in changed.into_values() {
            self.delete_file(id, doc)?;
        }
        let mut ids = Vec::with_capacity(page.entries.len());
        for (entry, same) in page.entries.iter().zip(same) {
            let around = Rc::clone(&share.around);
            let id = match (same, kept.remove(entry.path.as_str())) {
                (Some(id), _) => id,
                (None, Some((id, doc))) => self.update_file(id, doc, entry, around)?,
                (None, None) => {
                    self.insert_file((network, share.id, Some(number)), entry, around)?
                }
            };
            ids.push(id);
        }
        Ok(ids)
    }

    pub(super) fn withdraw(
        &mut self,
        withdrawal: &Withdrawal,
        at_ms: u64,
    ) -> Result<Written, Refused> {
        let Withdrawal { network, peer, share, sequence } = withdrawal;
        let kept = match self.member(network, peer)? {
            Some((_, member)) => self.share(member, share)?,
            None => None,
        };
        if let Some(kept) = &kept {
            refuse_stale(Some(kept.sequence), *sequence)?;
        }
        match self.withdrawn(network, peer, share)? {
            Some(earlier) if earlier == *sequence => return Ok(Written::Done),
            earlier => refuse_stale(earlier, *sequence)?,
        }
        if let Some(kept) = &kept {
            self.drop_share(kept)?;
        }
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO withdrawn VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((network.0, peer.0, share.0, sequence.cast_signed(), at_ms.cast_signed()))?;
        self.forget_withdrawn(network, peer)?;
        self.done()
    }

    pub(super) fn drop_member(
        &mut self,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<Written, Refused> {
        let Some((_, member)) = self.member(network, peer)? else { return Ok(Written::Done) };
        let sql = format!("SELECT {} FROM shares WHERE peer = ?1", ShareRow::COLUMNS);
        let shares: Vec<ShareRow> = self
            .connection
            .prepare_cached(&sql)?
            .query_map([member], ShareRow::read)?
            .collect::<Result<_, _>>()?;
        for share in &shares {
            self.drop_share(share)?;
        }
        self.connection.prepare_cached("DELETE FROM peers WHERE id = ?1")?.execute([member])?;
        self.done()
    }

    fn drop_share(&mut self, share: &ShareRow) -> Result<(), StoreFault> {
        self.drop_pages(share)?;
        if let Some(file) = share.file {
            self.drop_file(file, &share.around)?;
        }
        self.connection.prepare_cached("DELETE FROM shares WHERE id = ?1")?.execute([share.id])?;
        Ok(())
    }

    fn drop_pages(&mut self, share: &ShareRow) -> Result<(), StoreFault> {
        self.each_file(share, |batch, id, doc| {
            batch.pending.remove(id, doc);
            batch.write_when_full()
        })?;
        for sql in [
            "DELETE FROM files WHERE share = ?1 AND page IS NOT NULL",
            "DELETE FROM pages WHERE share = ?1",
        ] {
            self.connection.prepare_cached(sql)?.execute([share.id])?;
        }
        Ok(())
    }

    /// Its name or its tags have changed, and they are words of each file in it.
    fn reword(&mut self, share: &ShareRow, around: &Rc<str>) -> Result<(), StoreFault> {
        self.each_file(share, |batch, id, doc| {
            batch.pending.remove(id, doc.clone());
            batch.pending.add(id, Doc { around: Rc::clone(around), ..doc });
            batch.write_when_full()
        })
    }

    fn each_file(
        &mut self,
        share: &ShareRow,
        mut work: impl FnMut(&mut Self, i64, Doc) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        let connection = self.connection;
        let mut query = connection.prepare_cached(
            "SELECT path, size, flags, id FROM files WHERE share = ?1 AND page IS NOT NULL",
        )?;
        let mut rows = query.query([share.id])?;
        while let Some(row) = rows.next()? {
            let doc = read_doc(row, &share.around)?;
            work(self, row.get(3)?, doc)?;
        }
        Ok(())
    }

    /// Drops one page of a share.
    pub(super) fn drop_page(&mut self, share: i64, page: u16) -> Result<(), StoreFault> {
        let sql = format!("SELECT {} FROM shares WHERE id = ?1", ShareRow::COLUMNS);
        let row = self.connection.prepare_cached(&sql)?.query_row([share], ShareRow::read)?;
        if let Some(old) = self.page(share, page)? {
            for id in ids_from_bytes(&old.files)? {
                self.drop_file(id, &row.around)?;
            }
            let sql = "DELETE FROM pages WHERE id = ?1";
            self.connection.prepare_cached(sql)?.execute([old.id])?;
        }
        Ok(())
    }

    /// Drops a share by its row.
    pub(super) fn drop_share_row(&mut self, share: i64) -> Result<(), StoreFault> {
        let sql = format!("SELECT {} FROM shares WHERE id = ?1", ShareRow::COLUMNS);
        let row = self.connection.prepare_cached(&sql)?.query_row([share], ShareRow::read)?;
        self.drop_share(&row)
    }

    fn insert_file(
        &mut self,
        (network, share, page): (i64, i64, Option<u16>),
        entry: &Entry,
        around: Rc<str>,
    ) -> Result<i64, StoreFault> {
        let id = self.next_file(network)?;
        self.connection
            .prepare_cached("INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute((
                id,
                network,
                share,
                page,
                entry.size.cast_signed(),
                flags(entry.kind, entry.executable),
                entry.modified_s.cast_signed(),
                entry.content.0,
                &entry.path,
            ))?;
        self.pending.add(id, Doc::of(entry, around));
        Ok(id)
    }

    fn update_file(
        &mut self,
        id: i64,
        old: Doc,
        entry: &Entry,
        around: Rc<str>,
    ) -> Result<i64, StoreFault> {
        let sql = "UPDATE files SET size = ?2, flags = ?3, modified_s = ?4, content = ?5, path = ?6
             WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute((
            id,
            entry.size.cast_signed(),
            flags(entry.kind, entry.executable),
            entry.modified_s.cast_signed(),
            entry.content.0,
            &entry.path,
        ))?;
        let new = Doc::of(entry, around);
        if !new.reads_like(&old) {
            self.pending.remove(id, old);
            self.pending.add(id, new);
        }
        Ok(id)
    }

    fn drop_file(&mut self, id: i64, around: &Rc<str>) -> Result<(), StoreFault> {
        let doc = self.doc(id, around)?;
        self.delete_file(id, doc)
    }

    fn delete_file(&mut self, id: i64, doc: Doc) -> Result<(), StoreFault> {
        self.connection.prepare_cached("DELETE FROM files WHERE id = ?1")?.execute([id])?;
        self.pending.remove(id, doc);
        Ok(())
    }

    /// What of a file stands in the index.
    fn doc(&self, id: i64, around: &Rc<str>) -> Result<Doc, StoreFault> {
        let sql = "SELECT path, size, flags FROM files WHERE id = ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row([id], |row| read_doc(row, around))?)
    }

    fn share(&self, peer: i64, share: &ShareKey) -> Result<Option<ShareRow>, StoreFault> {
        let sql =
            format!("SELECT {} FROM shares WHERE peer = ?1 AND share = ?2", ShareRow::COLUMNS);
        let mut query = self.connection.prepare_cached(&sql)?;
        Ok(query.query_row((peer, share.0), ShareRow::read).optional()?)
    }

    fn page(&self, share: i64, page: u16) -> Result<Option<PageRow>, StoreFault> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, sequence, head, leaves, files FROM pages WHERE share = ?1 AND page = ?2",
        )?;
        let read = |row: &Row<'_>| {
            Ok(PageRow {
                id: row.get(0)?,
                sequence: row.get::<_, i64>(1)?.cast_unsigned(),
                head: row.get(2)?,
                leaves: row.get(3)?,
                files: row.get(4)?,
            })
        };
        Ok(query.query_row((share, page), read).optional()?)
    }

    /// The sequence number with which a share was withdrawn last.
    fn withdrawn(
        &self,
        network: &NetworkId,
        peer: &PeerId,
        share: &ShareKey,
    ) -> Result<Option<u64>, StoreFault> {
        let mut query = self.connection.prepare_cached(
            "SELECT sequence FROM withdrawn WHERE network = ?1 AND peer = ?2 AND share = ?3",
        )?;
        let row = query.query_row((network.0, peer.0, share.0), |row| row.get::<_, i64>(0));
        Ok(row.optional()?.map(i64::cast_unsigned))
    }
}

/// Refuses what is not newer than what there is.
fn refuse_stale(have: Option<u64>, sequence: u64) -> Result<(), Conflict> {
    match have {
        Some(have) if have >= sequence => Err(Conflict::Stale { have }),
        _ => Ok(()),
    }
}

fn read_doc(row: &Row<'_>, around: &Rc<str>) -> Result<Doc, rusqlite::Error> {
    Ok(Doc {
        path: row.get(0)?,
        around: Rc::clone(around),
        size: row.get::<_, i64>(1)?.cast_unsigned(),
        kind: kind(row.get(2)?),
    })
}
