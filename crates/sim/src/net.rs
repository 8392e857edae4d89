//! The links between nodes: up or down, near or far. On a link that is up messages arrive in order;
//! when it goes down, what is under way is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use potluck_base::Time;
use potluck_proto::Dice;

/// All links.
pub struct Net {
    links: BTreeMap<(u32, u32), Line>,
    /// Pairs between which a partition stands.
    severed: BTreeSet<(u32, u32)>,
    delay: Duration,
    jitter: Duration,
}

#[derive(Default)]
struct Line {
    up: bool,
    /// Counts how often the link went up: what was sent earlier does not arrive.
    epoch: u32,
    delay: Option<Duration>,
    /// Nothing sent later arrives before this, by direction.
    clear: [Time; 2],
}

impl Net {
    /// No links; new ones have this delay in one direction, and up to so much jitter.
    pub fn new(delay: Duration, jitter: Duration) -> Self {
        Self { links: BTreeMap::new(), severed: BTreeSet::new(), delay, jitter }
    }

    /// Gives the link between two nodes its own delay.
    pub fn set_delay(&mut self, a: u32, b: u32, delay: Duration) {
        self.links.entry(pair(a, b)).or_default().delay = Some(delay);
    }

    /// Whether the link between two nodes is up.
    pub fn is_up(&self, a: u32, b: u32) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|line| line.up)
    }

    /// How often the link between two nodes went up.
    pub fn epoch(&self, a: u32, b: u32) -> u32 {
        self.links.get(&pair(a, b)).map_or(0, |line| line.epoch)
    }

    /// Whether a link that went up so often is still the same, and up.
    pub fn is_same(&self, a: u32, b: u32, epoch: u32) -> bool {
        self.is_up(a, b) && self.epoch(a, b) == epoch
    }

    /// How long light takes between two nodes.
    pub fn delay(&self, a: u32, b: u32) -> Duration {
        self.links.get(&pair(a, b)).and_then(|line| line.delay).unwrap_or(self.delay)
    }

    /// The nodes that have a link to this one.
    pub fn neighbours(&self, node: u32) -> Vec<u32> {
        let up = self.links.iter().filter(|(_, line)| line.up);
        up.filter_map(|((a, b), _)| match node {
            _ if *a == node => Some(*b),
            _ if *b == node => Some(*a),
            _ => None,
        })
        .collect()
    }

    /// When a message sent now arrives.
    pub fn arrival(&mut self, now: Time, from: u32, to: u32, dice: &mut Dice) -> Time {
        let jitter = Duration::from_micros(dice.below(self.jitter.as_micros() as u64 + 1));
        let at = now + self.delay(from, to) + jitter;
        let line = self.links.entry(pair(from, to)).or_default();
        let clear = &mut line.clear[usize::from(from > to)];
        *clear = at.max(*clear);
        *clear
    }

    /// Puts a link up; whether it was down and could be put up.
    pub(crate) fn connect(&mut self, a: u32, b: u32) -> bool {
        if a == b || self.is_severed(a, b) {
            return false;
        }
        let line = self.links.entry(pair(a, b)).or_default();
        if line.up {
            return false;
        }
        line.up = true;
        line.epoch += 1;
        true
    }

    /// Takes a link down; whether it was up.
    pub(crate) fn drop_link(&mut self, a: u32, b: u32) -> bool {
        self.links.get_mut(&pair(a, b)).is_some_and(|line| std::mem::take(&mut line.up))
    }

    pub(crate) fn sever(&mut self, a: u32, b: u32) {
        self.severed.insert(pair(a, b));
    }

    pub(crate) fn heal(&mut self) {
        self.severed.clear();
    }

    /// Whether a partition stands between two nodes.
    pub fn is_severed(&self, a: u32, b: u32) -> bool {
        self.severed.contains(&pair(a, b))
    }
}

fn pair(a: u32, b: u32) -> (u32, u32) {
    (a.min(b), a.max(b))
}
