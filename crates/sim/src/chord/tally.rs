//! Counts of small numbers, and what they come to.

/// How often each number came.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: Vec<u64>,
    sum: u64,
    all: u64,
}

impl Tally {
    /// A number came.
    pub fn add(&mut self, number: u64) {
        self.add_times(number, 1);
    }

    /// A number came so many times.
    pub fn add_times(&mut self, number: u64, times: u64) {
        let at = number as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += times;
        self.sum += number * times;
        self.all += times;
    }

    /// All of another.
    pub fn merge(&mut self, other: &Tally) {
        for (number, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add_times(number as u64, *count);
        }
    }

    /// How many came.
    pub fn count(&self) -> u64 {
        self.all
    }

    /// All together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The mean; zero of nothing.
    pub fn mean(&self) -> f64 {
        if self.all == 0 { 0.0 } else { self.sum as f64 / self.all as f64 }
    }

    /// The smallest number that at least so many of a hundred do not exceed.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.all as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (number, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return number as u64;
            }
        }
        0
    }

    /// The share of each number that came.
    pub fn shares(&self) -> impl Iterator<Item = (u64, f64)> {
        let all = self.all.max(1) as f64;
        let came = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        came.map(move |(number, count)| (number as u64, *count as f64 / all))
    }

    /// The largest number that came.
    pub fn max(&self) -> u64 {
        self.counts.iter().rposition(|count| *count > 0).unwrap_or(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_percentiles_are_those_of_the_numbers() {
        let mut tally = Tally::default();
        (1..=100).for_each(|number| tally.add(number));
        assert_eq!((tally.mean(), tally.count(), tally.max()), (50.5, 100, 100));
        assert_eq!([1.0, 50.0, 99.0].map(|percent| tally.percentile(percent)), [1, 50, 99]);
        let mut twice = tally.clone();
        twice.merge(&tally);
        assert_eq!((twice.count(), twice.sum()), (200, 10_100));
        assert!(twice.shares().all(|(_, share)| (share - 0.01).abs() < 1e-9));
    }

    #[test]
    fn nothing_has_no_mean_and_no_percentile() {
        let none = Tally::default();
        assert_eq!((none.mean(), none.percentile(99.0), none.max()), (0.0, 0, 0));
    }
}
