//! How many connections may be half open: those that say nothing must not keep others out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

/// Lets a limited number of connections be half open. Clones are the same gate.
///
/// When it is full the oldest of the source that has most is thrown out: an honest handshake takes
/// milliseconds, and a crowd from one address mostly hurts itself.
#[derive(Clone)]
pub(crate) struct Gate {
    inside: Arc<Mutex<Inside>>,
    room: usize,
}

#[derive(Default)]
struct Inside {
    next: u64,
    passes: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// The right to be half open. Dropping it makes room.
pub(crate) struct Pass {
    gate: Gate,
    number: u64,
    out: CancellationToken,
}

impl Gate {
    pub(crate) fn new(room: usize) -> Self {
        Self { inside: Arc::default(), room }
    }

    /// Lets one in from there.
    pub(crate) fn enter(&self, source: IpAddr) -> Pass {
        let mut inside = self.lock();
        if inside.passes.len() >= self.room {
            inside.throw_one_out();
        }
        let (number, out) = (inside.next, CancellationToken::new());
        inside.next += 1;
        inside.passes.insert(number, (network_of(source), out.clone()));
        Pass { gate: self.clone(), number, out }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no holder panics")
    }
}

impl Inside {
    fn throw_one_out(&mut self) {
        let mut crowds: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (source, _)) in &self.passes {
            // The first that is seen of a source is its oldest.
            crowds.entry(*source).or_insert((0, *number)).0 += 1;
        }
        let worst = crowds.into_values().max_by_key(|(count, oldest)| (*count, u64::MAX - oldest));
        if let Some((_, out)) = worst.and_then(|(_, oldest)| self.passes.remove(&oldest)) {
            out.cancel();
        }
    }
}

impl Pass {
    /// Resolves when others need the room.
    pub(crate) async fn thrown_out(&self) {
        self.out.cancelled().await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.lock().passes.remove(&self.number);
    }
}

/// One source is one IPv4 address or what one household gets of IPv6.
fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_out(pass: &Pass) -> bool {
        pass.out.is_cancelled()
    }

    #[test]
    fn a_crowd_throws_out_its_own_oldest() {
        let gate = Gate::new(3);
        let [crowd, honest]: [IpAddr; 2] =
            ["2001:db8::1", "10.0.0.1"].map(|text| text.parse().unwrap());
        let first = gate.enter(honest);
        let second = gate.enter(crowd);
        // Another address of the same household.
        let third = gate.enter("2001:db8::2".parse().unwrap());
        let fourth = gate.enter(crowd);
        assert_eq!([&first, &second, &third, &fourth].map(is_out), [false, true, false, false]);
        drop(second);
        drop(third);
        let fifth = gate.enter(crowd);
        assert!(!is_out(&first) && !is_out(&fourth) && !is_out(&fifth));
    }
}
