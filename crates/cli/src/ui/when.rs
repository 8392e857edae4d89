//! Moments as people say them, seen from now: `3 min ago`, `in 7 d`.

use std::time::{Duration, SystemTime};

/// Shorter than this is now: clocks of two machines differ by as much.
const NOW: Duration = Duration::from_secs(5);
/// Units in which longer durations are told, with their seconds, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("y", 365 * 86_400),
    ("months", 30 * 86_400),
    ("d", 86_400),
    ("h", 3600),
    ("min", 60),
    ("s", 1),
];

/// `now`, `40 s ago`, `3 min ago`, `5 d ago`: how long a moment in milliseconds since 1970 is past.
pub(crate) fn ago(moment_ms: u64) -> String {
    let past = now().saturating_sub(Duration::from_millis(moment_ms));
    let (name, unit) = unit_of(past);
    if past < NOW { "now".to_owned() } else { format!("{} ago", told(past, name, unit)) }
}

/// The same of seconds since 1970.
pub(crate) fn ago_s(moment_s: u64) -> String {
    ago(moment_s.saturating_mul(1000))
}

/// `7 d`, `12 h`: how long a moment in milliseconds since 1970 is ahead, to the nearest unit.
pub(crate) fn ahead(moment_ms: u64) -> String {
    let left = Duration::from_millis(moment_ms).saturating_sub(now());
    let (name, unit) = unit_of(left);
    told(left + unit / 2, name, unit)
}

/// The largest unit that fits into a duration.
fn unit_of(duration: Duration) -> (&'static str, Duration) {
    let fits = |seconds: &u64| duration.as_secs() >= *seconds;
    let (name, seconds) = UNITS.into_iter().find(|(_, seconds)| fits(seconds)).unwrap_or(("s", 1));
    (name, Duration::from_secs(seconds))
}

fn told(duration: Duration, name: &str, unit: Duration) -> String {
    match (name, duration.as_secs() / unit.as_secs()) {
        ("months", 1) => "1 month".to_owned(),
        (_, count) => format!("{count} {name}"),
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(seconds: u64) -> u64 {
        (now() - Duration::from_secs(seconds)).as_millis() as u64
    }

    #[test]
    fn ages_have_one_unit_and_never_flatter() {
        let told: Vec<String> = [0, 40, 200, 7100, 90_000, 3_000_000, 6_000_000, 40_000_000]
            .map(before)
            .map(ago)
            .into();
        let expected = [
            "now",
            "40 s ago",
            "3 min ago",
            "1 h ago",
            "1 d ago",
            "1 month ago",
            "2 months ago",
            "1 y ago",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_confuse() {
        assert_eq!(ago(u64::MAX), "now");
        assert_eq!(ahead(0), "0 s");
        assert_eq!(ago_s(u64::MAX), "now");
    }

    #[test]
    fn what_was_asked_for_is_told_although_a_moment_has_passed() {
        let later = |seconds: u64| (now() + Duration::from_secs(seconds)).as_millis() as u64;
        assert_eq!(ahead(later(7 * 86_400)), "7 d");
        assert_eq!(ahead(later(3600)), "60 min");
        assert_eq!(ahead(later(3700)), "1 h");
        assert_eq!(ahead(later(100)), "2 min");
    }
}
