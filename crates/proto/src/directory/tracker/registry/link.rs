//! A link of a tracker, and what keeps one peer from taking all there is.

use std::collections::BTreeSet;

use potluck_base::{NetworkId, PeerId, Time, limits};

use super::values::Config;
use crate::directory::tracker::message::Request;

/// A link.
pub(super) struct Link {
    /// Who is at the other end.
    pub(super) peer: PeerId,
    /// Tells it from earlier links under the same name.
    pub(super) number: u64,
    /// Networks in which the peer has registered on it.
    pub(super) sessions: BTreeSet<NetworkId>,
    /// When it is ended unless the peer is online in some network by then.
    pub(super) idle_at: Time,
    /// Questions of it that wait for the index.
    pub(super) asks: usize,
    /// Changes of it that wait for the store.
    pub(super) writes: usize,
    pub(super) bucket: Bucket,
    faults: u32,
    fault_at: Time,
}

impl Link {
    pub(super) fn new(peer: PeerId, number: u64, now: Time, config: &Config) -> Self {
        Self {
            peer,
            number,
            sessions: BTreeSet::new(),
            idle_at: now + limits::TRACKER_IDLE_TIME,
            asks: 0,
            writes: 0,
            bucket: Bucket::full(now, config),
            faults: 0,
            fault_at: now,
        }
    }

    /// Counts something that no honest peer sends, and says whether it was once too often. One is
    /// forgiven every [`limits::TRACKER_FORGIVES`].
    pub(super) fn fault(&mut self, now: Time) -> bool {
        let passed = now.since(self.fault_at).as_secs() / limits::TRACKER_FORGIVES.as_secs();
        if passed > 0 {
            self.faults = self.faults.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
            self.fault_at = now;
        }
        self.faults += 1;
        self.faults >= limits::TRACKER_FAULTS
    }
}

/// What a request costs, in requests: by the work that it makes.
pub(super) fn cost(request: &Request) -> u32 {
    match request {
        // A chain of signatures.
        Request::Host { .. } | Request::Join { .. } | Request::Register { .. } => 20,
        Request::Revoke { .. } | Request::Revocations => 20,
        // The index.
        Request::Search { .. } => 4,
        Request::Providers { .. } | Request::Browse { .. } | Request::Members { .. } => 4,
        // Hashing of all that is listed.
        Request::States => 20,
        Request::PageRoots { .. } => 4,
        _ => 1,
    }
}

/// Fills at a steady rate up to a burst; each request takes out its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// In millionths of a request. Below zero, the peer did not wait when it was told to.
    level: i64,
    at: Time,
}

/// What a bucket says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go ahead.
    Allowed,
    /// Not before so many milliseconds.
    Later(u32),
    /// The peer does not listen.
    Flood,
}

/// One request, in the unit of a bucket's level.
const ONE: i64 = 1_000_000;

impl Bucket {
    fn full(now: Time, config: &Config) -> Self {
        Self { level: i64::from(config.burst) * ONE, at: now }
    }

    /// Takes out the cost of a request. One that is refused costs one, too.
    pub(super) fn take(&mut self, now: Time, cost: u32, config: &Config) -> Verdict {
        let brim = i64::from(config.burst) * ONE;
        let passed = i64::try_from(now.since(self.at).as_micros()).unwrap_or(i64::MAX);
        // At one request per second, a millionth flows in per microsecond.
        let flowed = passed.saturating_mul(i64::from(config.requests));
        self.level = self.level.saturating_add(flowed).min(brim);
        self.at = now;
        let cost = i64::from(cost.min(config.burst)) * ONE;
        if self.level >= cost {
            self.level -= cost;
            return Verdict::Allowed;
        }
        self.level -= ONE;
        if self.level < -brim {
            return Verdict::Flood;
        }
        let missing = cost - self.level;
        let wait_ms = missing / (i64::from(config.requests.max(1)) * 1000) + 1;
        Verdict::Later(u32::try_from(wait_ms).unwrap_or(u32::MAX))
    }
}
