//! What people pass on: an invite to a network, and the ticket of a tracker.

use std::fmt;
use std::str::FromStr;

use potluck_base::{PeerAddr, PeerId, limits};
use serde::{Deserialize, Serialize};

use crate::key::{SecretKey, Signature};
use crate::member::{Basis, Capability, Membership, MembershipError, Redemption, Role};
use crate::record::{NetworkRecord, address, contacts};
use crate::revocation::Revocations;
use crate::signed::Signed;
use crate::text::{TextError, TextForm};

const INVITE: TextForm = TextForm { what: "an invite", family: "potin", prefix: "potin1" };
const TRACKER: TextForm =
    TextForm { what: "a tracker's ticket", family: "pottr", prefix: "pottr1" };

/// Tells somebody of a network, and admits to it. As text it starts with `potin1`.
///
/// Who has the text may join: it is a secret until its uses are used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The network.
    pub record: Signed<NetworkRecord>,
    /// The right to join; none for an open network.
    pub grant: Option<Grant>,
    /// Members that were there when it was made, whoever made it first; for a network without
    /// trackers, at most [`limits::INVITE_CONTACTS`]. Hints that nobody signed: a link shows who a
    /// peer is, and its claim that it is a member.
    pub contacts: Vec<PeerAddr>,
}

/// Addresses of each member that an invite names: it is typed and read out.
const CONTACT_ADDRS: usize = 4;

/// The right to join a network.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who invites.
    pub inviter: Membership,
    /// What the invite is worth.
    pub capability: Signed<Capability>,
    /// What the invite's key grew from.
    secret: [u8; 32],
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("inviter", &self.inviter)
            .field("capability", &self.capability)
            .finish_non_exhaustive()
    }
}

impl Invite {
    /// Invites to a network.
    ///
    /// `inviter` is the membership of whose key this is; `seed` is 32 fresh random bytes. Refused:
    /// a role above the inviter's, and that of an owner; an inviter who may not invite; an invite
    /// that nobody could use.
    #[expect(clippy::too_many_arguments, reason = "each is a different thing, used once")]
    pub fn make(
        record: Signed<NetworkRecord>,
        inviter_key: &SecretKey,
        inviter: Membership,
        role: Role,
        uses: u32,
        now_ms: u64,
        expires_ms: u64,
        seed: [u8; 32],
    ) -> Result<Self, MembershipError> {
        let network = record.value.network;
        let theirs = inviter.verify(&record.value, &Revocations::none(network))?;
        if !theirs.may_invite() || role > theirs || role == Role::Owner {
            return Err(MembershipError::Role);
        }
        if inviter.peer != inviter_key.peer_id() {
            return Err(MembershipError::Mismatch);
        }
        if uses == 0 || expires_ms <= now_ms {
            return Err(MembershipError::Expired);
        }
        let depth = std::iter::successors(Some(&inviter), |member| member.inviter()).count();
        if depth > limits::MEMBERSHIP_DEPTH {
            return Err(MembershipError::Depth);
        }
        let capability = Capability {
            network,
            key: SecretKey::from_seed(seed).peer_id(),
            role,
            uses,
            issued_ms: now_ms,
            expires_ms,
            issuer: inviter.peer,
        };
        let capability = Signed::sign(inviter_key, capability);
        let grant = Some(Grant { inviter, capability, secret: seed });
        Ok(Self { record, grant, contacts: Vec::new() })
    }

    /// Tells of an open network.
    pub fn open(record: Signed<NetworkRecord>) -> Self {
        Self { record, grant: None, contacts: Vec::new() }
    }

    /// The same invite with members to enter by; those that are too many are left out.
    pub fn with_contacts(mut self, contacts: impl IntoIterator<Item = PeerAddr>) -> Self {
        let contacts = contacts.into_iter().take(limits::INVITE_CONTACTS).map(|mut contact| {
            contact.direct.truncate(CONTACT_ADDRS);
            contact
        });
        self.contacts = contacts.collect();
        self
    }

    /// What `peer` becomes with this invite, once the directory has counted it.
    pub fn redeem(&self, peer: PeerId, now_ms: u64) -> Membership {
        let Some(grant) = &self.grant else { return Membership::open(peer) };
        let network = self.record.value.network;
        let invite = grant.capability.value.key;
        let redemption = Redemption { network, invite, peer, at_ms: now_ms };
        let basis = Basis::Invited {
            inviter: Box::new(grant.inviter.clone()),
            capability: grant.capability.clone(),
            redemption: Signed::sign(&SecretKey::from_seed(grant.secret), redemption),
            admission: None,
        };
        Membership { peer, basis }
    }
}

/// An invite's form in bytes: what follows from the rest is left out. If there are contacts, they
/// follow.
#[derive(Serialize, Deserialize)]
struct InviteForm {
    record: Signed<NetworkRecord>,
    grant: Option<GrantForm>,
}

#[derive(Deserialize)]
struct Contacts(#[serde(deserialize_with = "contacts")] Vec<PeerAddr>);

#[derive(Serialize, Deserialize)]
struct GrantForm {
    inviter: Membership,
    role: Role,
    uses: u32,
    issued_ms: u64,
    expires_ms: u64,
    signature: Signature,
    secret: [u8; 32],
}

impl GrantForm {
    fn of(grant: &Grant) -> Self {
        let Capability { role, uses, issued_ms, expires_ms, .. } = grant.capability.value;
        let (inviter, secret) = (grant.inviter.clone(), grant.secret);
        let signature = grant.capability.signature;
        Self { inviter, role, uses, issued_ms, expires_ms, signature, secret }
    }

    fn open(self, record: &NetworkRecord) -> Grant {
        let capability = Capability {
            network: record.network,
            key: SecretKey::from_seed(self.secret).peer_id(),
            role: self.role,
            uses: self.uses,
            issued_ms: self.issued_ms,
            expires_ms: self.expires_ms,
            issuer: self.inviter.peer,
        };
        let capability = Signed { value: capability, signature: self.signature };
        Grant { inviter: self.inviter, capability, secret: self.secret }
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grant = self.grant.as_ref().map(GrantForm::of);
        let mut bytes = bytes_of(&InviteForm { record: self.record.clone(), grant });
        if !self.contacts.is_empty() {
            bytes.extend(bytes_of(&self.contacts));
        }
        f.write_str(&INVITE.print(&bytes))
    }
}

impl FromStr for Invite {
    type Err = TextError;

    /// What is read is signed as it says, up to the network's key; it may have expired, been used
    /// up, or come from somebody who was revoked since.
    fn from_str(text: &str) -> Result<Self, TextError> {
        let body = INVITE.read(text)?;
        let (form, rest) = postcard::take_from_bytes::<InviteForm>(&body)
            .map_err(|_| INVITE.invalid("it has the wrong fields"))?;
        let contacts = match rest {
            [] => Vec::new(),
            rest => whole::<Contacts>(&INVITE, rest)?.0,
        };
        if contacts.is_empty() && !rest.is_empty() {
            return Err(INVITE.invalid("it has the wrong fields"));
        }
        let record =
            form.record.record().map_err(|_| INVITE.invalid("its network did not sign it"))?;
        let grant = form.grant.map(|grant| grant.open(record));
        if let Some(grant) = &grant {
            grant.check(record)?;
        }
        Ok(Self { grant, record: form.record, contacts })
    }
}

impl Grant {
    /// Whether the inviter could have made it.
    fn check(&self, record: &NetworkRecord) -> Result<(), TextError> {
        let none = Revocations::none(record.network);
        let theirs = self.inviter.verify(record, &none);
        let theirs = theirs.map_err(|_| INVITE.invalid("who made it is not a member"))?;
        let granted = self.capability.verify(&self.inviter.peer);
        let granted = granted.map_err(|_| INVITE.invalid("its signature is wrong"))?;
        if !theirs.may_invite() || granted.role > theirs || granted.role == Role::Owner {
            return Err(INVITE.invalid("who made it may not invite to this role"));
        }
        Ok(())
    }
}

/// Where a tracker is, and the right to create networks there. As text it starts with `pottr1`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerTicket {
    /// The tracker and its addresses.
    #[serde(deserialize_with = "address")]
    pub addr: PeerAddr,
    /// Who shows it may create networks: a secret of whoever runs the tracker.
    pub token: [u8; 16],
}

impl fmt::Debug for TrackerTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerTicket").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl fmt::Display for TrackerTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&TRACKER.print(&bytes_of(self)))
    }
}

impl FromStr for TrackerTicket {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        whole(&TRACKER, &TRACKER.read(text)?)
    }
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("writing to memory does not fail")
}

/// Reads a value that takes all bytes.
fn whole<'a, T: Deserialize<'a>>(form: &TextForm, body: &'a [u8]) -> Result<T, TextError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(form.invalid("it has the wrong fields")),
    }
}

#[cfg(test)]
mod tests;
