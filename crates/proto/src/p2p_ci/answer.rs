//! What other people's servers answer: rows of an index, and files.

use potluck_base::limits;

use super::clean_title;
use super::dialect::{Framing, Terminator, Version, version_of};
use super::{Row, is_host};

/// Bytes without an end of line that are no header any more.
const HEADER_BYTES: usize = 512;

/// What may stand behind a file.
const TRAILERS: &[&[u8]] =
    &[b"", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"EOR\n", b"END\n", b"EOR\r\n", b"END\r\n"];

/// What an index server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of its status.
    pub code: u16,
    /// The version token of its first line.
    pub version: String,
    /// The rows that could be read.
    pub rows: Vec<Row>,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// Its first line is not `version code phrase`.
    #[error("the answer does not begin with a version and a status")]
    Status,
    /// A frame or a head is too long, or not whole.
    #[error("the answer is cut off, or longer than it may be")]
    Length,
}

/// How the bytes behind a head are to be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Body {
    /// The number of the status.
    pub code: u16,
    /// The version token of the first line.
    pub version: String,
    /// Bytes of the file, if the head says it.
    pub length: Option<u64>,
    /// An empty line that stood behind the head. It is the end of the head, or the first line of
    /// the file: see [`Body::owns_gap`].
    pub gap: Vec<u8>,
    /// First bytes of the file that came with the head.
    pub start: Vec<u8>,
}

impl Body {
    /// Whether the empty line behind the head belongs to the file: only with it is the file as
    /// long as the head says. `behind` is what came behind it, to the end, which may have an
    /// empty line or a terminator behind the file.
    pub fn owns_gap(&self, behind: &[u8]) -> bool {
        let Some(length) = self.length.and_then(|length| usize::try_from(length).ok()) else {
            return false;
        };
        let ends_at = |at: usize| behind.get(at..).is_some_and(|rest| TRAILERS.contains(&rest));
        let apart = ends_at(length);
        !self.gap.is_empty() && !apart && length.checked_sub(self.gap.len()).is_some_and(ends_at)
    }
}

/// All of an answer of rows; whoever collected it decides when it has ended.
pub fn read_rows(bytes: &[u8], framing: Framing) -> Result<Answer, AnswerFault> {
    let bytes = match framing {
        Framing::Text => bytes,
        _ => unframe(bytes, framing)?.ok_or(AnswerFault::Length)?.0,
    };
    let text = String::from_utf8_lossy(bytes);
    // A greeting of the server may stand before its answer.
    let mut lines = text.lines().map(|line| line.trim_matches(['\r', '\0', ' ']));
    let (version, code) = lines.by_ref().find_map(read_status).ok_or(AnswerFault::Status)?;
    let rows = lines.filter_map(read_row).take(limits::CI_ROWS).collect();
    Ok(Answer { code, version, rows })
}

/// The bytes of the first frame, and what follows it; none if it is not whole.
#[expect(clippy::type_complexity, reason = "a frame and the rest, or nothing yet")]
pub(super) fn unframe(
    bytes: &[u8],
    framing: Framing,
) -> Result<Option<(&[u8], &[u8])>, AnswerFault> {
    let (head, length) = match framing {
        Framing::Text => return Ok(Some((bytes, &[]))),
        Framing::Prefixed => {
            let Some(head) = bytes.get(..10) else { return Ok(None) };
            let text = std::str::from_utf8(head).map_err(|_| AnswerFault::Length)?;
            (10, text.trim().parse::<usize>().map_err(|_| AnswerFault::Length)?)
        }
        Framing::Utf => {
            let Some(head) = bytes.get(..2) else { return Ok(None) };
            (2, usize::from(u16::from_be_bytes([head[0], head[1]])))
        }
    };
    if length > limits::CI_ANSWER_BYTES {
        return Err(AnswerFault::Length);
    }
    let whole = bytes.len() >= head + length;
    Ok(whole.then(|| bytes[head..].split_at(length)))
}

/// `version code phrase`
fn read_status(line: &str) -> Option<(String, u16)> {
    let mut words = line.split_whitespace();
    let begins = |word: &&str| version_of(word).is_some() || word.eq_ignore_ascii_case("P2P/CI");
    let first = words.next().filter(begins)?;
    let (mut version, mut next) = (first.to_owned(), words.next()?);
    // Some write the version in two words.
    let joined = format!("{first} {next}");
    if version_of(&joined) == Some(Version::Ours) {
        (version, next) = (joined, words.next()?);
    }
    let code = next.parse().ok().filter(|code| (100..600).contains(code))?;
    Some((version, code))
}

/// A row, with or without the word RFC, however its words are set apart.
fn read_row(line: &str) -> Option<Row> {
    // Two known servers set words of their own between the fields, and one field more.
    for mark in ["<c>", "<sp>"] {
        let fields: Vec<&str> = line.split(mark).collect();
        if let [number, title, host, _, port] = fields[..] {
            return row_of(number, title, host, port);
        }
    }
    let spread = ["<c>", "<sp>"].iter().fold(line.to_owned(), |l, mark| l.replace(mark, " "));
    let mut words: Vec<&str> = spread.split_whitespace().collect();
    if words.first().is_some_and(|word| word.eq_ignore_ascii_case("rfc")) {
        words.remove(0);
    }
    let [number, title @ .., host, port] = &words[..] else { return None };
    row_of(number, &title.join(" "), host, port)
}

fn row_of(number: &str, title: &str, host: &str, port: &str) -> Option<Row> {
    let number = number.trim();
    let number = number.strip_prefix("RFC").unwrap_or(number).parse().ok()?;
    let port = port.trim().parse().ok().filter(|port| *port != 0)?;
    // `name/address:port`, as Java prints an address.
    let host = match host.trim().rsplit_once('/') {
        Some((_, address)) => address.rsplit_once(':').map_or(address, |(host, _)| host),
        None => host.trim(),
    };
    let host = host.to_owned();
    is_host(&host).then(|| Row { number, title: clean_title(title, number), host, port })
}

/// Reads the head of a file from bytes as they come.
#[derive(Debug)]
pub struct HeadReader {
    framing: Framing,
    held: Vec<u8>,
    body: Body,
    begun: bool,
    headers: u32,
}

impl HeadReader {
    /// A reader of one answer.
    pub fn new(framing: Framing) -> Self {
        Self { framing, held: Vec::new(), body: Body::default(), begun: false, headers: 0 }
    }

    /// Takes bytes; gives how the body is to be read once the head has ended. Bytes of the body
    /// that came along are in [`Body::start`]; with a framing they are as they came.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Body>, AnswerFault> {
        self.held.extend_from_slice(bytes);
        if self.framing != Framing::Text {
            return self.framed();
        }
        if self.walk()? {
            return Ok(Some(self.give()));
        }
        let much = self.held.len() > limits::CI_HEAD_BYTES;
        if much { Err(AnswerFault::Length) } else { Ok(None) }
    }

    /// The head, when no more bytes come: what is held is the body.
    pub fn end(&mut self) -> Result<Body, AnswerFault> {
        if self.begun && self.framing == Framing::Text {
            return Ok(self.give());
        }
        Err(AnswerFault::Status)
    }

    /// Whether the head may have ended already: a status, and either a length or no file at all.
    pub fn is_plausible(&self) -> bool {
        self.begun && (self.body.length.is_some() || self.body.code != 200)
    }

    fn give(&mut self) -> Body {
        self.body.start = std::mem::take(&mut self.held);
        // Who sends no headers sends no end of them.
        if self.headers == 0 {
            self.body.start.splice(..0, std::mem::take(&mut self.body.gap));
        }
        std::mem::take(&mut self.body)
    }

    /// The head in the first frame; a file may follow in the same frame.
    fn framed(&mut self) -> Result<Option<Body>, AnswerFault> {
        let Some((message, rest)) = unframe(&self.held, self.framing)? else { return Ok(None) };
        let (message, rest) = (message.to_vec(), rest.to_vec());
        self.held = message;
        // The last line has no end.
        if !self.walk()? && !self.held.is_empty() {
            self.held.push(b'\n');
            self.walk()?;
        }
        if !self.begun {
            return Err(AnswerFault::Status);
        }
        if self.framing == Framing::Prefixed {
            self.held = rest;
        }
        Ok(Some(self.give()))
    }

    /// Takes lines of the head; true once the body begins.
    fn walk(&mut self) -> Result<bool, AnswerFault> {
        while let Some(at) = self.held.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.held[..at]).into_owned();
            let line = line.trim_matches(['\r', ' ']);
            if !self.begun {
                let (version, code) = read_status(line).ok_or(AnswerFault::Status)?;
                (self.body.version, self.body.code, self.begun) = (version, code, true);
            } else if line.is_empty() && self.body.gap.is_empty() {
                self.body.gap = self.held.drain(..=at).collect();
                continue;
            } else if !self.body.gap.is_empty() {
                // Behind the empty line only a terminator is of the head.
                if Terminator::of(line).is_some() {
                    self.held.drain(..=at);
                    self.body.gap.clear();
                }
                return Ok(true);
            } else if Terminator::of(line).is_some() {
                self.held.drain(..=at);
                return Ok(true);
            } else if !self.header(line) {
                return Ok(true);
            }
            self.held.drain(..=at);
        }
        // Four bytes tell whether a terminator comes, and no header is as long as this.
        let past_gap = !self.body.gap.is_empty() && self.held.len() >= 4;
        let no_terminator = past_gap && !self.held.starts_with(b"E");
        Ok(no_terminator || (self.begun && self.held.len() > HEADER_BYTES))
    }

    /// Whether a line is a header of a file's head.
    fn header(&mut self, line: &str) -> bool {
        let Some((name, value)) = line.split_once(':') else { return false };
        let name = name.trim().to_ascii_lowercase().replace(' ', "-");
        self.headers += 1;
        match name.as_str() {
            "content-length" => {
                self.body.length = value.trim().parse().ok();
                true
            }
            "date" | "os" | "last-modified" | "content-type" | "host" | "port" | "title"
            | "filename" | "file-name" => true,
            _ => {
                self.headers -= 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_two_words_stands_before_the_status() {
        for (line, version) in [
            ("P2P-CI/1.0 200 OK", "P2P-CI/1.0"),
            ("P2P/CI 1.0 200 OK", "P2P/CI 1.0"),
            ("P2P-CI/ 1.0 200 OK", "P2P-CI/ 1.0"),
            ("PCP-CI/1.0 200 OK", "PCP-CI/1.0"),
        ] {
            assert_eq!(read_status(line), Some((version.to_owned(), 200)), "{line}");
        }
        assert_eq!(read_status("P2P-CI/1.0"), None);
        assert_eq!(read_status("HTTP/1.1 200 OK"), None);
    }
}
