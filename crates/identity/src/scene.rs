//! The people of this crate's tests: a network with an owner and a tracker, and whom they let in.

use potluck_base::{NetworkId, PeerAddr, PeerId};

use crate::invite::Invite;
use crate::key::SecretKey;
use crate::member::{Admission, Basis, Membership, Role};
use crate::record::{DirectoryKind, NetworkRecord, Policy};
use crate::revocation::Revocations;
use crate::signed::Signed;

/// The moment at which everything here happens, in milliseconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000_000;
/// A day, in milliseconds.
pub(crate) const DAY: u64 = 24 * 3600 * 1000;

pub(crate) const NETWORK: u8 = 1;
pub(crate) const TRACKER: u8 = 2;
pub(crate) const OWNER: u8 = 3;

/// Somebody's key.
pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// Somebody.
pub(crate) fn peer(number: u8) -> PeerId {
    key(number).peer_id()
}

pub(crate) fn network() -> NetworkId {
    key(NETWORK).network_id()
}

pub(crate) fn record(policy: Policy) -> NetworkRecord {
    let mut tracker = PeerAddr::unknown(peer(TRACKER));
    tracker.direct.push("192.0.2.7:41641".parse().unwrap());
    NetworkRecord {
        network: network(),
        name: "Reading group".to_owned(),
        directory: DirectoryKind::Tracker { trackers: vec![tracker] },
        policy,
        relays: Vec::new(),
        sequence: 1,
        created_ms: NOW,
    }
}

pub(crate) fn by_invitation() -> NetworkRecord {
    record(Policy::Invite)
}

pub(crate) fn nobody() -> Revocations {
    Revocations::none(network())
}

pub(crate) fn owner() -> Membership {
    Membership::owner(&key(NETWORK), peer(OWNER), NOW)
}

/// An invite for three, valid for a week, with a seed of its own for each maker and role.
pub(crate) fn invite(by: u8, membership: Membership, role: Role) -> Invite {
    let record = by_invitation().sign(&key(NETWORK)).unwrap();
    let mut seed = [100 + by; 32];
    seed[0] = role as u8;
    Invite::make(record, &key(by), membership, role, 3, NOW, NOW + 7 * DAY, seed).unwrap()
}

/// Somebody invited by the owner, whom the tracker has not counted yet.
pub(crate) fn invited(who: u8, role: Role) -> Membership {
    invite(OWNER, owner(), role).redeem(peer(who), NOW + DAY)
}

/// As the tracker admits.
pub(crate) fn admit(membership: Membership) -> Membership {
    admit_as(membership, TRACKER, 1)
}

/// As somebody admits who may not be a tracker.
pub(crate) fn admit_as(membership: Membership, by: u8, number: u32) -> Membership {
    let invite = membership.capability().unwrap().key;
    let (network, peer) = (network(), membership.peer);
    let admission = Admission { network, invite, peer, number, at_ms: NOW + DAY };
    membership.with_admission(Signed::sign(&key(by), admission))
}

/// Somebody whom the owner invited and the tracker admitted.
pub(crate) fn member(who: u8, role: Role) -> Membership {
    admit(invited(who, role))
}

/// The same membership with one thing changed.
pub(crate) fn changed(membership: &Membership, change: impl FnOnce(&mut Basis)) -> Membership {
    let mut changed = membership.clone();
    change(&mut changed.basis);
    changed
}
