//! Names and paths that come from elsewhere: parsed once into a safe form, or refused.
//!
//! A [`RelPath`] cannot leave the folder that it is joined to, on any platform. Characters that
//! only some platforms reserve (`:` on Windows) travel and are encoded where they cannot stand:
//! [`local_name`].

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::limits;
use crate::text::{escape, reorders};

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No name at all, or an empty one between two slashes.
    #[error("a path has an empty name")]
    Empty,
    /// `.` or `..`
    #[error("a path has a name that means another folder")]
    Dots,
    /// Starts at the root, or at a drive.
    #[error("a path does not start below the folder that it belongs to")]
    Absolute,
    /// A separator of another platform, or a character that acts instead of being shown.
    #[error("the name \"{}\" has a character that cannot be part of a file name", escape(.0, 40))]
    Character(String),
    /// Longer or deeper than file systems take.
    #[error("a path is too long or too deep")]
    TooLong,
}

/// A path below a share: names joined by `/`, in any script, none of which can lead elsewhere.
///
/// Ordered by its names, one after another, so that a folder's entries stand together.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RelPath(String);

impl RelPath {
    /// Reads a path, or says why it is refused.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > limits::PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if text.starts_with('/') || is_drive(text) {
            return Err(PathError::Absolute);
        }
        let mut depth = 0;
        for name in text.split('/') {
            check_name(name)?;
            depth += 1;
        }
        if depth > limits::PATH_DEPTH { Err(PathError::TooLong) } else { Ok(Self(text.to_owned())) }
    }

    /// Reads a path of exactly one name.
    pub fn parse_name(text: &str) -> Result<Self, PathError> {
        if text.contains('/') {
            Err(PathError::Character(text.to_owned()))
        } else {
            Self::parse(text)
        }
    }

    /// The path with `/` between names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its names, outermost first; at least one.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Its last name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().expect("a path has at least one name")
    }

    /// The path without its last name, if something is left.
    pub fn parent(&self) -> Option<RelPath> {
        self.0.rsplit_once('/').map(|(parent, _)| RelPath(parent.to_owned()))
    }

    /// This path below another.
    pub fn below(&self, parent: &RelPath) -> Result<RelPath, PathError> {
        RelPath::parse(&format!("{}/{}", parent.0, self.0))
    }

    /// The form under which a file system that ignores case and normalisation would find it.
    pub fn folded(&self) -> String {
        self.0.nfc().flat_map(char::to_lowercase).nfc().collect()
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0, limits::PATH_BYTES))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        RelPath::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Whose rules for file names hold where something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Linux, macOS and their kin: every name that a [`RelPath`] can have.
    Unix,
    /// Windows: reserved characters, device names, no dot or space at the end.
    Windows,
}

impl Platform {
    /// The platform that this program was built for.
    pub const fn here() -> Self {
        if cfg!(windows) { Platform::Windows } else { Platform::Unix }
    }
}

/// The name under which a file is kept on a platform: the same, or with what is reserved there as
/// `%XX`.
pub fn local_name(name: &str, platform: Platform) -> Cow<'_, str> {
    if platform == Platform::Unix {
        return Cow::Borrowed(name);
    }
    let device = is_device(name);
    let last = name.chars().count() - 1;
    let reserved = |i: usize, c: char| {
        matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%')
            || (i == last && matches!(c, '.' | ' '))
            || (i == 0 && device)
    };
    if !name.chars().enumerate().any(|(i, c)| reserved(i, c)) {
        return Cow::Borrowed(name);
    }
    let mut encoded = String::with_capacity(name.len() + 6);
    for (i, c) in name.chars().enumerate() {
        if reserved(i, c) {
            encoded.push_str(&format!("%{:02X}", c as u32));
        } else {
            encoded.push(c);
        }
    }
    Cow::Owned(encoded)
}

fn check_name(name: &str) -> Result<(), PathError> {
    match name {
        "" => return Err(PathError::Empty),
        "." | ".." => return Err(PathError::Dots),
        _ if name.len() > limits::NAME_BYTES => return Err(PathError::TooLong),
        _ => {}
    }
    let acts = |c: char| {
        c == '\\' || c.is_control() || reorders(c) || matches!(c, '\u{2028}' | '\u{2029}')
    };
    if name.chars().any(acts) { Err(PathError::Character(name.to_owned())) } else { Ok(()) }
}

/// `C:`, `c:\x`, `C:x`: a drive on Windows, wherever we are.
fn is_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && bytes[1] == b':' && bytes[0].is_ascii_alphabetic()
}

/// Names that Windows keeps for devices, with any ending and with superscript digits too.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_lowercase();
    if matches!(stem.as_str(), "con" | "prn" | "aux" | "nul" | "conin$" | "conout$") {
        return true;
    }
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    numbered.is_some_and(|digit| {
        let mut chars = digit.chars();
        matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for text in ["", "/", "/etc/passwd", "a//b", "a/", "C:", "c:/x", "C:\\x", "Z:evil"] {
            assert!(
                matches!(RelPath::parse(text), Err(PathError::Empty | PathError::Absolute)),
                "{text:?}"
            );
        }
        for text in ["..", "../x", "a/../b", "a/..", ".", "./a", "a/./b"] {
            assert_eq!(RelPath::parse(text), Err(PathError::Dots), "{text:?}");
        }
        for text in [
            "a\\..\\b",
            "\\\\server\\share",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "x\u{85}",
            "gpj.\u{202e}exe",
            "a\u{2028}b",
        ] {
            assert!(matches!(RelPath::parse(text), Err(PathError::Character(_))), "{text:?}");
        }
        assert_eq!(RelPath::parse(&"a".repeat(256)), Err(PathError::TooLong));
        assert_eq!(RelPath::parse(&vec!["a"; 129].join("/")), Err(PathError::TooLong));
        assert_eq!(RelPath::parse(&vec!["abcdefghi"; 500].join("/")), Err(PathError::TooLong));
        assert!(RelPath::parse_name("a/b").is_err());
    }

    #[test]
    fn names_of_every_script_are_taken() {
        for text in [
            "a",
            "Ünï/日本語.txt",
            "наука",
            "می‌خواهم",
            "👩‍👩‍👧.png",
            "a b",
            "...",
            "xy:z",
            "Episode 1: start?",
        ] {
            assert_eq!(RelPath::parse(text).map(|p| p.as_str().to_owned()), Ok(text.to_owned()));
        }
        assert!(postcard_free_deserialize("\"a/../b\"").is_err());
    }

    fn postcard_free_deserialize(json: &str) -> Result<RelPath, serde::de::value::Error> {
        use serde::de::IntoDeserializer;
        RelPath::deserialize(json.trim_matches('"').into_deserializer())
    }

    #[test]
    fn a_folders_entries_stand_together() {
        let mut paths = ["a-b", "a/c", "a", "a/b/c", "a.x"].map(|t| RelPath::parse(t).unwrap());
        paths.sort();
        assert_eq!(paths.map(|p| p.as_str().to_owned()), ["a", "a/b/c", "a/c", "a-b", "a.x"]);
    }

    #[test]
    fn names_that_differ_in_case_or_normalisation_fold_together() {
        let fold = |t: &str| RelPath::parse(t).unwrap().folded();
        assert_eq!(fold("Straße/É"), fold("straße/e\u{301}"));
        assert_ne!(fold("a"), fold("b"));
    }

    #[test]
    fn what_windows_reserves_is_encoded_there_and_only_there() {
        let windows = |n| local_name(n, Platform::Windows).into_owned();
        assert_eq!(windows("a:b?.txt"), "a%3Ab%3F.txt");
        assert_eq!(windows("CON"), "%43ON");
        assert_eq!(windows("com¹.txt"), "%63om¹.txt");
        assert_eq!(windows("name."), "name%2E");
        assert_eq!(windows("name "), "name%20");
        assert_eq!(windows("100%"), "100%25");
        assert_eq!(windows("console.txt"), "console.txt");
        assert_eq!(local_name("a:b?", Platform::Unix), "a:b?");
    }
}
