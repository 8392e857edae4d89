//! What must hold in every swarm, whatever happens to it.
//!
//! Safety, at every moment: an honest node claims only pieces that it truly has; it asks only for
//! what the other said it has and what it lacks, and never for more than it was granted; it pushes
//! no more at a time than it may; it accuses and hangs up on nobody honest.
//!
//! Liveness and efficiency are judged at the end of a run, by [`SwarmChecker::finish`].

use std::collections::BTreeMap;

use potluck_base::{PieceRange, PieceSet, Time, limits};
use potluck_proto::swarm::{Effect, Event, Message, Outcome, PIECE_OVERHEAD, Partner, Swarm};
use potluck_proto::{Input, Output};

use crate::swarm::SwarmPhysics;
use crate::world::Watcher;

/// Sees everything, remembers what is needed to judge, and collects what was wrong.
#[derive(Default)]
pub struct SwarmChecker {
    /// What was wrong, first things first.
    pub faults: Vec<String>,
    /// What each node may know of each of its peers, by (node, peer).
    views: BTreeMap<(u32, u32), View>,
}

/// What one node may know of a peer.
#[derive(Default)]
struct View {
    /// What the peer said it has.
    claimed: Option<PieceSet>,
    /// What it granted, less what was asked.
    allowance: i64,
    expected: Option<PieceSet>,
    pushes: Vec<PieceRange>,
}

impl Watcher<Swarm<u32>, SwarmPhysics> for SwarmChecker {
    fn before(&mut self, now: Time, node: u32, input: &Input<Swarm<u32>>, physics: &SwarmPhysics) {
        match input {
            Input::Received { from, message } => self.heard(node, *from, message, physics),
            Input::LinkDown(peer) => _ = self.views.remove(&(node, *peer)),
            Input::Done(Outcome::Pushed { to, range } | Outcome::NotPushed { to, range, .. }) => {
                let pushes = &mut self.view(node, *to).pushes;
                if let Some(at) = pushes.iter().position(|push| push.contains(range.start)) {
                    pushes.remove(at);
                }
            }
            Input::Done(Outcome::Arrived { from, range }) => {
                let known = physics.hands[node as usize].truth.contains_range(*range);
                self.must(known, now, node, || {
                    format!("{range:?} from {from} arrived, is not there")
                });
            }
            _ => {}
        }
    }

    fn output(
        &mut self,
        now: Time,
        node: u32,
        output: &Output<Swarm<u32>>,
        machine: &Swarm<u32>,
        physics: &SwarmPhysics,
    ) {
        match output {
            Output::Send { to, message } => self.said(now, node, *to, message, machine, physics),
            Output::Perform(Effect::Expect { from, ranges }) => {
                let total = physics.map.total();
                let view = self.view(node, *from);
                let expected = view.expected.get_or_insert_with(|| PieceSet::none(total));
                ranges.iter().for_each(|range| _ = expected.insert_range(*range));
            }
            Output::Perform(Effect::Push { to, range }) => {
                let pushes = &mut self.view(node, *to).pushes;
                pushes.push(*range);
                let count = pushes.len();
                self.must(count <= limits::LANES_PER_LINK, now, node, || format!("{count} pushes"));
                let block = range.len() == 1
                    || (physics.map.bytes_of(*range) <= limits::BLOCK_BYTES as u64
                        && range.len() <= limits::BLOCK_PIECES);
                self.must(block, now, node, || format!("{range:?} is no block"));
            }
            Output::Hangup(peer) | Output::Emit(Event::Liar { peer, .. }) => {
                let honest = physics.hands[*peer as usize].is_honest();
                self.must(!honest, now, node, || format!("accuses honest {peer}: {output:?}"));
            }
            _ => {}
        }
    }

    fn crashed(&mut self, node: u32) {
        self.views.retain(|(who, _), _| *who != node);
    }
}

impl SwarmChecker {
    fn heard(&mut self, node: u32, from: u32, message: &Message<u32>, physics: &SwarmPhysics) {
        let total = physics.map.total();
        match message {
            Message::Join { have, .. } | Message::Have(have) => {
                let view = self.view(node, from);
                let claimed = view.claimed.get_or_insert_with(|| PieceSet::none(total));
                have.iter().for_each(|range| _ = claimed.insert_range(*range));
            }
            Message::Gone { ranges, .. } => {
                if let Some(claimed) = &mut self.view(node, from).claimed {
                    ranges.iter().for_each(|range| _ = claimed.remove_range(*range));
                }
            }
            Message::Grant { bytes } => self.view(node, from).allowance += i64::from(*bytes),
            Message::Bye => _ = self.views.remove(&(node, from)),
            _ => {}
        }
    }

    fn said(
        &mut self,
        now: Time,
        node: u32,
        to: u32,
        message: &Message<u32>,
        machine: &Swarm<u32>,
        physics: &SwarmPhysics,
    ) {
        let hand = &physics.hands[node as usize];
        match message {
            Message::Join { have, .. } | Message::Have(have) if hand.is_honest() => {
                for range in have {
                    let true_claim = hand.truth.contains_range(*range);
                    self.must(true_claim, now, node, || format!("claims {range:?}, has it not"));
                }
            }
            Message::Request(ranges) => {
                let mut cost = 0;
                for range in ranges {
                    cost += physics.map.bytes_of(*range)
                        + u64::from(range.len()) * u64::from(PIECE_OVERHEAD);
                    self.judge_request(now, node, to, *range, machine, physics);
                }
                let view = self.view(node, to);
                view.allowance -= cost as i64;
                let allowance = view.allowance;
                self.must(allowance >= 0, now, node, || format!("asks {to} too much: {allowance}"));
            }
            _ => {}
        }
    }

    fn judge_request(
        &mut self,
        now: Time,
        node: u32,
        to: u32,
        range: PieceRange,
        machine: &Swarm<u32>,
        physics: &SwarmPhysics,
    ) {
        let view = self.view(node, to);
        let claimed = view.claimed.as_ref().is_some_and(|claimed| claimed.contains_range(range));
        let expected = view.expected.as_ref().is_some_and(|set| set.contains_range(range));
        self.must(claimed, now, node, || format!("asks {to} for {range:?}, which it has not"));
        self.must(expected, now, node, || format!("does not expect {range:?} of {to}"));
        for piece in range.iter() {
            let here = machine.have().contains(piece);
            self.must(!here, now, node, || format!("asks {to} for {piece}, which is here"));
            let file = physics.map.locate(piece).file;
            let single = physics.map.file(file).pieces.len() == 1;
            let known = single || physics.hands[node as usize].values.contains(&file);
            self.must(known, now, node, || format!("asks for {piece} without values"));
        }
    }

    /// Judges the end of a run: who could have everything by now has. `held` is what honest peers
    /// that are connected to the node offer.
    pub fn finish(
        &mut self,
        now: Time,
        node: u32,
        machine: &Swarm<u32>,
        physics: &SwarmPhysics,
        held: &PieceSet,
    ) {
        let hand = &physics.hands[node as usize];
        let mut claimed = machine.have().clone();
        claimed.remove_all(&hand.truth);
        let false_claims = claimed.len();
        self.must(false_claims == 0, now, node, || format!("holds {false_claims} pieces falsely"));
        let mut missing = machine.wanted().clone();
        missing.remove_all(machine.have());
        self.must(missing.len() == machine.missing(), now, node, || "miscounts".to_owned());
        missing.keep_all(held);
        let ranges: Vec<PieceRange> = missing.ranges().collect();
        let partners: Vec<Partner<u32>> = machine.partners().collect();
        self.must(ranges.is_empty(), now, node, || format!("misses {ranges:?}; {partners:?}"));
        let told = machine.missing() > 0 || hand.complete.is_some();
        self.must(told, now, node, || "has all and did not say so".to_owned());
    }

    fn view(&mut self, node: u32, peer: u32) -> &mut View {
        self.views.entry((node, peer)).or_default()
    }

    fn must(&mut self, holds: bool, now: Time, node: u32, what: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(format!("at {} us node {node} {}", now.0, what()));
        }
    }
}
