//! Amounts as people type them: durations like `7d` and sizes like `10MB`.

use std::time::Duration;

use potluck_base::{Bytes, NoSize};

/// Units of time and their seconds.
const TIMES: [(&str, u64); 9] = [
    ("s", 1),
    ("sec", 1),
    ("m", 60),
    ("min", 60),
    ("h", 3600),
    ("d", 86_400),
    ("day", 86_400),
    ("days", 86_400),
    ("w", 604_800),
];

/// The longest duration that makes sense to type: ten years.
const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads `90s`, `30min`, `12h`, `7d`, `2w`, or several of them: `1d12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a number with its unit, like 30min, 12h, 7d or 2w".to_owned();
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = factor(&TIMES, unit).ok_or_else(wrong)?;
        let part = number.checked_mul(unit).ok_or_else(wrong)?;
        seconds = seconds.checked_add(part).ok_or_else(wrong)?;
        rest = behind.trim_start();
    }
    match Duration::from_secs(seconds) {
        Duration::ZERO => Err(wrong()),
        duration if duration > DURATION_MAX => Err("ten years are the most".to_owned()),
        duration => Ok(duration),
    }
}

/// Reads `500`, `10MB`, `1.5 GB` or `4GiB` as bytes.
pub(crate) fn size(text: &str) -> Result<u64, NoSize> {
    text.parse().map(|Bytes(bytes)| bytes)
}

fn factor(units: &[(&str, u64)], name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    units.iter().find(|(unit, _)| *unit == name).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_type_them() {
        for (text, seconds) in [
            ("90s", 90),
            ("30min", 1800),
            ("5m", 300),
            ("12h", 43_200),
            ("7d", 604_800),
            ("1day", 86_400),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
            ("1D 12H", 129_600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn a_duration_without_unit_or_sense_is_refused() {
        for text in
            ["", "7", "d", "7 parsecs", "-1d", "0d", "11000d", "99999999999999999999d", "1.5d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
