//! What a client's first bytes tell about the way it speaks, so that it is answered likewise.

/// The version token of our own messages.
pub const VERSION: &str = "P2P-CI/1.0";

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Framing {
    /// Lines of text.
    #[default]
    Text,
    /// A length of ten ASCII characters, padded with blanks, before each message.
    Prefixed,
    /// Java's `writeUTF`: a length of two bytes, most significant first.
    Utf,
}

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LineEnd {
    /// As the course says.
    #[default]
    CrLf,
    /// A bare line feed.
    Lf,
}

impl LineEnd {
    /// Its characters.
    pub fn text(self) -> &'static str {
        match self {
            Self::CrLf => "\r\n",
            Self::Lf => "\n",
        }
    }
}

/// A word on a line of its own after each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// `END`
    End,
    /// `EOR`, end of request.
    Eor,
    /// `EOF`
    Eof,
}

impl Terminator {
    /// The word.
    pub fn text(self) -> &'static str {
        match self {
            Self::End => "END",
            Self::Eor => "EOR",
            Self::Eof => "EOF",
        }
    }

    /// The terminator that a line is, if it is one.
    pub fn of(line: &str) -> Option<Self> {
        [Self::End, Self::Eor, Self::Eof].into_iter().find(|word| word.text() == line)
    }
}

/// What a client says before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Greeting {
    /// Nothing.
    #[default]
    None,
    /// A line with its host and a line with its port. Its answers end with `EOR`.
    Lines,
    /// One line `host:::port`, which wants a line back. Its answers end with `EOF`, and an ADD is
    /// answered with one line.
    Colons,
    /// Its host without an end of line, then four bytes of port; each wants an `A` back.
    Acks,
}

/// Where empty lines stand in an answer of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Status, empty line, rows, empty line: as the course says.
    Spaced,
    /// Status, rows, empty line.
    Closed,
    /// Status, rows.
    Bare,
}

/// How a client speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How messages are told apart.
    pub framing: Framing,
    /// How lines end.
    pub line_end: LineEnd,
    /// Whether an empty line ends the headers.
    pub blank_line: bool,
    /// Whether the last line of a message has an end.
    pub whole_lines: bool,
    /// Whether headers are written `Host:x`, without a blank.
    pub tight: bool,
    /// Whether the list is asked for without the word `ALL`.
    pub bare_list: bool,
    /// The word after each message.
    pub terminator: Option<Terminator>,
    /// What was said first.
    pub greeting: Greeting,
    /// The version token, one that we serve.
    pub version: String,
}

impl Default for Dialect {
    /// As the course says.
    fn default() -> Self {
        Self {
            framing: Framing::Text,
            line_end: LineEnd::CrLf,
            blank_line: true,
            whole_lines: true,
            tight: false,
            bare_list: false,
            terminator: None,
            greeting: Greeting::None,
            version: VERSION.to_owned(),
        }
    }
}

impl Dialect {
    /// Where empty lines stand in an answer of rows.
    pub fn layout(&self) -> Layout {
        if self.framing != Framing::Text || self.greeting != Greeting::None {
            return if self.greeting == Greeting::Acks { Layout::Closed } else { Layout::Bare };
        }
        match (self.blank_line, self.terminator, self.line_end) {
            (false, ..) => Layout::Bare,
            (true, Some(_), _) => Layout::Spaced,
            (true, None, LineEnd::CrLf) if !self.tight => Layout::Spaced,
            (true, None, _) => Layout::Closed,
        }
    }

    /// Whether an empty line stands between the head of a file and its bytes.
    pub fn blank_before_body(&self) -> bool {
        self.framing == Framing::Text && self.blank_line
    }

    /// Whether head and bytes of a file have to come apart. Clients that read the head with one
    /// call, or through a buffer of its own, lose what comes along with it; those that end each
    /// line properly but send no empty line read everything with one call.
    pub fn pause_before_body(&self) -> bool {
        let together = self.line_end == LineEnd::CrLf && self.whole_lines && !self.blank_line;
        self.framing == Framing::Text && !together
    }
}

/// What a version token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Version 1.0, however it is written.
    Ours,
    /// Another version of this protocol.
    Other,
}

/// The version that some words at the end of a request line name: `P2P-CI/1.0`, `P2P-CI-v1.0.0`,
/// `P2P/CI 1.0`. None if they name no version of this protocol.
pub(super) fn version_of(token: &str) -> Option<Version> {
    let upper = token.to_ascii_uppercase();
    let families = ["P2P-CI", "P2P/CI", "P2PCI", "PCP-CI"];
    let rest = families.iter().find_map(|family| upper.strip_prefix(family))?;
    let number = rest.trim_start_matches(['/', '-', ' ', 'V']);
    let ours = matches!(number, "1" | "1.0" | "1.0.0") && number.len() < rest.len();
    Some(if ours { Version::Ours } else { Version::Other })
}

#[cfg(test)]
mod tests {
    use super::{Version, version_of};

    #[test]
    fn versions_are_recognised_however_they_are_written() {
        for ours in ["P2P-CI/1.0", "p2p-ci/1.0", "P2P-CI-v1.0.0", "P2P/CI 1.0", "P2P-CI/1"] {
            assert_eq!(version_of(ours), Some(Version::Ours), "{ours}");
        }
        for other in ["P2P-CI/2.0", "P2P-CI/1.1", "P2P-CI", "P2P-CI/", "P2P-CI1.0", "P2P-CI/10"] {
            assert_eq!(version_of(other), Some(Version::Other), "{other}");
        }
        for none in ["HTTP/1.1", "", "1.0", "RFC"] {
            assert_eq!(version_of(none), None, "{none}");
        }
    }
}
