//! Who is no longer in a network: a signed, numbered list.

use std::collections::BTreeSet;

use potluck_base::{NetworkId, PeerId, bounded, limits};
use serde::{Deserialize, Deserializer, Serialize};

use crate::key::{IdentityError, SecretKey};
use crate::member::{Membership, MembershipError};
use crate::record::NetworkRecord;
use crate::signed::{Signed, Statement};

/// One peer that was put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who.
    pub peer: PeerId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Everybody who was put out of a network. Signed by an owner or an admin; each list replaces the
/// one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// Out of which network.
    pub network: NetworkId,
    /// Grows with each list; the first list has 1.
    pub number: u64,
    /// Who; at most [`limits::REVOKED`].
    #[serde(deserialize_with = "revoked")]
    pub revoked: Vec<Revoked>,
}

impl Statement for RevocationList {
    const DOMAIN: &'static str = "revocations";
}

/// The list that is in force, and the membership of who signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Revocations {
    network: NetworkId,
    signed: Option<(Signed<RevocationList>, Membership)>,
    peers: BTreeSet<PeerId>,
}

/// Why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The bytes are no list, or break a limit.
    #[error("this is not a list of revoked members")]
    Malformed,
    /// It is of another network.
    #[error("the list of revoked members belongs to another network")]
    Network,
    /// It is not newer than the one in force.
    #[error("list {have} of the revoked members is in force already")]
    Stale {
        /// The number in force.
        have: u64,
    },
    /// Its number jumps further than any list does.
    #[error("the number of the list of revoked members is out of reach")]
    TooFar,
    /// It was not signed by who it says.
    #[error("the list of revoked members is not signed: {0}")]
    Signature(#[from] IdentityError),
    /// Who signed it is not a member.
    #[error("who signed the list of revoked members is no member: {0}")]
    Signer(#[from] MembershipError),
    /// Who signed it may not.
    #[error("only an owner or an admin may revoke members")]
    Role,
    /// There is no room for more.
    #[error("no more than {} members can be revoked", limits::REVOKED)]
    Full,
}

impl Revocations {
    /// Nobody was put out yet.
    pub fn none(network: NetworkId) -> Self {
        Self { network, signed: None, peers: BTreeSet::new() }
    }

    /// Of which network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// Whether this peer is on the list. An owner who is on it is a member all the same: ask
    /// [`Membership::verify`] who somebody is.
    pub fn is_revoked(&self, peer: &PeerId) -> bool {
        self.peers.contains(peer)
    }

    /// The number of the list in force; 0 if there is none.
    pub fn number(&self) -> u64 {
        self.list().map_or(0, |list| list.number)
    }

    /// Who is on the list, with when.
    pub fn revoked(&self) -> &[Revoked] {
        self.list().map_or(&[], |list| &list.revoked)
    }

    /// The list after this one: who is on it stays, `peers` are added at `now_ms`.
    ///
    /// `by` is the membership of whose key this is; who accepts the list checks it.
    pub fn next(
        &self,
        key: &SecretKey,
        by: Membership,
        peers: impl IntoIterator<Item = PeerId>,
        now_ms: u64,
    ) -> Result<Self, RevocationError> {
        let mut revoked = self.revoked().to_vec();
        for peer in peers {
            if !revoked.iter().any(|other| other.peer == peer) {
                revoked.push(Revoked { peer, at_ms: now_ms });
            }
        }
        if revoked.len() > limits::REVOKED {
            return Err(RevocationError::Full);
        }
        let number = self.number().checked_add(1).ok_or(RevocationError::TooFar)?;
        let list = RevocationList { network: self.network, number, revoked };
        Ok(Self::of(self.network, Some((Signed::sign(key, list), by))))
    }

    /// Puts a newer list into force, if who signed it may, was not put out by this one, and its
    /// number is higher. The record is one whose signature was checked.
    pub fn accept(
        &mut self,
        newer: &Revocations,
        record: &NetworkRecord,
    ) -> Result<(), RevocationError> {
        if newer.network != self.network || record.network != self.network {
            return Err(RevocationError::Network);
        }
        let have = self.number();
        let Some((list, by)) = &newer.signed else {
            return Err(RevocationError::Stale { have });
        };
        if list.value.network != self.network {
            return Err(RevocationError::Network);
        }
        if list.value.number <= have {
            return Err(RevocationError::Stale { have });
        }
        if list.value.number - have > limits::REVOCATIONS_MISSED {
            return Err(RevocationError::TooFar);
        }
        if list.value.revoked.len() > limits::REVOKED {
            return Err(RevocationError::Full);
        }
        list.verify(&by.peer)?;
        if !by.verify(record, self)?.may_revoke() {
            return Err(RevocationError::Role);
        }
        *self = newer.clone();
        Ok(())
    }

    /// The bytes, for the disk and for frames.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("writing to memory does not fail")
    }

    /// Reads a list; nothing in it is verified before somebody [accepts](Self::accept) it.
    pub fn decode(bytes: &[u8]) -> Result<Self, RevocationError> {
        match postcard::take_from_bytes(bytes) {
            Ok((revocations, [])) => Ok(revocations),
            _ => Err(RevocationError::Malformed),
        }
    }

    fn list(&self) -> Option<&RevocationList> {
        self.signed.as_ref().map(|(list, _)| &list.value)
    }

    fn of(network: NetworkId, signed: Option<(Signed<RevocationList>, Membership)>) -> Self {
        let list = signed.iter().flat_map(|(list, _)| &list.value.revoked);
        let peers = list.map(|revoked| revoked.peer).collect();
        Self { network, signed, peers }
    }
}

/// A list's form in bytes.
#[derive(Serialize, Deserialize)]
struct Form {
    network: NetworkId,
    signed: Option<(Signed<RevocationList>, Membership)>,
}

impl From<Form> for Revocations {
    fn from(form: Form) -> Self {
        Self::of(form.network, form.signed)
    }
}

impl From<Revocations> for Form {
    fn from(revocations: Revocations) -> Self {
        Self { network: revocations.network, signed: revocations.signed }
    }
}

fn revoked<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Revoked>, D::Error> {
    bounded::list::<_, _, { limits::REVOKED }>(from)
}

#[cfg(test)]
mod tests;
