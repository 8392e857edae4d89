//! Pieces on their way out: a queue per link, served by a few lanes, each on a thread of its own.
//!
//! A lane's thread reads a run of pieces, proves that the file is still the one that was shared,
//! and only then writes header and bytes, so that a block on the wire is always whole.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};

use potluck_base::{ContentId, PeerId, PieceRange, limits};
use potluck_link::LaneTx;
use potluck_proto::BlockHeader;
use potluck_proto::swarm::{GoneWhy, NotPushedWhy, Outcome};
use potluck_store::{ReadError, ReadFault};

use crate::peers::Linked;
use crate::swarm::session::Session;

/// Lanes that one link uses in one direction. One keeps one core busy; a second overlaps reading
/// with sending.
pub const LANES_USED: usize = 2;

/// A run of pieces to be sent.
pub struct Push {
    /// The content that they are of.
    pub session: Arc<Session>,
    /// The pieces.
    pub range: PieceRange,
}

/// The runs that wait for a lane of one link.
pub struct PushQueue {
    state: Mutex<State>,
    ready: Condvar,
}

struct State {
    waiting: VecDeque<Push>,
    lanes: usize,
    closed: bool,
}

impl Default for PushQueue {
    fn default() -> Self {
        let state = State { waiting: VecDeque::new(), lanes: 0, closed: false };
        Self { state: Mutex::new(state), ready: Condvar::new() }
    }
}

impl PushQueue {
    /// Ends the lanes' threads; what waits is handed back.
    pub fn close(&self) -> Vec<Push> {
        let mut state = self.lock();
        state.closed = true;
        self.ready.notify_all();
        state.waiting.drain(..).collect()
    }

    /// Takes back runs of a content that no lane has begun to send.
    pub fn cancel(&self, content: ContentId, ranges: &[PieceRange]) -> Vec<Push> {
        let named = |push: &Push| {
            push.session.id == content
                && ranges.iter().any(|range| !range.intersect(push.range).is_empty())
        };
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let (cancelled, kept): (Vec<Push>, Vec<Push>) = waiting.into_iter().partition(named);
        state.waiting = kept.into();
        cancelled
    }

    /// Adds a run; whether a lane should be opened for it. A queue that is closed hands it back.
    fn add(&self, push: Push) -> Result<bool, Push> {
        let mut state = self.lock();
        if state.closed {
            return Err(push);
        }
        state.waiting.push_back(push);
        self.ready.notify_one();
        let more = state.lanes < LANES_USED;
        state.lanes += usize::from(more);
        Ok(more)
    }

    /// The next run, waiting for one; none when the link ends.
    fn next(&self) -> Option<Push> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(push) => return Some(push),
                None => state = self.ready.wait(state).expect("no panic while held"),
            }
        }
    }

    /// A lane is gone. Without any lane, what waits cannot be sent and is handed back.
    fn lane_ended(&self) -> Vec<Push> {
        let mut state = self.lock();
        state.lanes -= 1;
        if state.lanes == 0 { state.waiting.drain(..).collect() } else { Vec::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

/// Queues a run of pieces towards a peer and sees to it that there is a lane to carry it.
pub fn push(linked: &Arc<Linked>, run: Push) {
    match linked.pushes.add(run) {
        Ok(true) => {}
        Ok(false) => return,
        Err(run) => return give_back(linked.peer, [run]),
    }
    let linked = Arc::clone(linked);
    tokio::spawn(async move {
        match linked.link().outgoing_lane().await {
            Ok(lane) => {
                tokio::task::spawn_blocking(move || {
                    serve(&linked, lane);
                    give_back(linked.peer, linked.pushes.lane_ended());
                });
            }
            Err(error) => {
                tracing::debug!(peer = %linked.peer.short(), %error, "no lane");
                give_back(linked.peer, linked.pushes.lane_ended());
            }
        }
    });
}

/// Tells the machines of runs that did not leave: each push must end, or its place is never free
/// again.
pub fn give_back(to: PeerId, runs: impl IntoIterator<Item = Push>) {
    for Push { session, range } in runs {
        session.tell_soon(Outcome::NotPushed { to, range, why: NotPushedWhy::Link });
    }
}

/// Why a run was not sent.
enum Fault {
    /// The file is not what was shared.
    Source(ReadError),
    /// The lane is broken.
    Lane,
}

/// Sends run after run over one lane until the link or the lane ends.
fn serve(linked: &Linked, mut lane: LaneTx) {
    let mut buffer = Vec::new();
    while let Some(run) = linked.pushes.next() {
        let (to, range) = (linked.peer, run.range);
        match send_run(linked, &mut lane, &run, &mut buffer) {
            Ok(()) => run.session.tell(Outcome::Pushed { to, range }),
            Err(Fault::Source(error)) => {
                // Only this file's pieces are gone: the rest of the run is tried again.
                let (range, why) = (range.intersect(error.pieces), gone_why(&error.why));
                let source = NotPushedWhy::Source(why);
                run.session.tell(Outcome::NotPushed { to, range, why: source });
                run.session.source_changed(error.pieces, error.path, why);
            }
            Err(Fault::Lane) => {
                run.session.tell(Outcome::NotPushed { to, range, why: NotPushedWhy::Link });
                return;
            }
        }
    }
}

/// Sends one run as one block, or a piece larger than a block as several.
fn send_run(
    linked: &Linked,
    lane: &mut LaneTx,
    run: &Push,
    buffer: &mut Vec<u8>,
) -> Result<(), Fault> {
    let bytes = run.session.map.bytes_of(run.range);
    let holding = run.session.holding();
    let mut offset = 0;
    while offset < bytes {
        let length = (bytes - offset).min(limits::BLOCK_BYTES as u64) as u32;
        let whole = u64::from(length) == bytes;
        if whole {
            holding.read(run.range, buffer).map_err(Fault::Source)?;
        } else {
            let piece = run.range.start;
            holding.read_part(piece, offset as u32, length, buffer).map_err(Fault::Source)?;
        }
        let header = BlockHeader {
            content: run.session.id,
            range: run.range,
            offset: offset as u32,
            bytes: length,
            last: offset + u64::from(length) == bytes,
        };
        lane.send(&[&header.encode(), buffer]).map_err(|_| Fault::Lane)?;
        linked.sent.fetch_add(u64::from(length), Ordering::Relaxed);
        offset += u64::from(length);
    }
    Ok(())
}

fn gone_why(fault: &ReadFault) -> GoneWhy {
    match fault {
        ReadFault::Changed => GoneWhy::Changed,
        ReadFault::Missing => GoneWhy::Missing,
        ReadFault::Unreadable(_) => GoneWhy::Unreadable,
    }
}
