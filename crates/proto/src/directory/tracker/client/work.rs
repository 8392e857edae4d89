//! What is to be said in a session, what the tracker answers, and what follows.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{ShareKey, Time, limits};
use potluck_identity::{MembershipError, NetworkRecord, Revocations, Signed};

use super::Client;
use super::publication::Next;
use super::session::{Phase, Topic, Welcome};
use super::share::Behind;
use super::values::{Effect, Event, Nick, PageRoot, Timer, Why};
use crate::directory::record::{Presence, Withdrawal, ms};
use crate::directory::tracker::message::{Denial, Message, Notice, Reply, Request};
use crate::machine::Outbox;

/// An answer within so long means that more may be sent at a time.
const QUICK: Duration = Duration::from_millis(500);
/// After so long the presence is signed again.
const PRESENCE_RENEWAL: Duration = limits::PRESENCE_LIFETIME.checked_div(2).expect("2 is not 0");
/// No sequence number of ours is so far ahead of the clock: ten years in milliseconds.
const SEQUENCE_AHEAD: u64 = 10 * 365 * 24 * 3600 * 1000;
/// Pause where the tracker names none.
const SHORT_PAUSE: Duration = Duration::from_millis(1000);

impl<P: Copy + Ord + Debug> Client<P> {
    /// Says whatever is to be said and may be said now.
    pub(super) fn work(&mut self, now: Time, out: &mut Outbox<Self>) {
        if !matches!(self.phase, Phase::Inside { .. }) || now < self.paused_until {
            return;
        }
        let renewal = self.presence_made + PRESENCE_RENEWAL;
        if !self.presence_told || now >= renewal {
            self.announce(now, out);
        }
        let newer_here = |there| there < self.revocations.number();
        if self.revocations_there.take().is_some_and(newer_here) {
            let revocations = self.revocations.clone();
            self.request(now, Topic::TellRevocations, Request::Revoke { revocations }, out);
        }
        while let Some(next) = self.publication.next() {
            self.say(now, next, out);
        }
        if self.publication.now_in_step() {
            out.emit(Event::InStep);
        }
        if !self.alarms.contains_key(&Timer::Work) {
            let renewal = self.presence_made + PRESENCE_RENEWAL;
            self.alarm(renewal.max(now + SHORT_PAUSE), Timer::Work, out);
        }
    }

    fn say(&mut self, now: Time, next: Next, out: &mut Outbox<Self>) {
        match next {
            Next::States => self.request(now, Topic::States, Request::States, out),
            Next::Withdraw(share, sequence) => {
                let (network, peer) = (self.network(), self.peer_id());
                let withdrawal = Withdrawal { network, peer, share, sequence };
                let withdrawal = Signed::sign(&self.key, withdrawal);
                let topic = Topic::Withdraw { share, sequence };
                self.request(now, topic, Request::Withdraw { withdrawal }, out);
            }
            Next::Head(share) => {
                let head = self.publication.head(&share).expect("it is published").clone();
                let (sequence, pages) = (head.value.sequence, head.value.pages);
                let topic = Topic::Head { share, sequence, pages };
                self.request(now, topic, Request::PutShare { head }, out);
            }
            Next::Roots(share) => self.ask_roots(now, share, Vec::new(), out),
            Next::Page(share, page, sent) => {
                let Some(to) = self.counterpart() else {
                    return;
                };
                let pages = self.publication.head(&share).map_or(0, |head| head.value.pages);
                let id = self.set_off(now, Topic::Page { share, page, pages, sent }, out);
                out.perform(Effect::SendPage { to, id, share, page });
            }
        }
    }

    fn ask_roots(
        &mut self,
        now: Time,
        share: ShareKey,
        found: Vec<(u16, PageRoot)>,
        out: &mut Outbox<Self>,
    ) {
        let from = found.last().map_or(0, |(page, _)| page + 1);
        let request = Request::PageRoots { share, from };
        self.request(now, Topic::Roots { share, found }, request, out);
    }

    /// Tells others where we are.
    fn announce(&mut self, now: Time, out: &mut Outbox<Self>) {
        let old = self.presence.is_some() && now >= self.presence_made + PRESENCE_RENEWAL;
        if self.presence.is_none() || old {
            self.sign_presence(now);
        }
        let presence = self.presence.clone().expect("it was just signed");
        self.presence_told = true;
        let sequence = presence.value.sequence;
        self.request(now, Topic::Announce { sequence }, Request::Announce { presence }, out);
    }

    fn sign_presence(&mut self, now: Time) {
        let unix_ms = self.unix_ms(now);
        self.last_sequence = unix_ms.max(self.last_sequence.saturating_add(1));
        let presence = Presence {
            network: self.network(),
            peer: self.peer_id(),
            nick: self.nick_here.clone(),
            addresses: self.about.addresses.clone(),
            relay: self.about.relay.clone(),
            agent: self.about.agent.clone(),
            p2p_ci: self.about.p2p_ci,
            sequence: self.last_sequence,
            expires_ms: unix_ms + ms(limits::PRESENCE_LIFETIME),
        };
        self.presence = Some(Signed::sign(&self.key, presence));
        self.presence_made = now;
    }

    /// A page could not be sent; what is published now will be told instead.
    pub(super) fn no_page(&mut self, id: u32) {
        let is_page = |topic: &Topic| matches!(topic, Topic::Page { .. });
        if self.flights.get(&id).is_some_and(|flight| is_page(&flight.topic)) {
            let flight = self.flights.remove(&id).expect("it was just there");
            if let Topic::Page { share, page, .. } = flight.topic {
                self.publication.page_ended(share, page);
                self.publication.stuck(share, true);
            }
        }
    }

    /// Our own side is to sign a share again, unless the tracker makes that up.
    pub(super) fn report(&mut self, now: Time, behind: Option<Behind>, out: &mut Outbox<Self>) {
        if let Some(Behind { share, have }) = behind {
            if self.is_believable(now, have) {
                out.emit(Event::Behind { share, have });
            } else {
                self.lied(now, "a sequence number that nobody reaches", out);
            }
        }
    }

    /// Whether any clock of ours could have counted so far.
    fn is_believable(&self, now: Time, sequence: u64) -> bool {
        sequence < self.unix_ms(now).saturating_add(SEQUENCE_AHEAD)
    }

    /// A peer said something; only the tracker of the session is heard.
    pub(super) fn received(
        &mut self,
        now: Time,
        from: P,
        message: Message,
        out: &mut Outbox<Self>,
    ) {
        if self.counterpart() != Some(from) {
            return;
        }
        match message {
            Message::Reply { id, result } => {
                self.heard = now;
                if let Some(flight) = self.flights.remove(&id) {
                    let quick = now.since(flight.sent) < QUICK;
                    self.replied(now, flight.topic, result, quick, out);
                }
            }
            Message::Notice { network, notice } if network == self.network() => {
                self.heard = now;
                self.noticed(now, notice, out);
            }
            Message::Notice { .. } | Message::Request { .. } => {}
        }
    }

    fn noticed(&mut self, now: Time, notice: Notice, out: &mut Outbox<Self>) {
        match notice {
            Notice::Revoked(revocations) => self.revocations_came(now, &revocations, out),
            Notice::Record(record) => self.record_came(now, record, out),
            Notice::Closing => {
                if let Phase::Inside { .. } = self.phase {
                    self.lose(now, Why::Closing, out);
                }
            }
        }
    }

    /// The network's record, as the tracker has it.
    pub(super) fn record_came(
        &mut self,
        now: Time,
        record: Signed<NetworkRecord>,
        out: &mut Outbox<Self>,
    ) {
        if record.value.network != self.network() {
            return self.lied(now, "the record of another network", out);
        }
        if record.value.sequence <= self.record.value.sequence {
            return;
        }
        if record.record().is_err() {
            return self.lied(now, "a record that the network did not sign", out);
        }
        self.record = record.clone();
        self.read_trackers();
        out.emit(Event::Record(record));
    }

    fn revocations_came(&mut self, now: Time, newer: &Revocations, out: &mut Outbox<Self>) {
        if newer.number() <= self.revocations.number() {
            return;
        }
        if self.revocations.accept(newer, &self.record.value).is_err() {
            return self.lied(now, "a list of revoked members that does not hold", out);
        }
        out.emit(Event::Revoked(newer.clone()));
        if self.is_put_out() {
            self.put_out(now, out);
        }
    }

    fn is_put_out(&self) -> bool {
        let standing = self.membership.verify(&self.record.value, &self.revocations);
        standing == Err(MembershipError::Revoked(self.peer_id()))
    }

    fn replied(
        &mut self,
        now: Time,
        topic: Topic,
        result: Result<Reply, Denial>,
        quick: bool,
        out: &mut Outbox<Self>,
    ) {
        if let Topic::Ask(id) = topic {
            if result == Err(Denial::Stranger) {
                self.asks.put_back(id, now);
                return self.forgotten(now, out);
            }
            return self.asked(now, id, result, out);
        }
        match result {
            Ok(reply) => self.agreed(now, topic, reply, quick, out),
            Err(denial) => self.refused(now, topic, denial, out),
        }
    }

    fn agreed(
        &mut self,
        now: Time,
        topic: Topic,
        reply: Reply,
        quick: bool,
        out: &mut Outbox<Self>,
    ) {
        match (topic, reply) {
            (Topic::Host, Reply::Hosted) => self.hosted(now, out),
            (Topic::Join, Reply::Admitted { membership }) => self.admitted(now, membership, out),
            (
                Topic::Register { .. },
                Reply::Registered { nick, returning, lease_ms, record, revocations },
            ) => {
                let welcome = Welcome { nick, returning, lease_ms, record, revocations };
                self.registered(now, welcome, out);
            }
            (Topic::States, Reply::States { shares }) => {
                for behind in self.publication.states_came(&shares) {
                    self.report(now, Some(behind), out);
                }
            }
            (Topic::Roots { share, mut found }, Reply::PageRoots { roots, more }) => {
                let last = found.last().map(|(page, _)| *page);
                let onward = roots.iter().all(|state| last.is_none_or(|last| state.page > last));
                let got = !roots.is_empty() && onward;
                found.extend(roots.iter().map(|state| {
                    (state.page, PageRoot { sequence: state.sequence, root: state.root })
                }));
                if more && got && found.last().is_some_and(|(page, _)| *page < limits::PAGES) {
                    return self.ask_roots(now, share, found, out);
                }
                let behind = self.publication.roots_came(share, &found);
                self.report(now, behind, out);
            }
            (Topic::Head { share, sequence, pages }, Reply::Done) => {
                self.publication.head_taken(share, sequence, pages);
            }
            (Topic::Page { share, page, pages, sent }, Reply::Done) => {
                self.publication.pace(quick);
                self.publication.page_taken(share, page, pages, sent);
            }
            (Topic::Withdraw { share, sequence }, Reply::Done) => {
                self.withdrawn(share, sequence, out);
            }
            (
                Topic::Announce { .. } | Topic::Renew | Topic::TellRevocations | Topic::Leave,
                Reply::Done,
            ) => {}
            // Whoever answers something else is no tracker.
            _ => self.nonsense(now, out),
        }
    }

    fn withdrawn(&mut self, share: ShareKey, sequence: u64, out: &mut Outbox<Self>) {
        if self.publication.withdrawal_ended(share, sequence) {
            out.emit(Event::Withdrawn(share));
        }
    }

    fn nonsense(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Some(peer) = self.counterpart() {
            out.emit(Event::Liar { peer, what: "an answer that does not fit the question" });
            self.links.remove(&peer);
            out.hangup(peer);
            self.shun(now, peer);
            self.lose(now, Why::Silent, out);
        }
    }

    fn refused(&mut self, now: Time, topic: Topic, denial: Denial, out: &mut Outbox<Self>) {
        let inside = matches!(self.phase, Phase::Inside { .. });
        match (topic, denial) {
            (Topic::Register { wanted }, Denial::NickTaken { free }) if inside => {
                self.nick_taken(wanted, free, out);
                if !matches!(self.nick, Nick::Any) {
                    self.rename(now, self.nick.clone(), out);
                }
            }
            (topic @ (Topic::Host | Topic::Join | Topic::Register { .. }), denial) => {
                self.not_let_in(now, topic, denial, out);
            }
            (Topic::Leave, _) => {}
            (_, Denial::Stranger) => self.forgotten(now, out),
            (topic, Denial::Busy { retry_ms } | Denial::Unavailable { retry_ms }) => {
                self.put_off(topic);
                self.rest(now, Duration::from_millis(u64::from(retry_ms)), out);
            }
            (topic, denial) => self.turned_down(now, topic, denial, out),
        }
    }

    /// The tracker asks for a pause.
    fn rest(&mut self, now: Time, pause: Duration, out: &mut Outbox<Self>) {
        self.publication.pace(false);
        let until = now + pause.min(limits::TRACKER_REDIAL_MAX);
        if until > self.paused_until {
            self.paused_until = until;
            self.alarm(until, Timer::Work, out);
        }
    }

    /// A request is made again later.
    fn put_off(&mut self, topic: Topic) {
        match topic {
            Topic::Announce { .. } => self.presence_told = false,
            Topic::TellRevocations => self.revocations_there = Some(0),
            Topic::States => self.publication.states_failed(),
            Topic::Head { share, .. } | Topic::Roots { share, .. } => {
                self.publication.step_failed(share);
            }
            Topic::Page { share, page, .. } => self.publication.page_ended(share, page),
            Topic::Withdraw { share, .. } => self.publication.withdrawal_failed(share, 0),
            _ => {}
        }
    }

    /// A request is in vain as it is.
    fn turned_down(&mut self, now: Time, topic: Topic, denial: Denial, out: &mut Outbox<Self>) {
        match (topic, denial) {
            // Another life of ours, with a clock that was ahead.
            (Topic::Announce { sequence }, Denial::Stale { have })
                if have >= sequence && self.is_believable(now, have) =>
            {
                self.last_sequence = self.last_sequence.max(have);
                self.presence = None;
                self.presence_told = false;
            }
            (Topic::Announce { .. }, denial) => out.emit(Event::Denied(denial)),
            (Topic::States, _) => {
                self.publication.states_failed();
                self.rest(now, SHORT_PAUSE, out);
            }
            (Topic::Withdraw { share, .. }, Denial::Stale { have })
                if self.is_believable(now, have) =>
            {
                self.publication.withdrawal_failed(share, have);
            }
            (Topic::Withdraw { share, sequence }, _) => self.withdrawn(share, sequence, out),
            (Topic::Head { share, sequence, .. }, denial) => {
                self.publication.step_failed(share);
                let current = self.publication.head(&share).map(|head| head.value.sequence);
                if current == Some(sequence) {
                    self.share_turned_down(now, share, denial, out);
                }
            }
            (Topic::Roots { share, .. }, denial) => {
                self.publication.step_failed(share);
                self.share_turned_down(now, share, denial, out);
            }
            (Topic::Page { share, page, pages, sent }, denial) => {
                self.publication.page_ended(share, page);
                if self.publication.is_current(share, page, pages, sent) {
                    self.share_turned_down(now, share, denial, out);
                }
            }
            _ => {}
        }
    }

    fn share_turned_down(
        &mut self,
        now: Time,
        share: ShareKey,
        denial: Denial,
        out: &mut Outbox<Self>,
    ) {
        // Somebody else withdrew it, or the tracker lost it.
        if denial == Denial::Unknown && self.publication.compare_again(share) {
            return;
        }
        let behind = matches!(denial, Denial::Stale { .. });
        if self.publication.stuck(share, behind) {
            match denial {
                Denial::Stale { have } => self.report(now, Some(Behind { share, have }), out),
                denial => out.emit(Event::Refused { share, denial }),
            }
        }
    }
}
