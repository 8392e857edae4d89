//! What never changes about a share's row: whose it is, and its key. Kept in memory, because a
//! search asks for a thousand at a time.
//!
//! Ids of rows are never given twice, so nothing here can become wrong, whoever writes to the file.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use potluck_base::{PeerId, ShareKey};
use rusqlite::{Connection, OptionalExtension as _};

use crate::tracker::store::StoreFault;

/// Shares that are remembered, about 10 MB; when there are more, it begins anew.
const REMEMBERED: usize = 65_536;

/// Whose a share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// The row of the member.
    pub(super) member: i64,
    pub(super) peer: PeerId,
    pub(super) share: ShareKey,
}

/// Facts about shares by their rows.
#[derive(Debug, Default)]
pub(super) struct Facts(RwLock<HashMap<i64, Arc<Fact>>>);

impl Facts {
    /// Whose this share is.
    pub(super) fn of(&self, connection: &Connection, share: i64) -> Result<Arc<Fact>, StoreFault> {
        if let Some(fact) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&share) {
            return Ok(Arc::clone(fact));
        }
        let mut query = connection.prepare_cached(
            "SELECT p.id, p.peer, s.share FROM shares s JOIN peers p ON p.id = s.peer
             WHERE s.id = ?1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let (peer, share) = (PeerId(row.get(1)?), ShareKey(row.get(2)?));
            Ok(Fact { member: row.get(0)?, peer, share })
        };
        let fact = query.query_row([share], read).optional()?;
        let fact = Arc::new(fact.ok_or(StoreFault::Damaged("a file without its share"))?);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(share, Arc::clone(&fact));
        Ok(fact)
    }
}
