//! A typed line as words, with quotes as in other shells.

/// Why a line has no words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// A quote is not closed.
    Open(char),
    /// It ends with a backslash.
    Backslash,
}

impl LineError {
    /// What to tell the person.
    pub(crate) fn text(&self) -> String {
        match self {
            LineError::Open(quote) => format!("a {quote} is not closed"),
            LineError::Backslash => "nothing stands behind the last \\".to_owned(),
        }
    }
}

/// The words of a line. Single quotes keep everything as it is, double quotes everything but `\"`
/// and `\\`; outside of both a backslash keeps the next character as it is.
pub(crate) fn words(line: &str) -> Result<Vec<String>, LineError> {
    let cut = cut(line);
    match cut.open {
        Some(error) => Err(error),
        None => {
            let mut words = cut.before;
            words.extend(cut.word);
            Ok(words)
        }
    }
}

/// A line up to the cursor, for completion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The words that are complete.
    pub(crate) before: Vec<String>,
    /// What there is of the word at the cursor, without quotes; none behind a space.
    pub(crate) word: Option<String>,
    /// Where that word begins in the line, in bytes; the line's length behind a space.
    pub(crate) start: usize,
    /// What is not finished yet.
    pub(crate) open: Option<LineError>,
}

/// Cuts a line at its end.
pub(crate) fn cut(line: &str) -> Cut {
    let mut cut = Cut { start: line.len(), ..Cut::default() };
    let mut quote: Option<char> = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            cut.before.extend(cut.word.take());
            cut.start = line.len();
            continue;
        }
        let word = cut.word.get_or_insert_with(|| {
            cut.start = at;
            String::new()
        });
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, '\\') => match chars.next() {
                Some((_, kept)) => word.push(kept),
                None => cut.open = Some(LineError::Backslash),
            },
            (Some('"'), '\\') => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, kept)) => word.push(kept),
                None => word.push('\\'),
            },
            _ => word.push(c),
        }
    }
    if let Some(open) = quote {
        cut.open = Some(LineError::Open(open));
    }
    cut
}

/// A word as it is typed: in quotes if it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '\'' | '"' | '\\');
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_between_spaces_and_in_quotes() {
        for (line, expected) in [
            ("", &[][..]),
            ("  peers ", &["peers"]),
            ("search frog film", &["search", "frog", "film"]),
            ("ping 'ann b'", &["ping", "ann b"]),
            (r#"ping "ann \"b\" \n""#, &["ping", r#"ann "b" \n"#]),
            (r"ping ann\ b", &["ping", "ann b"]),
            (r"ping 'a\b'", &["ping", r"a\b"]),
            ("ping a'b c'd", &["ping", "ab cd"]),
            ("kick ''", &["kick", ""]),
            ("search 日本 \t наука", &["search", "日本", "наука"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_finished_is_told() {
        assert_eq!(words("ping 'ann"), Err(LineError::Open('\'')));
        assert_eq!(words("ping \"ann"), Err(LineError::Open('"')));
        assert_eq!(words("ping ann\\"), Err(LineError::Backslash));
    }

    #[test]
    fn a_cut_knows_where_the_word_at_the_cursor_begins() {
        let found = cut("ping 'ann b");
        assert_eq!((found.before.len(), found.word.as_deref(), found.start), (1, Some("ann b"), 5));
        let found = cut("ping ");
        assert_eq!((found.before.len(), found.word, found.start), (1, None, 5));
        assert_eq!(cut("日本 na").start, 7);
    }

    #[test]
    fn a_quoted_word_is_read_as_it_was() {
        for word in ["ann", "ann b", "it's", r#"a"b\c"#, ""] {
            assert_eq!(words(&quoted(word)).unwrap(), [word], "{word}");
        }
    }
}
