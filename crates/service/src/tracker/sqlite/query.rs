//! What a person typed, as words that must be there, and as an expression for the index.

use super::text::{Kind, tokens};

/// Words of one query that are looked for; what goes beyond is not looked at.
const QUERY_TERMS: usize = 16;
/// Letters from which on a word also stands for its beginnings. A shorter one would have a good
/// part of the index read; only the last word, which may still be being typed, is taken so.
const PREFIX_CHARS: usize = 3;

/// What is looked for: all of it must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The words, in their order.
    pub(super) terms: Vec<Term>,
}

/// One word that is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Term {
    /// Folded.
    pub(super) text: String,
    /// Whether words that go on after it fit, too.
    pub(super) prefix: bool,
    /// Whether it is a word between spaces, as opposed to a pair of characters.
    pub(super) spaced: bool,
    /// Its parts, if capitals cut it: they may stand apart as well.
    pub(super) parts: Vec<String>,
    /// If not empty, the words that stand for all that begin with it.
    pub(super) instead: Vec<String>,
}

impl Wanted {
    /// Reads a query. It has no syntax: signs separate words and do nothing else.
    pub(super) fn parse(words: &str) -> Self {
        let mut terms: Vec<Term> = Vec::new();
        tokens(words, &mut |token| {
            let term = Term { text: token.text.to_owned(), ..Term::default() };
            match token.kind {
                Kind::Whole { .. } => {
                    let prefix = token.text.chars().nth(PREFIX_CHARS - 1).is_some();
                    terms.push(Term { prefix, spaced: true, ..term });
                }
                Kind::Pair => terms.push(term),
                Kind::Last { alone: true } => terms.push(Term { prefix: true, ..term }),
                Kind::Part => {
                    if let Some(whole) = terms.last_mut() {
                        whole.parts.push(term.text);
                    }
                }
                Kind::Last { alone: false } | Kind::Tail => {}
            }
        });
        terms.truncate(QUERY_TERMS);
        for term in &mut terms {
            term.drop_loose_parts();
        }
        if let Some(last) = terms.last_mut().filter(|last| last.spaced) {
            last.prefix = true;
        }
        Self { terms }
    }

    /// Whether nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether any word also stands for longer ones.
    pub(super) fn has_prefixes(&self) -> bool {
        self.terms.iter().any(|term| term.spaced && term.prefix)
    }

    /// The same without longer words.
    pub(super) fn exact(&self) -> Self {
        let exact = |term: &Term| Term { prefix: term.prefix && !term.spaced, ..term.clone() };
        Self { terms: self.terms.iter().map(exact).collect() }
    }

    /// As SQLite's FTS5 reads it. Words are letters, digits and marks: they need no escaping.
    pub(super) fn expression(&self) -> String {
        let terms: Vec<String> = self.terms.iter().map(Term::expression).collect();
        terms.join(" AND ")
    }
}

impl Term {
    /// As its own expression.
    pub(super) fn expression(&self) -> String {
        let whole = self.longer(&self.text);
        match self.parts.split_last() {
            None => whole,
            Some((last, parts)) => {
                let mut text = format!("({whole} OR (");
                for part in parts {
                    text.push_str(&format!("\"{part}\" AND "));
                }
                text.push_str(&self.longer_part(last));
                text.push_str("))");
                text
            }
        }
    }

    /// The word, or what begins with it.
    fn longer(&self, word: &str) -> String {
        if !self.prefix {
            format!("\"{word}\"")
        } else if self.instead.is_empty() {
            format!("\"{word}\" *")
        } else {
            format!("(\"{word}\" OR \"{}\")", self.instead.join("\" OR \""))
        }
    }

    fn longer_part(&self, part: &str) -> String {
        let star = if self.prefix { " *" } else { "" };
        format!("\"{part}\"{star}")
    }

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

    fn expression(words: &str) -> String {
        Wanted::parse(words).expression()
    }

    #[test]
    fn each_word_must_be_there_and_long_ones_and_the_last_may_go_on() {
        assert_eq!(
            expression("the Holiday of 20"),
            r#""the" * AND "holiday" * AND "of" AND "20" *"#
        );
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
        assert_eq!(expression("BigBuck"), r#"("bigbuck" * OR ("big" AND "buck" *))"#);
        assert_eq!(expression("S01E02"), r#""s01e02" *"#);
    }

    #[test]
    fn a_run_without_spaces_is_its_pairs() {
        assert_eq!(expression("东京大"), r#""东京" AND "京大""#);
        assert_eq!(expression("东"), r#""东" *"#);
        assert_eq!(expression("写真 nikon"), r#""写真" AND "nikon" *"#);
    }

    #[test]
    fn a_query_is_bounded() {
        assert_eq!(Wanted::parse(&"word ".repeat(100)).terms.len(), QUERY_TERMS);
    }
}
