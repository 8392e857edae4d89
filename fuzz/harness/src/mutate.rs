//! Turns good bytes into bad ones, the same way for the same seed.

use potluck_proto::Dice;

/// Bytes of a mutated input, at most: long enough for every length field to matter.
const INPUT_BYTES: usize = 64 * 1024;
/// Mutations of one input.
const STEPS: u64 = 6;
/// Inputs that were accepted, kept to start from; the oldest make room.
const KEPT: usize = 512;
/// Numbers at which length checks go wrong.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    u64::MAX,
];

/// Makes inputs from seeds, and from inputs that were accepted.
pub struct Mutator {
    dice: Dice,
    pool: Vec<Vec<u8>>,
    seeds: usize,
    next: usize,
}

impl Mutator {
    /// Starts from these seeds; there must be one.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Self {
        assert!(!seeds.is_empty(), "mutation starts from something");
        Self { dice: Dice::new(seed), next: 0, seeds: seeds.len(), pool: seeds }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut bytes = self.any().clone();
        for _ in 0..=self.dice.below(STEPS) {
            self.mutate(&mut bytes);
        }
        bytes.truncate(INPUT_BYTES);
        bytes
    }

    /// Keeps an input that was accepted: what lies beyond it is reached from there.
    pub fn keep(&mut self, bytes: Vec<u8>) {
        if self.pool.len() < self.seeds + KEPT {
            self.pool.push(bytes);
        } else {
            self.pool[self.seeds + self.next] = bytes;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// A seed, or as often one of those that were accepted.
    fn any(&mut self) -> &Vec<u8> {
        let from_seeds = self.dice.chance(1, 2);
        let index = self.below(if from_seeds { self.seeds } else { self.pool.len() });
        &self.pool[index]
    }

    fn below(&mut self, limit: usize) -> usize {
        self.dice.below(limit as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        match self.dice.below(9) {
            0 => flip(bytes, at, 1 << self.dice.below(8)),
            1 => flip(bytes, at, self.dice.next_u64() as u8),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + 1 + self.below(32)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            4 => {
                let count = 1 + self.below(32);
                let value = self.dice.next_u64() as u8;
                bytes.splice(at..at, std::iter::repeat_n(value, count));
            }
            5 => self.write_number(bytes, at),
            6 => self.write_varint(bytes, at),
            7 => {
                // A piece of itself once more: duplicates.
                let end = (at + self.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => {
                // The head of one and the tail of another.
                let other = self.any().clone();
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }

    /// An edge as a number of fixed width.
    fn write_number(&mut self, bytes: &mut [u8], at: usize) {
        let edge = EDGES[self.below(EDGES.len())].wrapping_sub(self.dice.below(2));
        let width = 1 << self.dice.below(4);
        let mut number = edge.to_le_bytes();
        if self.dice.chance(1, 2) {
            number[..width].reverse();
        }
        for (byte, new) in bytes.iter_mut().skip(at).zip(&number[..width]) {
            *byte = *new;
        }
    }

    /// An edge as a number of seven bits a byte, in the place of what was there or between.
    fn write_varint(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let mut left = EDGES[self.below(EDGES.len())];
        let mut number = Vec::new();
        while left >= 0x80 {
            number.push(left as u8 | 0x80);
            left >>= 7;
        }
        number.push(left as u8);
        if self.dice.chance(1, 8) {
            // The same number in a longer form than it needs.
            *number.last_mut().expect("a number has a byte") |= 0x80;
            number.push(0);
        }
        let end = if self.dice.chance(1, 2) { at } else { (at + 1).min(bytes.len()) };
        bytes.splice(at..end, number);
    }
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u64) -> Vec<Vec<u8>> {
        let mut mutator = Mutator::new(seed, vec![b"who shares a dish eats from many".to_vec()]);
        (0..2000).map(|_| mutator.next_input()).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        assert_eq!(inputs(3), inputs(3));
        assert_ne!(inputs(3), inputs(4));
    }

    #[test]
    fn inputs_are_many_and_short_enough() {
        let distinct: std::collections::BTreeSet<_> = inputs(5).into_iter().collect();
        assert!(distinct.len() > 1500, "only {} different inputs", distinct.len());
        assert!(distinct.iter().all(|input| input.len() <= INPUT_BYTES));
    }

    #[test]
    fn the_pool_of_accepted_inputs_is_bounded_and_keeps_the_seeds() {
        let mut mutator = Mutator::new(1, vec![b"seed".to_vec()]);
        for index in 0..3 * KEPT {
            mutator.keep(index.to_le_bytes().to_vec());
        }
        assert_eq!(mutator.pool.len(), KEPT + 1);
        assert_eq!(mutator.pool[0], b"seed");
    }
}
