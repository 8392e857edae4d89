//! Pieces on their way in: one thread per lane reads blocks, proves each piece and writes it in
//! place.
//!
//! A block is taken only if every piece of it was asked from this peer. A piece that fits into a
//! block is proved before it is written; a larger one is written as it comes and counts only once
//! its value is right.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use potluck_base::{PeerId, PieceRange, limits};
use potluck_content::PieceHasher;
use potluck_link::LaneRx;
use potluck_proto::swarm::{Command, Outcome};
use potluck_proto::{BLOCK_HEADER_BYTES, BlockHeader};
use potluck_store::{Download, StoreError};

use super::{Holding, Session, Swarms};
use crate::peers::Linked;

/// Takes blocks from a lane until it ends.
pub fn receive(swarms: &Swarms, linked: &Linked, mut lane: LaneRx) {
    let mut header = [0; BLOCK_HEADER_BYTES];
    let mut buffer = Vec::new();
    let mut large = None;
    while lane.recv_exact(&mut header).is_ok() {
        let Ok(block) = BlockHeader::decode(&header) else {
            linked.close("sent a block that makes no sense");
            break;
        };
        buffer.resize(limits::BLOCK_BYTES, 0);
        let bytes = &mut buffer[..block.bytes as usize];
        if lane.recv_exact(bytes).is_err() {
            break;
        }
        linked.hear();
        linked.received.fetch_add(u64::from(block.bytes), Ordering::Relaxed);
        // Blocks of a content that was given up meanwhile are read and dropped.
        if let Some(session) = swarms.session(block.content) {
            take(&session, linked, &block, bytes, &mut large);
        }
    }
    if let Some(Large { session, piece, .. }) = large {
        session.unclaim(piece);
    }
}

/// A piece that arrives in several blocks.
struct Large {
    session: Arc<Session>,
    piece: u32,
    received: u32,
    hasher: PieceHasher,
}

fn take(
    session: &Arc<Session>,
    linked: &Linked,
    block: &BlockHeader,
    bytes: &[u8],
    large: &mut Option<Large>,
) {
    let (from, range) = (linked.peer, block.range);
    if range.end > session.map.total() {
        session.tell(Outcome::Unasked { from, range });
        return;
    }
    let holding = session.holding();
    let Holding::Download(download) = &*holding else { return };
    if session.map.bytes_of(range) != u64::from(block.bytes) || block.offset != 0 {
        let outcome = take_part(session, download, linked, block, bytes, large);
        return settle(session, from, range, outcome);
    }
    // Some pieces of a run may have been called off while it was on its way: the others count.
    let mut rest = bytes;
    for (part, expected) in session.split_expected(from, range) {
        let (part_bytes, after) = rest.split_at(session.map.bytes_of(part) as usize);
        rest = after;
        let outcome = match expected {
            true => take_run(session, download, from, part, part_bytes).map(Some),
            false => Ok(Some(Outcome::Unasked { from, range: part })),
        };
        settle(session, from, part, outcome);
    }
}

/// Tells the machine what came of pieces.
fn settle(
    session: &Session,
    from: PeerId,
    range: PieceRange,
    outcome: Result<Option<Outcome<PeerId>>, StoreError>,
) {
    match outcome {
        Ok(Some(outcome)) => {
            session.forget(from, &[range]);
            session.tell(outcome);
        }
        Ok(None) => {}
        Err(error) => session.fail(error),
    }
}

/// Takes whole pieces that were asked.
fn take_run(
    session: &Session,
    download: &Download,
    from: PeerId,
    range: PieceRange,
    bytes: &[u8],
) -> Result<Outcome<PeerId>, StoreError> {
    let pieces = || {
        let mut rest = bytes;
        range.iter().map(move |piece| {
            let place = session.map.locate(piece);
            let (piece_bytes, after) = rest.split_at(place.len as usize);
            rest = after;
            (piece, place, piece_bytes)
        })
    };
    let mut proof = None;
    for (piece, place, piece_bytes) in pieces() {
        if proof.as_ref().is_none_or(|(file, _)| *file != place.file) {
            proof = Some((place.file, download.values(place.file)?));
        }
        let values = proof.as_ref().and_then(|(_, values)| values.as_ref());
        if !values.is_some_and(|values| values.matches(place.index, piece_bytes)) {
            return Ok(Outcome::Bad { from, piece });
        }
    }
    for (piece, _, piece_bytes) in pieces() {
        download.write(piece, 0, piece_bytes)?;
    }
    session.count(from, bytes.len() as u64);
    mark(session, download, range)?;
    Ok(Outcome::Arrived { from, range })
}

/// Takes a part of a piece that is larger than a block.
fn take_part(
    session: &Arc<Session>,
    download: &Download,
    linked: &Linked,
    block: &BlockHeader,
    bytes: &[u8],
    large: &mut Option<Large>,
) -> Result<Option<Outcome<PeerId>>, StoreError> {
    let (from, piece) = (linked.peer, block.range.start);
    let place = session.map.locate(piece);
    let unasked = || Ok(Some(Outcome::Unasked { from, range: block.range }));
    if !session.is_expected(from, block.range) {
        return unasked();
    }
    if block.range.len() != 1 || u64::from(block.offset) + bytes.len() as u64 > u64::from(place.len)
    {
        return unasked();
    }
    if block.offset == 0 {
        if let Some(old) = large.take() {
            old.session.unclaim(old.piece);
        }
        if !session.claim(piece) {
            // Another lane is writing it: this copy is dropped block by block.
            session.duplicate.fetch_add(u64::from(place.len), Ordering::Relaxed);
            return Ok(None);
        }
        let layout = session.map.file(place.file).layout;
        let hasher = PieceHasher::new(&layout, place.index);
        *large = Some(Large { session: Arc::clone(session), piece, received: 0, hasher });
    }
    let follows = |l: &Large| {
        Arc::ptr_eq(&l.session, session) && l.piece == piece && l.received == block.offset
    };
    let Some(current) = large.as_mut().filter(|l| follows(l)) else { return Ok(None) };
    current.hasher.update(bytes);
    download.write(piece, block.offset, bytes)?;
    current.received += block.bytes;
    if current.received < place.len {
        return Ok(None);
    }
    let done = large.take().expect("it was filtered above");
    let values = download.values(place.file)?;
    let good = values.is_some_and(|values| values.accepts(done.hasher));
    if good {
        session.count(from, u64::from(place.len));
        mark(session, download, block.range)?;
    }
    session.unclaim(piece);
    Ok(Some(if good {
        Outcome::Arrived { from, range: block.range }
    } else {
        Outcome::Bad { from, piece }
    }))
}

/// Notes verified pieces, and tells the machine what else that brought or cost.
fn mark(session: &Session, download: &Download, range: PieceRange) -> Result<(), StoreError> {
    let marked = download.mark(range)?;
    if !marked.also.is_empty() {
        session.command(Command::Local(marked.also));
    }
    if !marked.bad.is_empty() {
        session.command(Command::Lost(marked.bad));
    }
    Ok(())
}
