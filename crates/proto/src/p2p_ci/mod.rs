//! P2P-CI/1.0, the classic course protocol of an index server and its peers, as it is spoken.
//!
//! Goals: programs that others wrote for that course keep working, whatever their dialect. What
//! they send is read generously, what they are sent is printed strictly and in the dialect they
//! used. Non-goals: safety on the wire (it is clear text without keys), serialised objects of
//! Python or Java, and private handshakes in which the server must speak first.
//!
//! [`Parser`] turns bytes into [`Item`]s, wherever they are cut. Time is an input: the driver says
//! when [`Parser::waits`] has passed without a byte. `docs/spec/09-p2p-ci.md` has the pictures.

mod answer;
mod date;
mod dialect;
mod parse;
mod print;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{Answer, AnswerFault, Body, HeadReader, read_rows};
pub use date::http_date;
pub use dialect::{Dialect, Framing, Greeting, Layout, LineEnd, Terminator, VERSION};
pub use parse::{Item, Parser};
pub use print::{FileHead, frame, print_file_head, print_frame_head, print_request, print_rows};
pub use request::{Method, Request};

use potluck_base::limits;

/// The port that the course gave to the index server.
pub const SERVER_PORT: u16 = 7734;

/// What an answer's first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 400: it could not be understood, or is not allowed.
    BadRequest,
    /// 404.
    NotFound,
    /// 505: the message is of another version.
    Version,
}

impl Status {
    /// Its number.
    pub fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::Version => 505,
        }
    }

    /// The words that follow the number.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::Version => "P2P-CI Version Not Supported",
        }
    }
}

/// A row of an index: a file, and the server of the peer that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The file's number.
    pub number: u32,
    /// Its title.
    pub title: String,
    /// Where its peer can be reached.
    pub host: String,
    /// The port of that peer's GET server.
    pub port: u16,
}

/// A title as it may stand in a row: characters that could break or disguise the line become `?`,
/// runs of blanks become one, and an empty one becomes `RFC n`.
pub fn clean_title(title: &str, number: u32) -> String {
    let shown: String = title.chars().map(|c| if is_unsafe(c) { '?' } else { c }).collect();
    let mut clean = String::with_capacity(shown.len());
    for word in shown.split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    if clean.is_empty() {
        return format!("RFC {number}");
    }
    if clean.chars().count() > limits::CI_TITLE_CHARS {
        clean = clean.chars().take(limits::CI_TITLE_CHARS).collect();
    }
    clean
}

/// Whether a host may stand in a row or a header: one word of the characters of names and
/// addresses.
pub fn is_host(host: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    !host.is_empty() && host.len() <= limits::CI_HOST_BYTES && host.chars().all(fits)
}

/// Whether a character can break a line or turn the direction in which it is read.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Feeds arbitrary bytes to all readers, for the fuzz harness: the first byte says where they are
/// cut. Panics where a reader or a printer breaks its promise.
pub fn fuzz(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let pieces = bytes.chunks(usize::from(*cut) + 1);
    let mut parser = Parser::new();
    for piece in pieces.clone() {
        parser.feed(piece);
        while let Some(item) = parser.pull() {
            check_item(&item);
        }
    }
    for _ in 0..3 {
        parser.silence();
    }
    parser.end();
    while let Some(item) = parser.pull() {
        check_item(&item);
    }
    let mut head = HeadReader::new(Framing::Text);
    for piece in pieces {
        if !matches!(head.feed(piece), Ok(None)) {
            break;
        }
    }
    let _ = read_rows(bytes, Framing::Text);
    let _ = read_rows(bytes, Framing::Prefixed);
    let _ = read_rows(bytes, Framing::Utf);
}

/// Holds an item against what the parser promises, and what is printed from it.
fn check_item(item: &Item) {
    let Item::Request(request, dialect) = item else { return };
    let Ok(request) = request else { return };
    let title = clean_title(request.title.as_deref().unwrap_or(""), 1);
    let host = request.host.clone().unwrap_or_else(|| "h".to_owned());
    assert!(is_host(&host), "a host that cannot stand in a row: {host:?}");
    let row = Row { number: request.number.unwrap_or(1), title, host, port: 1 };
    let printed = print_rows(Status::Ok, std::slice::from_ref(&row), request.method, dialect);
    if dialect.greeting == Greeting::Colons || dialect.framing != Framing::Text {
        return;
    }
    let answer = read_rows(&printed, dialect.framing).expect("what is printed can be read");
    assert_eq!(answer.rows, [row], "{}", String::from_utf8_lossy(&printed));
}
