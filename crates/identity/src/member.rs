//! Who somebody is in a network: a chain of signatures from the network's key to a peer.
//!
//! Goals: a membership is checked without asking anybody, redeemed while the inviter is away, and
//! counted by a directory. Non-goals: hiding who invited whom; leaving by itself (a member that
//! goes is forgotten by the directory, one that must go is revoked).

use potluck_base::{NetworkId, PeerId, bounded, limits};
use serde::{Deserialize, Deserializer, Serialize};

use crate::key::{IdentityError, SecretKey};
use crate::record::{NetworkRecord, Policy};
use crate::revocation::Revocations;
use crate::signed::{Signed, Statement};

/// What a member may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Search and get.
    Guest,
    /// Publish.
    Member,
    /// Invite, revoke and ban.
    Admin,
    /// Everything. Cannot be revoked.
    Owner,
}

impl Role {
    /// Whether it may publish what it has.
    pub fn may_publish(self) -> bool {
        self >= Role::Member
    }

    /// Whether it may invite others.
    pub fn may_invite(self) -> bool {
        self >= Role::Admin
    }

    /// Whether it may revoke others.
    pub fn may_revoke(self) -> bool {
        self >= Role::Admin
    }
}

/// Makes a peer something in a network, without anybody between. Signed by the network's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment {
    /// Where.
    pub network: NetworkId,
    /// Who.
    pub peer: PeerId,
    /// What it becomes.
    pub role: Role,
    /// When, in milliseconds since 1970.
    pub issued_ms: u64,
}

impl Statement for Appointment {
    const DOMAIN: &'static str = "appointment";
}

/// What an invite is worth. Signed by its issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Where it admits to.
    pub network: NetworkId,
    /// The invite's own public key, which is its name; who has the secret half may redeem it.
    pub key: PeerId,
    /// What who redeems it becomes.
    pub role: Role,
    /// How many peers may redeem it, at least one.
    pub uses: u32,
    /// When it was made, in milliseconds since 1970.
    pub issued_ms: u64,
    /// The last moment at which it can be redeemed, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Who made it.
    pub issuer: PeerId,
}

impl Statement for Capability {
    const DOMAIN: &'static str = "capability";
}

/// Binds an invite to the peer that redeems it. Signed by the invite's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redemption {
    /// Where.
    pub network: NetworkId,
    /// Which invite, by its key.
    pub invite: PeerId,
    /// Who redeems it.
    pub peer: PeerId,
    /// When, by the clock of that peer, in milliseconds since 1970. In a network without trackers
    /// it must lie in the invite's time.
    pub at_ms: u64,
}

impl Statement for Redemption {
    const DOMAIN: &'static str = "redemption";
}

/// Says that a redemption was counted. Signed by a tracker of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Where.
    pub network: NetworkId,
    /// Which invite, by its key.
    pub invite: PeerId,
    /// Who was admitted.
    pub peer: PeerId,
    /// Which use of the invite it was: 1 is the first.
    pub number: u32,
    /// When, by the tracker's clock, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Statement for Admission {
    const DOMAIN: &'static str = "admission";
}

/// What a membership rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The network's key itself says so.
    Owner(Signed<Appointment>),
    /// Somebody who may invite said so.
    Invited {
        /// Who invited.
        inviter: Box<Membership>,
        /// To what.
        capability: Signed<Capability>,
        /// Who accepted.
        redemption: Signed<Redemption>,
        /// That a tracker counted it; none until then, and in a network without trackers.
        admission: Option<Signed<Admission>>,
    },
    /// The network is open.
    Open,
}

/// The certificate of a membership. Claims nothing until it is verified against the network's
/// record.
///
/// Its bytes name the peer once, where it was signed; a value put together by hand whose parts name
/// different peers does not survive the way through them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Chain", into = "Chain")]
pub struct Membership {
    /// Whose.
    pub peer: PeerId,
    /// Why.
    pub basis: Basis,
}

/// Why a membership is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The bytes are no membership, or break a limit.
    #[error("this is not a membership")]
    Malformed,
    /// A part of it is about another network.
    #[error("the membership belongs to another network")]
    Network,
    /// A signature is wrong.
    #[error("a signature of the membership is wrong: {0}")]
    Signature(#[from] IdentityError),
    /// Its parts are about different peers or different invites.
    #[error("the parts of the membership do not belong together")]
    Mismatch,
    /// Too many invitations lie between an owner and the peer.
    #[error("too many invitations lie between an owner and this member")]
    Depth,
    /// Somebody gave a role that was not theirs to give.
    #[error("this role was not theirs to give")]
    Role,
    /// The network takes nobody without an invite.
    #[error("this network is by invitation")]
    Closed,
    /// It was redeemed before the invite's time or after it.
    #[error("the invite was not redeemed in its time")]
    OutOfTime,
    /// No tracker of the network has counted the invite's use, or it counted too many.
    #[error("the invite's use was not counted by a tracker of this network")]
    NotAdmitted,
    /// There is nothing to admit: the membership does not rest on an invite.
    #[error("this membership does not come from an invite")]
    NoInvite,
    /// Somebody whom it rests on was revoked.
    #[error("member {} was revoked", .0.short())]
    Revoked(PeerId),
    /// The invite's time is over.
    #[error("this invite has expired")]
    Expired,
    /// The invite was made in the future: one of two clocks is wrong.
    #[error("this invite is not valid yet: compare the clocks of both devices")]
    NotYet,
}

impl Membership {
    /// Makes a peer the owner.
    pub fn owner(network_key: &SecretKey, peer: PeerId, now_ms: u64) -> Self {
        let network = network_key.network_id();
        let appointment = Appointment { network, peer, role: Role::Owner, issued_ms: now_ms };
        Self { peer, basis: Basis::Owner(Signed::sign(network_key, appointment)) }
    }

    /// What whoever turns up at an open network is.
    pub fn open(peer: PeerId) -> Self {
        Self { peer, basis: Basis::Open }
    }

    /// The bytes, for the disk.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("writing to memory does not fail")
    }

    /// Reads a membership; nothing in it is verified yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, MembershipError> {
        match postcard::take_from_bytes(bytes) {
            Ok((membership, [])) => Ok(membership),
            _ => Err(MembershipError::Malformed),
        }
    }

    /// What it says to rest on, if that is an invite. Not verified.
    pub fn capability(&self) -> Option<&Capability> {
        match &self.basis {
            Basis::Invited { capability, .. } => Some(&capability.value),
            Basis::Owner(_) | Basis::Open => None,
        }
    }

    /// As it is once the directory counted its invite's use.
    pub fn with_admission(mut self, counted: Signed<Admission>) -> Self {
        if let Basis::Invited { admission, .. } = &mut self.basis {
            *admission = Some(counted);
        }
        self
    }

    /// Who it is in this network.
    ///
    /// Each signature up to the network's key is checked, and that each invite's use was counted by
    /// a tracker of the record; if it has none, that it was redeemed in time. The peer itself must
    /// not be revoked (an owner cannot be); who invited it may have been revoked later. The record
    /// is one whose signature was checked.
    pub fn verify(
        &self,
        record: &NetworkRecord,
        revoked: &Revocations,
    ) -> Result<Role, MembershipError> {
        if revoked.network() != record.network {
            return Err(MembershipError::Network);
        }
        self.check_depth()?;
        let role = self.role_in(record)?;
        self.check_standing(revoked)?;
        Ok(role)
    }

    /// What a directory checks before it counts the use of an invite: everything but the admission
    /// that it is about to sign. Nobody in the chain may be revoked, and the invite must be valid
    /// at `now_ms`, by the directory's clock, in milliseconds since 1970.
    pub fn may_be_admitted(
        &self,
        record: &NetworkRecord,
        revoked: &Revocations,
        now_ms: u64,
    ) -> Result<(Role, &Capability), MembershipError> {
        let Basis::Invited { inviter, capability, redemption, .. } = &self.basis else {
            return Err(MembershipError::NoInvite);
        };
        if revoked.network() != record.network {
            return Err(MembershipError::Network);
        }
        self.check_depth()?;
        let theirs = inviter.role_in(record)?;
        let granted = self.granted(record, inviter, theirs, capability, redemption)?;
        let mut at = Some(self);
        while let Some(membership) = at {
            membership.check_standing(revoked)?;
            at = membership.inviter();
        }
        if now_ms > granted.expires_ms {
            return Err(MembershipError::Expired);
        }
        if granted.issued_ms > now_ms.saturating_add(skew_ms()) {
            return Err(MembershipError::NotYet);
        }
        Ok((granted.role, granted))
    }

    /// Who invited it, if anybody. Not verified.
    pub fn inviter(&self) -> Option<&Membership> {
        match &self.basis {
            Basis::Invited { inviter, .. } => Some(inviter),
            Basis::Owner(_) | Basis::Open => None,
        }
    }

    /// A value put together by hand may be deeper than any that was decoded.
    fn check_depth(&self) -> Result<(), MembershipError> {
        let depth = std::iter::successors(self.inviter(), |inviter| inviter.inviter()).count();
        if depth > limits::MEMBERSHIP_DEPTH { Err(MembershipError::Depth) } else { Ok(()) }
    }

    /// Owners stay, whatever a list says: nobody below them can put them out.
    fn check_standing(&self, revoked: &Revocations) -> Result<(), MembershipError> {
        let owner = matches!(&self.basis, Basis::Owner(a) if a.value.role == Role::Owner);
        if !owner && revoked.is_revoked(&self.peer) {
            return Err(MembershipError::Revoked(self.peer));
        }
        Ok(())
    }

    /// The role that the chain of signatures gives, whoever was revoked meanwhile.
    fn role_in(&self, record: &NetworkRecord) -> Result<Role, MembershipError> {
        match &self.basis {
            Basis::Open => match record.policy {
                Policy::Open => Ok(Role::Member),
                Policy::Invite => Err(MembershipError::Closed),
            },
            Basis::Owner(appointment) => {
                if appointment.value.network != record.network {
                    return Err(MembershipError::Network);
                }
                let appointed = appointment.verify(&PeerId(record.network.0))?;
                if appointed.peer != self.peer {
                    return Err(MembershipError::Mismatch);
                }
                Ok(appointed.role)
            }
            Basis::Invited { inviter, capability, redemption, admission } => {
                let theirs = inviter.role_in(record)?;
                let granted = self.granted(record, inviter, theirs, capability, redemption)?;
                if record.replicas().is_some() {
                    check_time(granted, redemption.value.at_ms)?;
                } else {
                    let admission = admission.as_ref().ok_or(MembershipError::NotAdmitted)?;
                    self.check_admission(record, granted, admission)?;
                }
                Ok(granted.role)
            }
        }
    }

    /// What the invite is worth, if its giver may give it and this peer has redeemed it.
    fn granted<'a>(
        &self,
        record: &NetworkRecord,
        inviter: &Membership,
        theirs: Role,
        capability: &'a Signed<Capability>,
        redemption: &Signed<Redemption>,
    ) -> Result<&'a Capability, MembershipError> {
        let networks = [capability.value.network, redemption.value.network];
        if networks.iter().any(|network| *network != record.network) {
            return Err(MembershipError::Network);
        }
        let granted = capability.verify(&inviter.peer)?;
        if granted.issuer != inviter.peer {
            return Err(MembershipError::Mismatch);
        }
        if !theirs.may_invite() || granted.role > theirs || granted.role == Role::Owner {
            return Err(MembershipError::Role);
        }
        let redeemed = redemption.verify(&granted.key)?;
        if redeemed.invite != granted.key || redeemed.peer != self.peer {
            return Err(MembershipError::Mismatch);
        }
        Ok(granted)
    }

    fn check_admission(
        &self,
        record: &NetworkRecord,
        granted: &Capability,
        admission: &Signed<Admission>,
    ) -> Result<(), MembershipError> {
        let said = &admission.value;
        if said.network != record.network {
            return Err(MembershipError::Network);
        }
        if said.invite != granted.key || said.peer != self.peer {
            return Err(MembershipError::Mismatch);
        }
        let counted = (1..=granted.uses).contains(&said.number);
        let in_time = said.at_ms <= granted.expires_ms.saturating_add(skew_ms());
        let by_tracker = || record.trackers().iter().any(|t| admission.verify(&t.id).is_ok());
        if counted && in_time && by_tracker() { Ok(()) } else { Err(MembershipError::NotAdmitted) }
    }
}

/// Whether an invite was redeemed in its time, as far as who redeemed it says so: without trackers
/// there is no other clock.
fn check_time(granted: &Capability, at_ms: u64) -> Result<(), MembershipError> {
    let from = granted.issued_ms.saturating_sub(skew_ms());
    let until = granted.expires_ms.saturating_add(skew_ms());
    if (from..=until).contains(&at_ms) { Ok(()) } else { Err(MembershipError::OutOfTime) }
}

fn skew_ms() -> u64 {
    limits::CLOCK_SKEW.as_millis() as u64
}

/// A membership's form in bytes: from the network's key down to the peer, so that reading it needs
/// no recursion and its depth is the length of a list.
#[derive(Serialize, Deserialize)]
struct Chain {
    root: Root,
    #[serde(deserialize_with = "links")]
    links: Vec<Invitation>,
}

#[derive(Serialize, Deserialize)]
enum Root {
    Owner(Signed<Appointment>),
    Open(PeerId),
}

#[derive(Serialize, Deserialize)]
struct Invitation {
    capability: Signed<Capability>,
    redemption: Signed<Redemption>,
    admission: Option<Signed<Admission>>,
}

fn links<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Invitation>, D::Error> {
    bounded::list::<_, _, { limits::MEMBERSHIP_DEPTH }>(from)
}

impl From<Chain> for Membership {
    fn from(chain: Chain) -> Self {
        let root = match chain.root {
            Root::Owner(appointment) => {
                Self { peer: appointment.value.peer, basis: Basis::Owner(appointment) }
            }
            Root::Open(peer) => Self::open(peer),
        };
        chain.links.into_iter().fold(root, |inviter, link| Self {
            peer: link.redemption.value.peer,
            basis: Basis::Invited {
                inviter: Box::new(inviter),
                capability: link.capability,
                redemption: link.redemption,
                admission: link.admission,
            },
        })
    }
}

impl From<Membership> for Chain {
    fn from(mut membership: Membership) -> Self {
        let mut links = Vec::new();
        let root = loop {
            match membership.basis {
                Basis::Owner(appointment) => break Root::Owner(appointment),
                Basis::Open => break Root::Open(membership.peer),
                Basis::Invited { inviter, capability, redemption, admission } => {
                    links.push(Invitation { capability, redemption, admission });
                    membership = *inviter;
                }
            }
        };
        links.reverse();
        Self { root, links }
    }
}

#[cfg(test)]
mod tests;
