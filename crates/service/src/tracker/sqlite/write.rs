//! One transaction of changes, each with its own result.

use std::collections::HashMap;

use potluck_base::{NetworkId, PeerId};
use potluck_proto::directory::tracker::{Change, Conflict, Written};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::schema::{NUMBER_BITS, count_revision};
use super::words::Pending;
use crate::tracker::store::StoreFault;

/// Changes of the index of words that wait in memory: about 10 MB.
const PENDING_MAX: usize = 50_000;

/// Why one change is not made.
#[derive(Debug)]
pub(super) enum Refused {
    /// Its guard does not hold.
    Conflict(Conflict),
    /// The store failed.
    Fault(StoreFault),
}

impl From<Conflict> for Refused {
    fn from(conflict: Conflict) -> Self {
        Refused::Conflict(conflict)
    }
}

impl From<StoreFault> for Refused {
    fn from(fault: StoreFault) -> Self {
        Refused::Fault(fault)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Refused::Fault(error.into())
    }
}

/// Commits all changes whose guards hold.
pub(super) fn write(
    connection: &mut Connection,
    changes: &[Change],
) -> Vec<Result<Written, Conflict>> {
    match try_write(connection, changes) {
        Ok(results) => results,
        Err(fault) => {
            tracing::error!("{} changes are not written: {fault}", changes.len());
            changes.iter().map(|_| Err(Conflict::Unavailable)).collect()
        }
    }
}

fn try_write(
    connection: &mut Connection,
    changes: &[Change],
) -> Result<Vec<Result<Written, Conflict>>, StoreFault> {
    let lasting = changes.iter().any(must_last);
    if lasting {
        connection.execute_batch("PRAGMA synchronous = FULL")?;
    }
    let results = write_all(connection, changes);
    if lasting {
        connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    }
    results
}

/// Whether a change must outlive even a crash of the machine: peers publish again, but nobody
/// counts invites again.
fn must_last(change: &Change) -> bool {
    use Change::{Admit, Ban, PutNetwork, PutRevocations};
    matches!(change, PutNetwork { .. } | Admit { .. } | PutRevocations { .. } | Ban { .. })
}

fn write_all(
    connection: &mut Connection,
    changes: &[Change],
) -> Result<Vec<Result<Written, Conflict>>, StoreFault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut batch = Batch::new(&transaction);
    let mut results = Vec::with_capacity(changes.len());
    for change in changes {
        results.push(batch.apply_alone(change)?);
    }
    if batch.changed {
        count_revision(&transaction)?;
    }
    batch.pending.write(&transaction)?;
    transaction.commit()?;
    Ok(results)
}

/// A transaction that is being filled.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a Connection,
    /// What becomes of the index of words.
    pub(super) pending: Pending,
    /// The next free id of a file, by network.
    next: HashMap<i64, i64>,
    changed: bool,
    /// Whether the change that is being made has written to the index of words before its end.
    written: bool,
}

impl<'a> Batch<'a> {
    fn new(connection: &'a Connection) -> Self {
        let (pending, next) = (Pending::default(), HashMap::new());
        Self { connection, pending, next, changed: false, written: false }
    }

    /// Makes one change whole or not at all.
    fn apply_alone(&mut self, change: &Change) -> Result<Result<Written, Conflict>, StoreFault> {
        self.run("SAVEPOINT change")?;
        let before = self.pending.len();
        self.written = false;
        let result = self.apply(change);
        if let (Err(Refused::Fault(_)), true) = (&result, self.written) {
            return Err(StoreFault::Damaged("a large change failed half-way"));
        }
        if result.is_err() {
            self.pending.forget_since(before);
            // After a full disk, say, the whole transaction is gone, and this fails, too.
            self.run("ROLLBACK TO change")?;
        }
        self.run("RELEASE change")?;
        match result {
            Ok(written) => Ok(Ok(written)),
            Err(Refused::Conflict(conflict)) => Ok(Err(conflict)),
            Err(Refused::Fault(fault)) => {
                tracing::error!("a change is not written: {fault}");
                Ok(Err(Conflict::Unavailable))
            }
        }
    }

    /// Writes what waits for the index of words if it takes much memory. What earlier changes left
    /// goes with it, so this change can no longer be taken back alone.
    pub(super) fn write_when_full(&mut self) -> Result<(), StoreFault> {
        if self.pending.len() >= PENDING_MAX {
            self.written = true;
            std::mem::take(&mut self.pending).write(self.connection)?;
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), StoreFault> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn apply(&mut self, change: &Change) -> Result<Written, Refused> {
        match change {
            Change::PutNetwork { record } => self.put_network(record),
            Change::Admit { network, invite, uses, peer, at_ms } => {
                self.admit((network, invite), *uses, peer, *at_ms)
            }
            Change::PutMember { .. } => self.put_member(change),
            Change::PutPresence { presence } => self.put_presence(presence),
            Change::Seen { network, peer, at_ms } => self.seen(network, peer, *at_ms),
            Change::PutRevocations { network, expected, revocations } => {
                self.put_revocations(network, *expected, revocations)
            }
            Change::PutShare { head } => self.put_share(head),
            Change::PutPage { page, leaves } => self.put_page(page, leaves),
            Change::Withdraw { withdrawal, at_ms } => self.withdraw(&withdrawal.value, *at_ms),
            Change::DropMember { network, peer } => self.drop_member(network, peer),
            Change::Ban { peer, at_ms } => self.ban(peer, *at_ms),
            Change::Unban { peer } => self.unban(peer),
            Change::Expire { now_ms } => self.expire(*now_ms),
        }
    }

    /// Notes that something was changed, and says so.
    pub(super) fn done(&mut self) -> Result<Written, Refused> {
        self.changed = true;
        Ok(Written::Done)
    }

    /// The row of a network.
    pub(super) fn network(&self, network: &NetworkId) -> Result<Option<i64>, StoreFault> {
        network_row(self.connection, network)
    }

    /// The rows of a network and of a member of it.
    pub(super) fn member(
        &self,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<Option<(i64, i64)>, StoreFault> {
        member_row(self.connection, network, peer)
    }

    /// An id for a new file.
    pub(super) fn next_file(&mut self, network: i64) -> Result<i64, StoreFault> {
        let first = network << NUMBER_BITS;
        let next = match self.next.get(&network) {
            Some(next) => *next,
            None => {
                let sql = "SELECT max(id) FROM files WHERE id BETWEEN ?1 AND ?2";
                let range = (first, first | ((1 << NUMBER_BITS) - 1));
                let last: Option<i64> =
                    self.connection.prepare_cached(sql)?.query_row(range, |row| row.get(0))?;
                last.unwrap_or(first) + 1
            }
        };
        self.next.insert(network, next + 1);
        Ok(next)
    }
}

/// The row of a network.
pub(super) fn network_row(
    connection: &Connection,
    network: &NetworkId,
) -> Result<Option<i64>, StoreFault> {
    let sql = "SELECT id FROM networks WHERE network = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([network.0], |row| row.get(0)).optional()?)
}

/// The rows of a network and of a member of it.
pub(super) fn member_row(
    connection: &Connection,
    network: &NetworkId,
    peer: &PeerId,
) -> Result<Option<(i64, i64)>, StoreFault> {
    let mut query = connection.prepare_cached(
        "SELECT n.id, p.id FROM networks n JOIN peers p ON p.network = n.id AND p.peer = ?2
         WHERE n.network = ?1",
    )?;
    let row = query.query_row((network.0, peer.0), |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
}
