//! Who belongs to a network: hosting, joining, registering, revoking, banning.

use std::fmt::Debug;
use std::ops::Bound;

use potluck_base::{NetworkId, PeerId, limits};
use potluck_identity::{
    DirectoryKind, Membership, MembershipError, NetworkRecord, Policy, RevocationError,
    Revocations, Role, Signed,
};

use super::asks::cut;
use super::jobs::Then;
use super::values::Event;
use super::{Answered, Call, Out, Registry, lease_ms};
use crate::directory::record::{Presence, check_expiry, nick_folded};
use crate::directory::tracker::change::Change;
use crate::directory::tracker::message::{Denial, Message, Notice, Reply};

impl<P: Copy + Ord + Debug> Registry<P> {
    /// Takes in a network. Without the token, and not being an owner of a network that is known,
    /// the sender is a stranger whatever else is wrong.
    pub(super) fn host(
        &mut self,
        call: &Call<P>,
        token: [u8; 16],
        record: Signed<NetworkRecord>,
        owner: &Membership,
        out: &mut Out<P>,
    ) -> Answered {
        let trusted = self.setup.config.token.is_some_and(|real| same(&real, &token));
        // As much is looked at for a network that is here as for one that is not.
        let checked = self.check_hosted(call, &record, owner);
        let known = self.networks.get(&call.network);
        if self.banned.contains(&call.peer) || (known.is_none() && !trusted) {
            return Err(Denial::Stranger);
        }
        checked.map_err(|denial| if trusted { denial } else { Denial::Stranger })?;
        match known.map(|known| &known.record) {
            Some(have) if *have == record => return Ok(Some(Reply::Hosted)),
            Some(have) if have.value.sequence >= record.value.sequence => {
                return Err(Denial::Stale { have: have.value.sequence });
            }
            None if self.networks.len() >= limits::TRACKER_NETWORKS => {
                return Err(Denial::TooMuch("this tracker keeps no more networks".to_owned()));
            }
            Some(_) | None => {}
        }
        self.write(call, Change::PutNetwork { record }, Then::Hosted, out)
    }

    fn check_hosted(
        &self,
        call: &Call<P>,
        record: &Signed<NetworkRecord>,
        owner: &Membership,
    ) -> Result<(), Denial> {
        if record.value.network != call.network {
            return Err(Denial::NotYours);
        }
        let value = record.record().map_err(|error| Denial::BadRecord(error.to_string()))?;
        let role = owner.verify(value, &Revocations::none(call.network));
        if owner.peer != call.peer || role != Ok(Role::Owner) {
            return Err(Denial::Stranger);
        }
        if !value.is_tracker(&self.setup.key.peer_id()) {
            let text = "this tracker is not among those of the network";
            return Err(Denial::BadRecord(text.to_owned()));
        }
        Ok(())
    }

    pub(super) fn join(
        &mut self,
        call: &Call<P>,
        membership: Membership,
        out: &mut Out<P>,
    ) -> Answered {
        let Some(known) = self.networks.get(&call.network) else {
            let _ = membership.may_be_admitted(&nowhere(call), &nobody(call), call.now_ms);
            return Err(Denial::Stranger);
        };
        let (record, revoked) = (&known.record.value, &known.revocations);
        let checked = membership.may_be_admitted(record, revoked, call.now_ms);
        if membership.peer != call.peer || self.banned.contains(&call.peer) {
            return Err(Denial::Stranger);
        }
        let change = match checked {
            Ok((_, capability)) => Change::Admit {
                network: call.network,
                invite: capability.key,
                uses: capability.uses,
                peer: call.peer,
                at_ms: call.now_ms,
            },
            Err(MembershipError::Expired) => return Err(Denial::Expired),
            Err(error @ MembershipError::NotYet) => {
                return Err(Denial::BadRecord(error.to_string()));
            }
            Err(MembershipError::NoInvite) if membership.verify(record, revoked).is_ok() => {
                return Ok(Some(Reply::Admitted { membership }));
            }
            Err(_) => return Err(Denial::Stranger),
        };
        self.write(call, change, Then::Admitted(Box::new(membership)), out)
    }

    pub(super) fn register(
        &mut self,
        call: &Call<P>,
        membership: Membership,
        nick: Option<String>,
        revocations: u64,
        out: &mut Out<P>,
    ) -> Answered {
        let Some(known) = self.networks.get(&call.network) else {
            let _ = membership.verify(&nowhere(call), &nobody(call));
            return Err(Denial::Stranger);
        };
        let role = membership.verify(&known.record.value, &known.revocations);
        let role = role.map_err(|_| Denial::Stranger)?;
        if membership.peer != call.peer || self.banned.contains(&call.peer) {
            return Err(Denial::Stranger);
        }
        let wish = nick.map(|nick| nick.trim().to_owned());
        if let Some(nick) = &wish {
            if nick_folded(nick).is_none() {
                return Err(Denial::BadRecord("the nickname is not allowed".to_owned()));
            }
            if known.named(nick).is_some_and(|owner| owner != call.peer) {
                return Err(Denial::NickTaken { free: known.free_nick_like(nick) });
            }
        }
        let member = known.members.get(&call.peer);
        let before = member.map(|member| (member.nick.clone(), member.role));
        if before.is_none() && known.members.len() >= self.setup.config.members {
            return Err(Denial::TooMuch("this network takes no more members".to_owned()));
        }
        let chosen = wish.is_some();
        let kept = before.as_ref().map(|(nick, _)| nick.clone());
        let nick = wish.or(kept).unwrap_or_else(|| {
            let known = self.networks.get_mut(&call.network).expect("it was there just now");
            known.numbered()
        });
        if before.as_ref() == Some(&(nick.clone(), role)) {
            return self.registered(call, true, revocations, out);
        }
        let then = Then::Registered { returning: before.is_some(), chosen, revocations };
        let change = Change::PutMember {
            network: call.network,
            peer: call.peer,
            nick,
            role,
            membership,
            at_ms: call.now_ms,
        };
        self.write(call, change, then, out)
    }

    /// Opens the session of a peer that is known as a member.
    pub(super) fn registered(
        &mut self,
        call: &Call<P>,
        returning: bool,
        revocations: u64,
        out: &mut Out<P>,
    ) -> Answered {
        let known = self.network(call)?;
        let member = known.members.get(&call.peer).ok_or(Denial::Stranger)?;
        // It may have been put out while its name was written down.
        if known.is_out(&call.peer, member.role) || self.banned.contains(&call.peer) {
            let change = Change::DropMember { network: call.network, peer: call.peer };
            self.write_alone(change, out);
            return Err(Denial::Stranger);
        }
        let reply = Reply::Registered {
            nick: member.nick.clone(),
            returning: returning.then_some(member.last_seen_ms),
            lease_ms: lease_ms(&self.setup.config),
            record: known.record.clone(),
            revocations: known.revocations.number(),
        };
        let newer = known.revocations.number() > revocations;
        let newer = newer.then(|| Notice::Revoked(known.revocations.clone()));
        let Some(link) = self.links.get_mut(&call.from).filter(|link| link.number == call.link)
        else {
            return Ok(None);
        };
        link.sessions.insert(call.network);
        self.touch(call, returning, out);
        self.reply(call, Ok(reply), out);
        if let Some(notice) = newer {
            out.send(call.from, Message::Notice { network: call.network, notice });
        }
        Ok(None)
    }

    pub(super) fn announce(
        &mut self,
        call: &Call<P>,
        signed: Signed<Presence>,
        out: &mut Out<P>,
    ) -> Answered {
        let member = self.member(call, &call.peer)?;
        let presence = &signed.value;
        if let Some(have) = &member.presence {
            if **have == signed {
                return Ok(Some(Reply::Done));
            }
            if have.value.sequence >= presence.sequence {
                return Err(Denial::Stale { have: have.value.sequence });
            }
        }
        Presence::check(&signed, &call.network, &call.peer)?;
        check_expiry(presence.expires_ms, limits::PRESENCE_LIFETIME, call.now_ms)?;
        if presence.nick != member.nick {
            let text = "the nickname is not the one that is registered";
            return Err(Denial::BadRecord(text.to_owned()));
        }
        self.write(call, Change::PutPresence { presence: signed }, Then::Done, out)
    }

    pub(super) fn resolve(&self, call: &Call<P>, peer: &PeerId) -> Answered {
        let member = self.member(call, peer)?;
        let known = self.network(call)?;
        Ok(Some(Reply::Resolved {
            presence: self.presence(call, peer),
            online: known.online.contains_key(peer),
            last_seen_ms: member.last_seen_ms,
        }))
    }

    /// What a member said of itself, unless that has expired.
    pub(super) fn presence(&self, call: &Call<P>, peer: &PeerId) -> Option<Signed<Presence>> {
        let presence = self.member(call, peer).ok()?.presence.as_deref()?;
        let expires_ms = presence.value.expires_ms;
        check_expiry(expires_ms, limits::PRESENCE_LIFETIME, call.now_ms).ok()?;
        Some(presence.clone())
    }

    pub(super) fn list_members(&self, call: &Call<P>, after: Option<PeerId>) -> Answered {
        let known = self.network(call)?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = known.members.range((start, Bound::Unbounded));
        let listed = rest.by_ref().take(limits::MEMBERS_LISTED);
        let mut members: Vec<_> = listed.map(|(peer, member)| known.info(*peer, member)).collect();
        let more = cut(&mut members) || rest.next().is_some();
        Ok(Some(Reply::Members { members, more }))
    }

    pub(super) fn find(&self, call: &Call<P>, nick: &str) -> Answered {
        let known = self.network(call)?;
        let peer = known.named(nick).ok_or(Denial::Unknown)?;
        let info = known.info(peer, self.member(call, &peer)?);
        Ok(Some(Reply::Members { members: vec![info], more: false }))
    }

    /// Anybody may bring a newer list: what counts is who signed it.
    pub(super) fn revoke(
        &mut self,
        call: &Call<P>,
        revocations: Revocations,
        out: &mut Out<P>,
    ) -> Answered {
        let known = self.network(call)?;
        if known.revocations == revocations {
            return Ok(Some(Reply::Done));
        }
        let expected = known.revocations.number();
        let accepted = known.revocations.clone().accept(&revocations, &known.record.value);
        accepted.map_err(|error| match error {
            RevocationError::Stale { have } => Denial::Stale { have },
            RevocationError::Network => Denial::NotYours,
            RevocationError::Role | RevocationError::Signer(_) => {
                Denial::Role { needed: Role::Admin }
            }
            other => Denial::BadRecord(other.to_string()),
        })?;
        let change = Change::PutRevocations { network: call.network, expected, revocations };
        self.write(call, change, Then::Done, out)
    }

    /// A newer list of revoked members is in force.
    pub(super) fn revoked(&mut self, revocations: Revocations, out: &mut Out<P>) {
        let (network, number) = (revocations.network(), revocations.number());
        let Some(known) = self.networks.get_mut(&network) else { return };
        if known.revocations.number() >= number {
            return;
        }
        known.revocations = revocations;
        out.emit(Event::Revoked { network, number });
        self.drop_outcasts(network, out);
        self.tell_revocations(network, out);
    }

    /// Ends the sessions of members that were revoked or banned, and drops what they list.
    pub(super) fn drop_outcasts(&mut self, network: NetworkId, out: &mut Out<P>) {
        let Some(known) = self.networks.get(&network) else { return };
        let out_now = known.revocations.revoked().iter().map(|revoked| &revoked.peer);
        let outcasts: Vec<PeerId> = out_now
            .chain(&self.banned)
            .filter(|peer| {
                let member = known.members.get(peer);
                let revoked = |role| known.is_out(peer, role) || self.banned.contains(peer);
                member.is_some_and(|member| revoked(member.role))
            })
            .copied()
            .collect();
        for peer in outcasts {
            self.end_sessions(network, peer, out);
            self.write_alone(Change::DropMember { network, peer }, out);
        }
    }

    /// A member was dropped.
    pub(super) fn dropped(&mut self, network: NetworkId, peer: PeerId, out: &mut Out<P>) {
        if self.networks.get(&network).is_some_and(|known| known.members.contains_key(&peer)) {
            self.end_sessions(network, peer, out);
        }
        if let Some(known) = self.networks.get_mut(&network) {
            known.drop_member(peer);
        }
    }

    /// A peer is banned.
    pub(super) fn banned(&mut self, peer: PeerId, out: &mut Out<P>) {
        self.banned.insert(peer);
        self.kick(peer, out);
        for network in self.networks_of(&peer) {
            self.write_alone(Change::DropMember { network, peer }, out);
        }
    }

    /// A member of the network of a request.
    pub(super) fn member(
        &self,
        call: &Call<P>,
        peer: &PeerId,
    ) -> Result<&super::network::Member, Denial> {
        self.network(call)?.members.get(peer).ok_or(Denial::Unknown)
    }
}

/// The record of a network that is not here: a membership of it is looked at like any other, so
/// that the time that the one answer takes does not tell which it was.
fn nowhere<P>(call: &Call<P>) -> NetworkRecord {
    NetworkRecord {
        network: call.network,
        name: String::new(),
        directory: DirectoryKind::Tracker { trackers: Vec::new() },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence: 0,
        created_ms: 0,
    }
}

fn nobody<P>(call: &Call<P>) -> Revocations {
    Revocations::none(call.network)
}

/// Whether two tokens are the same; takes as long for one wrong byte as for many.
fn same(one: &[u8; 16], other: &[u8; 16]) -> bool {
    one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
