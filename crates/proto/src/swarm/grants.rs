//! The uploader's side: how much each peer may ask for, and in which order it is served.
//!
//! A peer's window is what it may have asked for or may still ask for at a time: what it was
//! granted, what it has asked, and what is being pushed to it. It doubles when the peer uses it up
//! and we still run dry, and shrinks when more waits in it than leaves within a tenth of a second.

use std::fmt::Debug;
use std::time::Duration;

use potluck_base::{PieceRange, PieceSet, Time, limits};
use potluck_content::PieceMap;

use super::meter::Meter;
use super::peers::Peer;
use super::{Effect, Message, NotPushedWhy, PIECE_OVERHEAD, Swarm, within};
use crate::machine::Outbox;

/// Smallest window, with which every peer starts: what is asked early is asked badly, and a quick
/// peer doubles it within a few round trips.
const WINDOW_MIN: u64 = 128 * 1024;
/// Largest window: a tenth of a second at 2.5 Gbit/s, and the most that a slow peer can hold up.
pub(super) const WINDOW_MAX: u64 = 32 * 1024 * 1024;
/// A window holds at least so many pieces, however large they are.
const WINDOW_PIECES: u64 = 2;
/// What waits in a window should leave within this time: later choices are better choices.
const QUEUE_TIME: Duration = Duration::from_millis(100);
/// Pause between two looks at whether a window is too large.
const SHRINK_EVERY: Duration = Duration::from_millis(250);
/// Pushes to one peer at a time: as many as it has lanes.
const PUSHES_PER_PEER: usize = limits::LANES_PER_LINK;
/// Pushes to one peer that are made however slow it is, so that its lane does not run dry.
const PUSHES_LEAST: usize = 2;
/// What is being pushed to one peer should leave within this time: it can hardly be called off.
const PUSH_TIME: Duration = Duration::from_millis(50);
/// Bytes of the first run to a peer, while it is not known how quick it is. They double from run to
/// run.
const RUN_BYTES_FIRST: u64 = 64 * 1024;
/// Pushes at a time that are not slow: 16 MiB of blocks in memory.
const PUSHES_MAX: usize = 64;
/// A push that is out for longer is slow: it no longer takes the place of another peer's.
const PUSH_SLOW: Duration = Duration::from_secs(2);
/// Pause after a push that a lane could not carry: the lane, or the link, is being replaced.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// What one peer asked of us.
pub(super) struct Up {
    window: u64,
    /// Granted, and not used by requests yet.
    open: u64,
    queue: PieceSet,
    /// What the queue costs.
    queued: u64,
    pushes: Vec<Push>,
    /// The queue is served upwards from here, and round.
    cursor: u32,
    /// Bytes served so far; the peer with least is served next.
    pub(super) served: u64,
    meter: Meter,
    /// Bytes of the next run, unless the rate is known and lower.
    run_bytes: u64,
    /// Whether the queue ran dry since the window was last looked at.
    dry: bool,
    /// What was asked since then.
    consumed: u64,
    /// The least that waited in the queue since the last shrinking.
    waited_least: u64,
    shrunk_at: Time,
    /// Nothing is pushed before.
    paused_until: Time,
}

struct Push {
    range: PieceRange,
    /// What of it was called off since.
    cancelled: Vec<PieceRange>,
    cost: u64,
    since: Time,
    /// Whether it counts among [`PUSHES_MAX`].
    counted: bool,
}

/// The smallest window of a content: large pieces need a larger one.
pub(super) fn window_min(map: &PieceMap) -> u64 {
    let largest = (0..map.files()).map(|file| map.file(file).layout.piece_bytes()).max();
    let piece = largest.unwrap_or(0) + u64::from(PIECE_OVERHEAD);
    WINDOW_MIN.max(WINDOW_PIECES * piece)
}

impl Up {
    pub(super) fn new(total: u32, window: u64, served: u64) -> Self {
        Self {
            window,
            open: 0,
            queue: PieceSet::none(total),
            queued: 0,
            pushes: Vec::new(),
            cursor: 0,
            served,
            meter: Meter::default(),
            run_bytes: RUN_BYTES_FIRST,
            dry: false,
            consumed: 0,
            waited_least: 0,
            shrunk_at: Time::ZERO,
            paused_until: Time::ZERO,
        }
    }

    /// What is being pushed.
    pub(super) fn pushing(&self) -> Vec<PieceRange> {
        let mut ranges: Vec<PieceRange> = self.pushes.iter().map(|push| push.range).collect();
        ranges.sort_unstable();
        ranges
    }

    pub(super) fn pushes_counted(&self) -> usize {
        self.pushes.iter().filter(|push| push.counted).count()
    }

    /// Forgets what was asked; what is being pushed is returned.
    pub(super) fn drop_queue(&mut self) -> Vec<PieceRange> {
        self.queue = PieceSet::none(self.queue.capacity());
        self.queued = 0;
        self.pushing()
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    #[cfg(test)]
    pub(super) fn set_window(&mut self, bytes: u64) {
        self.window = bytes;
    }

    /// Whether what is counted along the way is what a fresh count finds.
    #[cfg(test)]
    pub(super) fn check(&mut self, map: &PieceMap, have: &PieceSet) {
        let queued = self.queued;
        self.recount(map);
        assert_eq!(self.queued, queued, "cost of the queue");
        assert!(self.queue.iter().all(|piece| have.contains(piece)), "queued but not here");
        assert!(self.pushes.len() <= PUSHES_PER_PEER);
    }

    /// Whether another push would keep a lane busy, not just bind pieces early.
    fn has_room(&self) -> bool {
        let bytes: u64 = self.pushes.iter().map(|push| push.cost).sum();
        let count = self.pushes.len();
        count < PUSHES_LEAST || count < PUSHES_PER_PEER && bytes < self.bytes_within(PUSH_TIME)
    }

    /// Bytes of the next run.
    fn run_bytes(&self) -> u64 {
        let bytes = self.run_bytes.min(self.bytes_within(PUSH_TIME) / PUSHES_LEAST as u64);
        bytes.min(limits::BLOCK_BYTES as u64)
    }

    /// Bytes that leave within a time, as far as one knows.
    fn bytes_within(&self, time: Duration) -> u64 {
        self.meter.rate().map_or(u64::MAX, |rate| (rate * time.as_secs_f64()) as u64)
    }

    /// How much more to grant, if enough has left to make a message worth while.
    fn top_up(&mut self) -> Option<u32> {
        let pushing: u64 = self.pushes.iter().map(|push| push.cost).sum();
        let used = self.open + self.queued + pushing;
        let missing = self.window.saturating_sub(used);
        if missing < (self.window / 8).max(1) {
            return None;
        }
        let bytes = u32::try_from(missing).unwrap_or(u32::MAX);
        self.open += u64::from(bytes);
        Some(bytes)
    }

    fn recount(&mut self, map: &PieceMap) {
        let overhead = u64::from(self.queue.len()) * u64::from(PIECE_OVERHEAD);
        self.queued = map.bytes_of_set(&self.queue) + overhead;
    }

    /// A peer that used up its window while we ran dry is given a larger one.
    fn grow(&mut self, cost: u64) {
        self.consumed += cost;
        if self.consumed >= self.window {
            if std::mem::take(&mut self.dry) {
                self.window = (self.window * 2).min(WINDOW_MAX.max(self.window));
            }
            self.consumed = 0;
        }
    }

    /// A window in which much waits for long is made smaller.
    fn shrink(&mut self, now: Time, window_min: u64) {
        self.waited_least = self.waited_least.min(self.queued);
        if now.since(self.shrunk_at) < SHRINK_EVERY {
            return;
        }
        let spare = self.waited_least.saturating_sub(self.bytes_within(QUEUE_TIME));
        self.window = (self.window - spare.min(self.window)).max(window_min);
        self.shrunk_at = now;
        self.waited_least = self.queued;
    }
}

impl<P: Copy + Ord + Debug> Swarm<P> {
    /// Grants a peer what its window allows, if it wants pieces and we have some.
    pub(super) fn grant(&mut self, now: Time, to: P, out: &mut Outbox<Self>) {
        let window_min = self.window_min;
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        if !peer.joined || !peer.wants || self.have.is_empty() {
            return;
        }
        peer.up.shrink(now, window_min);
        if let Some(bytes) = peer.up.top_up() {
            out.send(to, Message::Grant { bytes });
        }
    }

    pub(super) fn grant_all(&mut self, now: Time, out: &mut Outbox<Self>) {
        for id in self.everybody() {
            self.grant(now, id, out);
        }
    }

    /// A peer asks for pieces.
    pub(super) fn requested(
        &mut self,
        now: Time,
        from: P,
        ranges: &[PieceRange],
        out: &mut Outbox<Self>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let up = &mut peer.up;
        let (mut fault, mut used) = (false, 0);
        if up.queue.is_empty() && up.pushes.is_empty() {
            up.meter.begin(now);
        }
        'all: for range in ranges {
            for piece in range.iter() {
                // The allowance bounds this loop, whatever the ranges claim.
                let cost = u64::from(self.map.piece_len(piece)) + u64::from(PIECE_OVERHEAD);
                if piece >= self.map.total() || cost > up.open {
                    fault = true;
                    break 'all;
                }
                up.open -= cost;
                used += cost;
                if self.have.contains(piece) {
                    fault |= up.queue.contains(piece);
                    up.queued += if up.queue.insert(piece) { cost } else { 0 };
                } else {
                    let lost = self.lost.as_ref().is_some_and(|lost| lost.contains(piece));
                    fault |= !lost;
                }
            }
        }
        up.grow(used);
        if fault {
            self.strike(now, from, out);
        }
        self.serve(now, out);
    }

    /// A peer no longer wants what it asked for.
    pub(super) fn cancelled(&mut self, from: P, ranges: &[PieceRange], out: &mut Outbox<Self>) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let up = &mut peer.up;
        let mut cancelled = Vec::new();
        for range in ranges {
            let queued: Vec<PieceRange> = within(&up.queue, *range).collect();
            for part in queued {
                up.queue.remove_range(part);
                let overhead = u64::from(part.len()) * u64::from(PIECE_OVERHEAD);
                up.queued -= self.map.bytes_of(part) + overhead;
            }
            for push in &mut up.pushes {
                let part = push.range.intersect(*range);
                if !part.is_empty() && push.cancelled.len() < push.range.len() as usize {
                    push.cancelled.push(part);
                    cancelled.push(part);
                }
            }
        }
        // The allowance comes back with the next tick: asking and cancelling must not be a cheap
        // way to keep us busy.
        if !cancelled.is_empty() {
            cancelled.sort_unstable();
            out.perform(Effect::CancelPush { to: from, ranges: cancelled });
        }
    }

    /// A push has left: there is room for the next.
    pub(super) fn pushed(&mut self, now: Time, to: P, range: PieceRange, out: &mut Outbox<Self>) {
        let Some(push) = self.push_ended(to, range) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let up = &mut peer.up;
        up.meter.count(now, self.map.bytes_of(push.range));
        up.run_bytes = (up.run_bytes * 2).min(limits::BLOCK_BYTES as u64);
        up.waited_least = up.waited_least.min(up.queued);
        self.serve(now, out);
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.up.dry |= peer.up.queue.is_empty() && peer.up.pushes.len() <= 1;
        }
        self.grant(now, to, out);
    }

    pub(super) fn not_pushed(
        &mut self,
        now: Time,
        to: P,
        range: PieceRange,
        why: NotPushedWhy,
        out: &mut Outbox<Self>,
    ) {
        let push = self.push_ended(to, range);
        if let NotPushedWhy::Source(why) = why {
            self.lose(now, &[range], why, out);
        }
        if let Some((push, peer)) = push.zip(self.peers.get_mut(&to)) {
            // What could have left, and is still wanted, is tried again.
            let up = &mut peer.up;
            let before = up.queue.len();
            for piece in push.range.iter().filter(|piece| self.have.contains(*piece)) {
                if !push.cancelled.iter().any(|part| part.contains(piece)) {
                    up.queue.insert(piece);
                }
            }
            up.recount(&self.map);
            if why == NotPushedWhy::Link && up.queue.len() > before {
                up.paused_until = now + RETRY_AFTER;
            }
        }
        self.serve(now, out);
        self.grant(now, to, out);
    }

    /// Pushes what is asked, run by run, to the peer that was served least.
    pub(super) fn serve(&mut self, now: Time, out: &mut Outbox<Self>) {
        while self.pushes_out < PUSHES_MAX {
            let ready = |peer: &Peer| {
                let up = &peer.up;
                !up.queue.is_empty() && up.has_room() && now >= up.paused_until
            };
            let least = self.peers.iter_mut().filter(|(_, peer)| ready(peer));
            let Some((id, peer)) = least.min_by_key(|(id, peer)| (peer.up.served, **id)) else {
                return;
            };
            let range = next_run(&self.map, &peer.up);
            let bytes = self.map.bytes_of(range);
            let cost = bytes + u64::from(range.len()) * u64::from(PIECE_OVERHEAD);
            let up = &mut peer.up;
            up.queue.remove_range(range);
            up.queued -= cost;
            up.cursor = range.end;
            up.served += bytes;
            up.pushes.push(Push { range, cancelled: Vec::new(), cost, since: now, counted: true });
            self.pushes_out += 1;
            out.perform(Effect::Push { to: *id, range });
        }
    }

    /// Pushes that take long no longer count, so that who does not read holds up nobody else.
    pub(super) fn exempt_slow_pushes(&mut self, now: Time) {
        for push in self.peers.values_mut().flat_map(|peer| &mut peer.up.pushes) {
            if push.counted && now.since(push.since) >= PUSH_SLOW {
                push.counted = false;
                self.pushes_out -= 1;
            }
        }
    }

    /// Pieces that we no longer have cannot be pushed to anybody.
    pub(super) fn unqueue_everywhere(&mut self, gone: &PieceSet) {
        for peer in self.peers.values_mut() {
            peer.up.queue.remove_all(gone);
            peer.up.recount(&self.map);
        }
    }

    /// Takes a push out, if there was such a one.
    fn push_ended(&mut self, to: P, range: PieceRange) -> Option<Push> {
        let pushes = &mut self.peers.get_mut(&to)?.up.pushes;
        let at = pushes.iter().position(|push| push.range.contains(range.start))?;
        let push = pushes.remove(at);
        self.pushes_out -= usize::from(push.counted);
        Some(push)
    }
}

/// The next pieces of a peer's queue that go into one block, or the next piece if it is larger.
fn next_run(map: &PieceMap, up: &Up) -> PieceRange {
    let above = up.queue.first_present(up.cursor);
    let start = if above < up.queue.capacity() { above } else { up.queue.first_present(0) };
    let end_max = up.queue.first_absent(start).min(start.saturating_add(limits::BLOCK_PIECES));
    let mut bytes = u64::from(map.piece_len(start));
    let mut end = start + 1;
    while end < end_max {
        bytes += u64::from(map.piece_len(end));
        if bytes > up.run_bytes() {
            break;
        }
        end += 1;
    }
    PieceRange::new(start, end)
}
