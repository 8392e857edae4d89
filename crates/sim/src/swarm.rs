//! The bytes of a swarm in virtual time: up-links and down-links with rates, disks, and peers that
//! cheat.
//!
//! Each node has one up-link and one down-link, both first come, first served. A push occupies the
//! sender's up-link, travels, then occupies the receiver's down-link; there the receiver's driver
//! compares it with what it expects and with the truth.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet};
use potluck_content::PieceMap;
use potluck_proto::swarm::{
    Command, Effect, Event, GoneWhy, Message, NotPushedWhy, Outcome, Swarm, ValuesError,
};

use crate::hand::{Character, Hand, Job};
use crate::world::{Context, Physics};

/// Time after which the driver gives up on values that do not come.
const VALUES_TIME: Duration = Duration::from_secs(10);
/// Time from an introduction to a link.
const DIAL_TIME: Duration = Duration::from_millis(80);

/// What happens later.
pub struct Happening(Later);

enum Later {
    /// A node's up-link has sent a job.
    Sent { node: u32, life: u32, to: u32, epoch: u32, range: PieceRange },
    /// Pieces have arrived.
    Landed { from: u32, to: u32, epoch: u32, life: u32, range: PieceRange, good: bool },
    /// A request for values has ended.
    ValuesCame {
        node: u32,
        life: u32,
        from: u32,
        files: Range<u32>,
        result: Result<(), ValuesError>,
    },
    /// A flooder says something to a node.
    Chatter { from: u32, to: u32 },
}

/// The bytes, disks and lies of all nodes.
pub struct SwarmPhysics {
    /// The content.
    pub map: Arc<PieceMap>,
    /// The nodes, by number.
    pub hands: Vec<Hand>,
    /// The kinds of events that there were.
    pub events: BTreeSet<&'static str>,
}

type Cx<'a, 'b> = &'a mut Context<'b, Swarm<u32>, Happening>;

impl Physics<Swarm<u32>> for SwarmPhysics {
    type Happening = Happening;

    fn perform(&mut self, node: u32, effect: Effect<u32>, cx: Cx<'_, '_>) {
        match effect {
            Effect::FetchValues { from, files } => self.fetch_values(node, from, files, cx),
            Effect::Expect { from, ranges } => {
                let total = self.map.total();
                let expected = &mut self.hand(node).expected;
                let set = expected.entry(from).or_insert_with(|| PieceSet::none(total));
                ranges.iter().for_each(|range| _ = set.insert_range(*range));
            }
            Effect::Forget { from, ranges } => {
                let begun = cx.dice.chance(1, 2);
                if let Some(set) = self.hand(node).expected.get_mut(&from) {
                    // One piece may have begun to arrive; it may be finished.
                    let ranges = ranges.iter().flat_map(PieceRange::iter);
                    ranges.skip(usize::from(begun)).for_each(|piece| _ = set.remove(piece));
                }
            }
            Effect::Push { to, range } => self.push(node, to, range, cx),
            Effect::CancelPush { to, ranges } => self.cancel_push(node, to, &ranges, cx),
            Effect::Connect { peer } => cx.connect(cx.now + DIAL_TIME, node, peer),
        }
    }

    fn happen(&mut self, what: Happening, cx: Cx<'_, '_>) {
        match what.0 {
            Later::Sent { node, life, to, epoch, range } => {
                if self.hand(node).life == life {
                    self.sent(node, to, epoch, range, cx);
                }
            }
            Later::Landed { from, to, epoch, life, range, good } => {
                if self.hand(to).life == life && cx.net.is_same(from, to, epoch) {
                    self.landed(from, to, range, good, cx);
                }
            }
            Later::ValuesCame { node, life, from, files, result } => {
                if self.hand(node).life == life {
                    self.values_came(node, from, files, result, cx);
                }
            }
            Later::Chatter { from, to } => self.chatter(from, to, cx),
        }
    }

    fn link_lost(&mut self, a: u32, b: u32, cx: Cx<'_, '_>) {
        for (node, peer) in [(a, b), (b, a)] {
            let hand = self.hand(node);
            hand.expected.remove(&peer);
            let (lost, rest) = hand.queue.drain(..).partition(|job| job.to == peer);
            hand.queue = rest;
            let lost: VecDeque<Job> = lost;
            for job in lost {
                not_pushed(node, &job, NotPushedWhy::Link, cx);
            }
        }
    }

    fn told(&mut self, node: u32, event: &Event<u32>, cx: Cx<'_, '_>) {
        self.events.insert(name(event));
        let hand = self.hand(node);
        match event {
            Event::Complete => hand.complete = Some(cx.now),
            Event::Lost { ranges, .. } => {
                ranges.iter().for_each(|range| _ = hand.told_lost.insert_range(*range));
                cx.command(cx.now, node, Command::Skip(ranges.clone()));
            }
            _ => {}
        }
    }
}

impl Happening {
    /// A flooder begins to talk to a node.
    pub fn chatter(from: u32, to: u32) -> Self {
        Self(Later::Chatter { from, to })
    }
}

impl SwarmPhysics {
    fn hand(&mut self, node: u32) -> &mut Hand {
        &mut self.hands[node as usize]
    }

    fn push(&mut self, node: u32, to: u32, range: PieceRange, cx: Cx<'_, '_>) {
        let job = Job { to, epoch: cx.net.epoch(node, to), range };
        let hand = self.hand(node);
        if hand.character == Character::Silent {
            return;
        }
        if !cx.net.is_up(node, to) {
            return not_pushed(node, &job, NotPushedWhy::Link, cx);
        }
        hand.queue.push_back(job);
        self.next_job(node, cx);
    }

    fn next_job(&mut self, node: u32, cx: Cx<'_, '_>) {
        let bytes = |range: PieceRange| self.map.bytes_of(range);
        let hand = &mut self.hands[node as usize];
        while !hand.busy {
            let Some(mut job) = hand.queue.pop_front() else {
                return;
            };
            let bad = job.range.iter().find(|piece| hand.unreadable.contains(*piece));
            if let Some(first) = bad {
                let end = hand.unreadable.first_absent(first).min(job.range.end);
                job.range = PieceRange::new(first, end);
                not_pushed(node, &job, NotPushedWhy::Source(GoneWhy::Changed), cx);
                continue;
            }
            hand.busy = true;
            let time = span(bytes(job.range), hand.up_rate);
            let (life, Job { to, epoch, range }) = (hand.life, job);
            cx.later(cx.now + time, Happening(Later::Sent { node, life, to, epoch, range }));
        }
    }

    /// A job has left the up-link.
    fn sent(&mut self, node: u32, to: u32, epoch: u32, range: PieceRange, cx: Cx<'_, '_>) {
        self.hand(node).busy = false;
        if cx.net.is_same(node, to, epoch) {
            let hand = self.hand(node);
            let corrupt = hand.character == Character::Corrupt && cx.dice.chance(1, 3);
            let good = !corrupt && hand.truth.contains_range(range);
            let pushy = hand.character == Character::Pushy;
            self.land(node, to, range, good, cx);
            if pushy {
                let piece = cx.dice.below(u64::from(self.map.total())) as u32;
                self.land(node, to, PieceRange::one(piece), true, cx);
            }
            cx.outcome(cx.now, node, Outcome::Pushed { to, range });
        } else {
            not_pushed(node, &Job { to, epoch, range }, NotPushedWhy::Link, cx);
        }
        self.next_job(node, cx);
    }

    /// Pieces travel and go through the receiver's down-link.
    fn land(&mut self, from: u32, to: u32, range: PieceRange, good: bool, cx: Cx<'_, '_>) {
        let bytes = self.map.bytes_of(range);
        self.hand(from).sent += bytes;
        let epoch = cx.net.epoch(from, to);
        let first_byte = cx.now + cx.net.delay(from, to);
        let hand = self.hand(to);
        hand.down_free = hand.down_free.max(first_byte) + span(bytes, hand.down_rate);
        let (at, life) = (hand.down_free, hand.life);
        cx.later(at, Happening(Later::Landed { from, to, epoch, life, range, good }));
    }

    /// The receiver's driver looks at what has come, piece by piece.
    fn landed(&mut self, from: u32, to: u32, range: PieceRange, good: bool, cx: Cx<'_, '_>) {
        for piece in range.iter() {
            let bytes = u64::from(self.map.piece_len(piece));
            let hand = self.hand(to);
            let one = PieceRange::one(piece);
            let expected = hand.expected.get_mut(&from).is_some_and(|set| set.remove(piece));
            if !expected {
                hand.wasted += bytes;
                cx.outcome(cx.now, to, Outcome::Unasked { from, range: one });
            } else if !good {
                hand.wasted += bytes;
                cx.outcome(cx.now, to, Outcome::Bad { from, piece });
            } else {
                if hand.truth.insert(piece) {
                    hand.received += bytes;
                    hand.stored.push((cx.now, one));
                } else {
                    hand.wasted += bytes;
                }
                cx.outcome(cx.now, to, Outcome::Arrived { from, range: one });
            }
        }
    }

    fn cancel_push(&mut self, node: u32, to: u32, ranges: &[PieceRange], cx: Cx<'_, '_>) {
        let total = self.map.total();
        let cancelled = PieceSet::from_ranges(total, ranges.iter().copied());
        let hand = self.hand(node);
        let is_off = |job: &Job| job.to == to && cancelled.contains_range(job.range);
        let (off, rest): (VecDeque<Job>, _) = hand.queue.drain(..).partition(is_off);
        hand.queue = rest;
        for job in off {
            not_pushed(node, &job, NotPushedWhy::Link, cx);
        }
    }

    fn fetch_values(&mut self, node: u32, from: u32, files: Range<u32>, cx: Cx<'_, '_>) {
        let way = cx.net.delay(node, from);
        let sender = &self.hands[from as usize];
        let pieces: u32 = files.clone().map(|file| self.map.file(file).pieces.len()).sum();
        let bytes = u64::from(pieces) * 32;
        let (wait, result) = match sender.character {
            Character::Silent | Character::Flooder => (VALUES_TIME, Err(ValuesError::Unavailable)),
            Character::LyingValues => (way * 2, Err(ValuesError::Lie)),
            _ if !cx.net.is_up(node, from) => (way, Err(ValuesError::Unavailable)),
            _ => (way * 2 + span(bytes, sender.up_rate), Ok(())),
        };
        let life = self.hand(node).life;
        cx.later(cx.now + wait, Happening(Later::ValuesCame { node, life, from, files, result }));
    }

    fn values_came(
        &mut self,
        node: u32,
        from: u32,
        files: Range<u32>,
        result: Result<(), ValuesError>,
        cx: Cx<'_, '_>,
    ) {
        if result.is_ok() {
            self.hand(node).values.extend(files.clone());
        }
        cx.outcome(cx.now, node, Outcome::Values { from, files, result });
    }

    /// A flooder says something, often enough to be a burden, and goes on.
    fn chatter(&mut self, from: u32, to: u32, cx: Cx<'_, '_>) {
        let total = self.map.total();
        let start = cx.dice.below(u64::from(total) * 2) as u32;
        let some = vec![PieceRange::new(start, start.saturating_add(1 + cx.dice.below(50) as u32))];
        let message = match cx.dice.below(10) {
            0 => Message::Join { have: some, wants: cx.dice.chance(1, 2) },
            1 => Message::Have(some),
            2 => Message::Grant { bytes: cx.dice.next_u64() as u32 },
            3 => Message::Request(vec![PieceRange::new(0, u32::MAX)]),
            4 | 5 => Message::Request(some),
            6 => Message::Cancel(some),
            7 => Message::Gone { ranges: some, why: GoneWhy::Missing },
            8 => Message::Peers(vec![cx.dice.below(self.hands.len() as u64) as u32, from, to]),
            _ => Message::Bye,
        };
        cx.whisper(from, to, message);
        if cx.net.is_up(from, to) {
            let pause = Duration::from_micros(cx.dice.below(30_000));
            cx.later(cx.now + pause, Happening(Later::Chatter { from, to }));
        }
    }
}

fn name(event: &Event<u32>) -> &'static str {
    match event {
        Event::Complete => "Complete",
        Event::PeerFinished(_) => "PeerFinished",
        Event::Lost { .. } => "Lost",
        Event::Liar { .. } => "Liar",
        Event::Stalled(_) => "Stalled",
        Event::Revived(_) => "Revived",
    }
}

fn not_pushed(node: u32, job: &Job, why: NotPushedWhy, cx: Cx<'_, '_>) {
    let (to, range) = (job.to, job.range);
    cx.outcome(cx.now, node, Outcome::NotPushed { to, range, why });
}

/// How long so many bytes take.
fn span(bytes: u64, rate: u64) -> Duration {
    Duration::from_micros(bytes * 1_000_000 / rate.max(1))
}
