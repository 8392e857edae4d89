//! Who has a content, and what a peer shares.

use std::cmp::Reverse;
use std::collections::HashMap;

use potluck_base::{ContentId, PeerId, ShareKey, limits};
use potluck_identity::Signed;
use potluck_proto::directory::record::ShareHead;
use potluck_proto::directory::tracker::{Answer, ProviderRecord};

use super::hits::{FileRow, Pages, Source};
use super::rows::{ENTRY, decode};
use super::write::member_row;
use crate::tracker::store::StoreFault;

/// Rows of one content that are looked at. Who has it beyond them is not told.
const LISTED: u32 = 20_000;
/// Bytes of the paths and proofs of one answer: the registry cuts it to a frame, and what it would
/// cut off need not be read.
const ANSWER_BYTES: usize = 2 * limits::REPLY_BYTES;
/// Bytes of a proof beside its hashes, and of an entry beside its path; about.
const AROUND_BYTES: usize = 256;

/// Rows of one list that are read: one more than are told, to see whether there are more.
const READ: i64 = limits::BROWSE_ENTRIES as i64 + 1;

/// A provider, before its hit is made.
struct Provider {
    online: bool,
    partial: bool,
    peer: PeerId,
    row: FileRow,
}

/// All that have a content, those online first, then those that have all of it.
pub(super) fn providers(
    source: &Source<'_>,
    network: i64,
    content: &ContentId,
    offset: usize,
) -> Result<Answer, StoreFault> {
    let mut query = source.connection.prepare_cached(&format!(
        "SELECT {}, {ENTRY}, s.partial FROM files f JOIN shares s ON s.id = f.share
         WHERE f.network = ?1 AND substr(f.content, 1, 8) = ?2 AND f.content = ?3 LIMIT ?4",
        FileRow::COLUMNS
    ))?;
    let mut rows = query.query((network, &content.0[..8], content.0, LISTED))?;
    let mut known: HashMap<i64, Provider> = HashMap::new();
    while let Some(row) = rows.next()? {
        let partial = row.get(8)?;
        let row = FileRow::read(row)?;
        let fact = source.fact(row.share)?;
        let online = (source.online)(&source.network, &fact.peer);
        let found = Provider { online, partial, peer: fact.peer, row };
        match known.get_mut(&fact.member) {
            Some(other) if other.partial && !partial => *other = found,
            Some(_) => {}
            None => drop(known.insert(fact.member, found)),
        }
    }
    let mut sorted: Vec<Provider> = known.into_values().collect();
    sorted.sort_by_key(|found| (Reverse(found.online), found.partial, found.peer));
    let more = sorted.len() > offset.saturating_add(limits::PROVIDERS);
    let mut pages = Pages::default();
    let mut providers = Vec::new();
    for found in sorted.into_iter().skip(offset).take(limits::PROVIDERS) {
        let hit = source.hit(found.row, &mut pages)?;
        let (peer, online, last_seen_ms) = (hit.peer, hit.online, hit.last_seen_ms);
        providers.push(ProviderRecord { peer, online, last_seen_ms, presence: None, hit });
    }
    Ok(Answer::Providers { providers, more })
}

/// The heads of a peer's shares, in order of their keys.
pub(super) fn shares(
    source: &Source<'_>,
    peer: &PeerId,
    after: Option<&ShareKey>,
) -> Result<Answer, StoreFault> {
    let mut shares: Vec<Signed<ShareHead>> = Vec::new();
    let mut more = false;
    if let Some((_, member)) = member_row(source.connection, &source.network, peer)? {
        let mut query = source.connection.prepare_cached(
            "SELECT head FROM shares WHERE peer = ?1 AND share > ?2 ORDER BY share LIMIT ?3",
        )?;
        // No key at all sorts before all keys.
        let after = after.map_or(&[][..], |key| &key.0);
        let mut rows = query.query((member, after, READ))?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let head = row.get_ref(0)?.as_blob()?;
            bytes += head.len();
            if shares.len() == limits::BROWSE_ENTRIES || bytes > ANSWER_BYTES {
                more = true;
                break;
            }
            shares.push(decode(head)?);
        }
    }
    Ok(Answer::Shares { shares, more })
}

/// What is in a share, in order of paths.
pub(super) fn entries(
    source: &Source<'_>,
    peer: &PeerId,
    share: &ShareKey,
    after: Option<&str>,
) -> Result<Answer, StoreFault> {
    let mut entries = Vec::new();
    let mut more = false;
    let member = member_row(source.connection, &source.network, peer)?;
    let row = match member {
        Some((_, member)) => source.share_row(member, share)?,
        None => None,
    };
    if let Some(share) = row {
        let mut query = source.connection.prepare_cached(&format!(
            "SELECT {}, {ENTRY} FROM files f
             WHERE f.share = ?1 AND f.page IS NOT NULL AND f.path > ?2 ORDER BY f.path LIMIT ?3",
            FileRow::COLUMNS
        ))?;
        let mut pages = Pages::default();
        let mut rows = query.query((share, after.unwrap_or_default(), READ))?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let row = FileRow::read(row)?;
            bytes += row.entry.path.len() + AROUND_BYTES;
            if entries.len() == limits::BROWSE_ENTRIES || bytes > ANSWER_BYTES {
                more = true;
                break;
            }
            let page = row.page.ok_or(StoreFault::Damaged("a file without a page"))?;
            let proof = pages.proof(source.connection, (share, page), row.id)?;
            entries.push((row.entry, proof));
        }
    }
    Ok(Answer::Entries { entries, more })
}
