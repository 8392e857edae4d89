//! What must hold between trackers and members, whatever happens to them.
//!
//! Safety, at every moment: nothing is committed that its peer did not sign, or with an older
//! number than before; a stranger hears nothing but that it is one; who was put out hears nothing
//! after a few seconds; nobody is shown offline while it talks.
//!
//! Liveness is judged from time to time by [`TrackerChecker::look`], and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{PeerId, Time};
use potluck_identity::SecretKey;
use potluck_proto::directory::record::{Presence, ShareHead, Withdrawal};
use potluck_proto::directory::tracker::{Change, Denial, Message, Reply, Request, registry};
use potluck_proto::{Input, Output};

use crate::tracker::{Committed, Of, Side, Store, TrackerPhysics};
use crate::world::Watcher;

/// Within so long who has come is shown online.
const ONLINE_WITHIN: Duration = Duration::from_secs(10);
/// Within so long who has died is shown offline.
const OFFLINE_WITHIN: Duration = Duration::from_secs(30);
/// Who was served in the last while is online.
const SURELY_ALIVE: Duration = Duration::from_secs(19);
/// Within so long who was put out is out.
const OUT_WITHIN: Duration = Duration::from_secs(5);

/// Sees everything, remembers what is needed to judge, and collects what was wrong.
#[derive(Default)]
pub struct TrackerChecker {
    /// What was wrong, first things first.
    pub faults: Vec<String>,
    /// When a tracker last heard something from a peer of the network.
    heard: BTreeMap<(u32, PeerId), Time>,
    /// When a tracker last did what a peer asked.
    served: BTreeMap<(u32, PeerId), Time>,
    /// The highest number that was committed.
    numbers: BTreeMap<Vec<u8>, u64>,
    /// Who was put out, and when that was committed.
    out: BTreeMap<PeerId, Time>,
    /// Who is not to hear anything at all.
    pub strangers: Vec<u32>,
    /// Whose node is whose, for peers of the network.
    pub peers: BTreeMap<u32, PeerId>,
    /// Messages and their bytes that came since counting began.
    pub traffic: (u64, u64),
    /// Whether traffic is counted.
    pub counting: bool,
    /// Heads, pages and withdrawals that trackers have received.
    pub published: u64,
}

impl Watcher<Side, TrackerPhysics> for TrackerChecker {
    fn before(&mut self, now: Time, node: u32, input: &Input<Side>, physics: &TrackerPhysics) {
        let Input::Received { from, message } = input else { return };
        if let (Some(peer), true) = (self.peers.get(from), node < physics.trackers) {
            self.heard.insert((node, *peer), now);
        }
        if let Message::Request { body, .. } = message {
            let put = matches!(
                body,
                Request::PutShare { .. } | Request::PutPage { .. } | Request::Withdraw { .. }
            );
            self.published += u64::from(put);
        }
        if self.counting {
            let bytes = postcard::to_allocvec(message).map_or(0, |bytes| bytes.len());
            self.traffic.0 += 1;
            self.traffic.1 += bytes as u64;
        }
    }

    fn output(
        &mut self,
        now: Time,
        node: u32,
        output: &Output<Side>,
        _: &Side,
        physics: &TrackerPhysics,
    ) {
        match output {
            Output::Send { to, message } if node < physics.trackers => {
                self.said(now, node, *to, message);
            }
            Output::Emit(Of::Tracker(registry::Event::Offline { peer, .. })) => {
                let served = self.served.get(&(node, *peer)).copied();
                let alive = served.is_some_and(|served| now.since(served) < SURELY_ALIVE);
                let out = self.is_put_out(peer, physics) || self.may_leave(peer, physics);
                self.must(!alive || out, now, || {
                    format!("tracker {node} takes {peer:?} for gone, which it served at {served:?}")
                });
            }
            _ => {}
        }
    }

    fn crashed(&mut self, node: u32) {
        self.heard.retain(|(tracker, _), _| *tracker != node);
        self.served.retain(|(tracker, _), _| *tracker != node);
    }
}

impl TrackerChecker {
    /// Whether a peer was put out, perhaps by a commit that nobody has looked at yet.
    fn is_put_out(&self, peer: &PeerId, physics: &TrackerPhysics) -> bool {
        let named = |change: &Change| match change {
            Change::PutRevocations { revocations, .. } => revocations.is_revoked(peer),
            _ => false,
        };
        let fresh = physics.committed.iter().any(|committed| named(&committed.change));
        fresh || self.out.contains_key(peer)
    }

    /// Liars leave and come back as they like.
    fn may_leave(&self, peer: &PeerId, physics: &TrackerPhysics) -> bool {
        physics.liars.iter().any(|liar| liar.peer_id() == *peer)
    }

    fn said(&mut self, now: Time, node: u32, to: u32, message: &Message) {
        let refused = matches!(
            message,
            Message::Reply { result: Err(Denial::Stranger | Denial::Busy { .. }), .. }
        );
        let stranger = self.strangers.contains(&to);
        self.must(!stranger || refused, now, || {
            format!("tracker {node} tells a stranger {message:?}")
        });
        if let (Message::Reply { result: Ok(reply), .. }, Some(peer)) =
            (message, self.peers.get(&to))
        {
            // These two need no session, and are no sign of life in one.
            if !matches!(reply, Reply::Hosted | Reply::Admitted { .. }) {
                self.served.insert((node, *peer), now);
            }
        }
        let Some(since) = self.peers.get(&to).and_then(|peer| self.out.get(peer)).copied() else {
            return;
        };
        let late = now.since(since) > OUT_WITHIN;
        self.must(!late || refused, now, || {
            format!("tracker {node} tells {to}, which was put out at {}: {message:?}", since.0)
        });
    }

    /// Judges what was committed.
    pub fn committed(&mut self, committed: Committed) {
        let Committed { tracker, change, at, known_by } = committed;
        let signed = match &change {
            Change::PutPresence { presence } => {
                let value = &presence.value;
                Presence::check(presence, &value.network, &value.peer).is_ok()
            }
            Change::PutShare { head } => {
                let value = &head.value;
                ShareHead::check(head, &value.network, &value.peer).is_ok()
            }
            Change::PutPage { page, .. } => {
                page.check(&page.head.value.network, &page.head.value.peer).is_ok()
            }
            Change::Withdraw { withdrawal, .. } => {
                let value = &withdrawal.value;
                Withdrawal::check(withdrawal, &value.network, &value.peer).is_ok()
            }
            Change::PutRevocations { revocations, .. } => {
                for revoked in revocations.revoked() {
                    self.out.entry(revoked.peer).or_insert(known_by);
                }
                true
            }
            _ => true,
        };
        self.must(signed, at, || {
            format!("tracker {tracker} commits what nobody signed: {change:?}")
        });
        if let Some((what, number)) = Store::sequence_of(&change) {
            let before = self.numbers.insert(what, number).unwrap_or(0);
            self.must(before <= number, at, || {
                format!("tracker {tracker} commits {number} after {before}: {change:?}")
            });
        }
    }

    /// Looks at who is shown online by a tracker, and who should be.
    pub fn look(
        &mut self,
        now: Time,
        tracker: u32,
        registry: &potluck_proto::directory::tracker::Registry<u32>,
        physics: &TrackerPhysics,
        inside: &BTreeMap<PeerId, Time>,
    ) {
        let network = physics.fixture.network();
        for hand in &physics.hands {
            let peer = hand.key.peer_id();
            let shown = registry.is_online(&network, &peer);
            let heard = self.heard.get(&(tracker, peer)).copied();
            let quiet = heard.is_none_or(|heard| now.since(heard) > OFFLINE_WITHIN);
            self.must(!shown || !quiet, now, || {
                format!("tracker {tracker} shows {peer:?} online, which spoke at {heard:?}")
            });
            let since = inside.get(&peer);
            let settled = since.is_some_and(|since| now.since(*since) > ONLINE_WITHIN);
            let settled = settled && !self.out.contains_key(&peer);
            self.must(shown || !settled, now, || {
                format!("tracker {tracker} does not show {peer:?} online, inside since {since:?}")
            });
            let out = self.out.get(&peer).is_some_and(|at| now.since(*at) > OUT_WITHIN);
            self.must(!shown || !out, now, || format!("{peer:?} was put out and is online"));
        }
    }

    /// Whether a peer was put out.
    pub fn is_out(&self, key: &SecretKey) -> bool {
        self.out.contains_key(&key.peer_id())
    }

    /// Judges one thing.
    pub fn must(&mut self, holds: bool, now: Time, what: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(format!("at {} us {}", now.0, what()));
        }
    }
}
