//! How numbers and foreign text are shown to people.

use std::fmt;

/// A number of bytes, shown in decimal units as phones and file managers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, "")
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
    fn text_that_acts_on_the_screen_is_shown_not_obeyed() {
        assert_eq!(escape("a\u{1b}[31mb\r\n\u{7}", 99), "a\\u{1b}[31mb\\u{d}\\u{a}\\u{7}");
        assert_eq!(escape("gnp.\u{202e}exe", 99), "gnp.\\u{202e}exe");
        assert_eq!(escape("naïve 日本語 наука 👩‍👩‍👧", 99), "naïve 日本語 наука 👩‍👩‍👧");
        assert_eq!(escape("abcdef", 3), "abc…");
    }
}
