//! What a person typed, as words that must be there.

use super::text::{Kind, tokens};

/// Words of one query that are looked for; what goes beyond is not looked at.
const QUERY_WORDS: usize = 16;
/// Letters from which on a word also stands for its beginnings. A shorter one would have a good
/// part of the index read; only the last word, which may still be being typed, is taken so.
const PREFIX_CHARS: usize = 3;

/// What is looked for: all of it must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The words, in their order.
    pub terms: Vec<WantedWord>,
}

/// One word that is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedWord {
    /// Folded.
    pub text: String,
    /// Whether words that go on after it fit, too.
    pub prefix: bool,
    /// Whether it is a word between spaces, as opposed to a pair of characters.
    pub spaced: bool,
    /// Its parts, if capitals cut it: they may stand apart as well.
    pub parts: Vec<String>,
    /// If not empty, the words that stand for all that begin with it.
    pub instead: Vec<String>,
}

impl Wanted {
    /// Reads a query. It has no syntax: signs separate words and do nothing else.
    pub fn parse(words: &str) -> Self {
        let mut terms: Vec<WantedWord> = Vec::new();
        tokens(words, &mut |token| {
            let term = WantedWord { text: token.text.to_owned(), ..WantedWord::default() };
            match token.kind {
                Kind::Whole { .. } => {
                    let prefix = token.text.chars().nth(PREFIX_CHARS - 1).is_some();
                    terms.push(WantedWord { prefix, spaced: true, ..term });
                }
                Kind::Pair => terms.push(term),
                Kind::Last { alone: true } => terms.push(WantedWord { prefix: true, ..term }),
                Kind::Part => {
                    if let Some(whole) = terms.last_mut() {
                        whole.parts.push(term.text);
                    }
                }
                Kind::Last { alone: false } | Kind::Tail => {}
            }
        });
        terms.truncate(QUERY_WORDS);
        for term in &mut terms {
            term.drop_loose_parts();
        }
        if let Some(last) = terms.last_mut().filter(|last| last.spaced) {
            last.prefix = true;
        }
        Self { terms }
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether any word also stands for longer ones.
    pub fn has_prefixes(&self) -> bool {
        self.terms.iter().any(|term| term.spaced && term.prefix)
    }

    /// The same without longer words.
    pub fn exact(&self) -> Self {
        let exact =
            |term: &WantedWord| WantedWord { prefix: term.prefix && !term.spaced, ..term.clone() };
        Self { terms: self.terms.iter().map(exact).collect() }
    }

    /// Whether all of it is in these texts: a path, say, and the name and tags of its share.
    pub fn fits<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let mut missing: Vec<Missing<'_>> = self.terms.iter().map(Missing::new).collect();
        for text in texts {
            tokens(text, &mut |token| missing.retain_mut(|word| !word.is_found(token.text)));
            if missing.is_empty() {
                return true;
            }
        }
        missing.is_empty()
    }
}

/// A word that was not seen yet.
struct Missing<'a> {
    word: &'a WantedWord,
    /// A bit for each of its parts that was seen.
    parts: u32,
}

impl<'a> Missing<'a> {
    fn new(word: &'a WantedWord) -> Self {
        Self { word, parts: 0 }
    }

    /// Takes note of a word of a text; whether there is nothing more to look for.
    fn is_found(&mut self, token: &str) -> bool {
        let WantedWord { text, prefix, parts, instead, .. } = self.word;
        if token == text || (*prefix && token.starts_with(text.as_str())) {
            return true;
        }
        if instead.iter().any(|other| other == token) {
            return true;
        }
        for (index, part) in (0..u32::BITS).zip(parts) {
            let last = index as usize + 1 == parts.len();
            if token == part || (last && *prefix && token.starts_with(part.as_str())) {
                self.parts |= 1 << index;
            }
        }
        !parts.is_empty() && self.parts.count_ones() as usize == parts.len()
    }
}

impl WantedWord {
    /// Parts say something only if they are the whole of the word: `S01E02` is not `01` and `02`.
    fn drop_loose_parts(&mut self) {
        if self.parts.iter().map(String::len).sum::<usize>() != self.text.len() {
            self.parts.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(words: &str, text: &str) -> bool {
        Wanted::parse(words).fits([text])
    }

    #[test]
    fn each_word_must_be_there_and_long_ones_and_the_last_may_go_on() {
        let words = Wanted::parse("the Holiday of 20").terms;
        let told: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.prefix)).collect();
        assert_eq!(told, [("the", true), ("holiday", true), ("of", false), ("20", true)]);
        assert!(fits("the Holiday of 20", "Theme holidays, of 2024"));
        assert!(!fits("the Holiday of 20", "Theme holidays, off 2024"));
        assert!(!fits("holidays", "holiday") && !fits("oliday", "holiday"));
    }

    #[test]
    fn words_may_stand_in_several_texts() {
        let wanted = Wanted::parse("talks bang physics");
        assert!(wanted.fits(["2024/Big-Bang.mp4", "Talks", "physics"]));
        assert!(!wanted.fits(["2024/Big-Bang.mp4", "Talks"]));
        assert!(Wanted::default().fits(["anything"]), "nothing is missing");
    }

    #[test]
    fn operators_and_quotes_are_separators() {
        let words = r#"a" OR (b NEAR/2 c*) NOT text : ^d - {e} + "f"#;
        let terms: Vec<_> = Wanted::parse(words).terms.into_iter().map(|term| term.text).collect();
        assert_eq!(terms, ["a", "or", "b", "near", "2", "c", "not", "text", "d", "e", "f"]);
        assert!(Wanted::parse("\"'*^:(){}+-\\\0;").is_empty());
    }

    #[test]
    fn a_word_with_capitals_inside_may_stand_apart() {
        for text in ["BigBuckBunny", "bigbuckbunny", "a big, fat buckle", "BUCK big"] {
            assert!(fits("BigBuck", text), "{text}");
        }
        assert!(!fits("BigBuck", "bigger buck") && !fits("BigBuck", "big"));
        assert!(fits("S01E02", "show.s01e02.mkv") && !fits("S01E02", "01 02"));
    }

    #[test]
    fn a_run_without_spaces_is_its_pairs() {
        assert!(fits("东京大", "东京大学") && fits("东", "京东京") && fits("大学", "东京大学.jpg"));
        assert!(!fits("京东", "东京") && fits("写真 nikon", "Nikon写真"));
    }

    #[test]
    fn case_and_accents_make_no_difference() {
        assert!(
            fits("ECLAIR", "Éclair.txt") && fits("éclair", "eclairs") && fits("straße", "STRASSE")
        );
    }

    #[test]
    fn a_query_is_bounded() {
        assert_eq!(Wanted::parse(&"word ".repeat(100)).terms.len(), QUERY_WORDS);
    }
}
