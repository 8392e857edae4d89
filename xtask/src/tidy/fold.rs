//! Folds comments that are too long, which `cargo fmt` does not do.
//!
//! Words that stand beyond the border move to the next line of the same paragraph, or to a new
//! line. Tables, code and what stands beside code are left to people.

use super::lines::COLUMNS;

/// The same text with its long comments folded.
pub fn fold(text: &str) -> String {
    let mut pending: Vec<String> = text.lines().rev().map(str::to_owned).collect();
    let mut folded = String::with_capacity(text.len() + 64);
    let mut in_code = false;
    while let Some(line) = pending.pop() {
        let Some(comment) = Comment::read(&line) else {
            in_code = false;
            push(&mut folded, &line);
            continue;
        };
        in_code ^= comment.words.starts_with("```");
        match comment.split().filter(|_| !in_code) {
            None => push(&mut folded, &line),
            Some((kept, moved)) => {
                push(&mut folded, &kept);
                let rest = pending.last().and_then(|next| comment.continued_by(next));
                let continues = rest.is_some();
                let joined = match rest {
                    Some(rest) => format!("{}{moved} {rest}", comment.margin()),
                    None => format!("{}{moved}", comment.margin()),
                };
                if continues {
                    pending.pop();
                }
                pending.push(joined);
            }
        }
    }
    folded
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A line that is nothing but a comment.
struct Comment<'a> {
    /// White space before the slashes.
    indent: &'a str,
    /// `//`, `///` or `//!`.
    slashes: &'a str,
    /// White space after them.
    space: &'a str,
    /// The rest.
    words: &'a str,
}

impl<'a> Comment<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let start = line.trim_start();
        let indent = &line[..line.len() - start.len()];
        let slashes = ["//!", "///", "//"].into_iter().find(|mark| start.starts_with(mark))?;
        let rest = &start[slashes.len()..];
        let words = rest.trim_start();
        let space = &rest[..rest.len() - words.len()];
        Some(Self { indent, slashes, space, words })
    }

    /// What goes before the words of a line that continues this one.
    fn margin(&self) -> String {
        // Below the words of an item, not below its mark.
        let item = if starts_item(self.words) { "  " } else { "" };
        format!("{}{}{}{item}", self.indent, self.slashes, self.space)
    }

    /// The line up to the border, and the words beyond it; none if it fits or must not be folded.
    fn split(&self) -> Option<(String, String)> {
        let before = format!("{}{}{}", self.indent, self.slashes, self.space);
        let width = before.chars().count() + self.words.chars().count();
        if width <= COLUMNS || self.words.starts_with('|') {
            return None;
        }
        let room = COLUMNS - before.chars().count();
        let fits = |at: &usize| self.words[..*at].chars().count() <= room;
        let spaces = self.words.match_indices(' ').map(|(at, _)| at);
        let at = spaces.take_while(fits).filter(|at| !in_ticks(&self.words[..*at])).last()?;
        let (kept, moved) = self.words.split_at(at);
        Some((format!("{before}{}", kept.trim_end()), moved.trim_start().to_owned()))
    }

    /// The words of the next line, if it belongs to the same paragraph.
    fn continued_by<'n>(&self, next: &'n str) -> Option<&'n str> {
        let next = Comment::read(next)?;
        let same = next.indent == self.indent && next.slashes == self.slashes;
        let margin = format!("{}{}{}", next.indent, next.slashes, next.space) == self.margin();
        let alone = next.words.is_empty()
            || starts_item(next.words)
            || next.words.starts_with(['|', '#', '`'])
            || next.words.starts_with("SAFETY");
        (same && margin && !alone).then_some(next.words)
    }
}

fn starts_item(words: &str) -> bool {
    let number = words.trim_start_matches(|c: char| c.is_ascii_digit());
    words.starts_with("- ")
        || words.starts_with("* ")
        || (number.len() < words.len() && number.starts_with(['.', ')']))
}

/// Whether a place lies within words in backticks, which stay together.
fn in_ticks(before: &str) -> bool {
    before.matches('`').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> String {
        vec!["word"; count].join(" ")
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let text = format!("//! {}\n\nfn f() {{}} // {}\n", words(19), words(40));
        assert_eq!(fold(&text), text);
    }

    #[test]
    fn words_beyond_the_border_move_to_a_new_line() {
        let text = format!("    /// {}\n    field: u8,\n", words(20));
        let folded = format!("    /// {}\n    /// {}\n    field: u8,\n", words(18), words(2));
        assert_eq!(fold(&text), folded);
    }

    #[test]
    fn words_beyond_the_border_move_into_the_next_line_of_the_paragraph() {
        let text = format!("// {} last\n// of it.\nlet a = 1;\n", words(19));
        let folded = format!("// {}\n// last of it.\nlet a = 1;\n", words(19));
        assert_eq!(fold(&text), folded);
    }

    #[test]
    fn another_paragraph_and_another_item_stay_apart() {
        let text = format!("/// {}\n///\n/// Next.\n", words(20));
        let folded = format!("/// {}\n/// word\n///\n/// Next.\n", words(19));
        assert_eq!(fold(&text), folded);
        let text = format!("//! - {}\n//! - next\n", words(20));
        let folded = format!("//! - {}\n//!   {}\n//! - next\n", words(19), words(1));
        assert_eq!(fold(&text), folded);
    }

    #[test]
    fn tables_and_code_are_left_alone() {
        let table = format!("//! | {} |\n", words(30));
        assert_eq!(fold(&table), table);
        let code = format!("/// ```\n/// {}\n/// ```\n", words(30));
        assert_eq!(fold(&code), code);
    }

    #[test]
    fn words_in_backticks_stay_together() {
        let text = format!("// {} `one two`\n", words(18));
        assert_eq!(fold(&text), format!("// {}\n// `one two`\n", words(18)));
    }
}
