//! How names become words: what the index holds of a text, and how a query is read the same way.
//!
//! Goals: case, accents and widths make no difference; words inside `CamelCase` and `S01E02` are
//! found; scripts without spaces are found by any two neighbouring characters; whatever a name
//! holds, a word of the index is letters, digits and marks only, so that it needs no escaping.
//! Not a goal: stems, and what only a dictionary knows.
//!
//! The tracker's SQLite gets words that are separated by spaces and splits them there (tokenizer
//! `ascii`, for which everything beyond ASCII is a letter). Its own `unicode61` knows the letters
//! of Unicode 6.1 and cuts Indic words at their vowels; a word that it cut would make a phrase,
//! which an index without positions refuses.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// Characters of one word that are kept: more tell nothing more.
const WORD_CHARS: usize = 64;
/// Parts of one word that get entries of their own. Hashes written as text have dozens.
const WORD_PARTS: usize = 8;
/// Letters of a word that can be suggested: shorter ones fit anything, longer ones are not typed.
const SUGGESTED_LETTERS: std::ops::RangeInclusive<usize> = 3..=24;
/// The first of the characters for what is indexed beside the words. They are of Unicode's private
/// area: no name and no query makes a word of them.
const PRIVATE: u32 = 0xE000;

/// One entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Folded letters, digits and marks.
    pub text: &'a str,
    /// What it is of its word.
    pub kind: Kind,
}

/// What an entry is of its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole word, as it stands between separators.
    Whole {
        /// Whether borders inside cut it into parts.
        cut: bool,
    },
    /// One part between borders: `Holiday` of `MyHolidayVideo`.
    Part,
    /// From a border to the end: `HolidayVideo` of `MyHolidayVideo`, `e02` of `S01E02`.
    Tail,
    /// Two neighbouring characters of a script without spaces.
    Pair,
    /// The last character of a run of such, so that each is the beginning of an entry.
    Last {
        /// Whether it is the first, too.
        alone: bool,
    },
}

impl Token<'_> {
    /// Whether people may have meant it when they typed something like it.
    pub fn suggests(&self) -> bool {
        matches!(self.kind, Kind::Whole { cut: false } | Kind::Part)
            && SUGGESTED_LETTERS.contains(&self.text.chars().count())
            && self.text.chars().all(|c| c.is_alphabetic() || is_combining_mark(c))
    }
}

/// An entry that no word can be: a class of files, say.
pub fn mark(number: u8) -> char {
    char::from_u32(PRIVATE + u32::from(number)).expect("256 private characters")
}

/// Calls `each` with every entry of a text.
pub fn tokens(text: &str, each: &mut dyn FnMut(Token<'_>)) {
    let text = unaccented(text);
    let mut word = Word::default();
    for c in text.chars() {
        match Class::of(c) {
            Class::Hidden => {}
            Class::Space => word.end(each),
            class => word.push(c, class, each),
        }
    }
    word.end(each);
}

/// The text without what makes no difference, but with its capitals: they show where words begin.
fn unaccented(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    // Accents, and the points of Hebrew and Arabic. Vowels of Indic scripts, Thai tones and the
    // voiced marks of Japanese are marks, too, but mean something.
    let kept = |c: &char| !matches!(canonical_combining_class(*c), 10..=35 | 200..=234);
    Cow::Owned(text.nfkd().filter(kept).nfc().collect())
}

/// Appends the small form of a character.
fn push_folded(c: char, to: &mut String) {
    if c.is_ascii() {
        to.push(c.to_ascii_lowercase());
        return;
    }
    // Letters that people type without their stroke, but that no normal form takes apart.
    let plain = match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ł' | 'Ł' => "l",
        'ħ' | 'Ħ' => "h",
        'þ' | 'Þ' => "th",
        'ı' => "i",
        'ς' => "σ",
        _ => return to.extend(c.to_lowercase()),
    };
    to.push_str(plain);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    /// A letter of a script without capitals.
    Letter,
    Digit,
    /// Belongs to what stands before it.
    Mark,
    /// Of a script without spaces, or a picture.
    Dense,
    /// Acts on the text instead of being shown; as if it were not there.
    Hidden,
    /// Everything else.
    Space,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' => Class::Lower,
            'A'..='Z' => Class::Upper,
            '0'..='9' => Class::Digit,
            _ if c.is_ascii() => Class::Space,
            _ if is_hidden(c) => Class::Hidden,
            _ if is_dense(c) => Class::Dense,
            _ if is_combining_mark(c) => Class::Mark,
            _ if c.is_lowercase() => Class::Lower,
            _ if c.is_uppercase() => Class::Upper,
            _ if c.is_numeric() => Class::Digit,
            _ if c.is_alphabetic() => Class::Letter,
            _ => Class::Space,
        }
    }
}

fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn is_dense(c: char) -> bool {
    matches!(
        c,
        // Thai and Lao, Burmese, Khmer, Tai; their vowels count as characters.
        '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{eff}' | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17d3}' | '\u{1950}'..='\u{19df}' | '\u{1a20}'..='\u{1aad}'
            // Chinese and Japanese, Yi.
            | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3041}'..='\u{3096}'
            | '\u{3099}'..='\u{309a}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}'
            | '\u{30fc}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
            // Pictures.
            | '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}'
    )
}

/// A word that is being read, with the borders in it.
#[derive(Default)]
struct Word {
    /// Folded.
    text: String,
    chars: usize,
    /// Where parts begin, but the first.
    borders: Vec<usize>,
    last: Option<Class>,
    /// Where the last character begins, in `text`.
    last_at: usize,
}

impl Word {
    fn push(&mut self, c: char, class: Class, each: &mut dyn FnMut(Token<'_>)) {
        let dense = class == Class::Dense;
        if self.last.is_some() && dense != self.is_dense() && class != Class::Mark {
            self.end(each);
        }
        if self.chars >= WORD_CHARS && !dense {
            return;
        }
        let at = self.text.len();
        push_folded(c, &mut self.text);
        self.chars += 1;
        if dense {
            self.pair(at, each);
        } else {
            self.find_border(at, class);
        }
        if class != Class::Mark || self.last.is_none() {
            self.last = Some(class);
            self.last_at = at;
        }
    }

    fn is_dense(&self) -> bool {
        self.last == Some(Class::Dense)
    }

    /// Tells the last two characters, and forgets the first of them.
    fn pair(&mut self, at: usize, each: &mut dyn FnMut(Token<'_>)) {
        if at > 0 {
            each(Token { text: &self.text, kind: Kind::Pair });
            self.text.drain(..at);
        }
    }

    fn find_border(&mut self, at: usize, class: Class) {
        use Class::{Digit, Letter, Lower, Upper};
        match (self.last, class) {
            (Some(Lower), Upper)
            | (Some(Lower | Upper | Letter), Digit)
            | (Some(Digit), Lower | Upper | Letter) => self.borders.push(at),
            // The last capital of `XMLFile` begins the next word.
            (Some(Upper), Lower) => {
                let begun = self.borders.last().copied().unwrap_or(0);
                if begun < self.last_at {
                    self.borders.push(self.last_at);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, each: &mut dyn FnMut(Token<'_>)) {
        if self.is_dense() {
            each(Token { text: &self.text, kind: Kind::Last { alone: self.chars == 1 } });
        } else if !self.text.is_empty() {
            self.tell(each);
        }
        self.text.clear();
        self.borders.clear();
        self.chars = 0;
        self.last = None;
        self.last_at = 0;
    }

    fn tell(&self, each: &mut dyn FnMut(Token<'_>)) {
        let text = self.text.as_str();
        each(Token { text, kind: Kind::Whole { cut: !self.borders.is_empty() } });
        let mut start = 0;
        for (count, &border) in self.borders.iter().enumerate().take(WORD_PARTS) {
            self.tell_inner(start, border, Kind::Part, each);
            let is_last = count + 1 == self.borders.len();
            let kind = if is_last { Kind::Part } else { Kind::Tail };
            self.tell_inner(border, text.len(), kind, each);
            start = border;
        }
    }

    /// Single letters tell nothing.
    fn tell_inner(&self, start: usize, end: usize, kind: Kind, each: &mut dyn FnMut(Token<'_>)) {
        let text = &self.text[start..end];
        if text.chars().nth(1).is_some() {
            each(Token { text, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        tokens(text, &mut |token| list.push(token.text.to_owned()));
        list
    }

    fn suggested(text: &str) -> Vec<String> {
        let mut list = Vec::new();
        tokens(text, &mut |token| {
            if token.suggests() {
                list.push(token.text.to_owned());
            }
        });
        list
    }

    #[test]
    fn words_end_at_separators() {
        assert_eq!(all("a_b-c.d e/f(g)[h]"), ["a", "b", "c", "d", "e", "f", "g", "h"]);
        assert_eq!(all(" \"NOT\" * ^ near( :"), ["not", "near"]);
        assert!(all("'\"--;\0\n").is_empty());
    }

    #[test]
    fn capitals_and_digits_cut_words() {
        assert_eq!(all("S01E02"), ["s01e02", "01e02", "01", "e02", "02"]);
        assert_eq!(all("IMG2031"), ["img2031", "img", "2031"]);
        assert_eq!(
            all("MyHolidayVideo"),
            ["myholidayvideo", "my", "holidayvideo", "holiday", "video"]
        );
        assert_eq!(all("XMLFile"), ["xmlfile", "xml", "file"]);
        assert_eq!(all("Holiday"), ["holiday"]);
        assert_eq!(all("ABBA"), ["abba"]);
        assert_eq!(all("iOS"), ["ios", "os"]);
    }

    #[test]
    fn case_accents_and_widths_make_no_difference() {
        for text in ["Éclair", "e\u{301}clair", "ECLAIR", "ｅｃｌａｉｒ"] {
            assert_eq!(all(text)[0], "eclair", "{text}");
        }
        assert_eq!(all("Straße"), all("STRASSE"));
        assert_eq!(all("Ærøskøbing"), ["aeroskobing"]);
        assert_eq!(all("Łódź"), ["lodz"]);
        assert_eq!(all("İstanbul"), ["istanbul"]);
        assert_eq!(all("Ёлка Й"), ["елка", "и"]);
        assert_eq!(all("ΌΣΟΣ"), all("όσος"));
        assert_eq!(all("ﬁle²"), ["file2", "file"]);
    }

    #[test]
    fn points_go_and_vowels_stay() {
        assert_eq!(all("مُحَمَّد"), ["محمد"]);
        assert_eq!(all("أحمد"), ["احمد"]);
        assert_eq!(all("שָׁלוֹם"), ["שלום"]);
        assert_eq!(all("हिन्दी"), ["हिन्दी"]);
        assert_ne!(all("か"), all("が"));
    }

    #[test]
    fn scripts_without_spaces_are_indexed_by_pairs() {
        assert_eq!(all("东京大学"), ["东京", "京大", "大学", "学"]);
        assert_eq!(all("写真2024年"), ["写真", "真", "2024", "年"]);
        assert_eq!(all("ｶﾀｶﾅ"), ["カタ", "タカ", "カナ", "ナ"]);
        assert_eq!(all("日"), ["日"]);
        assert_eq!(all("ภาษา"), ["ภา", "าษ", "ษา", "า"]);
        assert_eq!(all("한국어"), ["한국어"]);
    }

    #[test]
    fn hidden_characters_do_not_cut_words() {
        assert_eq!(all("in\u{202e}vo\u{200b}ice\u{ad}s"), ["invoices"]);
        assert_eq!(all("می\u{200c}خواهم"), ["میخواهم"]);
    }

    #[test]
    fn what_a_name_holds_is_bounded() {
        let long = "a1".repeat(2048);
        let tokens = all(&long);
        assert!(tokens.len() <= 1 + 2 * WORD_PARTS, "{}", tokens.len());
        assert!(tokens.iter().all(|token| token.chars().count() <= WORD_CHARS));
    }

    #[test]
    fn no_token_needs_escaping() {
        let every: String = ('\0'..=char::MAX).collect();
        for separator in ["", " "] {
            let spread: Vec<String> = every.chars().map(String::from).collect();
            tokens(&spread.join(separator), &mut |token| {
                let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric();
                assert!(token.text.chars().all(plain), "{:?}", token.text);
                assert!(!token.text.is_empty());
                assert!(!token.text.contains(mark(0)) && !token.text.contains(mark(255)));
            });
        }
    }

    #[test]
    fn only_words_of_letters_are_suggested() {
        let words = suggested("MyHolidayVideo_2031 x264 S01E02 of 东京大学 Łódź");
        assert_eq!(words, ["holiday", "video", "lodz"]);
    }
}
