//! Links, leases, and how peers come and go.

use std::collections::BTreeSet;
use std::fmt::Debug;

use potluck_base::{NetworkId, PeerId, Time, limits};
use potluck_identity::Role;

use super::jobs::Then;
use super::link::Link;
use super::network::Session;
use super::values::{Event, Timer, Why};
use super::{Answered, Call, Out, Registry};
use crate::directory::record::ms;
use crate::directory::tracker::change::Change;
use crate::directory::tracker::message::{Denial, Message, Notice, Reply};

/// Bytes of lists that are sent to many at once; the next wait for [`NOTICES_EVERY`].
const NOTICES_BYTES: usize = 16 * 1024 * 1024;
/// Members that are told something at once, however long it is.
const NOTICES_MIN: usize = 16;
/// Pause between two parts of a notice to many.
const NOTICES_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

impl<P: Copy + Ord + Debug> Registry<P> {
    pub(super) fn link_up(&mut self, now: Time, from: P) {
        self.link_down(from);
        let peer = (self.setup.identify)(from);
        self.link_number += 1;
        let link = Link::new(peer, self.link_number, now, &self.setup.config);
        self.idle.insert((link.idle_at, from));
        self.links.insert(from, link);
    }

    /// The lease goes on: the peer may be back before anybody has noticed.
    pub(super) fn link_down(&mut self, from: P) {
        let Some(link) = self.links.remove(&from) else { return };
        for network in link.sessions {
            if let Some(known) = self.networks.get_mut(&network)
                && let Some(session) = known.online.get_mut(&link.peer)
            {
                session.links.remove(&from);
            }
        }
    }

    /// Ends a link of ours; whatever still comes on it is not heard.
    pub(super) fn hang_up(&mut self, from: P, why: Why, out: &mut Out<P>) {
        if let Some(link) = self.links.get(&from) {
            *self.counts.refusals.entry(why).or_default() += 1;
            if why != Why::Idle {
                out.emit(Event::Refused { peer: link.peer, why });
            }
            self.link_down(from);
        }
        out.hangup(from);
    }

    /// The role of who asks, if it has registered on this link.
    pub(super) fn role_of(&self, call: &Call<P>) -> Result<Role, Denial> {
        let registered = self.links[&call.from].sessions.contains(&call.network);
        let network = self.networks.get(&call.network).filter(|_| registered);
        let member = network.and_then(|network| network.members.get(&call.peer));
        member.map(|member| member.role).ok_or(Denial::Stranger)
    }

    /// A registered peer has said something: its lease begins anew. `returning` says whether it was
    /// a member before.
    pub(super) fn touch(&mut self, call: &Call<P>, returning: bool, out: &mut Out<P>) {
        let until = call.now + self.setup.config.lease;
        let Some(known) = self.networks.get_mut(&call.network) else { return };
        let Some(member) = known.members.get_mut(&call.peer) else { return };
        let last_seen_ms = std::mem::replace(&mut member.last_seen_ms, call.now_ms);
        let stale = member.seen_written_ms.saturating_add(ms(limits::SEEN_EVERY)) <= call.now_ms;
        match known.online.get_mut(&call.peer) {
            Some(session) => {
                session.until = until;
                session.links.insert(call.from);
            }
            None => {
                let links = BTreeSet::from([call.from]);
                known.online.insert(call.peer, Session { links, until, due: until });
                self.leases.insert((until, call.network, call.peer));
                out.emit(Event::Online {
                    network: call.network,
                    peer: call.peer,
                    nick: member.nick.clone(),
                    returning: returning.then_some(last_seen_ms),
                });
            }
        }
        if stale {
            self.write_seen(call.network, call.peer, out);
        }
    }

    /// Writes down when a member was seen.
    fn write_seen(&mut self, network: NetworkId, peer: PeerId, out: &mut Out<P>) {
        let Some(known) = self.networks.get_mut(&network) else { return };
        let Some(member) = known.members.get_mut(&peer) else { return };
        member.seen_written_ms = member.last_seen_ms;
        let at_ms = member.last_seen_ms;
        self.write_alone(Change::Seen { network, peer, at_ms }, out);
    }

    /// Looks whose lease has ended.
    pub(super) fn end_leases(&mut self, now: Time, out: &mut Out<P>) {
        while let Some((at, network, peer)) = self.leases.first().copied() {
            if at > now {
                return;
            }
            self.leases.pop_first();
            let Some(known) = self.networks.get_mut(&network) else { continue };
            let Some(session) = known.online.get_mut(&peer) else { continue };
            if session.until > now {
                session.due = session.until;
                self.leases.insert((session.due, network, peer));
                continue;
            }
            for link in session.links.clone() {
                self.idle_from(now, link);
            }
            self.offline(network, peer, out);
        }
    }

    /// A link on which nobody is online any more is ended after a while.
    fn idle_from(&mut self, now: Time, from: P) {
        if let Some(link) = self.links.get_mut(&from) {
            link.idle_at = now + limits::TRACKER_IDLE_TIME;
            self.idle.insert((link.idle_at, from));
        }
    }

    /// A peer is gone. What it lists stays.
    fn offline(&mut self, network: NetworkId, peer: PeerId, out: &mut Out<P>) {
        let Some(known) = self.networks.get_mut(&network) else { return };
        if let Some(session) = known.online.remove(&peer) {
            self.leases.remove(&(session.due, network, peer));
            let member = known.members.get(&peer);
            let last_seen_ms = member.map_or(0, |member| member.last_seen_ms);
            let nick = member.map_or_else(String::new, |member| member.nick.clone());
            out.emit(Event::Offline { network, peer, nick, last_seen_ms });
            self.write_seen(network, peer, out);
        }
    }

    /// Ends links on which nobody has been online for long.
    pub(super) fn end_idle_links(&mut self, now: Time, out: &mut Out<P>) {
        while let Some((at, from)) = self.idle.first().copied().filter(|(at, _)| *at <= now) {
            self.idle.remove(&(at, from));
            let Some(link) = self.links.get(&from) else { continue };
            let online = |network: &NetworkId| {
                let known = self.networks.get(network);
                known.is_some_and(|known| known.online.contains_key(&link.peer))
            };
            if link.idle_at <= now && !link.sessions.iter().any(online) {
                self.hang_up(from, Why::Idle, out);
            }
        }
    }

    pub(super) fn leave(&mut self, call: &Call<P>, forget: bool, out: &mut Out<P>) -> Answered {
        if let Some(link) = self.links.get_mut(&call.from) {
            link.sessions.remove(&call.network);
        }
        self.idle_from(call.now, call.from);
        let known = self.networks.get_mut(&call.network).ok_or(Denial::Stranger)?;
        let alone = match known.online.get_mut(&call.peer) {
            Some(session) => {
                session.links.remove(&call.from);
                session.links.is_empty()
            }
            None => false,
        };
        if forget {
            self.end_sessions(call.network, call.peer, out);
            let change = Change::DropMember { network: call.network, peer: call.peer };
            return self.write(call, change, Then::Done, out);
        }
        if alone {
            self.offline(call.network, call.peer, out);
        }
        Ok(Some(Reply::Done))
    }

    /// Ends all sessions of a peer in a network; its links stay.
    pub(super) fn end_sessions(&mut self, network: NetworkId, peer: PeerId, out: &mut Out<P>) {
        let ended = |link: &mut Link| link.peer == peer && link.sessions.remove(&network);
        let links = self.links.iter_mut();
        let links: Vec<P> = links.filter_map(|(from, link)| ended(link).then_some(*from)).collect();
        for from in links {
            out.send(from, Message::Notice { network, notice: Notice::Closing });
        }
        self.offline(network, peer, out);
    }

    /// Ends all links to a peer.
    pub(super) fn kick(&mut self, peer: PeerId, out: &mut Out<P>) {
        for network in self.networks_of(&peer) {
            self.end_sessions(network, peer, out);
        }
        let links: Vec<P> = self
            .links
            .iter()
            .filter(|(_, link)| link.peer == peer)
            .map(|(from, _)| *from)
            .collect();
        for from in links {
            self.link_down(from);
            out.hangup(from);
        }
    }

    /// The networks that a peer is a member of.
    pub(super) fn networks_of(&self, peer: &PeerId) -> Vec<NetworkId> {
        let with = self.networks.iter().filter(|(_, known)| known.members.contains_key(peer));
        with.map(|(network, _)| *network).collect()
    }

    /// The tracker stops: everybody is told, and when they were seen is written down.
    pub(super) fn close(&mut self, out: &mut Out<P>) {
        let networks: Vec<NetworkId> = self.networks.keys().copied().collect();
        for network in networks {
            self.tell(network, Notice::Closing, out);
            let online: Vec<PeerId> = self.networks[&network].online.keys().copied().collect();
            for peer in online {
                self.write_seen(network, peer, out);
            }
        }
    }

    /// Begins to tell the members of a network who is revoked: a long list goes to some at a time,
    /// so that the copies on their way do not fill the memory.
    pub(super) fn tell_revocations(&mut self, network: NetworkId, out: &mut Out<P>) {
        self.telling.insert(network, None);
        self.set(self.now, Timer::Notices, out);
    }

    pub(super) fn tell_some(&mut self, now: Time, out: &mut Out<P>) {
        let Some((network, after)) = self.telling.pop_first() else { return };
        if let Some(known) = self.networks.get(&network) {
            // An entry of the list takes some forty bytes, what goes around it some thousand.
            let each = 1000 + 40 * known.revocations.revoked().len();
            let most = (NOTICES_BYTES / each).max(NOTICES_MIN);
            let behind = |peer: &&PeerId| after.is_none_or(|after| **peer > after);
            let peers: Vec<PeerId> =
                known.online.keys().filter(behind).take(most).copied().collect();
            for link in peers.iter().flat_map(|peer| &known.online[peer].links) {
                let notice = Notice::Revoked(known.revocations.clone());
                out.send(*link, Message::Notice { network, notice });
            }
            if peers.len() == most {
                self.telling.insert(network, peers.last().copied());
            }
        }
        if !self.telling.is_empty() {
            self.set(now + NOTICES_EVERY, Timer::Notices, out);
        }
    }
}
