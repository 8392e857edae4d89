//! Rules that one line of text can break, and the length of a file.

use super::Finding;

/// Characters of a line of Rust.
pub const COLUMNS: usize = 100;
/// Lines of a Rust file that are worth a thought.
const FILE_LINES_MANY: usize = 501;
/// Lines of a Rust file that are too many.
const FILE_LINES_TOO_MANY: usize = 801;

/// All findings of one file.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rust = file.ends_with(".rs");
    for (index, line) in text.lines().enumerate() {
        let at = (file, index + 1);
        findings.extend(machine_path(at, line));
        if !file.ends_with(".md") {
            findings.extend(promise(at, line));
        }
        if rust {
            findings.extend(width(at, line));
            findings.extend(silenced_test(at, line));
        }
    }
    if rust {
        findings.extend(opening(file, text));
        findings.extend(length(file, text));
        findings.extend(file_name(file));
    }
    findings
}

/// Folders that exist on one machine only.
fn machine_path(at: (&str, usize), line: &str) -> Option<Finding> {
    let places = ["work", "root", "tmp/bash"].map(|place| format!("/{place}"));
    let found = places.iter().find(|place| {
        line.match_indices(place.as_str()).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + place.len()..].chars().next();
            // Within a longer path or URL it is another place: `docs/root/x`.
            let starts = before.is_none_or(|c| !(c.is_alphanumeric() || "._-/}~".contains(c)));
            starts && (after == Some('/') || place.contains("bash"))
        })
    })?;
    Some(Finding::fail(
        at,
        format!("a path of one machine, {found}"),
        "the checkout must work anywhere",
        "use a relative path, a temporary folder or an argument",
    ))
}

/// A note to oneself that nobody is reminded of.
fn promise(at: (&str, usize), line: &str) -> Option<Finding> {
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let found = words.iter().find(|word| {
        line.match_indices(word.as_str()).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let rest = &line[start + word.len()..];
            let whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
                && rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            whole && !rest.starts_with("(#")
        })
    })?;
    Some(Finding::fail(
        at,
        format!("a bare {found}"),
        "a promise without an issue is forgotten",
        format!("do it now, or open an issue and write {found}(#123)"),
    ))
}

fn width(at: (&str, usize), line: &str) -> Option<Finding> {
    let columns = line.chars().count();
    // A URL cannot be folded.
    let url = line.contains("://") && line.split_whitespace().count() <= 2;
    (columns > COLUMNS && !url).then(|| {
        Finding::fail(
            at,
            format!("a line of {columns} columns, more than {COLUMNS}"),
            "two files must fit side by side",
            "fold it; `cargo xtask tidy --fold` folds comments",
        )
    })
}

fn silenced_test(at: (&str, usize), line: &str) -> Option<Finding> {
    let comment = line.trim_start().strip_prefix("//")?;
    let doc = comment.starts_with('/') || comment.starts_with('!');
    let test = comment.contains("#[test]") || comment.contains("#[tokio::test");
    (test && !doc).then(|| {
        Finding::fail(
            at,
            "a test that is commented out",
            "it looks like a test and guards nothing",
            "mend it or delete it",
        )
    })
}

fn opening(file: &str, text: &str) -> Option<Finding> {
    let first = text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|rest| rest.trim().len() > 2);
    (!says).then(|| {
        Finding::fail(
            (file, 1),
            "a file that does not open with `//!`",
            "its first line tells a reader what it is, in one sentence",
            "write that sentence",
        )
    })
}

fn length(file: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    let finding = Finding::fail(
        (file, 1),
        format!("a file of {lines} lines, more than {}", FILE_LINES_MANY - 1),
        "the file named after the main noun grows for ever",
        "let the noun only route, and give each family of verbs its own file",
    );
    match lines {
        FILE_LINES_TOO_MANY.. => Some(finding),
        FILE_LINES_MANY.. => Some(finding.warning()),
        _ => None,
    }
}

fn file_name(file: &str) -> Option<Finding> {
    let path = file.strip_suffix(".rs")?;
    let name = path.split('/').find(|name| is_drawer(name))?;
    Some(drawer((file, 1), name))
}

/// Whether a name says nothing of what is inside.
pub fn is_drawer(name: &str) -> bool {
    ["util", "utils", "common", "helper", "helpers", "misc"].contains(&name)
}

/// The finding for such a name.
pub fn drawer(at: (&str, usize), name: &str) -> Finding {
    Finding::fail(
        at,
        format!("a module named `{name}`"),
        "a drawer without a label collects everything",
        "name it after what it is, or put its parts beside their users",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &str = "//! A file about something.\n";

    fn found(file: &str, text: &str) -> Vec<String> {
        check(file, text).into_iter().map(|finding| finding.what).collect()
    }

    fn rust(body: &str) -> Vec<String> {
        found("crates/base/src/id.rs", &format!("{OPENING}{body}"))
    }

    #[test]
    fn a_clean_file_passes() {
        assert!(rust("/// Adds.\npub fn add() {}\n").is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_file_and_only_there() {
        for place in ["work", "root", "tmp/bash"] {
            let line = format!("see \"/{place}/x\"\n");
            assert_eq!(found("docs/a.md", &line), [format!("a path of one machine, /{place}")]);
        }
        assert!(found("docs/a.md", "https://x.example/work/a and docs/root/b\n").is_empty());
        assert!(found("docs/a.md", "a /workshop/ and /rooted/ things\n").is_empty());
    }

    #[test]
    fn a_promise_needs_an_issue() {
        let word = ["TO", "DO"].concat();
        assert_eq!(rust(&format!("// {word}: later\n")), [format!("a bare {word}")]);
        assert!(rust(&format!("// {word}(#12): later\n")).is_empty());
        assert!(rust(&format!("const {word}S: u8 = 1;\n")).is_empty());
    }

    #[test]
    fn a_long_line_is_found_unless_it_is_a_link() {
        let long = format!("// {}\n", "word ".repeat(30));
        assert_eq!(rust(&long), ["a line of 153 columns, more than 100"]);
        assert!(rust(&format!("// https://x.example/{}\n", "a".repeat(120))).is_empty());
        let wide_letters = format!("// {}\n", "日".repeat(97));
        assert!(rust(&wide_letters).is_empty(), "columns are characters, not bytes");
    }

    #[test]
    fn a_test_in_a_comment_is_found_unless_it_documents() {
        assert_eq!(rust("    // #[test]\n"), ["a test that is commented out"]);
        assert_eq!(rust("// #[tokio::test]\n"), ["a test that is commented out"]);
        assert!(rust("/// Put `#[test]` above it.\npub fn f() {}\n").is_empty());
    }

    #[test]
    fn a_file_says_first_what_it_is() {
        let what = ["a file that does not open with `//!`"];
        assert_eq!(found("crates/base/src/id.rs", "use std::fmt;\n"), what);
        assert_eq!(found("crates/base/src/id.rs", "//!\n"), what);
        assert_eq!(found("crates/base/src/id.rs", ""), what);
    }

    #[test]
    fn a_file_may_grow_only_so_far() {
        let lines = |count: usize| format!("{OPENING}{}", "\n".repeat(count - 1));
        assert!(check("a.rs", &lines(500)).is_empty());
        assert_eq!(check("a.rs", &lines(501))[0].level, super::super::Level::Warn);
        assert_eq!(check("a.rs", &lines(800))[0].level, super::super::Level::Warn);
        assert_eq!(check("a.rs", &lines(801))[0].level, super::super::Level::Fail);
    }

    #[test]
    fn a_drawer_is_found_as_file_and_as_folder() {
        assert_eq!(found("crates/base/src/util.rs", OPENING), ["a module named `util`"]);
        assert_eq!(found("crates/base/src/common/x.rs", OPENING), ["a module named `common`"]);
        assert!(found("crates/base/src/utility.rs", OPENING).is_empty());
    }
}
