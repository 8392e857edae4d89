//! Amounts as people type them: durations like `7d` and sizes like `10MB`.

use std::time::Duration;

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

/// Units of size and their bytes: decimal as phones and file managers count, binary where it is
/// said.
const SIZES: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1000),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
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
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is a number of bytes, or with its unit, like 10MB or 1.5GB".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = factor(&SIZES, unit.trim()).ok_or_else(wrong)?;
    if let Ok(number) = number.parse::<u64>() {
        return number
            .checked_mul(unit)
            .filter(|bytes| *bytes <= i64::MAX as u64)
            .ok_or_else(wrong);
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = (number * unit as f64).round();
    if (0.0..i64::MAX as f64).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
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

    #[test]
    fn sizes_are_decimal_unless_they_say_otherwise() {
        for (text, bytes) in [
            ("0", 0),
            ("500", 500),
            ("10MB", 10_000_000),
            ("10 mb", 10_000_000),
            ("10M", 10_000_000),
            ("1.5GB", 1_500_000_000),
            ("0.5k", 500),
            ("4GiB", 4 << 30),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1..5MB", "10 foo", "99999999TB", "1.5.1GB", "NaN"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
