//! What is looked at during a run, and judged at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{PeerId, Time};
use potluck_identity::Revocations;
use potluck_proto::directory::tracker::{Client, ShareState};

use super::plan::{Role, Way};
use super::run::Run;
use super::side::Side;

/// Within so long every question is answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(14);

impl Run<'_> {
    pub(super) fn take_commits(&mut self) {
        for committed in std::mem::take(&mut self.world.physics.committed) {
            self.world.watcher.committed(committed);
        }
        let faults = std::mem::take(&mut self.world.physics.faults);
        let now = self.world.now().0;
        self.world
            .watcher
            .faults
            .extend(faults.into_iter().map(|what| format!("at {now} us {what}")));
    }

    /// Looks at who is online, and whether questions are answered.
    pub(super) fn look(&mut self) {
        self.take_commits();
        let now = self.world.now();
        let mut inside: BTreeMap<u32, BTreeMap<PeerId, Time>> = BTreeMap::new();
        for member in 0..self.plan.members.len() {
            let node = self.plan.trackers + member as u32;
            let hand = &self.world.physics.hands[member];
            let client = self.world.machine(node).and_then(Side::member);
            let tracker = client.and_then(Client::tracker);
            let tracker = tracker.filter(|tracker| self.world.net.is_up(node, *tracker));
            if let (Some(tracker), Some(since)) = (tracker, hand.connected) {
                inside.entry(tracker).or_default().insert(hand.key.peer_id(), since);
            }
            let late = hand.asked.iter().find(|(_, at)| now.since(**at) > ANSWER_WITHIN);
            if let Some((id, at)) = late.filter(|_| client.is_some()) {
                let what = format!("node {node} waits for answer {id} since {} us", at.0);
                self.world.watcher.must(false, now, || what);
            }
        }
        for tracker in 0..self.plan.trackers {
            let inside = inside.remove(&tracker).unwrap_or_default();
            self.world.judge(tracker, |watcher, side, physics| {
                if let Some(registry) = side.tracker() {
                    watcher.look(now, tracker, registry, physics, &inside);
                }
            });
        }
    }

    /// Whether a node runs and is a member.
    pub(super) fn belongs(&self, node: u32) -> bool {
        let member = (node - self.plan.trackers) as usize;
        let hand = &self.world.physics.hands[member];
        let physics = &self.world.physics;
        let contested = self.plan.members[member].entry == Way::Contested;
        let invite = physics.fixture.single.grant.as_ref().expect("it is an invite");
        let uses = physics.store.uses(physics.fixture.network(), invite.capability.value.key);
        let admitted = !contested || uses.contains(&hand.key.peer_id());
        self.world.machine(node).is_some() && !self.world.watcher.is_out(&hand.key) && admitted
    }

    /// Everybody who lives is inside, and the trackers have what they publish.
    pub(super) fn judge(&mut self, when: &str) {
        let now = self.world.now();
        let network = self.world.physics.fixture.network();
        for node in self.members() {
            let Some(client) = self.world.machine(node).and_then(Side::member) else { continue };
            let physics = &self.world.physics;
            let hand = &physics.hands[(node - self.plan.trackers) as usize];
            let belongs = self.belongs(node);
            let (inside, in_step) = (client.tracker().is_some(), client.is_in_step());
            let ours: Vec<ShareState> = client.states().collect();
            let theirs = physics.store.states(network, hand.key.peer_id());
            let newest = physics.store.record(network) == Some(client.record());
            let asked = hand.asked.len();
            let facts = [
                (inside == belongs, format!("inside is {inside}, member is {belongs}")),
                (!belongs || in_step, "is not in step".to_owned()),
                (!belongs || ours == theirs, format!("publishes {ours:?}, stored is {theirs:?}")),
                (!belongs || newest, "has an old record of the network".to_owned()),
                (asked == 0, format!("waits for {asked} answers")),
            ];
            for (holds, what) in facts {
                self.world.watcher.must(holds, now, || format!("{when} node {node} {what}"));
            }
        }
        self.judge_invite(when);
    }

    /// The invite for one peer has admitted one, if anybody tried.
    fn judge_invite(&mut self, when: &str) {
        let now = self.world.now();
        let physics = &self.world.physics;
        let invite = physics.fixture.single.grant.as_ref().expect("it is an invite");
        let uses = physics.store.uses(physics.fixture.network(), invite.capability.value.key).len();
        let admitted = physics.hands.iter().zip(&self.plan.members).filter(|(hand, role)| {
            let revocations = Revocations::none(physics.fixture.network());
            let role = role.entry == Way::Contested;
            role && hand.membership.verify(&physics.fixture.record.value, &revocations).is_ok()
        });
        let admitted = admitted.count();
        let alive = |role: &(usize, &Role)| {
            let node = self.plan.trackers + role.0 as u32;
            role.1.entry == Way::Contested && self.world.machine(node).is_some()
        };
        let tried = self.plan.members.iter().enumerate().filter(alive).count();
        let fits = uses <= 1 && admitted <= 1 && (tried < 2 || uses == 1);
        self.world.watcher.must(fits, now, || {
            format!("{when} {admitted} peers have used an invite for one, counted are {uses}")
        });
    }
}
