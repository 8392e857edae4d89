//! Which entries of a manifest a person means by some glob patterns.

use std::collections::BTreeSet;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use potluck_base::RelPath;
use potluck_content::Manifest;

use crate::error::ServiceError;

/// Patterns that choose entries.
///
/// A pattern with a slash is matched against whole paths, one without against every name on the
/// path, so that
/// `*.txt` means text files anywhere and `photos` means the folder with all that is in it.
pub struct Selection {
    paths: GlobSet,
    names: GlobSet,
}

impl Selection {
    /// Reads patterns: `*` and `?` stay within a name, `**` crosses folders, `[ab]` and `{a,b}`
    /// choose.
    pub fn parse(patterns: &[String]) -> Result<Self, ServiceError> {
        let (mut paths, mut names) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let glob = glob(pattern.trim_end_matches('/'))?;
            if pattern.trim_end_matches('/').contains('/') {
                paths.add(glob)
            } else {
                names.add(glob)
            };
        }
        let build = |set: GlobSetBuilder| {
            set.build().map_err(|_| ServiceError::Pattern(patterns.join(" ")))
        };
        Ok(Self { paths: build(paths)?, names: build(names)? })
    }

    /// The numbers of the entries that are meant.
    pub fn choose(&self, manifest: &Manifest) -> BTreeSet<u32> {
        let entries = manifest.entries().iter().enumerate();
        entries.filter(|(_, entry)| self.has(&entry.path)).map(|(index, _)| index as u32).collect()
    }

    fn has(&self, path: &RelPath) -> bool {
        if path.names().any(|name| self.names.is_match(name)) {
            return true;
        }
        let text = path.as_str();
        let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
        ends.into_iter().any(|end| self.paths.is_match(&text[..end]))
    }
}

fn glob(pattern: &str) -> Result<Glob, ServiceError> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map_err(|_| ServiceError::Pattern(pattern.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(patterns: &[&str]) -> Vec<&'static str> {
        let patterns: Vec<_> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let selection = Selection::parse(&patterns).unwrap();
        let all = ["a.txt", "docs/b.txt", "docs/deep/c.md", "photos/1.jpg", "photos/old/2.jpg"];
        all.into_iter().filter(|p| selection.has(&RelPath::parse(p).unwrap())).collect()
    }

    #[test]
    fn a_pattern_without_a_slash_means_a_name_anywhere() {
        assert_eq!(chosen(&["*.txt"]), ["a.txt", "docs/b.txt"]);
        assert_eq!(chosen(&["photos"]), ["photos/1.jpg", "photos/old/2.jpg"]);
        assert_eq!(chosen(&["old/"]), ["photos/old/2.jpg"]);
    }

    #[test]
    fn a_pattern_with_a_slash_means_a_path_or_all_below_it() {
        assert_eq!(chosen(&["docs/*.txt"]), ["docs/b.txt"]);
        assert_eq!(chosen(&["docs/deep"]), ["docs/deep/c.md"]);
        assert_eq!(chosen(&["**/*.md", "photos/?.jpg"]), ["docs/deep/c.md", "photos/1.jpg"]);
        assert_eq!(chosen(&["nothing"]), [""; 0]);
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_named() {
        let error = Selection::parse(&["[".to_owned()]).err();
        assert!(matches!(error, Some(ServiceError::Pattern(p)) if p == "["));
    }
}
