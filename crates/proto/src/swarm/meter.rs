//! How fast bytes move, measured from what has moved.

use std::time::Duration;

use potluck_base::Time;

/// Shortest span that says something about a rate: a few blocks of a slow link, many of a fast one.
const SPAN_MIN: Duration = Duration::from_millis(100);

/// A rate in bytes per second, smoothed: each span counts half, what came before it the other half.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    since: Time,
    bytes: u64,
    rate: Option<f64>,
}

impl Meter {
    /// Work begins after a pause, which says nothing about the rate.
    pub(super) fn begin(&mut self, now: Time) {
        self.since = now;
        self.bytes = 0;
    }

    /// Bytes have moved.
    pub(super) fn count(&mut self, now: Time, bytes: u64) {
        self.bytes += bytes;
        let span = now.since(self.since);
        if span >= SPAN_MIN {
            let rate = self.bytes as f64 / span.as_secs_f64();
            self.rate = Some(self.rate.map_or(rate, |before| (before + rate) / 2.0));
            self.begin(now);
        }
    }

    /// Bytes per second, if anything was measured yet.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_a_pause_is_not() {
        let mut meter = Meter::default();
        meter.begin(Time(5_000_000));
        assert_eq!(meter.rate(), None);
        for step in 1..=20 {
            meter.count(Time(5_000_000 + step * 50_000), 50_000);
        }
        assert!((meter.rate().unwrap() - 1e6).abs() < 1e3, "{:?}", meter.rate());
        meter.begin(Time(60_000_000));
        meter.count(Time(60_100_000), 100_000);
        assert!((meter.rate().unwrap() - 1e6).abs() < 1e3, "{:?}", meter.rate());
    }
}
