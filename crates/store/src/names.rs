//! The names that a download takes: asked for, numbered, and that of its part.

use potluck_base::{ContentId, RelPath, limits};

use crate::error::StoreError;
use crate::plan::DownloadPlan;

/// `.`, `.`, eight digits, `.part`.
const PART_AFFIXES: usize = 15;

/// The name that a download is asked to take. A hidden one must be the user's own choice: a ticket
/// must not place `.bashrc`.
pub(crate) fn asked(plan: &DownloadPlan) -> Result<RelPath, StoreError> {
    let (name, chosen) = match &plan.chosen_name {
        Some(name) => (name, true),
        None => (&plan.name, false),
    };
    if name.as_str().contains('/') {
        return Err(StoreError::Bug("a target name of several names"));
    }
    if !chosen && name.as_str().starts_with('.') {
        return Err(StoreError::HiddenName { name: name.clone() });
    }
    Ok(name.clone())
}

/// `NAME (2).ext`; a folder's name has no ending.
pub(crate) fn numbered(name: &RelPath, number: u32, folder: bool) -> RelPath {
    let text = name.as_str();
    let dot = text.rfind('.').filter(|at| *at > 0 && !folder && text.len() - at < 20);
    let (stem, ending) = text.split_at(dot.unwrap_or(text.len()));
    let suffix = format!(" ({number}){ending}");
    let stem = cut(stem, limits::NAME_BYTES - suffix.len());
    RelPath::parse_name(&format!("{stem}{suffix}")).expect("a name with a number is a name")
}

/// `.NAME.<8 hexadecimal digits>.part`: where a download is until it is finished.
pub(crate) fn part(name: &RelPath, content: &ContentId) -> String {
    let stem = cut(name.as_str(), limits::NAME_BYTES - PART_AFFIXES);
    format!(".{stem}.{}.part", content.short())
}

/// Whether a name is that of a part.
pub fn is_part(name: &str) -> bool {
    let stem = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".part"));
    let digits = stem.and_then(|stem| stem.rsplit_once('.')).map(|(_, digits)| digits);
    digits.is_some_and(|d| d.len() == 8 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RelPath {
        RelPath::parse_name(text).unwrap()
    }

    #[test]
    fn numbered_names_keep_their_ending_and_fit() {
        let with = |text: &str, folder| numbered(&name(text), 2, folder).as_str().to_owned();
        assert_eq!(with("film.mkv", false), "film (2).mkv");
        assert_eq!(with("v1.2", true), "v1.2 (2)");
        assert_eq!(with(".profile", false), ".profile (2)");
        assert_eq!(with("plain", false), "plain (2)");
        let long = with(&format!("{}.mkv", "é".repeat(125)), false);
        assert!(long.len() <= 255 && long.ends_with("é (2).mkv"));
        assert!(with(&"é".repeat(127), false).len() <= 255);
    }

    #[test]
    fn the_name_of_a_part_fits_and_is_known_again() {
        let id = ContentId([0xab; 32]);
        assert_eq!(part(&name("a.txt"), &id), ".a.txt.abababab.part");
        let long = part(&name(&"日".repeat(85)), &id);
        assert!(long.len() <= 255);
        assert!(is_part(&long) && is_part(".a.txt.abababab.part"));
        for other in ["a.txt.abababab.part", ".a.part", ".a.abababa.part", ".x.abababab.parts"] {
            assert!(!is_part(other), "{other}");
        }
    }
}
