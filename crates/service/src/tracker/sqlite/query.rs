//! What is looked for, as SQLite's FTS5 reads it.
//!
//! Words are letters, digits and marks: they need no escaping.

use potluck_proto::directory::words::{Wanted, WantedWord};

/// All words of a query.
pub(super) fn expression(wanted: &Wanted) -> String {
    let words: Vec<String> = wanted.terms.iter().map(word_expression).collect();
    words.join(" AND ")
}

/// One word of it.
pub(super) fn word_expression(word: &WantedWord) -> String {
    let whole = longer(word);
    match word.parts.split_last() {
        None => whole,
        Some((last, parts)) => {
            let mut text = format!("({whole} OR (");
            for part in parts {
                text.push_str(&format!("\"{part}\" AND "));
            }
            let star = if word.prefix { " *" } else { "" };
            text.push_str(&format!("\"{last}\"{star}))"));
            text
        }
    }
}

/// The word, or what begins with it.
fn longer(word: &WantedWord) -> String {
    let text = &word.text;
    if !word.prefix {
        format!("\"{text}\"")
    } else if word.instead.is_empty() {
        format!("\"{text}\" *")
    } else {
        format!("(\"{text}\" OR \"{}\")", word.instead.join("\" OR \""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(words: &str) -> String {
        super::expression(&Wanted::parse(words))
    }

    #[test]
    fn each_word_must_be_there_and_long_ones_and_the_last_may_go_on() {
        assert_eq!(
            expression("the Holiday of 20"),
            r#""the" * AND "holiday" * AND "of" AND "20" *"#
        );
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
}
