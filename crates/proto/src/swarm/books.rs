//! The books of a machine, counted afresh: tests compare them after every input.

use std::fmt::Debug;

use super::Swarm;

impl<P: Copy + Ord + Debug> Swarm<P> {
    /// Panics if what is counted along the way is not what a fresh count finds.
    pub(super) fn check(&mut self) {
        let mut missing = self.wanted.clone();
        missing.remove_all(&self.have);
        assert_eq!(self.missing, missing.len(), "missing");
        for piece in 0..self.map.total() {
            let idle = missing.contains(piece)
                && !self.unknown.contains(piece)
                && !self.asked.contains(piece);
            assert_eq!(self.picker.offers(piece), idle, "piece {piece} may be asked for");
            let askers = self.peers.values().filter(|peer| peer.down.asked.contains(piece));
            let (mut all, mut alive) = (0, 0);
            for peer in askers {
                all += 1;
                alive += usize::from(!peer.down.stalled);
            }
            assert_eq!(self.asked.contains(piece), alive > 0, "piece {piece} is asked");
            assert!(all < 2 || self.doubled.contains(&piece), "piece {piece} is asked twice");
            if !self.picker.is_asleep() {
                let holders = self
                    .peers
                    .values()
                    .filter(|peer| !peer.everything && peer.have.contains(piece));
                assert_eq!(usize::from(self.picker.holders(piece)), holders.count(), "holders");
            }
        }
        let full = self.peers.values().filter(|peer| peer.everything).count();
        assert_eq!(self.full_peers as usize, full, "full peers");
        let out: usize = self.peers.values().map(|peer| peer.up.pushes_counted()).sum();
        assert_eq!(self.pushes_out, out, "pushes");
        for peer in self.peers.values_mut() {
            assert_eq!(peer.down.asked_bytes, self.map.bytes_of_set(&peer.down.asked));
            assert!(peer.joined || peer.have.is_empty());
            peer.up.check(&self.map, &self.have);
        }
    }
}
