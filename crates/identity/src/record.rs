//! What a network is: its name, where its directory is and who may join, signed by its key.

use std::net::SocketAddr;

use potluck_base::{NetworkId, PeerAddr, PeerId, bounded, escape, limits};
use serde::{Deserialize, Deserializer, Serialize};

use crate::key::{IdentityError, SecretKey};
use crate::signed::{Signed, Statement};

/// Who may become a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Whoever knows the network.
    Open,
    /// Whoever was invited.
    Invite,
}

/// What keeps track of who has what in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryKind {
    /// Index servers.
    Tracker {
        /// Where they are: at least one, at most [`limits::NETWORK_TRACKERS`]. Their keys admit
        /// members.
        #[serde(deserialize_with = "trackers")]
        trackers: Vec<PeerAddr>,
    },
    /// The members themselves, on a circle with finger tables.
    Chord {
        /// How many of them keep each record: 1 to [`limits::REPLICAS_MAX`].
        replicas: u8,
    },
    /// The members themselves, on a circle on which each knows only those beside it.
    Ring {
        /// How many of them keep each record: 1 to [`limits::REPLICAS_MAX`].
        replicas: u8,
    },
}

/// What a network is. Signed by the network's key; the record with the highest sequence counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// The network's key.
    pub network: NetworkId,
    /// What people call it: not empty, at most [`limits::NETWORK_NAME_BYTES`], no characters that
    /// act on a screen.
    #[serde(deserialize_with = "bounded::text::<_, { limits::NETWORK_NAME_BYTES }>")]
    pub name: String,
    /// Where to ask who has what.
    pub directory: DirectoryKind,
    /// Who may become a member.
    pub policy: Policy,
    /// URLs of relays for its members, at most [`limits::NETWORK_RELAYS`].
    #[serde(deserialize_with = "relays")]
    pub relays: Vec<String>,
    /// Grows with each change.
    pub sequence: u64,
    /// When the network was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Statement for NetworkRecord {
    const DOMAIN: &'static str = "network-record";
}

/// Why a network's record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It was not signed by the network's key.
    #[error("the network's record is not signed by the network: {0}")]
    Signature(#[from] IdentityError),
    /// Its name is empty, too long, or would act on a screen.
    #[error("the network's name is empty, too long, or has characters that cannot be shown")]
    Name,
    /// It names no tracker, too many, or one twice.
    #[error("the network names no tracker, one of them twice, or too many")]
    Trackers,
    /// Nobody is to keep its records, or too many are.
    #[error("the network's records are to be kept by nobody, or by too many")]
    Replicas,
    /// It has a relay that is no URL, or too many.
    #[error("the network names a relay that is no URL, or too many")]
    Relays,
    /// A peer has too many addresses.
    #[error("a tracker of the network has too many addresses")]
    Addresses,
}

impl NetworkRecord {
    /// Whether this peer is one of the network's trackers.
    pub fn is_tracker(&self, peer: &PeerId) -> bool {
        self.trackers().iter().any(|tracker| tracker.id == *peer)
    }

    /// The network's trackers, in the order in which they are to be tried.
    pub fn trackers(&self) -> &[PeerAddr] {
        match &self.directory {
            DirectoryKind::Tracker { trackers } => trackers,
            DirectoryKind::Chord { .. } | DirectoryKind::Ring { .. } => &[],
        }
    }

    /// How many members keep each record, if the members themselves are the directory.
    pub fn replicas(&self) -> Option<u8> {
        match self.directory {
            DirectoryKind::Tracker { .. } => None,
            DirectoryKind::Chord { replicas } | DirectoryKind::Ring { replicas } => Some(replicas),
        }
    }

    /// Checks what the types cannot say. Everything that was not made here goes through this once.
    pub fn check(&self) -> Result<(), RecordError> {
        let name_fits = (1..=limits::NETWORK_NAME_BYTES).contains(&self.name.len())
            && self.name.trim() == self.name
            && escape(&self.name, limits::NETWORK_NAME_BYTES) == self.name;
        if !name_fits {
            return Err(RecordError::Name);
        }
        if self.relays.len() > limits::NETWORK_RELAYS || !self.relays.iter().all(|r| is_relay(r)) {
            return Err(RecordError::Relays);
        }
        match self.replicas() {
            None => self.check_trackers(),
            Some(replicas) if (1..=limits::REPLICAS_MAX).contains(&replicas) => Ok(()),
            Some(_) => Err(RecordError::Replicas),
        }
    }

    fn check_trackers(&self) -> Result<(), RecordError> {
        let trackers = self.trackers();
        if !(1..=limits::NETWORK_TRACKERS).contains(&trackers.len()) {
            return Err(RecordError::Trackers);
        }
        for (index, tracker) in trackers.iter().enumerate() {
            if trackers[..index].iter().any(|other| other.id == tracker.id) {
                return Err(RecordError::Trackers);
            }
            if tracker.direct.len() > limits::PEER_ADDRS {
                return Err(RecordError::Addresses);
            }
            if !tracker.relay.as_deref().is_none_or(is_relay) {
                return Err(RecordError::Relays);
            }
        }
        Ok(())
    }

    /// Checks and signs a record of ours with the network's key.
    ///
    /// # Panics
    /// If the key is not that of the record's network: a mistake of ours.
    pub fn sign(self, key: &SecretKey) -> Result<Signed<Self>, RecordError> {
        assert_eq!(key.network_id(), self.network, "a network's record is signed by its own key");
        self.check()?;
        Ok(Signed::sign(key, self))
    }
}

impl Signed<NetworkRecord> {
    /// The record, if it is signed by the key that it names and keeps the rules.
    pub fn record(&self) -> Result<&NetworkRecord, RecordError> {
        let record = self.verify(&PeerId(self.value.network.0))?;
        record.check()?;
        Ok(record)
    }
}

/// A relay's URL as far as records are concerned: visible ASCII characters, not too many.
fn is_relay(url: &str) -> bool {
    (1..=limits::RELAY_URL_BYTES).contains(&url.len()) && url.bytes().all(|b| b.is_ascii_graphic())
}

fn relays<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    bounded::texts::<_, { limits::NETWORK_RELAYS }, { limits::RELAY_URL_BYTES }>(from)
}

fn trackers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PeerAddr>, D::Error> {
    let trackers = bounded::list::<_, BoundedAddr, { limits::NETWORK_TRACKERS }>(from)?;
    Ok(trackers.into_iter().map(PeerAddr::from).collect())
}

/// Reads the peers of an invite, within limits.
pub(crate) fn contacts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PeerAddr>, D::Error> {
    let contacts = bounded::list::<_, BoundedAddr, { limits::INVITE_CONTACTS }>(from)?;
    Ok(contacts.into_iter().map(PeerAddr::from).collect())
}

/// Reads a peer and its places, within limits.
pub(crate) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<PeerAddr, D::Error> {
    BoundedAddr::deserialize(from).map(PeerAddr::from)
}

/// A [`PeerAddr`] that comes from elsewhere; same fields, same bytes.
#[derive(Deserialize)]
struct BoundedAddr {
    id: PeerId,
    #[serde(deserialize_with = "places")]
    direct: Vec<SocketAddr>,
    #[serde(deserialize_with = "relay")]
    relay: Option<String>,
}

impl From<BoundedAddr> for PeerAddr {
    fn from(address: BoundedAddr) -> Self {
        Self { id: address.id, direct: address.direct, relay: address.relay }
    }
}

fn places<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    bounded::list::<_, _, { limits::PEER_ADDRS }>(from)
}

fn relay<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    bounded::optional_text::<_, { limits::RELAY_URL_BYTES }>(from)
}

#[cfg(test)]
mod tests;
