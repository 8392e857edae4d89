//! How a session with a tracker begins, is kept and ends.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{ShareKey, Time, limits};
use potluck_identity::{Membership, NetworkRecord, Signed};

use super::Client;
use super::values::{Event, Nick, PageRoot, Timer, Why};
use crate::directory::tracker::message::{Denial, Message, Request};
use crate::machine::Outbox;

/// What a tracker says of a lease is not believed below this.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// Pause before a tracker that does not let us in is asked again.
const DENIED_PAUSE: Duration = Duration::from_secs(300);
/// While a tracker answers some requests, others may wait for so long: an up-link may be slow, and
/// what was sent first arrives first.
const SLOWEST_ANSWER: Duration = Duration::from_secs(60);

/// Where a client stands.
#[derive(Clone, Copy)]
pub(super) enum Phase<P> {
    /// No input has come yet.
    New,
    /// Nothing is tried before the timer.
    Waiting,
    /// Trackers are being dialled.
    Dialling,
    /// A tracker was asked to let us in.
    Entering { peer: P },
    /// A tracker has registered us.
    Inside { peer: P, lease: Duration },
    /// For good.
    Left,
}

/// A request that is on its way.
pub(super) struct Flight {
    pub(super) topic: Topic,
    pub(super) sent: Time,
}

/// What a tracker says when it has let us in.
pub(super) struct Welcome {
    pub(super) nick: String,
    pub(super) returning: Option<u64>,
    pub(super) lease_ms: u64,
    pub(super) record: Signed<NetworkRecord>,
    pub(super) revocations: u64,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) enum Topic {
    Host,
    Join,
    Register { wanted: Nick },
    Announce { sequence: u64 },
    Renew,
    Leave,
    States,
    Roots { share: ShareKey, found: Vec<(u16, PageRoot)> },
    Head { share: ShareKey, sequence: u64, pages: u16 },
    Page { share: ShareKey, page: u16, pages: u16, sent: PageRoot },
    Withdraw { share: ShareKey, sequence: u64 },
    TellRevocations,
    Ask(u64),
}

impl<P: Copy + Ord + Debug> Client<P> {
    /// The tracker with which there is a session, or is about to be one.
    pub(super) fn counterpart(&self) -> Option<P> {
        match self.phase {
            Phase::Entering { peer } | Phase::Inside { peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// Asks a tracker to let us in.
    pub(super) fn enter(&mut self, now: Time, peer: P, out: &mut Outbox<Self>) {
        self.no_alarm(Timer::Dial, out);
        self.end_session(now, out);
        self.phase = Phase::Entering { peer };
        if self.token.is_some() {
            return self.host(now, out);
        }
        if self.needs_admission() {
            let membership = self.membership.clone();
            self.request(now, Topic::Join, Request::Join { membership }, out);
        } else {
            self.register(now, out);
        }
    }

    fn host(&mut self, now: Time, out: &mut Outbox<Self>) {
        let Some(token) = self.token else {
            return;
        };
        let (record, owner) = (self.record.clone(), self.membership.clone());
        self.request(now, Topic::Host, Request::Host { token, record, owner }, out);
    }

    fn register(&mut self, now: Time, out: &mut Outbox<Self>) {
        let nick = match &self.nick {
            Nick::Any => None,
            Nick::Suggested(nick) | Nick::Chosen(nick) => Some(nick.clone()),
        };
        let membership = self.membership.clone();
        let revocations = self.revocations.number();
        let topic = Topic::Register { wanted: self.nick.clone() };
        self.request(now, topic, Request::Register { membership, nick, revocations }, out);
    }

    /// The network is known to the tracker now.
    pub(super) fn hosted(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.token = None;
        self.register(now, out);
    }

    /// The tracker has counted the use of the invite.
    pub(super) fn admitted(&mut self, now: Time, membership: Membership, out: &mut Outbox<Self>) {
        let ours = membership.peer == self.membership.peer;
        if !ours || membership.verify(&self.record.value, &self.revocations).is_err() {
            return self.lied(now, "an admission that does not hold", out);
        }
        self.membership = membership.clone();
        out.emit(Event::Admitted(membership));
        self.register(now, out);
    }

    /// The tracker has let us in.
    pub(super) fn registered(&mut self, now: Time, welcome: Welcome, out: &mut Outbox<Self>) {
        let Some(peer) = self.counterpart() else {
            return;
        };
        let lease = Duration::from_millis(welcome.lease_ms);
        let renamed = matches!(self.phase, Phase::Inside { .. });
        self.phase = Phase::Inside { peer, lease };
        self.failures = 0;
        self.was_member = true;
        self.expelled = false;
        for tracker in &mut self.trackers {
            tracker.denies = false;
            tracker.not_before = Time::ZERO;
        }
        if self.presence.as_ref().is_some_and(|told| told.value.nick != welcome.nick) {
            self.presence = None;
        }
        self.presence_told = false;
        self.nick_here = welcome.nick.clone();
        if !renamed {
            self.publication.forget();
        }
        self.revocations_there = Some(welcome.revocations);
        out.emit(Event::Connected { peer, nick: welcome.nick, returning: welcome.returning });
        self.record_came(now, welcome.record, out);
        self.plan_renewal(now, out);
        self.ask_waiting(now, out);
    }

    /// The tracker did not let us in.
    pub(super) fn not_let_in(
        &mut self,
        now: Time,
        topic: Topic,
        denial: Denial,
        out: &mut Outbox<Self>,
    ) {
        let Some(peer) = self.counterpart() else {
            return;
        };
        let pause = match (denial, topic) {
            (Denial::NickTaken { free }, Topic::Register { wanted }) => {
                self.nick_taken(wanted, free, out);
                return self.register(now, out);
            }
            // The tracker has this record already, or a newer one.
            (Denial::Stale { .. }, Topic::Host) => return self.hosted(now, out),
            (busy @ (Denial::Busy { retry_ms } | Denial::Unavailable { retry_ms }), _) => {
                self.last_error = busy.to_string();
                Duration::from_millis(u64::from(retry_ms)) + self.pause() / 8
            }
            (denial, _) => {
                self.denied(peer, denial, out);
                DENIED_PAUSE
            }
        };
        if let Some(tracker) = self.find(peer) {
            tracker.not_before = now + pause;
        }
        self.end_session(now, out);
        self.phase = Phase::Dialling;
        self.try_next(now, out);
    }

    /// A tracker is not asked for a while.
    pub(super) fn shun(&mut self, now: Time, peer: P) {
        if let Some(tracker) = self.find(peer) {
            tracker.not_before = now + DENIED_PAUSE;
        }
    }

    /// A tracker says no for good. When all have said so, that is an end.
    fn denied(&mut self, peer: P, denial: Denial, out: &mut Outbox<Self>) {
        if let Some(tracker) = self.find(peer) {
            tracker.denies = true;
        }
        let by_all = self.trackers.iter().all(|tracker| tracker.denies);
        if denial == Denial::Stranger && self.was_member {
            if by_all && !std::mem::replace(&mut self.expelled, true) {
                out.emit(Event::Expelled);
            }
        } else {
            out.emit(Event::Denied(denial));
        }
    }

    pub(super) fn nick_taken(&mut self, wanted: Nick, free: String, out: &mut Outbox<Self>) {
        // Somebody may have wished for another name meanwhile.
        if wanted != self.nick {
            return;
        }
        self.nick = match wanted {
            Nick::Chosen(wanted) => {
                out.emit(Event::NickTaken { wanted, free });
                Nick::Any
            }
            Nick::Suggested(old) if old != free => Nick::Suggested(free),
            _ => Nick::Any,
        };
    }

    pub(super) fn rename(&mut self, now: Time, nick: Nick, out: &mut Outbox<Self>) {
        self.nick = nick;
        if matches!(self.phase, Phase::Inside { .. }) {
            self.register(now, out);
        }
    }

    /// The tracker no longer knows this session: we introduce ourselves again on the same link.
    pub(super) fn forgotten(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Phase::Inside { peer, .. } = self.phase {
            self.enter(now, peer, out);
        }
    }

    /// We are on the list of those who were put out.
    pub(super) fn put_out(&mut self, now: Time, out: &mut Outbox<Self>) {
        for tracker in &mut self.trackers {
            tracker.denies = true;
            tracker.not_before = now + DENIED_PAUSE;
        }
        if !std::mem::replace(&mut self.expelled, true) {
            out.emit(Event::Expelled);
        }
        self.lose(now, Why::Denied, out);
    }

    /// A tracker said what it cannot prove; the session goes on.
    pub(super) fn lied(&mut self, now: Time, what: &'static str, out: &mut Outbox<Self>) {
        let Some(peer) = self.counterpart() else {
            return;
        };
        out.emit(Event::Liar { peer, what });
        if let Phase::Entering { .. } = self.phase {
            self.shun(now, peer);
            self.end_session(now, out);
            self.phase = Phase::Dialling;
            self.try_next(now, out);
        }
    }

    /// There is no session any more; a new one is looked for soon.
    pub(super) fn lose(&mut self, now: Time, why: Why, out: &mut Outbox<Self>) {
        let was_inside = matches!(self.phase, Phase::Inside { .. });
        self.end_session(now, out);
        self.round.clear();
        if was_inside {
            self.failures = 0;
        } else {
            self.failures += 1;
        }
        self.round_at = now;
        self.wait(now, why, out);
    }

    /// Nothing that was sent will be answered.
    fn end_session(&mut self, now: Time, out: &mut Outbox<Self>) {
        let flights = std::mem::take(&mut self.flights);
        for (_, flight) in flights {
            if let Topic::Ask(id) = flight.topic {
                self.asks.put_back(id, now);
            }
        }
        self.plan_asks(out);
        self.no_alarm(Timer::Renew, out);
        self.no_alarm(Timer::Silence, out);
        self.no_alarm(Timer::Work, out);
        self.paused_until = Time::ZERO;
        self.revocations_there = None;
        self.presence_told = false;
        self.publication.forget();
    }

    /// Sends a request to the tracker of the session.
    pub(super) fn request(
        &mut self,
        now: Time,
        topic: Topic,
        body: Request,
        out: &mut Outbox<Self>,
    ) {
        let Some(to) = self.counterpart() else {
            return;
        };
        let id = self.set_off(now, topic, out);
        let network = self.network();
        out.send(to, Message::Request { id, network, body });
    }

    /// A request is about to be sent; gives it a number.
    pub(super) fn set_off(&mut self, now: Time, topic: Topic, out: &mut Outbox<Self>) -> u32 {
        while self.flights.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        if self.flights.is_empty() {
            self.heard = now;
        }
        self.flights.insert(id, Flight { topic, sent: now });
        if !self.alarms.contains_key(&Timer::Silence) {
            self.alarm(now + limits::TRACKER_REQUEST_TIME, Timer::Silence, out);
        }
        id
    }

    /// Whether the tracker still answers. If not, the link is no good.
    pub(super) fn listen(&mut self, now: Time, out: &mut Outbox<Self>) {
        let Some(peer) = self.counterpart() else {
            return;
        };
        let Some(oldest) = self.flights.values().map(|flight| flight.sent).min() else {
            return;
        };
        let due = oldest.max(self.heard) + limits::TRACKER_REQUEST_TIME;
        let late = oldest + SLOWEST_ANSWER;
        if now < due && now < late {
            return self.alarm(due.min(late), Timer::Silence, out);
        }
        self.links.remove(&peer);
        out.hangup(peer);
        self.lose(now, Why::Silent, out);
    }

    /// The next sign of life is due after a third of the lease, at the latest.
    fn plan_renewal(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Phase::Inside { lease, .. } = self.phase {
            let third = (lease / 3).max(SHORTEST_LEASE / 3);
            let early = self.dice.below(third.as_micros() as u64 / 8 + 1);
            let at = now + (third - Duration::from_micros(early));
            self.alarm(at, Timer::Renew, out);
        }
    }

    pub(super) fn renew(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Phase::Inside { .. } = self.phase {
            self.request(now, Topic::Renew, Request::Renew, out);
            self.plan_renewal(now, out);
        }
    }

    pub(super) fn leave(&mut self, now: Time, forget: bool, out: &mut Outbox<Self>) {
        if let Phase::Inside { .. } = self.phase {
            self.request(now, Topic::Leave, Request::Leave { forget }, out);
        }
        self.end_session(now, out);
        self.answer_all(out);
        self.no_alarm(Timer::Dial, out);
        self.phase = Phase::Left;
    }
}
