//! What lies beside the machines: the store with its delays, dials, what members have on disk, and
//! the liars.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use potluck_base::{PeerId, ShareKey, Time};
use potluck_identity::{Membership, NetworkRecord, Revocations, SecretKey, Signed};
use potluck_proto::Dice;
use potluck_proto::directory::tracker::{
    Change, Conflict, Denial, Message, Query, Request, client, registry,
};

use super::fixture::{EPOCH_MS, Fixture, Shared, Signer};
use super::liar::{Habit, Liar};
use super::side::{Of, Side};
use super::store::Store;
use crate::world::{Context, Physics};

/// When a dial sends its first packet again, as QUIC does; after the last it gives up.
const DIAL_AGAIN: [u64; 4] = [0, 1_000_000, 3_000_000, 7_000_000];
/// Time after which a dial gives up.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// The longest that a commit takes, in microseconds.
const COMMIT: u64 = 8_000;
/// The longest that the news of a commit takes to other trackers, in microseconds.
const NEWS: u64 = 300_000;
/// Pause before an owner says again what no tracker has taken yet.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// A member beside its machine.
pub struct Hand {
    /// Its key.
    pub key: SecretKey,
    /// What it has on disk: why it belongs there.
    pub membership: Membership,
    /// The network's record.
    pub record: Signed<NetworkRecord>,
    /// Who is put out.
    pub revocations: Revocations,
    /// Its shares, with their files.
    pub shared: BTreeMap<ShareKey, Shared>,
    /// Withdrawals that are not acknowledged.
    pub withdrawn: BTreeMap<ShareKey, u64>,
    /// The last sequence number that it gave.
    pub sequence: u64,
    /// How wrong its clock is, in milliseconds.
    pub skew_ms: i64,
    /// Questions that wait, and since when.
    pub asked: BTreeMap<u64, Time>,
    /// When it was let in last.
    pub connected: Option<Time>,
    /// What it has to tell a tracker until that is done: lists and records, by their questions.
    pub duties: BTreeMap<u64, Request>,
    next_ask: u64,
}

/// A commit that a checker should look at.
pub struct Committed {
    /// By which tracker.
    pub tracker: u32,
    /// What.
    pub change: Change,
    /// When.
    pub at: Time,
    /// Until when its tracker may not know of it: the store failed, and it has to be said again.
    pub known_by: Time,
}

/// What happens later.
pub struct Happening(Later);

enum Later {
    Commit { tracker: u32, life: u32, job: u64, change: Box<Change> },
    Answer { tracker: u32, life: u32, job: u64, question: Box<registry::Effect> },
    Dial { from: u32, life: u32, to: u32, step: usize },
    Chatter { liar: u32, tracker: u32 },
}

/// All that lies beside the machines.
pub struct TrackerPhysics {
    /// The people.
    pub fixture: Fixture,
    /// What the trackers keep in common.
    pub store: Store,
    /// How many trackers there are; they are the first nodes.
    pub trackers: u32,
    /// The members, by their number; they follow the trackers.
    pub hands: Vec<Hand>,
    /// The liars; they follow the members.
    pub liars: Vec<Liar>,
    /// Counts crashes of each node.
    pub lives: Vec<u32>,
    /// What was committed since somebody looked.
    pub committed: Vec<Committed>,
    /// The store fails until then.
    pub broken_until: Time,
    /// Whether a dial to a tracker that is not there fails at once.
    pub refuses: bool,
    /// The kinds of events that there were.
    pub events: BTreeSet<String>,
    /// Whether liars still talk.
    pub chatter: bool,
    /// What members were told wrongly.
    pub faults: Vec<String>,
    /// Commits of one tracker come in order; so does the news of them.
    clear: BTreeMap<(u32, u32), Time>,
}

type Cx<'a, 'b> = &'a mut Context<'b, Side, Happening>;

impl Hand {
    /// A member that has done nothing yet.
    pub fn new(fixture: &Fixture, key: SecretKey, membership: Membership, skew_ms: i64) -> Self {
        Self {
            key,
            membership,
            record: fixture.record.clone(),
            revocations: Revocations::none(fixture.network()),
            shared: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            sequence: 0,
            skew_ms,
            asked: BTreeMap::new(),
            connected: None,
            duties: BTreeMap::new(),
            next_ask: 0,
        }
    }

    /// Unix time of the beginning by its clock, in milliseconds.
    pub fn epoch_ms(&self) -> u64 {
        EPOCH_MS.saturating_add_signed(self.skew_ms)
    }

    /// One more share.
    pub fn share_any(&mut self, now: Time, dice: &mut Dice) -> client::Published {
        let shared = Shared::any(dice, &mut self.signer(now));
        let published = shared.published.clone();
        self.shared.insert(published.head.value.share, shared);
        published
    }

    fn signer(&mut self, now: Time) -> Signer<'_> {
        let now_ms = self.epoch_ms() + now.0 / 1000;
        let network = self.record.value.network;
        Signer { key: &self.key, network, now_ms, sequence: &mut self.sequence }
    }

    /// A share comes, changes or goes; says what the client is to be told.
    pub fn change(&mut self, now: Time, dice: &mut Dice) -> client::Command {
        let count = self.shared.len() as u64;
        let chosen = self.shared.keys().nth(dice.below(count) as usize).copied();
        match (dice.below(4), chosen) {
            (0, _) | (_, None) => client::Command::Publish(self.share_any(now, dice)),
            (1, Some(share)) => {
                self.shared.remove(&share);
                let now_ms = self.epoch_ms() + now.0 / 1000;
                self.sequence = now_ms.max(self.sequence + 1);
                self.withdrawn.insert(share, self.sequence);
                client::Command::Withdraw { share, sequence: self.sequence }
            }
            (_, Some(share)) => {
                let mut shared = self.shared.remove(&share).expect("it was chosen");
                shared.change(dice, &mut self.signer(now));
                let published = shared.published.clone();
                self.shared.insert(share, shared);
                client::Command::Publish(published)
            }
        }
    }

    /// It has lost all but its key, its membership and its files, and its clock is set anew: what
    /// it signs now may have lower numbers than what it signed before.
    pub fn forget(&mut self, record: Signed<NetworkRecord>, now: Time, skew_ms: i64) {
        self.revocations = Revocations::none(record.value.network);
        self.record = record;
        self.withdrawn.clear();
        self.sequence = 0;
        self.skew_ms = skew_ms;
        let mut shared = std::mem::take(&mut self.shared);
        shared.values_mut().for_each(|share| share.sign_again(&mut self.signer(now)));
        self.shared = shared;
    }

    /// Something that the owner says until a tracker has taken it.
    pub fn duty(&mut self, request: Request) -> client::Command {
        self.next_ask += 1;
        self.duties.insert(self.next_ask, request.clone());
        client::Command::Ask { id: self.next_ask, request }
    }

    /// Any question, with a number of its own.
    pub fn ask(&mut self, now: Time, someone: PeerId, dice: &mut Dice) -> client::Command {
        self.next_ask += 1;
        let id = self.next_ask;
        self.asked.insert(id, now);
        let content = self.shared.values().flat_map(|shared| &shared.pages);
        let content = content.flat_map(|page| &page.entries).map(|entry| entry.content).next();
        let request = match (dice.below(6), content) {
            (0, _) => Request::Resolve { peer: someone },
            (1, _) => Request::Members { after: None },
            (2, _) => Request::Browse { peer: someone, share: None, after: None },
            (3, Some(content)) => Request::Providers { content, offset: 0 },
            _ => {
                let words = format!("file {}", dice.below(3));
                Request::Search { query: Query { words, ..Query::default() } }
            }
        };
        client::Command::Ask { id, request }
    }
}

impl TrackerPhysics {
    /// Everything in place, nothing done.
    pub fn new(fixture: Fixture, trackers: u32, refuses: bool) -> Self {
        Self {
            fixture,
            store: Store::default(),
            trackers,
            hands: Vec::new(),
            liars: Vec::new(),
            lives: Vec::new(),
            committed: Vec::new(),
            broken_until: Time::ZERO,
            refuses,
            events: BTreeSet::new(),
            chatter: true,
            faults: Vec::new(),
            clear: BTreeMap::new(),
        }
    }

    /// The member that a node is, if it is one.
    pub fn hand(&mut self, node: u32) -> Option<&mut Hand> {
        self.hands.get_mut(node.checked_sub(self.trackers)? as usize)
    }

    /// The first thing that a liar says to a tracker.
    pub fn chatter(liar: u32, tracker: u32) -> Happening {
        Happening(Later::Chatter { liar, tracker })
    }

    fn life(&self, node: u32) -> u32 {
        self.lives[node as usize]
    }

    fn is_alive(&self, node: u32) -> bool {
        self.life(node).is_multiple_of(2)
    }

    /// A moment within so long from now on, not before what was put on the same way earlier.
    fn in_order(&mut self, way: (u32, u32), most: u64, cx: Cx<'_, '_>) -> Time {
        let at = cx.now + Duration::from_micros(1 + cx.dice.below(most));
        let clear = self.clear.entry(way).or_default();
        *clear = at.max(*clear);
        *clear
    }

    fn effect_of_tracker(&mut self, tracker: u32, effect: registry::Effect, cx: Cx<'_, '_>) {
        let life = self.life(tracker);
        match effect {
            registry::Effect::Write { job, change } => {
                let at = self.in_order((tracker, tracker), COMMIT, cx);
                let change = Box::new(change);
                cx.later(at, Happening(Later::Commit { tracker, life, job, change }));
            }
            registry::Effect::Ask { job, .. } => {
                let at = cx.now + Duration::from_micros(1 + cx.dice.below(COMMIT));
                let question = Box::new(effect);
                cx.later(at, Happening(Later::Answer { tracker, life, job, question }));
            }
        }
    }

    fn effect_of_member(&mut self, node: u32, effect: &client::Effect<u32>, cx: Cx<'_, '_>) {
        match effect {
            client::Effect::Dial { peer, .. } => {
                let (from, life, to) = (node, self.life(node), *peer);
                let at = cx.now + cx.net.delay(from, to) * 2;
                cx.later(at, Happening(Later::Dial { from, life, to, step: 0 }));
            }
            client::Effect::SendPage { to, id, share, page } => {
                let network = self.fixture.network();
                let hand = self.hand(node).expect("it is a member");
                let shared = hand.shared.get(share);
                match shared.and_then(|shared| shared.pages.get(usize::from(*page))) {
                    Some(page) => {
                        let body = Request::PutPage { page: page.clone() };
                        cx.whisper(node, *to, Message::Request { id: *id, network, body });
                    }
                    None => {
                        let outcome = client::Outcome::NoPage { id: *id };
                        cx.outcome(cx.now, node, Of::Member(outcome));
                    }
                }
            }
        }
    }

    /// A dial knocks once more, or gives up.
    fn dial(&mut self, from: u32, to: u32, step: usize, cx: Cx<'_, '_>) {
        let life = self.life(from);
        let severed = cx.net.is_severed(from, to);
        if self.is_alive(to) && !severed && !cx.net.is_up(from, to) {
            return cx.connect(cx.now, from, to);
        }
        let (gone, last) = (!self.is_alive(to) && !severed, step + 1 >= DIAL_AGAIN.len());
        if last || cx.net.is_up(from, to) || (gone && self.refuses) {
            let wait = if last { DIAL_TIME.as_micros() as u64 - DIAL_AGAIN[step] } else { 0 };
            let why = "nobody answers".to_owned();
            let outcome = Of::Member(client::Outcome::DialFailed { peer: to, why });
            return cx.outcome(cx.now + Duration::from_micros(wait), from, outcome);
        }
        let pause = Duration::from_micros(DIAL_AGAIN[step + 1] - DIAL_AGAIN[step]);
        cx.later(cx.now + pause, Happening(Later::Dial { from, life, to, step: step + 1 }));
    }

    fn commit(&mut self, tracker: u32, life: u32, job: u64, change: Change, cx: Cx<'_, '_>) {
        // A crash may come before what was on its way to the store, or after.
        let there = self.life(tracker) == life;
        if !there && cx.dice.chance(1, 2) {
            return;
        }
        let broken = cx.now < self.broken_until;
        // Nobody knows whether a change that failed is there.
        let result = match broken && cx.dice.chance(1, 2) {
            true => Err(Conflict::Unavailable),
            false => self.store.write(&change),
        };
        if result.is_ok() {
            for other in (0..self.trackers).filter(|other| *other != tracker) {
                let at = self.in_order((tracker, other), NEWS, cx);
                if self.is_alive(other) {
                    let noticed = registry::Command::Noticed(change.clone());
                    cx.command(at, other, Of::Tracker(noticed));
                }
            }
            let at = cx.now;
            let known_by = if broken { self.broken_until + SAY_AGAIN * 4 } else { at };
            self.committed.push(Committed { tracker, change, at, known_by });
        }
        if there {
            let result = if broken { Err(Conflict::Unavailable) } else { result };
            let outcome = registry::Outcome::Written { job, result };
            cx.outcome(cx.now, tracker, Of::Tracker(outcome));
        }
    }

    /// A liar says something to a tracker, often enough to be a burden, and goes on.
    fn talk(&mut self, liar: u32, tracker: u32, cx: Cx<'_, '_>) {
        if !self.chatter {
            return;
        }
        if self.is_alive(tracker) && !cx.net.is_up(liar, tracker) {
            cx.connect(cx.now, liar, tracker);
        }
        let members = self.hands.len() as u64;
        let victim = self.hands[cx.dice.below(members) as usize].key.peer_id();
        let first = self.trackers + self.hands.len() as u32;
        let it = &mut self.liars[(liar - first) as usize];
        let (most, pause) = match it.habit {
            // It draws breath now and then.
            Habit::Flooder if cx.dice.chance(1, 300) => (40, 20_000_000),
            Habit::Flooder => (40, 5_000),
            _ => (2, 400_000),
        };
        for _ in 0..=cx.dice.below(most) {
            let message = it.say(victim, cx.dice);
            cx.whisper(liar, tracker, message);
        }
        let at = cx.now + Duration::from_micros(1 + cx.dice.below(pause));
        cx.later(at, Self::chatter(liar, tracker));
    }

    fn told_member(&mut self, node: u32, event: &client::Event<u32>, cx: Cx<'_, '_>) {
        let fixture_record = self.fixture.record.value.sequence;
        let Some(hand) = self.hand(node) else { return };
        match event {
            client::Event::Connected { .. } => {
                hand.connected = Some(cx.now);
            }
            client::Event::Admitted(membership) => hand.membership = membership.clone(),
            client::Event::Revoked(revocations) => hand.revocations = revocations.clone(),
            client::Event::Record(record) => {
                hand.record = record.clone();
                if record.value.sequence > fixture_record {
                    self.faults.push(format!("node {node} has a record that nobody made"));
                }
            }
            client::Event::Withdrawn(share) => {
                hand.withdrawn.remove(share);
            }
            client::Event::Behind { share, have } => {
                hand.sequence = hand.sequence.max(*have);
                if let Some(mut shared) = hand.shared.remove(share) {
                    shared.sign_again(&mut hand.signer(cx.now));
                    let published = shared.published.clone();
                    hand.shared.insert(*share, shared);
                    cx.command(cx.now, node, Of::Member(client::Command::Publish(published)));
                }
            }
            client::Event::Answered { id, result } if hand.duties.contains_key(id) => {
                let request = hand.duties.remove(id).expect("it is there");
                let denied = |denial: &Denial| matches!(denial, Denial::Stale { .. });
                match result {
                    Ok(_) => {}
                    Err(client::Unanswered::Denied(denial)) if denied(denial) => {}
                    Err(_) => {
                        let again = Of::Member(hand.duty(request));
                        cx.command(cx.now + SAY_AGAIN, node, again);
                    }
                }
            }
            client::Event::Answered { id, .. } if hand.asked.remove(id).is_none() => {
                self.faults.push(format!("node {node} has an answer that nobody asked for"));
            }
            client::Event::Liar { what, .. } => {
                self.faults.push(format!("node {node} takes an honest tracker for a liar: {what}"));
            }
            client::Event::Refused { denial, .. } => {
                self.faults.push(format!("node {node}: a share is refused: {denial}"));
            }
            _ => {}
        }
    }
}

impl Physics<Side> for TrackerPhysics {
    type Happening = Happening;

    fn perform(
        &mut self,
        node: u32,
        effect: Of<registry::Effect, client::Effect<u32>>,
        cx: Cx<'_, '_>,
    ) {
        match effect {
            Of::Tracker(effect) => self.effect_of_tracker(node, effect, cx),
            Of::Member(effect) => self.effect_of_member(node, &effect, cx),
        }
    }

    fn happen(&mut self, what: Happening, cx: Cx<'_, '_>) {
        match what.0 {
            Later::Commit { tracker, life, job, change } => {
                self.commit(tracker, life, job, *change, cx);
            }
            Later::Answer { tracker, life, job, question } => {
                let registry::Effect::Ask { question, .. } = *question else { return };
                if self.life(tracker) == life {
                    let answer = self.store.ask(&question);
                    let outcome = registry::Outcome::Answered { job, answer };
                    cx.outcome(cx.now, tracker, Of::Tracker(outcome));
                }
            }
            Later::Dial { from, life, to, step } => {
                if self.life(from) == life {
                    self.dial(from, to, step, cx);
                }
            }
            Later::Chatter { liar, tracker } => self.talk(liar, tracker, cx),
        }
    }

    fn link_lost(&mut self, _: u32, _: u32, _: Cx<'_, '_>) {}

    fn told(&mut self, node: u32, event: &Of<registry::Event, client::Event<u32>>, cx: Cx<'_, '_>) {
        let text = format!("{event:?}");
        let name = text.split(['{', ' ', '(']).filter(|word| !word.is_empty()).nth(1);
        self.events.extend(name.map(|name| name.trim_end_matches(')').to_owned()));
        if let Of::Member(event) = event {
            self.told_member(node, event, cx);
        }
    }
}
