//! A member's side of a network's trackers: keeps a session with one of them, and the tracker in
//! step with what this peer publishes.
//!
//! Participants: one client for each network of a node, and the network's trackers.
//!
//! Goals: a peer is back within seconds after a tracker was away, without all coming in one wave;
//! what is published is told once, whoever restarts in between; a question always gets one answer;
//! a tracker is believed only what is signed.
//!
//! Non-goals: moving bytes, dialling (the driver does, see [`Effect`]), keeping anything on disk.
//!
//! Flow: dial, `Join` if the membership was never counted, `Register`, then `Announce`, `States`
//! and whatever differs; `Renew` after each third of the lease. A request that is not answered in
//! time ends the link, and all begins again at one of the trackers.

mod asks;
mod dial;
mod publication;
#[cfg(test)]
mod scenes;
mod session;
mod share;
mod values;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use potluck_base::{NetworkId, PeerId, Time};
use potluck_identity::{Basis, Membership, NetworkRecord, Policy, Revocations, SecretKey, Signed};

pub use values::{
    About, Command, Effect, Event, Nick, Outcome, PageRoot, PeerOf, Published, Setup, Timer,
    Unanswered, Why,
};

use super::message::{Message, ShareState};
use crate::dice::Dice;
use crate::directory::record::Presence;
use crate::machine::{Input, Machine, Outbox};
use asks::Asks;
use dial::Tracker;
use publication::Publication;
use session::{Flight, Phase};

/// The machine of one network on one node. `P` names a peer.
pub struct Client<P> {
    key: SecretKey,
    record: Signed<NetworkRecord>,
    revocations: Revocations,
    membership: Membership,
    token: Option<[u8; 16]>,
    nick: Nick,
    about: About,
    peer_of: PeerOf<P>,
    epoch_ms: u64,
    dice: Dice,

    phase: Phase<P>,
    trackers: Vec<Tracker<P>>,
    links: BTreeSet<P>,
    /// Trackers that are still to be tried before the next pause.
    round: Vec<P>,
    round_at: Time,
    /// Rounds since the last session that came to nothing.
    failures: u32,
    /// Whether any tracker has ever let this peer in.
    was_member: bool,
    /// Whether our own side knows that it is expelled.
    expelled: bool,
    last_error: String,

    next_id: u32,
    flights: BTreeMap<u32, Flight>,
    heard: Time,
    /// When each timer was set for: one that fires earlier is an old one.
    alarms: BTreeMap<Timer, Time>,
    /// The tracker asked for a pause.
    paused_until: Time,

    /// The presence that others may see, signed.
    presence: Option<Signed<Presence>>,
    presence_made: Time,
    presence_told: bool,
    /// The name under which the tracker of the session has registered us.
    nick_here: String,
    last_sequence: u64,
    publication: Publication,
    asks: Asks,
    /// The tracker has a newer list of revoked peers, or an older one.
    revocations_there: Option<u64>,
}

impl<P: Copy + Ord + Debug> Client<P> {
    /// A client that has not begun. It dials with its first input; any will do.
    pub fn new(setup: Setup<P>) -> Self {
        let mut client = Self {
            publication: Publication::new(setup.shares, setup.withdrawn),
            key: setup.key,
            record: setup.record,
            revocations: setup.revocations,
            membership: setup.membership,
            token: setup.token,
            nick: setup.nick,
            about: setup.about,
            peer_of: setup.peer_of,
            epoch_ms: setup.epoch_ms,
            dice: Dice::new(setup.seed),
            phase: Phase::New,
            trackers: Vec::new(),
            links: BTreeSet::new(),
            round: Vec::new(),
            round_at: Time::ZERO,
            failures: 0,
            was_member: false,
            expelled: false,
            last_error: String::new(),
            next_id: 0,
            flights: BTreeMap::new(),
            heard: Time::ZERO,
            alarms: BTreeMap::new(),
            paused_until: Time::ZERO,
            presence: None,
            presence_made: Time::ZERO,
            presence_told: false,
            nick_here: String::new(),
            last_sequence: 0,
            asks: Asks::default(),
            revocations_there: None,
        };
        client.was_member =
            matches!(client.membership.basis, Basis::Invited { admission: Some(_), .. });
        client.read_trackers();
        client
    }

    /// Which network it is about.
    pub fn network(&self) -> NetworkId {
        self.record.value.network
    }

    /// Who this peer is.
    pub fn peer_id(&self) -> PeerId {
        self.membership.peer
    }

    /// The network's record, the newest that is known.
    pub fn record(&self) -> &Signed<NetworkRecord> {
        &self.record
    }

    /// Who is revoked, as far as is known.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Why this peer may take part.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The tracker that has registered this peer, if one has.
    pub fn tracker(&self) -> Option<P> {
        match self.phase {
            Phase::Inside { peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// What is published, as the tracker should have it, by share.
    pub fn states(&self) -> impl Iterator<Item = ShareState> + '_ {
        self.publication.states()
    }

    /// Whether the tracker of the session has acknowledged all that is published and withdrawn.
    pub fn is_in_step(&self) -> bool {
        self.tracker().is_some() && self.publication.is_in_step()
    }

    /// Whether the network was left for good.
    pub fn has_left(&self) -> bool {
        matches!(self.phase, Phase::Left)
    }

    /// Unix time in milliseconds, by this peer's own clock.
    fn unix_ms(&self, now: Time) -> u64 {
        self.epoch_ms.saturating_add(now.0 / 1000)
    }

    /// Whether a tracker has to count the use of an invite first.
    fn needs_admission(&self) -> bool {
        let invited = matches!(self.membership.basis, Basis::Invited { admission: None, .. });
        invited && self.record.value.policy == Policy::Invite
    }

    fn command(&mut self, now: Time, command: Command, out: &mut Outbox<Self>) {
        match command {
            Command::About(about) => {
                if about != self.about {
                    self.about = about;
                    self.presence = None;
                    self.presence_told = false;
                }
            }
            Command::Publish(published) => {
                let behind = self.publication.publish(published);
                self.report(now, behind, out);
            }
            Command::Withdraw { share, sequence } => self.publication.withdraw(share, sequence),
            Command::Ask { id, request } => self.ask(now, id, request, out),
            Command::Rename(nick) => self.rename(now, nick, out),
            Command::Hurry => self.hurry(now, out),
            Command::Leave { forget } => self.leave(now, forget, out),
        }
    }

    fn done(&mut self, now: Time, outcome: Outcome<P>, out: &mut Outbox<Self>) {
        match outcome {
            Outcome::DialFailed { peer, why } => self.dial_failed(now, peer, why, out),
            Outcome::NoPage { id } => self.no_page(id),
        }
    }

    /// Sets a timer, or moves it.
    fn alarm(&mut self, at: Time, timer: Timer, out: &mut Outbox<Self>) {
        self.alarms.insert(timer, at);
        out.set_timer(at, timer);
    }

    fn no_alarm(&mut self, timer: Timer, out: &mut Outbox<Self>) {
        if self.alarms.remove(&timer).is_some() {
            out.cancel(timer);
        }
    }

    fn fired(&mut self, now: Time, timer: Timer, out: &mut Outbox<Self>) {
        // A timer that was cancelled or moved may still fire.
        if self.alarms.get(&timer).is_none_or(|at| now < *at) {
            return;
        }
        self.alarms.remove(&timer);
        match timer {
            Timer::Dial => self.time_to_dial(now, out),
            Timer::Renew => self.renew(now, out),
            Timer::Silence => self.listen(now, out),
            // What is due is found by `work`.
            Timer::Work => {}
            Timer::Asks => self.give_up_asks(now, out),
        }
    }
}

impl<P: Copy + Ord + Debug> Machine for Client<P> {
    type Peer = P;
    type Command = Command;
    type Message = Message;
    type Timer = Timer;
    type Event = Event<P>;
    type Effect = Effect<P>;
    type Outcome = Outcome<P>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        if self.has_left() {
            if let Input::Command(Command::Ask { id, .. }) = input {
                out.emit(Event::Answered { id, result: Err(Unanswered::Away) });
            }
            return;
        }
        if matches!(self.phase, Phase::New) {
            self.begin_round(now, out);
        }
        match input {
            Input::Command(command) => self.command(now, command, out),
            Input::LinkUp(peer) => self.link_up(now, peer, out),
            Input::LinkDown(peer) => self.link_down(now, peer, out),
            Input::Received { from, message } => self.received(now, from, message, out),
            Input::TimerFired(timer) => self.fired(now, timer, out),
            Input::Done(outcome) => self.done(now, outcome, out),
        }
        self.work(now, out);
    }
}
