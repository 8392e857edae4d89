//! How well a name fits what was typed.
//!
//! Only names that the index found come here, up to a thousand at a time, so this is kept quick:
//! names of ASCII are looked at in place, others are read as the index reads them.

use super::query::{Wanted, WantedWord};
use super::text::tokens;

/// How much of the score the words make, by where they stand.
const NAME_EXACT: f32 = 1.0;
const NAME_PREFIX: f32 = 0.75;
const PATH_EXACT: f32 = 0.5;
const PATH_PREFIX: f32 = 0.35;
/// In the share's name or tags, or as parts of a longer word.
const ELSEWHERE: f32 = 0.2;
/// What a name gets that holds nothing but the words.
const WHOLE_NAME: f32 = 0.3;

/// Judges names against one query.
pub struct Judge<'a> {
    wanted: &'a Wanted,
    ascii: bool,
    lower: String,
}

impl<'a> Judge<'a> {
    /// A judge for this query.
    pub fn new(wanted: &'a Wanted) -> Self {
        let ascii = wanted.terms.iter().all(|term| term.text.is_ascii());
        Self { wanted, ascii, lower: String::new() }
    }

    /// From 0 to about 1.3.
    pub fn score(&mut self, path: &str) -> f32 {
        let terms = &self.wanted.terms;
        if terms.is_empty() {
            return 0.0;
        }
        let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
        let mut sum = 0.0;
        let mut covered = 0;
        if self.ascii && path.is_ascii() {
            self.lower.clear();
            self.lower.push_str(path);
            self.lower.make_ascii_lowercase();
            for term in terms {
                let worth = in_ascii(path, &self.lower, name_at, &term.text);
                covered += if worth >= NAME_PREFIX { term.text.len() } else { 0 };
                sum += worth;
            }
        } else {
            let (folder, name) = path.split_at(name_at);
            for term in terms {
                let worth = in_words(folder, name, term);
                covered += if worth >= NAME_PREFIX { term.text.len() } else { 0 };
                sum += worth;
            }
        }
        let stem = path[name_at..].rsplit_once('.').map_or(&path[name_at..], |(stem, _)| stem);
        let whole = (covered as f32 / stem.len().max(1) as f32).min(1.0);
        sum / terms.len() as f32 + WHOLE_NAME * whole
    }
}

/// What a word is worth in a path that is ASCII; `lower` is the path in small letters.
fn in_ascii(path: &str, lower: &str, name_at: usize, word: &str) -> f32 {
    let (bytes, mut best, mut from) = (path.as_bytes(), ELSEWHERE, 0);
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find(word)) {
        let start = from + found;
        let end = start + word.len();
        if start == 0 || is_border(bytes[start - 1], bytes[start]) {
            let exact = end == bytes.len() || is_border(bytes[end - 1], bytes[end]);
            best = best.max(worth(start >= name_at, exact));
        }
        from = start + 1;
    }
    best
}

fn worth(in_name: bool, exact: bool) -> f32 {
    match (in_name, exact) {
        (true, true) => NAME_EXACT,
        (true, false) => NAME_PREFIX,
        (false, true) => PATH_EXACT,
        (false, false) => PATH_PREFIX,
    }
}

fn is_border(before: u8, after: u8) -> bool {
    !before.is_ascii_alphanumeric()
        || !after.is_ascii_alphanumeric()
        || before.is_ascii_digit() != after.is_ascii_digit()
        || (before.is_ascii_lowercase() && after.is_ascii_uppercase())
}

fn in_words(folder: &str, name: &str, term: &WantedWord) -> f32 {
    let mut best = ELSEWHERE;
    for (text, in_name) in [(name, true), (folder, false)] {
        tokens(text, &mut |token| {
            if token.text.starts_with(&term.text) {
                best = best.max(worth(in_name, token.text.len() == term.text.len()));
            }
        });
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order(words: &str, paths: &[&str]) {
        let wanted = Wanted::parse(words);
        let mut judge = Judge::new(&wanted);
        let scores: Vec<f32> = paths.iter().map(|path| judge.score(path)).collect();
        assert!(scores.is_sorted_by(|a, b| a > b), "{words}: {paths:?} {scores:?}");
    }

    #[test]
    fn whole_words_come_before_beginnings_and_names_before_folders() {
        in_order("bunny", &["Bunny.mkv", "Big Bunny.mkv", "Bunnyhop the movie.mkv", "bunny/a.mkv"]);
        in_order("bunny", &["bunny/a.mkv", "bunnies-and-bunnyhops/a.mkv", "else.mkv"]);
        in_order("élan", &["Élan.txt", "Élan vital.txt", "elans/x.txt"]);
        in_order("东京", &["东京.jpg", "东京/a.jpg", "x.jpg"]);
    }

    #[test]
    fn capitals_and_digits_are_borders() {
        in_order("video", &["MyVideo.mkv", "myvideo.mkv"]);
        in_order("2031", &["IMG2031.jpg", "IMG72031.jpg"]);
    }

    #[test]
    fn a_name_that_is_all_separators_does_no_harm() {
        let wanted = Wanted::parse("a");
        let mut judge = Judge::new(&wanted);
        for path in ["", "/", ".", "....", "a/", "\u{202e}"] {
            assert!(judge.score(path).is_finite(), "{path}");
        }
    }
}
