//! One run: trouble, quiet, and a restart of all trackers in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{PeerId, Time};
use potluck_proto::Dice;
use potluck_proto::directory::tracker::{About, Client, Nick, Registry, Request, client, registry};
use serde::Serialize;

use super::fixture::{EPOCH_MS, Fixture, TOKEN, key};
use super::liar::{Habit, Liar};
use super::physics::{Hand, TrackerPhysics};
use super::plan::{Fault, Plan, Way, any_skew_ms};
use super::side::{Of, Side};
use crate::checkers::tracker::TrackerChecker;
use crate::net::Net;
use crate::world::World;

/// A world of trackers and members.
type TrackerWorld = World<Side, TrackerPhysics, TrackerChecker>;

/// Pause between two looks at who is online.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for everybody to settle after the last fault.
const SETTLE: Duration = Duration::from_secs(60);
/// Time over which the traffic of quiet peers is counted.
const COUNT: Duration = Duration::from_secs(60);
/// Within so long after a tracker's restart its peers are back.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// How long a link may fall silent before a node notices that it is down.
const SILENT: Duration = Duration::from_secs(15);

/// How a run went.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What reproduces it.
    pub seed: u64,
    /// The hash of all that happened.
    pub trace: String,
    /// Trackers.
    pub trackers: u32,
    /// Honest members, dead ones too.
    pub members: usize,
    /// Peers that lie.
    pub liars: Vec<String>,
    /// Inputs that machines took.
    pub steps: u64,
    /// The kinds of events that machines reported.
    pub events: Vec<String>,
    /// Virtual seconds from the last restart of the trackers until each member was let in.
    pub rejoined: Vec<f64>,
    /// Messages per member and minute while nothing happens, both ways together.
    pub messages_per_minute: f64,
    /// Bytes of them.
    pub bytes_per_minute: f64,
    /// What was wrong; nothing, if all is well.
    pub faults: Vec<String>,
}

impl Report {
    /// The time within which so many of a hundred members were back, in seconds.
    pub fn rejoin(&self, percent: usize) -> f64 {
        let mut times = self.rejoined.clone();
        times.sort_by(f64::total_cmp);
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(at).copied().unwrap_or(0.0)
    }
}

/// Runs a plan and judges it.
pub fn run(plan: &Plan) -> Report {
    let mut run = Run::new(plan);
    let mut steps = plan.faults.clone();
    for (member, role) in plan.members.iter().enumerate() {
        steps.push((role.start, Fault::RestartMember(member as u32, true)));
    }
    steps.sort_by_key(|(at, _)| *at);
    for (at, fault) in steps {
        run.play_until(at);
        run.go_wrong(&fault);
    }
    run.play_until(plan.quiet);
    run.calm_down();
    run.play_for(SETTLE);
    run.judge("after the trouble");
    run.count_traffic();
    run.restart_all();
    run.judge("after the restart");
    run.report()
}

/// A run that is under way.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: TrackerWorld,
    dice: Dice,
    looked: Time,
    /// Records of the network that the owner has made.
    pub(super) records: u64,
    rejoined: Vec<f64>,
    traffic: (f64, f64),
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        let fixture = Fixture::new(plan.seed, plan.trackers);
        let physics = TrackerPhysics::new(fixture, plan.trackers, plan.refuses);
        let net = Net::new(plan.delay.0, plan.delay.1);
        let mut world = World::new(plan.seed ^ 2, net, physics, TrackerChecker::default());
        world.hear_of_all_links();
        let mut run = Self {
            plan,
            world,
            dice: Dice::new(plan.seed ^ 3),
            looked: Time::ZERO,
            records: 1,
            rejoined: Vec::new(),
            traffic: (0.0, 0.0),
        };
        run.settle_in();
        run
    }

    /// Trackers start, members have their disks, liars begin to talk.
    fn settle_in(&mut self) {
        let plan = self.plan;
        self.add_members();
        self.add_liars();
        if plan.known {
            let record = self.world.physics.fixture.record.clone();
            self.world.physics.store.host(record);
        }
        let nodes = plan.trackers as usize + plan.members.len() + plan.liars.len();
        // Whoever has crashed once has not started yet.
        self.world.physics.lives = vec![0; nodes];
        for tracker in 0..plan.trackers {
            let machine = self.tracker(tracker);
            self.world.add(machine);
        }
        for member in 0..plan.members.len() as u32 {
            let node = plan.trackers + member;
            self.world.add_puppet();
            self.world.crash(node);
            self.world.physics.lives[node as usize] = 1;
        }
        for (member, delay) in &plan.slow {
            for tracker in 0..plan.trackers {
                self.world.net.set_delay(plan.trackers + member, tracker, *delay);
            }
        }
        for liar in 0..plan.liars.len() as u32 {
            let node = self.world.add_puppet();
            let tracker = liar % plan.trackers;
            let at = Time(6_000_000);
            self.world.with_physics(|_, cx| cx.later(at, TrackerPhysics::chatter(node, tracker)));
        }
    }

    fn add_members(&mut self) {
        let physics = &mut self.world.physics;
        for (member, role) in self.plan.members.iter().enumerate() {
            let member = member as u32;
            let fixture = &physics.fixture;
            let membership = match role.entry {
                Way::Owner => fixture.owner.clone(),
                Way::Admitted => fixture.admitted(member),
                Way::Invited => fixture.redeemed(member, false),
                Way::Contested => fixture.redeemed(member, true),
            };
            let own = fixture.member_key(member);
            let peer = own.peer_id();
            let mut hand = Hand::new(fixture, own, membership, role.skew_ms);
            for _ in 0..role.shares {
                hand.share_any(Time::ZERO, &mut self.dice);
            }
            physics.hands.push(hand);
            self.world.watcher.peers.insert(self.plan.trackers + member, peer);
        }
    }

    fn add_liars(&mut self) {
        let physics = &mut self.world.physics;
        let first = self.plan.members.len() as u32;
        for (number, habit) in self.plan.liars.iter().enumerate() {
            let member = first + number as u32;
            let node = self.plan.trackers + member;
            let mut own = physics.fixture.member_key(member);
            let membership = physics.fixture.admitted(member);
            if *habit == Habit::Stranger {
                // With the membership of somebody else.
                own = key(self.plan.seed, 9, member);
                self.world.watcher.strangers.push(node);
            } else {
                self.world.watcher.peers.insert(node, own.peer_id());
            }
            let network = physics.fixture.network();
            physics.liars.push(Liar::new(*habit, own, membership, network, &mut self.dice));
        }
    }

    fn tracker(&self, tracker: u32) -> Side {
        let physics = &self.world.physics;
        let mut ids: BTreeMap<u32, PeerId> = BTreeMap::new();
        let members = physics.hands.iter().map(|hand| hand.key.peer_id());
        let liars = physics.liars.iter().map(Liar::peer_id);
        for (number, peer) in members.chain(liars).enumerate() {
            ids.insert(self.plan.trackers + number as u32, peer);
        }
        let skew = self.plan.tracker_skew_ms[tracker as usize];
        let mut registry = Registry::new(registry::Setup {
            key: physics.fixture.tracker_key(tracker).clone(),
            epoch_ms: EPOCH_MS.saturating_add_signed(skew),
            config: registry::Config { token: Some(TOKEN), ..registry::Config::default() },
            identify: Box::new(move |node| ids[&node]),
        });
        registry.load(physics.store.load());
        Side::Tracker(Box::new(registry))
    }

    /// A member's machine, as it starts with what is on its disk.
    fn member(&self, member: u32) -> Side {
        let physics = &self.world.physics;
        let (role, hand) = (&self.plan.members[member as usize], &physics.hands[member as usize]);
        let trackers = self.plan.trackers;
        let ids: BTreeMap<PeerId, u32> = (0..trackers)
            .map(|tracker| (physics.fixture.tracker_key(tracker).peer_id(), tracker))
            .collect();
        let owner = role.entry == Way::Owner && !self.plan.known;
        let nick = match &role.nick {
            None => Nick::Any,
            Some(nick) if member.is_multiple_of(2) => Nick::Suggested(nick.clone()),
            Some(nick) => Nick::Chosen(nick.clone()),
        };
        let life = u64::from(physics.lives[(trackers + member) as usize]);
        Side::Member(Box::new(Client::new(client::Setup {
            key: hand.key.clone(),
            record: hand.record.clone(),
            revocations: hand.revocations.clone(),
            membership: hand.membership.clone(),
            token: owner.then_some(TOKEN),
            nick,
            about: About::default(),
            shares: hand.shared.values().map(|shared| shared.published.clone()).collect(),
            withdrawn: hand.withdrawn.iter().map(|(share, at)| (*share, *at)).collect(),
            epoch_ms: hand.epoch_ms(),
            seed: self.plan.seed.wrapping_mul(31) + u64::from(member) * 1000 + life,
            peer_of: Box::new(move |peer| ids.get(peer).copied()),
        })))
    }

    fn play_for(&mut self, time: Duration) {
        self.play_until(self.world.now() + time);
    }

    fn play_until(&mut self, end: Time) {
        while self.world.now() < end {
            self.world.run_until(end.min(self.looked + LOOK_EVERY));
            if self.world.now() >= self.looked + LOOK_EVERY {
                self.looked = self.world.now();
                self.look();
            }
        }
        self.take_commits();
    }

    fn go_wrong(&mut self, fault: &Fault) {
        let node = |member: u32| self.plan.trackers + member;
        match fault {
            Fault::CrashTracker(tracker) => self.crash(*tracker),
            Fault::CloseTracker(tracker) => {
                if self.world.machine(*tracker).is_some() {
                    self.world.command(*tracker, Of::Tracker(registry::Command::Close));
                    self.play_for(Duration::from_millis(100));
                    self.crash(*tracker);
                }
            }
            Fault::RestartTracker(tracker) => self.restart_tracker(*tracker),
            Fault::CrashMember(member) => self.crash(node(*member)),
            Fault::RestartMember(member, remembers) => self.restart_member(*member, *remembers),
            Fault::Part(members, trackers) => {
                let members: Vec<u32> = members.iter().map(|member| node(*member)).collect();
                self.world.partition(&members, trackers, SILENT);
            }
            Fault::Heal => self.world.heal(),
            Fault::Break(member, tracker) => {
                self.world.disconnect(node(*member), *tracker, Duration::from_secs(2));
            }
            Fault::Change(member) => self.change(*member),
            Fault::Ask(member) => self.ask(*member),
            Fault::Revoke(member) => self.revoke(*member),
            Fault::Store(time) => self.world.physics.broken_until = self.world.now() + *time,
            Fault::Record => self.new_record(),
        }
    }

    fn crash(&mut self, node: u32) {
        if self.world.machine(node).is_some() {
            self.world.crash(node);
            self.world.physics.lives[node as usize] += 1;
        }
    }

    fn restart_tracker(&mut self, tracker: u32) {
        if self.world.machine(tracker).is_none() {
            let machine = self.tracker(tracker);
            self.world.physics.lives[tracker as usize] += 1;
            self.world.restart(tracker, machine);
        }
    }

    fn restart_member(&mut self, member: u32, remembers: bool) {
        let node = self.plan.trackers + member;
        if self.world.machine(node).is_some() {
            return;
        }
        let (now, skew_ms) = (self.world.now(), any_skew_ms(&mut self.dice));
        let record = self.world.physics.fixture.record.clone();
        let hand = &mut self.world.physics.hands[member as usize];
        hand.asked.clear();
        let duties = std::mem::take(&mut hand.duties);
        hand.connected = None;
        if !remembers {
            hand.forget(record, now, skew_ms);
        }
        let machine = self.member(member);
        self.world.physics.lives[node as usize] += 1;
        self.world.restart(node, machine);
        self.world.command(node, Of::Member(client::Command::Hurry));
        duties.into_values().for_each(|request| self.owner_says(request));
    }

    fn change(&mut self, member: u32) {
        let (node, now) = (self.plan.trackers + member, self.world.now());
        if self.world.machine(node).is_some() {
            let hand = &mut self.world.physics.hands[member as usize];
            let command = hand.change(now, &mut self.dice);
            self.world.command(node, Of::Member(command));
        }
    }

    fn ask(&mut self, member: u32) {
        let (node, now) = (self.plan.trackers + member, self.world.now());
        let hands = &mut self.world.physics.hands;
        let someone = self.dice.below(hands.len() as u64) as usize;
        let someone = hands[someone].key.peer_id();
        if self.world.machine(node).is_some() {
            let hand = &mut self.world.physics.hands[member as usize];
            let command = hand.ask(now, someone, &mut self.dice);
            self.world.command(node, Of::Member(command));
        }
    }

    /// The owner has a newer record, and tells a tracker when it can.
    fn new_record(&mut self) {
        let owner = self.plan.trackers;
        let inside = self.world.machine(owner).and_then(Side::member).and_then(Client::tracker);
        if inside.is_none() {
            return;
        }
        self.records += 1;
        let physics = &mut self.world.physics;
        let record = physics.fixture.newer_record(self.records);
        physics.fixture.record = record.clone();
        let owner = physics.fixture.owner.clone();
        self.owner_says(Request::Host { token: [0; 16], record, owner });
    }

    /// The owner puts somebody out.
    fn revoke(&mut self, member: u32) {
        let now_ms = EPOCH_MS + self.world.now().0 / 1000;
        let physics = &self.world.physics;
        let peer = physics.hands[member as usize].key.peer_id();
        let before = &physics.hands[0].revocations;
        let revocations = physics.fixture.revoke(before, peer, now_ms);
        self.owner_says(Request::Revoke { revocations });
    }

    fn owner_says(&mut self, request: Request) {
        let command = self.world.physics.hands[0].duty(request);
        self.world.command(self.plan.trackers, Of::Member(command));
    }

    /// Nothing goes wrong any more.
    fn calm_down(&mut self) {
        self.world.heal();
        self.world.physics.chatter = false;
        self.world.physics.broken_until = Time::ZERO;
        for tracker in 0..self.plan.trackers {
            self.restart_tracker(tracker);
        }
        for node in self.members() {
            if self.world.machine(node).is_some() {
                self.world.command(node, Of::Member(client::Command::Hurry));
            }
        }
    }

    pub(super) fn members(&self) -> std::ops::Range<u32> {
        self.plan.trackers..self.plan.trackers + self.plan.members.len() as u32
    }

    fn count_traffic(&mut self) {
        self.world.watcher.traffic = (0, 0);
        self.world.watcher.counting = true;
        self.play_for(COUNT);
        self.world.watcher.counting = false;
        let living = self.members().filter(|node| self.belongs(*node)).count().max(1);
        let (messages, bytes) = self.world.watcher.traffic;
        let each = |sum: u64| sum as f64 * 60.0 / COUNT.as_secs_f64() / living as f64;
        self.traffic = (each(messages), each(bytes));
    }

    /// All trackers are away for a while. Who is back, and when? Nothing may have to be told again.
    fn restart_all(&mut self) {
        let trackers = 0..self.plan.trackers;
        trackers.clone().for_each(|tracker| self.crash(tracker));
        self.play_for(self.plan.away);
        trackers.for_each(|tracker| self.restart_tracker(tracker));
        let (restart, published) = (self.world.now(), self.world.watcher.published);
        self.play_for(Duration::from_secs(30));
        for node in self.members().filter(|node| self.belongs(*node)).collect::<Vec<u32>>() {
            let slow = 6 * self.world.net.delay(node, 0).as_micros() as u64;
            let limit = BACK_WITHIN + Duration::from_micros(slow);
            let back = self.world.physics.hand(node).and_then(|hand| hand.connected);
            let back = back.filter(|at| *at >= restart).map(|at| at.since(restart));
            let now = self.world.now();
            self.world.watcher.must(back.is_some_and(|back| back <= limit), now, || {
                format!("node {node} was back {back:?} after the trackers")
            });
            self.rejoined.extend(back.map(|back| back.as_secs_f64()));
        }
        let (now, again) = (self.world.now(), self.world.watcher.published - published);
        self.world.watcher.must(again == 0, now, || {
            format!("{again} records had to be told again after the restart")
        });
    }

    fn report(self) -> Report {
        let (plan, world) = (self.plan, self.world);
        Report {
            seed: plan.seed,
            trace: format!("{:016x}", world.trace_hash()),
            trackers: plan.trackers,
            members: plan.members.len(),
            liars: plan.liars.iter().map(|liar| format!("{liar:?}")).collect(),
            steps: world.steps(),
            events: world.physics.events.iter().cloned().collect(),
            rejoined: self.rejoined,
            messages_per_minute: self.traffic.0,
            bytes_per_minute: self.traffic.1,
            faults: world.watcher.faults,
        }
    }
}
