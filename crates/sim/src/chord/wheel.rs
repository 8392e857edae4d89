//! A queue of what is due, in slots of one millisecond: to put in and to take out costs the same
//! however much is in it.
//!
//! The entries of a slot are a list within one slab, first in, first out, so that the order does
//! not depend on how memory was used before. What lies further ahead than the wheel goes round
//! waits in a slot on the way and is put back.

/// Slots, a power of two: a little more than a minute.
const SLOTS: usize = 1 << 16;
/// No entry.
const NONE: u32 = u32::MAX;

/// What is due, and when.
pub struct Wheel<T> {
    /// First and last entry of each slot.
    slots: Vec<(u32, u32)>,
    entries: Slab<Entry<T>>,
    now: u64,
}

struct Entry<T> {
    at: u64,
    next: u32,
    what: T,
}

impl<T> Wheel<T> {
    /// Nothing is due, and it is the beginning of time.
    pub fn new() -> Self {
        Self { slots: vec![(NONE, NONE); SLOTS], entries: Slab::new(), now: 0 }
    }

    /// The time, in milliseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How much is in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Puts something in, not before now. The name is its alone until it is taken out.
    pub fn push(&mut self, at: u64, what: T) -> u32 {
        let at = at.max(self.now);
        let name = self.entries.insert(Entry { at, next: NONE, what });
        self.append(name, at);
        name
    }

    /// Takes out what is due next, up to a time, which then is the time if nothing is left.
    pub fn pop(&mut self, end: u64) -> Option<(u32, T)> {
        loop {
            let slot = self.now as usize % SLOTS;
            let (first, _) = self.slots[slot];
            if first == NONE {
                if self.now >= end {
                    return None;
                }
                self.now += 1;
                continue;
            }
            let Entry { at, next, .. } = *self.entries.get(first);
            self.slots[slot].0 = next;
            if next == NONE {
                self.slots[slot].1 = NONE;
            }
            if at > self.now {
                self.entries.get_mut(first).next = NONE;
                self.append(first, at);
                continue;
            }
            return Some((first, self.entries.remove(first).what));
        }
    }

    fn append(&mut self, name: u32, at: u64) {
        let at = at.min(self.now + SLOTS as u64 - 1);
        let (first, last) = &mut self.slots[at as usize % SLOTS];
        if *first == NONE {
            *first = name;
        } else {
            let before = *last;
            self.entries.get_mut(before).next = name;
        }
        *last = name;
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Things with numbers; the number of what is gone is given again.
pub struct Slab<T> {
    things: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    /// An empty one.
    pub fn new() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }

    /// How much is in it.
    pub fn len(&self) -> usize {
        self.things.len() - self.free.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts something in.
    pub fn insert(&mut self, thing: T) -> u32 {
        match self.free.pop() {
            Some(name) => {
                self.things[name as usize] = Some(thing);
                name
            }
            None => {
                self.things.push(Some(thing));
                self.things.len() as u32 - 1
            }
        }
    }

    /// Takes something out that is in it.
    pub fn remove(&mut self, name: u32) -> T {
        self.free.push(name);
        self.things[name as usize].take().expect("whoever has the name has not taken it out")
    }

    fn get(&self, name: u32) -> &T {
        self.things[name as usize].as_ref().expect("what is in a slot is in the slab")
    }

    fn get_mut(&mut self, name: u32) -> &mut T {
        self.things[name as usize].as_mut().expect("what is in a slot is in the slab")
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use potluck_proto::Dice;

    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_first_in_first_out_at_the_same_time() {
        let mut wheel = Wheel::new();
        for (at, what) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b'), (200_000, 'z')] {
            wheel.push(at, what);
        }
        let mut seen = String::new();
        while let Some((_, what)) = wheel.pop(1_000_000) {
            seen.push(what);
            if what == 'a' {
                wheel.push(3, '!');
            }
        }
        assert_eq!(seen, "ab!cdz");
        assert_eq!(wheel.now(), 1_000_000);
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let mut wheel = Wheel::new();
        wheel.push(70_000, ());
        assert!(wheel.pop(69_999).is_none() && wheel.len() == 1);
        assert!(wheel.pop(70_000).is_some() && wheel.is_empty());
    }

    #[test]
    fn it_agrees_with_a_sorted_map() {
        let (mut wheel, mut map, mut dice) = (Wheel::new(), BTreeMap::new(), Dice::new(1));
        let mut put = |wheel: &mut Wheel<u64>, map: &mut BTreeMap<(u64, u64), u64>, what| {
            let at = wheel.now() + dice.below(60_000);
            wheel.push(at, what);
            map.insert((at, what), what);
        };
        (0..1000).for_each(|what| put(&mut wheel, &mut map, what));
        for what in 1000..20_000 {
            let (_, got) = wheel.pop(u64::MAX).expect("there is more");
            assert_eq!(map.pop_first().map(|(_, what)| what), Some(got));
            put(&mut wheel, &mut map, what);
        }
    }
}
