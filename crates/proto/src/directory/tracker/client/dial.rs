//! Which tracker is dialled, and when.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{PeerAddr, Time, limits};

use super::Client;
use super::session::Phase;
use super::values::{Effect, Event, Timer, Why};
use crate::machine::Outbox;

/// Time after which another tracker is dialled as well, while the first does not answer.
const TRY_NEXT_AFTER: Duration = Duration::from_millis(1500);
/// The longest pause before the first attempt after a session ended: it spreads the wave when a
/// tracker restarts.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The shortest pause between two rounds of dialling.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// A tracker of the network's record.
pub(super) struct Tracker<P> {
    pub(super) peer: P,
    addr: PeerAddr,
    /// It is not asked before.
    pub(super) not_before: Time,
    /// A dial is under way.
    dialling: bool,
    /// It does not let us in.
    pub(super) denies: bool,
}

impl<P: Copy + Ord + Debug> Client<P> {
    /// Takes the trackers from the record; what is known of those that stay is kept.
    pub(super) fn read_trackers(&mut self) {
        let mut old = std::mem::take(&mut self.trackers);
        for addr in self.record.value.trackers() {
            let Some(peer) = (self.peer_of)(&addr.id) else {
                continue;
            };
            let known = old.iter().position(|tracker| tracker.peer == peer);
            let mut tracker = known.map(|at| old.swap_remove(at)).unwrap_or_else(|| Tracker {
                peer,
                addr: addr.clone(),
                not_before: Time::ZERO,
                dialling: false,
                denies: false,
            });
            tracker.addr = addr.clone();
            self.trackers.push(tracker);
        }
        self.round.clear();
    }

    pub(super) fn find(&mut self, peer: P) -> Option<&mut Tracker<P>> {
        self.trackers.iter_mut().find(|tracker| tracker.peer == peer)
    }

    /// Tries all trackers that may be asked now, in any order.
    pub(super) fn begin_round(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.round_at = now;
        let ready = self.trackers.iter().filter(|tracker| tracker.not_before <= now);
        let mut round: Vec<P> = ready.map(|tracker| tracker.peer).collect();
        for last in (1..round.len()).rev() {
            round.swap(last, self.dice.below(last as u64 + 1) as usize);
        }
        // The last is tried first. To those that are linked nobody has to dial.
        round.sort_by_key(|peer| self.links.contains(peer));
        self.round = round;
        self.try_next(now, out);
    }

    pub(super) fn try_next(&mut self, now: Time, out: &mut Outbox<Self>) {
        while let Some(peer) = self.round.pop() {
            if self.links.contains(&peer) {
                return self.enter(now, peer, out);
            }
            let more = !self.round.is_empty();
            self.phase = Phase::Dialling;
            let tracker = self.find(peer).expect("a round is made of trackers");
            if std::mem::replace(&mut tracker.dialling, true) {
                continue;
            }
            let addr = tracker.addr.clone();
            out.perform(Effect::Dial { peer, addr });
            if more {
                self.alarm(now + TRY_NEXT_AFTER, Timer::Dial, out);
            }
            return;
        }
        if !self.trackers.iter().any(|tracker| tracker.dialling) {
            self.failures += 1;
            let why = match self.trackers.iter().any(|tracker| !tracker.denies) {
                true => Why::Unreachable(self.last_error.clone()),
                false => Why::Denied,
            };
            self.wait(now, why, out);
        }
    }

    /// All trackers of a round were in vain.
    pub(super) fn wait(&mut self, now: Time, why: Why, out: &mut Outbox<Self>) {
        let ready = self.trackers.iter().map(|tracker| tracker.not_before).min();
        // Counted from the beginning of the round: a dial that took long was pause enough.
        let at = (self.round_at + self.pause()).max(now + SHORTEST_PAUSE);
        let at = ready.map_or(at, |ready| ready.max(at));
        self.phase = Phase::Waiting;
        self.alarm(at, Timer::Dial, out);
        out.emit(Event::Away { why, retry_at: at });
    }

    /// A pause that doubles with each failure, up to a limit, and is never the same for all.
    pub(super) fn pause(&mut self) -> Duration {
        let doubled = FIRST_PAUSE * (1 << self.failures.min(8));
        let longest = doubled.min(limits::TRACKER_REDIAL_MAX);
        let spread = (longest - SHORTEST_PAUSE).as_micros() as u64;
        SHORTEST_PAUSE + Duration::from_micros(self.dice.below(spread))
    }

    pub(super) fn time_to_dial(&mut self, now: Time, out: &mut Outbox<Self>) {
        match self.phase {
            Phase::Waiting => self.begin_round(now, out),
            Phase::Dialling => self.try_next(now, out),
            _ => {}
        }
    }

    /// Something has changed that may make a tracker reachable.
    pub(super) fn hurry(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.failures = 0;
        if matches!(self.phase, Phase::Waiting) {
            self.trackers.iter_mut().for_each(|tracker| tracker.not_before = now);
            self.begin_round(now, out);
        }
    }

    pub(super) fn dial_failed(&mut self, now: Time, peer: P, why: String, out: &mut Outbox<Self>) {
        self.last_error = why;
        if let Some(tracker) = self.find(peer) {
            tracker.dialling = false;
        }
        if matches!(self.phase, Phase::Dialling) {
            self.try_next(now, out);
        }
    }

    pub(super) fn link_up(&mut self, now: Time, peer: P, out: &mut Outbox<Self>) {
        self.links.insert(peer);
        let Some(tracker) = self.find(peer) else {
            return;
        };
        tracker.dialling = false;
        let welcome = tracker.not_before <= now;
        if welcome && matches!(self.phase, Phase::Waiting | Phase::Dialling) {
            self.enter(now, peer, out);
        }
    }

    pub(super) fn link_down(&mut self, now: Time, peer: P, out: &mut Outbox<Self>) {
        self.links.remove(&peer);
        if self.counterpart() == Some(peer) {
            self.lose(now, Why::Broken, out);
        }
    }
}
