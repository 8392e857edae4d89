//! The decisions of a tracker.
//!
//! Goals: who belongs to a network is found in a moment, and who does not learns nothing; whoever
//! dies is shown offline within a lease, and what it lists stays listed; no peer can list for
//! another, bring back what is old, or take more than its part; nothing counts before the store has
//! committed it.
//!
//! Non-goals: carrying bytes, ranking and tokenizing (the index does), being the only writer of
//! what is kept: the store has the last word on each change, and [`Command::Noticed`] brings
//! the changes of others.
//!
//! Flow: a link comes up, the peer registers with its membership, announces where it is, compares
//! what is listed of it, puts what differs, and renews its lease. A request is answered at once
//! from memory, or by the outcome of one piece of work in the store.

mod asks;
mod fact;
mod jobs;
mod link;
mod members;
mod network;
#[cfg(test)]
mod scenes;
mod session;
mod shares;
mod survey;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use potluck_base::{NetworkId, PeerId, ShareKey, Time, limits};
use potluck_identity::{NetworkRecord, Role, Signed};

pub use survey::{Survey, SurveyedMember, SurveyedNetwork};
pub use values::{Command, Config, Effect, Event, Outcome, Setup, Stats, Timer, Why};

use super::change::{Change, Loaded};
use super::message::{Denial, MemberInfo, Message, Notice, Reply, Request};
use crate::directory::record::ms;
use crate::machine::{Input, Machine, Outbox};
use jobs::Job;
use link::{Link, Verdict, cost};
use network::{Network, Slot};

/// What a registry says is to be done.
type Out<P> = Outbox<Registry<P>>;

/// An answer, none yet, or why there is none.
type Answered = Result<Option<Reply>, Denial>;

/// The machine of a tracker. `P` names a link.
pub struct Registry<P> {
    setup: Setup<P>,
    /// The time of the last input.
    now: Time,
    networks: BTreeMap<NetworkId, Network<P>>,
    banned: BTreeSet<PeerId>,
    links: BTreeMap<P, Link>,
    /// Counts links, so that an answer to an earlier one does not go to a later one.
    link_number: u64,
    /// Work that has not ended.
    jobs: BTreeMap<u64, Job<P>>,
    next_job: u64,
    /// Shares whose heads are being written: their pages may come already.
    heads_on_the_way: BTreeMap<(NetworkId, PeerId, ShareKey), u32>,
    /// One entry for each session, at its end or before it.
    leases: BTreeSet<(Time, NetworkId, PeerId)>,
    /// When to look whether a link is idle.
    idle: BTreeSet<(Time, P)>,
    /// Timers that are set.
    timers: BTreeMap<Timer, Time>,
    /// Who is being told of a newer list of revoked members, and behind whom to go on.
    telling: BTreeMap<NetworkId, Option<PeerId>>,
    /// Only what is counted since the start.
    counts: Stats,
}

/// A request and whose it is.
#[derive(Clone, Copy, Debug)]
struct Call<P> {
    now: Time,
    /// The same in unix milliseconds.
    now_ms: u64,
    from: P,
    peer: PeerId,
    /// The number of the link.
    link: u64,
    network: NetworkId,
    id: u32,
}

impl<P: Copy + Ord + Debug> Registry<P> {
    /// A tracker that keeps nothing yet.
    pub fn new(setup: Setup<P>) -> Self {
        Self {
            setup,
            now: Time::ZERO,
            networks: BTreeMap::new(),
            banned: BTreeSet::new(),
            links: BTreeMap::new(),
            link_number: 0,
            jobs: BTreeMap::new(),
            next_job: 0,
            heads_on_the_way: BTreeMap::new(),
            leases: BTreeSet::new(),
            idle: BTreeSet::new(),
            timers: BTreeMap::new(),
            telling: BTreeMap::new(),
            counts: Stats::default(),
        }
    }

    /// Takes over what is kept, before the first input. Nobody is online yet.
    pub fn load(&mut self, loaded: Loaded) {
        self.banned.extend(loaded.banned);
        for (record, revocations) in loaded.networks {
            self.networks.insert(record.value.network, Network::new(record, revocations));
        }
        for member in loaded.members {
            let Some(network) = self.networks.get_mut(&member.network) else { continue };
            network.put_member(member.peer, member.nick, member.role, member.last_seen_ms);
            let known = network.members.get_mut(&member.peer).expect("it was put just now");
            known.presence = member.presence.map(Box::new);
        }
        for share in loaded.shares {
            let network = self.networks.get_mut(&share.network);
            if let Some(member) = network.and_then(|network| network.members.get_mut(&share.peer)) {
                member.put_share(share.share, share.sequence, share.pages, share.size);
            }
        }
        for page in loaded.pages {
            let network = self.networks.get_mut(&page.network);
            if let Some(member) = network.and_then(|network| network.members.get_mut(&page.peer)) {
                let (number, entries) = (page.page, page.entries);
                let slot = Slot { page: number, entries, sequence: page.sequence, root: page.root };
                let pages = member.share(&page.share).map_or(0, |share| share.pages);
                member.put_page(page.share, pages, slot);
            }
        }
    }

    /// How things stand.
    pub fn stats(&self) -> Stats {
        let mut stats = self.counts.clone();
        stats.networks = self.networks.len();
        stats.links = self.links.len();
        stats.waiting = self.jobs.len();
        for network in self.networks.values() {
            stats.online += network.online.len();
            stats.members += network.members.len();
            for member in network.members.values() {
                stats.shares += member.share_count() as u64;
                stats.files += member.totals().entries;
                stats.bytes = stats.bytes.saturating_add(member.totals().bytes);
            }
        }
        stats
    }

    /// The networks that are kept here.
    pub fn networks(&self) -> impl Iterator<Item = &Signed<NetworkRecord>> + '_ {
        self.networks.values().map(|network| &network.record)
    }

    /// The members of a network, in order of their keys.
    pub fn members(&self, network: &NetworkId) -> impl Iterator<Item = MemberInfo> + '_ {
        let network = self.networks.get(network);
        network.into_iter().flat_map(|network| {
            network.members.iter().map(|(peer, member)| network.info(*peer, member))
        })
    }

    /// Whether a member is online.
    pub fn is_online(&self, network: &NetworkId, peer: &PeerId) -> bool {
        self.networks.get(network).is_some_and(|network| network.online.contains_key(peer))
    }

    /// Who has a nickname.
    pub fn named(&self, network: &NetworkId, nick: &str) -> Option<PeerId> {
        self.networks.get(network)?.named(nick)
    }

    fn now_ms(&self, now: Time) -> u64 {
        self.setup.epoch_ms.saturating_add(now.0 / 1000)
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Out<P>) {
        match command {
            Command::Kick { peer } => self.kick(peer, out),
            Command::Ban { peer } => {
                let at_ms = self.now_ms(now);
                self.write_alone(Change::Ban { peer, at_ms }, out);
            }
            Command::Unban { peer } => {
                self.write_alone(Change::Unban { peer }, out);
            }
            Command::Stats => out.emit(Event::Stats(Box::new(self.stats()))),
            Command::Survey => out.emit(Event::Surveyed(Box::new(self.survey()))),
            Command::Noticed(change) => {
                let fact = fact::Fact::of(&change);
                self.apply(fact, &super::change::Written::Done, out);
            }
            Command::Close => self.close(out),
        }
    }

    fn received(&mut self, now: Time, from: P, message: Message, out: &mut Out<P>) {
        let now_ms = self.now_ms(now);
        let Some(link) = self.links.get_mut(&from) else { return };
        let Message::Request { id, network, body } = message else {
            // Members ask, they do not answer.
            self.fault(from, out);
            return;
        };
        let peer = link.peer;
        let call = Call { now, now_ms, from, peer, link: link.number, network, id };
        self.counts.requests += 1;
        match link.bucket.take(now, cost(&body), &self.setup.config) {
            Verdict::Allowed => {}
            Verdict::Later(retry_ms) => {
                self.refuse(&call, Denial::Busy { retry_ms }, out);
                return;
            }
            Verdict::Flood => {
                self.hang_up(from, Why::Flood, out);
                return;
            }
        }
        match self.request(&call, body, out) {
            Ok(None) => {}
            Ok(Some(reply)) => self.reply(&call, Ok(reply), out),
            Err(denial) => self.refuse(&call, denial, out),
        }
    }

    fn request(&mut self, call: &Call<P>, body: Request, out: &mut Out<P>) -> Answered {
        match body {
            Request::Host { token, record, owner } => self.host(call, token, record, &owner, out),
            Request::Join { membership } => self.join(call, membership, out),
            Request::Register { membership, nick, revocations } => {
                self.register(call, membership, nick, revocations, out)
            }
            body => {
                let role = self.role_of(call)?;
                self.touch(call, true, out);
                match body {
                    Request::PutShare { .. } | Request::PutPage { .. } if !role.may_publish() => {
                        Err(Denial::Role { needed: Role::Member })
                    }
                    body => self.member_request(call, body, out),
                }
            }
        }
    }

    fn member_request(&mut self, call: &Call<P>, body: Request, out: &mut Out<P>) -> Answered {
        match body {
            Request::Announce { presence } => self.announce(call, presence, out),
            Request::Renew => Ok(Some(Reply::Done)),
            Request::States => self.states(call),
            Request::PageRoots { share, from } => self.page_roots(call, &share, from),
            Request::PutShare { head } => self.put_share(call, head, out),
            Request::PutPage { page } => self.put_page(call, page, out),
            Request::Withdraw { withdrawal } => self.withdraw(call, withdrawal, out),
            Request::Search { query } => self.search(call, query, out),
            Request::Providers { content, offset } => self.providers(call, content, offset, out),
            Request::Resolve { peer } => self.resolve(call, &peer),
            Request::Browse { peer, share, after } => self.browse(call, peer, share, after, out),
            Request::Members { after } => self.list_members(call, after),
            Request::Find { nick } => self.find(call, &nick),
            Request::Revoke { revocations } => self.revoke(call, revocations, out),
            Request::Revocations => {
                Ok(Some(Reply::Revocations(self.network(call)?.revocations.clone())))
            }
            Request::Record => Ok(Some(Reply::Record(self.network(call)?.record.clone()))),
            Request::Leave { forget } => self.leave(call, forget, out),
            Request::Host { .. } | Request::Join { .. } | Request::Register { .. } => {
                Err(Denial::Unknown)
            }
        }
    }

    /// The network of a request whose sender may know of it.
    fn network(&self, call: &Call<P>) -> Result<&Network<P>, Denial> {
        self.networks.get(&call.network).ok_or(Denial::Stranger)
    }

    fn reply(&self, call: &Call<P>, result: Result<Reply, Denial>, out: &mut Out<P>) {
        if self.links.get(&call.from).is_some_and(|link| link.number == call.link) {
            out.send(call.from, Message::Reply { id: call.id, result });
        }
    }

    fn refuse(&mut self, call: &Call<P>, denial: Denial, out: &mut Out<P>) {
        let why = Why::of(&denial);
        *self.counts.refusals.entry(why).or_default() += 1;
        let told =
            !matches!(why, Why::Busy | Why::Nick | Why::Stale | Why::Unknown | Why::Unavailable);
        if told {
            out.emit(Event::Refused { peer: call.peer, why });
        }
        self.reply(call, Err(denial), out);
        if matches!(why, Why::NotYours | Why::BadRecord) {
            self.fault(call.from, out);
        }
    }

    /// Counts something that no honest peer sends.
    fn fault(&mut self, from: P, out: &mut Out<P>) {
        let now = self.now;
        if self.links.get_mut(&from).is_some_and(|link| link.fault(now)) {
            self.hang_up(from, Why::Faults, out);
        }
    }

    /// Tells all who are online in a network something.
    fn tell(&self, network: NetworkId, notice: Notice, out: &mut Out<P>) {
        let Some(known) = self.networks.get(&network) else { return };
        for link in known.online.values().flat_map(|session| &session.links) {
            out.send(*link, Message::Notice { network, notice: notice.clone() });
        }
    }

    fn fired(&mut self, now: Time, timer: Timer, out: &mut Out<P>) {
        // A timer that was moved may still fire.
        if self.timers.get(&timer).is_none_or(|at| now < *at) {
            return;
        }
        self.timers.remove(&timer);
        match timer {
            Timer::Leases => self.end_leases(now, out),
            Timer::Links => self.end_idle_links(now, out),
            Timer::Notices => self.tell_some(now, out),
            Timer::Sweep => self.sweep(now, out),
        }
    }

    /// Drops what has expired, and those who are out but whose going could not be written down.
    fn sweep(&mut self, now: Time, out: &mut Out<P>) {
        self.set(now + limits::SWEEP_EVERY, Timer::Sweep, out);
        let now_ms = self.now_ms(now);
        self.write_alone(Change::Expire { now_ms }, out);
        let networks: Vec<NetworkId> = self.networks.keys().copied().collect();
        for network in networks {
            self.drop_outcasts(network, out);
        }
    }

    fn set(&mut self, at: Time, timer: Timer, out: &mut Out<P>) {
        self.timers.insert(timer, at);
        out.set_timer(at, timer);
    }

    /// What follows from any input: timers.
    fn settle(&mut self, now: Time, out: &mut Out<P>) {
        if !self.timers.contains_key(&Timer::Sweep) {
            self.set(now, Timer::Sweep, out);
        }
        let due = [
            (Timer::Leases, self.leases.first().map(|(at, ..)| *at)),
            (Timer::Links, self.idle.first().map(|(at, _)| *at)),
        ];
        for (timer, first) in due {
            // An earlier look does no harm.
            let Some(at) = first else { continue };
            if self.timers.get(&timer).is_none_or(|set| *set > at) {
                self.set(at, timer, out);
            }
        }
    }
}

impl<P: Copy + Ord + Debug> Machine for Registry<P> {
    type Peer = P;
    type Command = Command;
    type Message = Message;
    type Timer = Timer;
    type Event = Event;
    type Effect = Effect;
    type Outcome = Outcome;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        self.now = now;
        match input {
            Input::Command(command) => self.command(now, command, out),
            Input::LinkUp(link) => self.link_up(now, link),
            Input::LinkDown(link) => self.link_down(link),
            Input::Received { from, message } => self.received(now, from, message, out),
            Input::TimerFired(timer) => self.fired(now, timer, out),
            Input::Done(outcome) => self.done(now, outcome, out),
        }
        self.settle(now, out);
    }
}

/// The milliseconds of a lease, as members are told.
fn lease_ms(config: &Config) -> u64 {
    ms(config.lease)
}
