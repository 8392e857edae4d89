//! Which files' piece values are fetched, from whom: without them a file's pieces could not be
//! verified.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use potluck_base::{PieceSet, Time, limits};
use potluck_content::PieceMap;

use super::peers::Peer;
use super::{Effect, Event, Swarm, ValuesError};
use crate::machine::Outbox;

/// Requests for values at a time: one is answered while the next is on its way.
const FLIGHTS_MAX: usize = 2;
/// Files looked at in one go, so that a folder of a million files is not walked at once.
const FILES_MAX: u32 = 512;
/// Bytes of one piece's value.
const VALUE_BYTES: u64 = 32;
/// Pause before a peer that did not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Which values are known, which are still to be fetched, and which are on their way.
pub(super) struct ValuesPlan<P> {
    known: BTreeSet<u32>,
    open: BTreeSet<u32>,
    flights: Vec<Flight<P>>,
    /// Where to go on looking.
    next: u32,
}

struct Flight<P> {
    from: P,
    files: Range<u32>,
    /// Those of the files whose values are asked for.
    asked: Vec<u32>,
}

impl<P: Copy + Ord> ValuesPlan<P> {
    pub(super) fn new(known: BTreeSet<u32>) -> Self {
        Self { known, open: BTreeSet::new(), flights: Vec::new(), next: 0 }
    }

    /// Values of the files that have some of these pieces are wanted.
    pub(super) fn open_files(&mut self, map: &PieceMap, wanted: &PieceSet) {
        let mut at = wanted.first_present(0);
        while at < wanted.capacity() {
            let file = map.locate(at).file;
            let pieces = map.file(file).pieces;
            let flying = self.flights.iter().any(|flight| flight.asked.contains(&file));
            if pieces.len() > 1 && !self.known.contains(&file) && !flying {
                self.open.insert(file);
            }
            at = wanted.first_present(pieces.end);
        }
    }

    /// Not every node begins with the first file: then receivers soon have something for each
    /// other.
    pub(super) fn start_at(&mut self, file: u32) {
        self.next = file;
    }

    /// Values of files of which nothing is wanted any more need not be fetched.
    pub(super) fn close_unwanted(&mut self, map: &PieceMap, wanted: &PieceSet) {
        self.open.retain(|file| {
            let pieces = map.file(*file).pieces;
            wanted.first_present(pieces.start) < pieces.end
        });
    }

    /// A peer is gone: what was asked of it is asked of others.
    pub(super) fn part(&mut self, id: P) {
        while let Some(at) = self.flights.iter().position(|flight| flight.from == id) {
            let flight = self.flights.swap_remove(at);
            self.open.extend(flight.asked);
        }
    }

    /// The open files from `next` on, and round.
    fn around(&self) -> impl Iterator<Item = u32> + '_ {
        let around = self.open.range(self.next..).chain(self.open.range(..self.next));
        around.take(FILES_MAX as usize).copied()
    }

    /// Nobody can serve the files that were looked at: the next look begins behind them.
    fn look_further(&mut self) {
        self.next = self.around().last().map_or(0, |last| last + 1);
    }

    /// The next request to a peer with these pieces, if it can serve any.
    fn plan(&self, map: &PieceMap, have: &PieceSet) -> Option<(Range<u32>, Vec<u32>)> {
        let can_serve = |file: u32| {
            let pieces = map.file(file).pieces;
            have.first_present(pieces.start) < pieces.end
        };
        let first = self.around().find(|file| can_serve(*file))?;
        let (mut asked, mut bytes) = (Vec::new(), 0);
        for file in first..map.files().min(first + FILES_MAX) {
            let pieces = u64::from(map.file(file).pieces.len());
            if pieces <= 1 {
                continue;
            }
            bytes += pieces * VALUE_BYTES;
            let fits = asked.is_empty() || bytes <= limits::VALUES_BYTES;
            if !fits || !self.open.contains(&file) || !can_serve(file) {
                break;
            }
            asked.push(file);
        }
        let last = *asked.last()?;
        Some((first..last + 1, asked))
    }
}

impl<P: Copy + Ord + Debug> Swarm<P> {
    /// Asks for values that are wanted and not known.
    pub(super) fn fetch_values(&mut self, now: Time, out: &mut Outbox<Self>) {
        while !self.values.open.is_empty() && self.values.flights.len() < FLIGHTS_MAX {
            let Some((from, files, asked)) = self.plan_values(now) else {
                return self.values.look_further();
            };
            for file in &asked {
                self.values.open.remove(file);
            }
            self.values.next = files.end;
            out.perform(Effect::FetchValues { from, files: files.clone() });
            self.values.flights.push(Flight { from, files, asked });
        }
    }

    fn plan_values(&self, now: Time) -> Option<(P, Range<u32>, Vec<u32>)> {
        let busy = |id: &P| self.values.flights.iter().filter(|f| f.from == *id).count();
        let mut able: Vec<(usize, P, &Peer)> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.have.is_empty() && now >= peer.values_after)
            .map(|(id, peer)| (busy(id), *id, peer))
            .collect();
        able.sort_by_key(|(busy, id, peer)| (peer.down.stalled, *busy, *id));
        able.into_iter().find_map(|(_, id, peer)| {
            let (files, asked) = self.values.plan(&self.map, &peer.have)?;
            Some((id, files, asked))
        })
    }

    pub(super) fn values_ended(
        &mut self,
        now: Time,
        from: P,
        files: Range<u32>,
        result: Result<(), ValuesError>,
        out: &mut Outbox<Self>,
    ) {
        let is_it = |flight: &Flight<P>| flight.from == from && flight.files == files;
        // A flight whose peer has gone was given to others; its end says nothing new.
        let Some(at) = self.values.flights.iter().position(is_it) else {
            return;
        };
        let flight = self.values.flights.swap_remove(at);
        if let Err(why) = result {
            self.values.open.extend(flight.asked);
            self.values.close_unwanted(&self.map, &self.wanted);
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.values_after = now + ASK_AGAIN_AFTER;
            }
            if why == ValuesError::Lie {
                out.emit(Event::Liar { peer: from, piece: None });
                return self.ban(now, from, out);
            }
        } else {
            for file in flight.asked {
                let pieces = self.map.file(file).pieces;
                self.values.known.insert(file);
                self.unknown.remove_range(pieces);
                self.offer(pieces);
            }
            self.fill_all(now, out);
        }
        self.fetch_values(now, out);
    }
}
