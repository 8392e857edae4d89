//! How numbers and foreign text are shown to people.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, shown in decimal units as phones and file managers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, "")
    }
}

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

/// A text that is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a size is a number of bytes, or with its unit, like 10MB or 1.5GB")]
pub struct NoSize;

/// Reads `500`, `10MB`, `1.5 GB` or `4GiB`; not more than a signed number of 64 bits can say.
impl FromStr for Bytes {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let (_, unit) = SIZES.into_iter().find(|(name, _)| *name == unit).ok_or(NoSize)?;
        if let Ok(number) = number.parse::<u64>() {
            let bytes = number.checked_mul(unit).filter(|bytes| *bytes <= i64::MAX as u64);
            return bytes.map(Bytes).ok_or(NoSize);
        }
        let bytes = (number.parse::<f64>().map_err(|_| NoSize)? * unit as f64).round();
        if (0.0..i64::MAX as f64).contains(&bytes) { Ok(Bytes(bytes as u64)) } else { Err(NoSize) }
    }
}

impl Bytes {
    /// The same without rounding, as it can be read again: `1 GB`, `1500 MB`, `1025 B`.
    pub fn exact(self) -> String {
        let units = [("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)];
        let fits =
            |(_, power): &(&str, u32)| self.0 > 0 && self.0.is_multiple_of(1000_u64.pow(*power));
        let (unit, power) = units.into_iter().find(fits).unwrap_or(("B", 0));
        format!("{} {unit}", self.0 / 1000_u64.pow(power))
    }
}

/// Bytes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, "/s")
    }
}

fn scaled(f: &mut fmt::Formatter<'_>, mut number: f64, suffix: &str) -> fmt::Result {
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB"] {
        // 999.5 would already print as 1000.
        if number < 999.5 {
            break;
        }
        number /= 1000.0;
        unit = next;
    }
    let decimals = if unit == "B" || number >= 99.95 { 0 } else { 1 };
    write!(f, "{number:.decimals$} {unit}{suffix}")
}

/// Makes text from elsewhere safe to show on a terminal, in a log line or in a prompt.
///
/// Control characters, line separators, and characters that reorder or hide text become `\u{…}`;
/// what is longer than `chars_max` is cut with `…`. Letters of every script stay as they are.
pub fn escape(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == chars_max {
            shown.push('…');
            break;
        }
        if deceives(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character acts on the screen, or hides, instead of being shown.
pub(crate) fn deceives(c: char) -> bool {
    c.is_control()
        || reorders(c)
        || matches!(c,
        '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{00ad}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Bidirectional marks, embeddings, overrides and isolates (UAX #9).
pub(crate) fn reorders(c: char) -> bool {
    let marks = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}');
    marks || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_and_never_show_a_thousand() {
        let shown: Vec<_> =
            [0, 999, 1000, 99_949, 999_499, 999_501, 1 << 30].map(|n| Bytes(n).to_string()).into();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "99.9 kB", "999 kB", "1.0 MB", "1.1 GB"]);
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
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "MB", "-1", "1..5MB", "10 foo", "99999999TB", "1.5.1GB", "NaN"] {
            assert_eq!(text.parse::<Bytes>(), Err(NoSize), "{text}");
        }
    }

    #[test]
    fn an_exact_size_can_be_read_again() {
        for (bytes, text) in [
            (0, "0 B"),
            (1025, "1025 B"),
            (1_000_000_000, "1 GB"),
            (1_500_000_000, "1500 MB"),
            (4 << 30, "4294967296 B"),
        ] {
            assert_eq!(Bytes(bytes).exact(), text);
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
        }
    }

    #[test]
    fn text_that_acts_on_the_screen_is_shown_not_obeyed() {
        assert_eq!(escape("a\u{1b}[31mb\r\n\u{7}", 99), "a\\u{1b}[31mb\\u{d}\\u{a}\\u{7}");
        assert_eq!(escape("gnp.\u{202e}exe", 99), "gnp.\\u{202e}exe");
        assert_eq!(escape("naïve 日本語 наука 👩‍👩‍👧", 99), "naïve 日本語 наука 👩‍👩‍👧");
        assert_eq!(escape("abcdef", 3), "abc…");
    }
}
