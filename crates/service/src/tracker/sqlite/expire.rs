//! What goes by itself when its time is over.

use potluck_base::{NetworkId, PeerId, ShareKey, limits};
use potluck_proto::directory::tracker::Written;

use super::write::{Batch, Refused};
use crate::tracker::store::StoreFault;

/// Rows that one change drops at most: others want to write, too. The rest goes the next time.
const DROPPED_AT_ONCE: u32 = 10_000;

impl Batch<'_> {
    pub(super) fn expire(&mut self, now_ms: u64) -> Result<Written, Refused> {
        let skew = ms(limits::CLOCK_SKEW);
        let border = now_ms.saturating_sub(skew);
        let mut shares = Vec::new();
        for (row, name) in self.expired_shares(border)? {
            self.drop_share_row(row)?;
            shares.push(name);
        }
        let mut pages = Vec::new();
        for (row, (network, peer, share), page) in self.expired_pages(border)? {
            self.drop_page(row, page)?;
            pages.push((network, peer, share, page));
        }
        // What was signed just before the withdrawal, by a clock that is ahead, may count so long.
        let border = border.saturating_sub(ms(limits::RECORD_LIFETIME) + skew);
        let sql = "DELETE FROM withdrawn WHERE at_ms < ?1";
        self.connection.prepare_cached(sql)?.execute([border.cast_signed()])?;
        self.done()?;
        Ok(Written::Expired { shares, pages })
    }

    fn expired_shares(&self, border: u64) -> Result<Vec<(i64, ShareName)>, StoreFault> {
        let mut query = self.connection.prepare_cached(
            "SELECT n.network, p.peer, s.share, s.id FROM shares s
             JOIN peers p ON p.id = s.peer JOIN networks n ON n.id = p.network
             WHERE s.expires_ms < ?1 LIMIT ?2",
        )?;
        let rows = query.query_map((border.cast_signed(), DROPPED_AT_ONCE), |row| {
            Ok((row.get(3)?, share_name(row)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn expired_pages(&self, border: u64) -> Result<Vec<(i64, ShareName, u16)>, StoreFault> {
        let mut query = self.connection.prepare_cached(
            "SELECT n.network, p.peer, s.share, g.share, g.page
             FROM pages g INDEXED BY pages_by_share
             JOIN shares s ON s.id = g.share
             JOIN peers p ON p.id = s.peer JOIN networks n ON n.id = p.network
             WHERE g.expires_ms < ?1 LIMIT ?2",
        )?;
        let rows = query.query_map((border.cast_signed(), DROPPED_AT_ONCE), |row| {
            Ok((row.get(3)?, share_name(row)?, row.get(4)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the number of a peer's withdrawals within its limit: the oldest go.
    pub(super) fn forget_withdrawn(
        &self,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<(), StoreFault> {
        let mut query = self.connection.prepare_cached(
            "DELETE FROM withdrawn WHERE network = ?1 AND peer = ?2 AND share IN (
                 SELECT share FROM withdrawn WHERE network = ?1 AND peer = ?2
                 ORDER BY at_ms DESC, sequence DESC LIMIT -1 OFFSET ?3)",
        )?;
        query.execute((network.0, peer.0, limits::WITHDRAWALS_PER_PEER as i64))?;
        Ok(())
    }
}

type ShareName = (NetworkId, PeerId, ShareKey);

fn share_name(row: &rusqlite::Row<'_>) -> Result<ShareName, rusqlite::Error> {
    Ok((NetworkId(row.get(0)?), PeerId(row.get(1)?), ShareKey(row.get(2)?)))
}

fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
