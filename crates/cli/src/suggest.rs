//! What somebody meant who gave no verb: a path wants to be shared, a ticket wants to be fetched.

use std::path::Path;

use potluck_base::escape;

/// Characters of a ticket or path that a suggestion shows.
const SHOWN_CHARS: usize = 60;

/// What is wrong with a command line, and what may have been meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suggestion {
    /// What is wrong.
    pub(crate) problem: String,
    /// What may have been meant.
    pub(crate) proposal: String,
}

/// Looks at a first word that is no verb.
pub(crate) fn for_first_word(word: &str) -> Option<Suggestion> {
    let (noun, verb) = if looks_like_ticket(word) {
        ("a ticket", "get")
    } else if looks_like_invite(word) {
        ("an invite", "join")
    } else if looks_like_tracker(word) {
        ("the ticket of a tracker", "network create NAME --tracker")
    } else if Path::new(word).symlink_metadata().is_ok() {
        ("a path", "share")
    } else {
        return None;
    };
    Some(Suggestion {
        problem: format!("\"{}\" is {noun}, not a command", escape(word, SHOWN_CHARS)),
        proposal: format!("Did you mean: potluck {verb} {}", quoted(&escape(word, SHOWN_CHARS))),
    })
}

/// Whether a text could be meant as a ticket; whether it is one, only the node can tell.
pub(crate) fn looks_like_ticket(text: &str) -> bool {
    begins(text, "pot1")
}

/// Whether a text could be meant as an invite to a network.
pub(crate) fn looks_like_invite(text: &str) -> bool {
    begins(text, "potin1")
}

/// Whether a text could be meant as the ticket of a tracker.
pub(crate) fn looks_like_tracker(text: &str) -> bool {
    begins(text, "pottr1")
}

/// Whether a text is the place of a file at a provider without key, as lists of candidates show it.
pub(crate) fn looks_like_outside(text: &str) -> bool {
    text.starts_with("p2p-ci:")
}

fn begins(text: &str, prefix: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    text.strip_prefix("potluck:").unwrap_or(&text).starts_with(prefix)
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%~…".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_seen_in_every_form_that_is_accepted() {
        for text in ["pot1abc", "POT1ABC", " pot1abc\n", "potluck:pot1abc"] {
            assert!(looks_like_ticket(text), "{text:?}");
        }
        for text in ["pot", "pots", "share", "potluck:", ""] {
            assert!(!looks_like_ticket(text), "{text:?}");
        }
        assert!(looks_like_invite("POTIN1A") && !looks_like_ticket("potin1a"));
        assert!(looks_like_tracker("pottr1a") && !looks_like_invite("pottr1a"));
    }

    #[test]
    fn a_path_with_spaces_is_proposed_as_a_shell_takes_it() {
        assert_eq!(quoted("a/b.txt"), "a/b.txt");
        assert_eq!(quoted("my films"), "'my films'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
