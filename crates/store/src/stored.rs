//! Files that live in networks: what this node has put there, and what it holds for others, in a
//! folder of its own in the home.
//!
//! A file that is held is a download into that folder, named by its content id. It is no share of
//! the person's: lists leave it out, and it is for members of the networks that it is held for.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use potluck_base::{ContentId, NetworkId, PeerId, RelPath, ShareKey};
use rusqlite::{Connection, Row, Transaction, params};

use crate::below::Below;
use crate::error::StoreError;
use crate::names;
use crate::record;
use crate::rows;
use crate::shares;
use crate::state::Inner;
use crate::sweep;

/// Where files of others are held, in the home.
const FOLDER: &str = "stored";

/// A file that this node has put into a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDeposit {
    /// Into which network.
    pub network: NetworkId,
    /// What it is.
    pub content: ContentId,
    /// What it is called there.
    pub name: RelPath,
    /// Its length.
    pub bytes: u64,
    /// How many others are to have it.
    pub copies: u8,
    /// The number of what was signed last about it.
    pub sequence: u64,
    /// Until when that counts, milliseconds since 1970.
    pub expires_ms: u64,
    /// Whether it was taken out again, and the network does not know yet.
    pub removed: bool,
    /// The offer that was made for it alone, and ends with it.
    pub offer: Option<ShareKey>,
    /// What was last heard of its copies, as the services write it.
    pub heard: Vec<u8>,
}

/// A file that this node holds, or is to hold, on behalf of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    /// What it is.
    pub content: ContentId,
    /// In which network.
    pub network: NetworkId,
    /// On whose behalf.
    pub peer: PeerId,
    /// What that peer calls it.
    pub name: String,
    /// Its length, as that peer says.
    pub bytes: u64,
    /// Until when it is wanted, milliseconds since 1970.
    pub expires_ms: u64,
    /// When this was first noted, milliseconds since 1970.
    pub since_ms: u64,
    /// What the peer signed, as the services write it.
    pub record: Vec<u8>,
}

/// The name under which a file is held.
pub(crate) fn name_of(content: &ContentId) -> RelPath {
    RelPath::parse_name(&content.to_string()).expect("sixty-four digits are a name")
}

/// The folder of files that are held, made if need be. A link to a folder elsewhere will do.
pub(crate) fn folder(store: &Inner) -> Result<PathBuf, StoreError> {
    let path = store.home.path().join(FOLDER);
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::io("create", &path, error)),
    }
    path.canonicalize().map_err(|error| StoreError::io("open", &path, error))
}

/// Whether a folder is that of files that are held.
pub(crate) fn is_folder(store: &Inner, folder: &std::path::Path) -> bool {
    store.home.path().join(FOLDER).canonicalize().is_ok_and(|ours| ours == folder)
}

/// Notes a deposit of ours, in place of what was noted of it before.
pub(crate) fn put_own(connection: &Connection, own: &OwnDeposit) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO deposits (network, content, name, bytes, copies, sequence,
            expires_ms, removed, offer, heard)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(sql)?.execute(params![
        own.network.0,
        own.content.0,
        own.name.as_str(),
        own.bytes as i64,
        own.copies,
        own.sequence as i64,
        own.expires_ms as i64,
        own.removed,
        own.offer.map(|key| key.0),
        own.heard,
    ])?;
    Ok(())
}

/// All deposits of ours, by network and name.
pub(crate) fn own(connection: &Connection) -> Result<Vec<OwnDeposit>, StoreError> {
    let sql = "SELECT network, content, name, bytes, copies, sequence, expires_ms, removed, offer,
            heard FROM deposits ORDER BY network, name, content";
    let mut read = connection.prepare_cached(sql)?;
    let mut found = read.query([])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let offer: Option<Vec<u8>> = row.get(8)?;
        all.push(OwnDeposit {
            network: NetworkId(key(row, 0)?),
            content: rows::content_id(&row.get::<_, Vec<u8>>(1)?)?,
            name: rows::name(&row.get::<_, String>(2)?)?,
            bytes: row.get::<_, i64>(3)? as u64,
            copies: row.get(4)?,
            sequence: row.get::<_, i64>(5)? as u64,
            expires_ms: row.get::<_, i64>(6)? as u64,
            removed: row.get(7)?,
            offer: offer.map(share_key).transpose()?,
            heard: row.get(9)?,
        });
    }
    Ok(all)
}

/// Forgets a deposit of ours.
pub(crate) fn remove_own(
    connection: &Connection,
    network: &NetworkId,
    content: &ContentId,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM deposits WHERE network = ?1 AND content = ?2";
    connection.execute(sql, params![network.0, content.0])?;
    Ok(())
}

/// Notes what is to be held, in place of what was noted of the same before.
pub(crate) fn put_claim(connection: &Connection, claim: &HeldClaim) -> Result<(), StoreError> {
    let sql = "INSERT INTO held (content, network, peer, name, bytes, expires_ms, since_ms, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (content, network, peer) DO UPDATE SET name = excluded.name,
            bytes = excluded.bytes, expires_ms = excluded.expires_ms, record = excluded.record";
    connection.prepare_cached(sql)?.execute(params![
        claim.content.0,
        claim.network.0,
        claim.peer.0,
        claim.name,
        claim.bytes as i64,
        claim.expires_ms as i64,
        claim.since_ms as i64,
        claim.record,
    ])?;
    Ok(())
}

/// All that is held or to be held, the oldest first.
pub(crate) fn claims(connection: &Connection) -> Result<Vec<HeldClaim>, StoreError> {
    let sql = "SELECT content, network, peer, name, bytes, expires_ms, since_ms, record FROM held
        ORDER BY since_ms, content, network, peer";
    let mut read = connection.prepare_cached(sql)?;
    let mut found = read.query([])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(HeldClaim {
            content: rows::content_id(&row.get::<_, Vec<u8>>(0)?)?,
            network: NetworkId(key(row, 1)?),
            peer: PeerId(key(row, 2)?),
            name: row.get(3)?,
            bytes: row.get::<_, i64>(4)? as u64,
            expires_ms: row.get::<_, i64>(5)? as u64,
            since_ms: row.get::<_, i64>(6)? as u64,
            record: row.get(7)?,
        });
    }
    Ok(all)
}

/// The networks for whose members a content is held.
pub(crate) fn networks_of(
    connection: &Connection,
    content: &ContentId,
) -> Result<BTreeSet<NetworkId>, StoreError> {
    let sql = "SELECT DISTINCT network FROM held WHERE content = ?1";
    let mut read = connection.prepare_cached(sql)?;
    let mut found = read.query([content.0])?;
    let mut networks = BTreeSet::new();
    while let Some(row) = found.next()? {
        networks.insert(NetworkId(key(row, 0)?));
    }
    Ok(networks)
}

/// Takes claims back; whether nobody wants the content held any more. Then its file goes first: a
/// crash in between leaves a claim without a file, which is seen, and never a file that nobody
/// counts.
pub(crate) fn drop_claims(
    store: &Arc<Inner>,
    content: &ContentId,
    gone: &[(NetworkId, PeerId)],
) -> Result<bool, StoreError> {
    let left = claims(&store.db.read())?;
    let left = left.iter().filter(|claim| claim.content == *content);
    let last = left.filter(|claim| !gone.contains(&(claim.network, claim.peer))).count() == 0;
    if last {
        delete_file(store, content)?;
    }
    store.db.transaction(|tx| {
        let sql = "DELETE FROM held WHERE content = ?1 AND network = ?2 AND peer = ?3";
        for (network, peer) in gone {
            tx.execute(sql, params![content.0, network.0, peer.0])?;
        }
        if last { forget_downloads(tx, content) } else { Ok(()) }
    })?;
    store.forget_share(content);
    Ok(last)
}

/// Deletes what is here of a file that is to be held: it is fetched afresh.
pub(crate) fn discard(store: &Arc<Inner>, content: &ContentId) -> Result<(), StoreError> {
    delete_file(store, content)?;
    store.db.transaction(|tx| forget_downloads(tx, content))?;
    store.forget_share(content);
    Ok(())
}

/// Deletes what is here of a file that is held, whole or in part.
fn delete_file(store: &Arc<Inner>, content: &ContentId) -> Result<(), StoreError> {
    let path = folder(store)?;
    let name = name_of(content);
    let part = names::part(&name, content);
    let _occupied = store.occupy(path.join(&part))?;
    let below = Below::open(&path).map_err(|error| StoreError::io("open", &path, error))?;
    for name in [name.as_str(), &part] {
        sweep::delete(&store.disk, below.root().as_fd(), name)
            .map_err(|error| StoreError::io("delete", &path.join(name), error))?;
    }
    Ok(())
}

fn forget_downloads(tx: &Transaction<'_>, content: &ContentId) -> Result<(), StoreError> {
    let sql = "SELECT number FROM downloads WHERE content = ?1 AND held = 1";
    let numbers: Result<Vec<i64>, _> =
        tx.prepare_cached(sql)?.query_map([content.0], |row| row.get(0))?.collect();
    numbers?.into_iter().try_for_each(|number| record::delete(tx, number))
}

/// Deletes whatever lies in the folder and nobody wants held, and forgets downloads that belong to
/// nothing.
pub(crate) fn tidy(store: &Arc<Inner>) -> Result<(), StoreError> {
    let path = folder(store)?;
    let wanted: BTreeSet<ContentId> =
        claims(&store.db.read())?.into_iter().map(|claim| claim.content).collect();
    let mut names = BTreeSet::new();
    for content in &wanted {
        let name = name_of(content);
        names.insert(names::part(&name, content));
        names.insert(name.as_str().to_owned());
    }
    let fail = |error| StoreError::io("tidy", &path, error);
    let below = Below::open(&path).map_err(fail)?;
    for entry in below.root().entries().map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        // The person may have put the folder where other things are.
        let ours = name.to_str().filter(|name| is_ours(name) && !names.contains(*name));
        if let Some(name) = ours {
            sweep::delete(&store.disk, below.root().as_fd(), name).map_err(fail)?;
        }
    }
    store.db.transaction(|tx| {
        let sql = "SELECT DISTINCT content FROM downloads WHERE held = 1
            AND content NOT IN (SELECT content FROM held)";
        let stray: Result<Vec<Vec<u8>>, _> =
            tx.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect();
        for content in stray? {
            forget_downloads(tx, &rows::content_id(&content)?)?;
        }
        Ok(())
    })
}

/// Whether a name is one that a file gets in the folder.
fn is_ours(name: &str) -> bool {
    let digits = |text: &str| {
        text.len() == 2 * size_of::<ContentId>()
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let of_part = || name.strip_prefix('.')?.split_once('.').map(|(stem, _)| stem);
    digits(name) || (names::is_part(name) && of_part().is_some_and(digits))
}

/// Whether a whole content is here and can be served, be it held, shared or downloaded.
pub(crate) fn is_here(store: &Arc<Inner>, content: &ContentId) -> Result<bool, StoreError> {
    let Some(source) = shares::open_whole(store, content)? else { return Ok(false) };
    let right = (0..source.map().files()).all(|file| source.open_file(file).is_ok());
    Ok(right && source.values(0)?.is_some())
}

/// Forgets a network: the files that were held for it go with the next [`tidy`].
pub(crate) fn forget(tx: &Transaction<'_>, network: &NetworkId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM deposits WHERE network = ?1", [network.0])?;
    tx.execute("DELETE FROM held WHERE network = ?1", [network.0])?;
    Ok(())
}

fn key(row: &Row<'_>, column: usize) -> Result<[u8; 32], StoreError> {
    let bytes: Vec<u8> = row.get(column)?;
    bytes.try_into().map_err(|_| StoreError::Damaged("a key of a wrong length"))
}

fn share_key(bytes: Vec<u8>) -> Result<ShareKey, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Damaged("a key of a wrong length"))?;
    Ok(ShareKey(bytes))
}
