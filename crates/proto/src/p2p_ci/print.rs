//! What we send: one strict form for each dialect.

use std::fmt::Write;

use potluck_base::limits;

use super::dialect::{Dialect, Framing, Greeting, Layout};
use super::request::{Method, Request};
use super::{Row, Status, VERSION, clean_title, date::http_date, is_host};

/// Bytes of a frame whose length is two bytes wide.
const UTF_BYTES: usize = u16::MAX as usize;

/// What an answer to GET says of a file before its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// The time now, seconds since 1970.
    pub now: u64,
    /// When the file was changed last, seconds since 1970.
    pub modified: u64,
    /// Its size, bytes.
    pub length: u64,
    /// Our operating system.
    pub os: String,
    /// What is in it.
    pub content_type: &'static str,
}

/// An answer of the index server. Rows whose host could break a line are left out, titles are
/// cleaned, and no more than [`limits::CI_ROWS`] are printed.
pub fn print_rows(status: Status, rows: &[Row], to: Method, dialect: &Dialect) -> Vec<u8> {
    let end = dialect.line_end.text();
    let mut text = status_line(status, dialect);
    if dialect.greeting == Greeting::Colons && to == Method::Add {
        return text.into_bytes();
    }
    let layout = dialect.layout();
    if layout == Layout::Spaced {
        text.push_str(end);
    }
    let mut printed = 0;
    for row in rows.iter().filter(|row| is_host(&row.host)).take(limits::CI_ROWS) {
        let line = row_line(row, dialect);
        if dialect.framing == Framing::Utf && text.len() + line.len() > UTF_BYTES {
            break;
        }
        text.push_str(&line);
        printed += 1;
    }
    let rows_end = layout == Layout::Spaced && (printed > 0 || status == Status::Ok);
    if layout == Layout::Closed || rows_end {
        text.push_str(end);
    }
    if let Some(word) = dialect.terminator {
        text.push_str(word.text());
        text.push_str(end);
    }
    frame(text.as_bytes(), dialect.framing)
}

/// The head of an answer to GET, with the empty line or the terminator that ends it. Without a
/// head only the status is said.
pub fn print_file_head(status: Status, head: Option<&FileHead>, dialect: &Dialect) -> String {
    let end = dialect.line_end.text();
    let mut text = status_line(status, dialect);
    if let Some(head) = head {
        let os: String = head.os.chars().filter(|c| !c.is_control()).collect();
        let (date, modified) = (http_date(head.now), http_date(head.modified));
        let _ = write!(
            text,
            "Date: {date}{end}OS: {os}{end}Last-Modified: {modified}{end}\
             Content-Length: {}{end}Content-Type: {}{end}",
            head.length, head.content_type
        );
    }
    if dialect.blank_before_body() {
        text.push_str(end);
    }
    if let Some(word) = dialect.terminator.filter(|_| dialect.framing == Framing::Text) {
        text.push_str(word.text());
        text.push_str(end);
    }
    text
}

/// A message with what its framing puts before it. One that is too long for its framing is cut.
pub fn frame(message: &[u8], framing: Framing) -> Vec<u8> {
    let mut bytes = print_frame_head(message.len(), framing);
    let length = if framing == Framing::Utf { message.len().min(UTF_BYTES) } else { message.len() };
    bytes.extend_from_slice(&message[..length]);
    bytes
}

/// What a framing puts before a message of some bytes.
pub fn print_frame_head(length: usize, framing: Framing) -> Vec<u8> {
    match framing {
        Framing::Text => Vec::new(),
        Framing::Prefixed => format!("{length:<10}").into_bytes(),
        Framing::Utf => (length.min(UTF_BYTES) as u16).to_be_bytes().to_vec(),
    }
}

/// A request in a dialect. The title is cleaned; a host that cannot stand in a header is left
/// out, as is an operating system with control characters.
pub fn print_request(request: &Request, dialect: &Dialect) -> Vec<u8> {
    let end = dialect.line_end.text();
    let prefixed = dialect.framing == Framing::Prefixed;
    let mut text = match (request.method, request.number) {
        (Method::List, _) if prefixed => "LISTALL".to_owned(),
        (Method::List, _) if dialect.bare_list => "LIST".to_owned(),
        (Method::List, _) => "LIST ALL".to_owned(),
        (method, Some(number)) => format!("{} RFC {number}", method.text()),
        (method, None) => method.text().to_owned(),
    };
    let _ = write!(text, " {}", dialect.version);
    let title = request.title.as_ref().map(|t| clean_title(t, request.number.unwrap_or(0)));
    let headers = [
        ("Host", request.host.clone().filter(|host| is_host(host))),
        ("Port", request.port.map(|port| port.to_string())),
        ("Title", title),
        ("OS", request.os.clone().filter(|os| !os.chars().any(char::is_control))),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            let name = if prefixed { name.to_ascii_uppercase() } else { name.to_owned() };
            let _ = write!(text, "{end}{name}: {value}");
        }
    }
    if dialect.framing == Framing::Text && dialect.whole_lines {
        text.push_str(end);
        if dialect.blank_line {
            text.push_str(end);
        }
        if let Some(word) = dialect.terminator {
            text.push_str(word.text());
            text.push_str(end);
        }
    }
    frame(text.as_bytes(), dialect.framing)
}

/// `P2P-CI/1.0 200 OK`; only a version that we serve is repeated.
fn status_line(status: Status, dialect: &Dialect) -> String {
    let version = if status == Status::Version { VERSION } else { &dialect.version };
    format!("{version} {} {}{}", status.code(), status.phrase(), dialect.line_end.text())
}

fn row_line(row: &Row, dialect: &Dialect) -> String {
    let title = clean_title(&row.title, row.number);
    // The client that speaks `writeUTF` expects the address behind the name, as Java prints it.
    let host = match dialect.framing {
        Framing::Utf => format!("{0}/{0}:{1}", row.host, row.port),
        _ => row.host.clone(),
    };
    format!("RFC {} {title} {host} {}{}", row.number, row.port, dialect.line_end.text())
}
