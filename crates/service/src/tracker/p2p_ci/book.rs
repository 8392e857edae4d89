//! Which P2P-CI clients are known: held by open connections, or by a lease.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use potluck_base::limits;
use tokio::time::Instant;

use super::{CiPeer, CiRefusal};

/// Which clients are known.
#[derive(Default)]
pub(super) struct Book {
    peers: BTreeMap<SocketAddr, Known>,
    /// Records by the address from which they came.
    records: BTreeMap<IpAddr, usize>,
}

struct Known {
    peer: CiPeer,
    /// Where its records came from.
    from: IpAddr,
    /// Connections that registered for it and are open.
    connections: usize,
    /// When it is forgotten, if no connection holds it.
    until: Instant,
    files: BTreeSet<(u32, String)>,
}

impl Book {
    /// Whether a client has registered anything.
    pub(super) fn knows(&self, address: &SocketAddr) -> bool {
        self.peers.contains_key(address)
    }

    /// Counts a file; `fresh` if the connection registers for this client for the first time.
    pub(super) fn admit(
        &mut self,
        peer: &CiPeer,
        from: IpAddr,
        fresh: bool,
        (number, title): (u32, &str),
    ) -> Result<(), CiRefusal> {
        let known = self.peers.get(&peer.address);
        let file = (number, title.to_owned());
        let is_new = known.is_none_or(|known| !known.files.contains(&file));
        if known.is_none() && self.peers.len() >= limits::CI_PEERS {
            return Err(CiRefusal(format!("more than {} clients", limits::CI_PEERS)));
        }
        let records = self.records.entry(from).or_default();
        if is_new && *records >= limits::CI_RECORDS_PER_HOST {
            let most = limits::CI_RECORDS_PER_HOST;
            return Err(CiRefusal(format!("more than {most} files from one address")));
        }
        *records += usize::from(is_new);
        let known = self.peers.entry(peer.address).or_insert_with(|| Known {
            peer: peer.clone(),
            from,
            connections: 0,
            until: Instant::now(),
            files: BTreeSet::new(),
        });
        known.connections += usize::from(fresh);
        known.files.insert(file);
        Ok(())
    }

    /// A request for a client that may be on a lease.
    pub(super) fn renew(&mut self, from: IpAddr, port: u16, now: Instant) {
        for address in self.of(from, port) {
            if let Some(known) = self.peers.get_mut(&address) {
                known.until = now + limits::CI_LEASE;
            }
        }
    }

    /// Clients with this port that registered from an address; it may be another than their own.
    pub(super) fn of(&self, from: IpAddr, port: u16) -> Vec<SocketAddr> {
        let is_it =
            |(address, known): &(&SocketAddr, &Known)| address.port() == port && known.from == from;
        self.peers.iter().filter(is_it).map(|(address, _)| *address).collect()
    }

    /// A connection ends; gives the clients that go with it. A brief one leaves a lease behind.
    pub(super) fn release(
        &mut self,
        peers: &BTreeSet<SocketAddr>,
        brief: bool,
        now: Instant,
    ) -> Vec<CiPeer> {
        let mut gone = Vec::new();
        for address in peers {
            let Some(known) = self.peers.get_mut(address) else { continue };
            known.connections = known.connections.saturating_sub(1);
            if known.connections > 0 {
                continue;
            }
            if brief {
                known.until = now + limits::CI_LEASE;
            } else {
                gone.extend(self.forget(address));
            }
        }
        gone
    }

    /// Clients that said goodbye.
    pub(super) fn leave(&mut self, peers: &BTreeSet<SocketAddr>) -> Vec<CiPeer> {
        peers.iter().filter_map(|address| self.forget(address)).collect()
    }

    /// Clients whose lease has ended.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<CiPeer> {
        let over = |known: &Known| known.connections == 0 && known.until <= now;
        let ended: Vec<_> =
            self.peers.iter().filter(|(_, known)| over(known)).map(|(a, _)| *a).collect();
        ended.iter().filter_map(|address| self.forget(address)).collect()
    }

    fn forget(&mut self, address: &SocketAddr) -> Option<CiPeer> {
        let known = self.peers.remove(address)?;
        if let Some(records) = self.records.get_mut(&known.from) {
            *records = records.saturating_sub(known.files.len());
            if *records == 0 {
                self.records.remove(&known.from);
            }
        }
        Some(known.peer)
    }
}
