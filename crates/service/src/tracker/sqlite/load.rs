//! What a registry reads when it starts: no files, and of the pages only what an index holds.

use std::collections::HashMap;

use potluck_base::{NetworkId, PeerId, ShareKey};
use potluck_identity::Revocations;
use potluck_proto::directory::tracker::{Loaded, LoadedMember, LoadedPage, LoadedShare};
use rusqlite::Connection;

use super::members::{read_revocations, role_from_row};
use super::rows::decode;
use crate::tracker::store::StoreFault;

/// Networks by their rows.
type Networks = HashMap<i64, NetworkId>;
/// Members by their rows.
type Members = HashMap<i64, (NetworkId, PeerId)>;
/// Shares by their rows.
type Shares = HashMap<i64, (NetworkId, PeerId, ShareKey)>;

/// Reads all of it.
pub(super) fn load(connection: &Connection) -> Result<Loaded, StoreFault> {
    let mut loaded = Loaded::default();
    let networks = networks(connection, &mut loaded)?;
    let members = members(connection, &networks, &mut loaded)?;
    let shares = shares(connection, &members, &mut loaded)?;
    pages(connection, &shares, &mut loaded)?;
    let mut query = connection.prepare("SELECT peer FROM banned ORDER BY peer")?;
    let banned = query.query_map([], |row| row.get(0).map(PeerId))?;
    loaded.banned = banned.collect::<Result<_, _>>()?;
    Ok(loaded)
}

fn networks(connection: &Connection, loaded: &mut Loaded) -> Result<Networks, StoreFault> {
    let mut query = connection.prepare("SELECT id, network, record, revocations FROM networks")?;
    let mut rows = query.query([])?;
    let mut known = Networks::new();
    while let Some(row) = rows.next()? {
        let network = NetworkId(row.get(1)?);
        known.insert(row.get(0)?, network);
        let revocations = match row.get_ref(3)?.as_blob_or_null()? {
            Some(bytes) => read_revocations(bytes)?,
            None => Revocations::none(network),
        };
        loaded.networks.push((decode(row.get_ref(2)?.as_blob()?)?, revocations));
    }
    Ok(known)
}

fn members(
    connection: &Connection,
    networks: &Networks,
    loaded: &mut Loaded,
) -> Result<Members, StoreFault> {
    let mut query = connection.prepare(
        "SELECT id, network, peer, nick, role, first_seen_ms, last_seen_ms, presence FROM peers",
    )?;
    let mut rows = query.query([])?;
    let mut known = Members::new();
    while let Some(row) = rows.next()? {
        let network = networks.get(&row.get(1)?).copied();
        let network = network.ok_or(StoreFault::Damaged("a member without its network"))?;
        let peer = PeerId(row.get(2)?);
        known.insert(row.get(0)?, (network, peer));
        loaded.members.push(LoadedMember {
            network,
            peer,
            nick: row.get(3)?,
            role: role_from_row(row.get(4)?)?,
            first_seen_ms: row.get::<_, i64>(5)?.cast_unsigned(),
            last_seen_ms: row.get::<_, i64>(6)?.cast_unsigned(),
            presence: row.get_ref(7)?.as_blob_or_null()?.map(decode).transpose()?,
        });
    }
    Ok(known)
}

fn shares(
    connection: &Connection,
    members: &Members,
    loaded: &mut Loaded,
) -> Result<Shares, StoreFault> {
    let mut query =
        connection.prepare("SELECT id, peer, share, sequence, pages, size FROM shares")?;
    let mut rows = query.query([])?;
    let mut known = Shares::new();
    while let Some(row) = rows.next()? {
        let member = members.get(&row.get(1)?).copied();
        let (network, peer) = member.ok_or(StoreFault::Damaged("a share without its member"))?;
        let share = ShareKey(row.get(2)?);
        known.insert(row.get(0)?, (network, peer, share));
        loaded.shares.push(LoadedShare {
            network,
            peer,
            share,
            sequence: row.get::<_, i64>(3)?.cast_unsigned(),
            pages: row.get(4)?,
            size: row.get::<_, i64>(5)?.cast_unsigned(),
        });
    }
    Ok(known)
}

fn pages(connection: &Connection, shares: &Shares, loaded: &mut Loaded) -> Result<(), StoreFault> {
    let mut query = connection.prepare(
        "SELECT share, page, sequence, root, entries FROM pages INDEXED BY pages_by_share",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let share = shares.get(&row.get(0)?).copied();
        let (network, peer, share) =
            share.ok_or(StoreFault::Damaged("a page without its share"))?;
        loaded.pages.push(LoadedPage {
            network,
            peer,
            share,
            page: row.get(1)?,
            sequence: row.get::<_, i64>(2)?.cast_unsigned(),
            root: row.get(3)?,
            entries: row.get(4)?,
        });
    }
    Ok(())
}
