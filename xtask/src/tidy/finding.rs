//! One breach of a house rule: where, what, why it matters, how to mend it.

use std::fmt;

/// Whether a finding stops the show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth a thought; tidy still passes.
    Warn,
    /// Must be mended.
    Fail,
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path below the root.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Whether it must be mended.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Why there is a rule against it.
    pub why: &'static str,
    /// What to do about it.
    pub mend: String,
}

impl Finding {
    /// A finding that must be mended.
    pub fn fail(
        (file, line): (&str, usize),
        what: impl Into<String>,
        why: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        let (what, mend) = (what.into(), mend.into());
        Self { file: file.to_owned(), line, level: Level::Fail, what, why, mend }
    }

    /// The same finding as a warning.
    pub fn warning(self) -> Self {
        Self { level: Level::Warn, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::Warn { "warning: " } else { "" };
        write!(f, "{}:{}: {level}{}", self.file, self.line, self.what)?;
        write!(f, "; why: {}; mend: {}", self.why, self.mend)
    }
}
