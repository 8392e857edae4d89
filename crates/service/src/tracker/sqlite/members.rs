//! Networks, invites, members, revocations: what is written of them.

use potluck_base::{NetworkId, PeerId};
use potluck_identity::{NetworkRecord, Revocations, Role, Signed};
use potluck_proto::directory::record::{Presence, nick_folded};
use potluck_proto::directory::tracker::{Change, Conflict, Written};
use rusqlite::OptionalExtension as _;

use super::rows::{decode, encode};
use super::write::{Batch, Refused};
use crate::tracker::store::StoreFault;

/// How a role stands in a row.
pub(super) fn role_to_row(role: Role) -> i64 {
    match role {
        Role::Guest => 0,
        Role::Member => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

/// The other way.
pub(super) fn role_from_row(role: i64) -> Result<Role, StoreFault> {
    Ok(match role {
        0 => Role::Guest,
        1 => Role::Member,
        2 => Role::Admin,
        3 => Role::Owner,
        _ => return Err(StoreFault::Damaged("an unknown role")),
    })
}

impl Batch<'_> {
    pub(super) fn put_network(
        &mut self,
        record: &Signed<NetworkRecord>,
    ) -> Result<Written, Refused> {
        let key = record.value.network.0;
        let sql = "SELECT record FROM networks WHERE network = ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let old: Option<Vec<u8>> = query.query_row([key], |row| row.get(0)).optional()?;
        if let Some(old) = old {
            let old: Signed<NetworkRecord> = decode(&old)?;
            if old == *record {
                return Ok(Written::Done);
            }
            if old.value.sequence >= record.value.sequence {
                return Err(Conflict::Stale { have: old.value.sequence }.into());
            }
        }
        self.connection
            .prepare_cached(
                "INSERT INTO networks (network, record) VALUES (?1, ?2)
                 ON CONFLICT (network) DO UPDATE SET record = ?2",
            )?
            .execute((key, encode(record)))?;
        self.done()
    }

    /// Counts the use of an invite once for each peer.
    pub(super) fn admit(
        &mut self,
        (network, invite): (&NetworkId, &PeerId),
        uses: u32,
        peer: &PeerId,
        at_ms: u64,
    ) -> Result<Written, Refused> {
        let mut query = self.connection.prepare_cached(
            "SELECT number, at_ms FROM admissions
             WHERE network = ?1 AND invite = ?2 AND peer = ?3",
        )?;
        let before = query
            .query_row((network.0, invite.0, peer.0), |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })
            .optional()?;
        if let Some((number, at_ms)) = before {
            return Ok(Written::Admitted { number, at_ms });
        }
        let sql = "SELECT count(*) FROM admissions WHERE network = ?1 AND invite = ?2";
        let used: u32 = self
            .connection
            .prepare_cached(sql)?
            .query_row((network.0, invite.0), |row| row.get(0))?;
        if used >= uses {
            return Err(Conflict::UsedUp.into());
        }
        let number = used + 1;
        self.connection
            .prepare_cached("INSERT INTO admissions VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((network.0, invite.0, peer.0, number, at_ms.cast_signed()))?;
        self.done()?;
        Ok(Written::Admitted { number, at_ms })
    }

    pub(super) fn put_member(&mut self, change: &Change) -> Result<Written, Refused> {
        let Change::PutMember { network, peer, nick, role, membership, at_ms } = change else {
            return Err(StoreFault::Damaged("a change of another kind").into());
        };
        let network = self.network(network)?.ok_or(Conflict::Unknown)?;
        // The registry has checked it; whatever it is, it is compared in one form.
        let folded = nick_folded(nick).unwrap_or_else(|| nick.to_lowercase());
        let mut taken = self.connection.prepare_cached(
            "SELECT 1 FROM peers WHERE network = ?1 AND nick_folded = ?2 AND peer <> ?3",
        )?;
        if taken.exists((network, &folded, peer.0))? {
            return Err(Conflict::NickTaken.into());
        }
        self.connection
            .prepare_cached(
                "INSERT INTO peers (network, peer, nick, nick_folded, role, membership,
                                    first_seen_ms, last_seen_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
                 ON CONFLICT (network, peer) DO UPDATE SET nick = ?3, nick_folded = ?4,
                     role = ?5, membership = ?6, last_seen_ms = max(last_seen_ms, ?7)",
            )?
            .execute((
                network,
                peer.0,
                nick,
                folded,
                role_to_row(*role),
                encode(membership),
                at_ms.cast_signed(),
            ))?;
        self.done()
    }

    pub(super) fn put_presence(&mut self, presence: &Signed<Presence>) -> Result<Written, Refused> {
        let Presence { network, peer, sequence, .. } = &presence.value;
        let (_, peer) = self.member(network, peer)?.ok_or(Conflict::Unknown)?;
        let sql = "SELECT presence FROM peers WHERE id = ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let old: Option<Vec<u8>> = query.query_row([peer], |row| row.get(0))?;
        if let Some(old) = old {
            let old: Signed<Presence> = decode(&old)?;
            if old == *presence {
                return Ok(Written::Done);
            }
            if old.value.sequence >= *sequence {
                return Err(Conflict::Stale { have: old.value.sequence }.into());
            }
        }
        self.connection
            .prepare_cached("UPDATE peers SET presence = ?2 WHERE id = ?1")?
            .execute((peer, encode(presence)))?;
        self.done()
    }

    pub(super) fn seen(
        &mut self,
        network: &NetworkId,
        peer: &PeerId,
        at_ms: u64,
    ) -> Result<Written, Refused> {
        if let Some((_, peer)) = self.member(network, peer)? {
            let sql = "UPDATE peers SET last_seen_ms = max(last_seen_ms, ?2) WHERE id = ?1";
            self.connection.prepare_cached(sql)?.execute((peer, at_ms.cast_signed()))?;
        }
        Ok(Written::Done)
    }

    pub(super) fn put_revocations(
        &mut self,
        network: &NetworkId,
        expected: u64,
        revocations: &Revocations,
    ) -> Result<Written, Refused> {
        let sql = "SELECT revocations FROM networks WHERE network = ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let row: Option<Option<Vec<u8>>> =
            query.query_row([network.0], |row| row.get(0)).optional()?;
        let old = row.ok_or(Conflict::Unknown)?;
        let new = revocations.encode();
        if old.as_ref() == Some(&new) {
            return Ok(Written::Done);
        }
        let have = match old {
            Some(old) => read_revocations(&old)?.number(),
            None => 0,
        };
        if have != expected {
            return Err(Conflict::Stale { have }.into());
        }
        self.connection
            .prepare_cached("UPDATE networks SET revocations = ?2 WHERE network = ?1")?
            .execute((network.0, new))?;
        self.done()
    }

    pub(super) fn ban(&mut self, peer: &PeerId, at_ms: u64) -> Result<Written, Refused> {
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO banned VALUES (?1, ?2)")?
            .execute((peer.0, at_ms.cast_signed()))?;
        self.done()
    }

    pub(super) fn unban(&mut self, peer: &PeerId) -> Result<Written, Refused> {
        self.connection.prepare_cached("DELETE FROM banned WHERE peer = ?1")?.execute([peer.0])?;
        self.done()
    }
}

/// A list of revoked members as it is kept.
pub(super) fn read_revocations(bytes: &[u8]) -> Result<Revocations, StoreFault> {
    Revocations::decode(bytes).map_err(|_| StoreFault::Damaged("revocations cannot be read"))
}
