//! Bytes in, requests out, wherever the bytes are cut and however the client speaks.

use std::collections::VecDeque;
use std::time::Duration;

use potluck_base::limits;

use super::dialect::{Dialect, Framing, Greeting, LineEnd, Terminator};
use super::request::{Draft, Method, Request, is_first_line, is_header};
use super::{Status, is_host};

/// Bytes of a length before each message.
const PREFIX_BYTES: usize = 10;
/// First bytes that are the upper half of a `writeUTF` length; above them come tabs and ends of
/// lines.
const UTF_FIRST: std::ops::Range<u8> = 0..9;

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A request, or how one is refused, and how the answer is to be written.
    Request(Result<Request, Status>, Dialect),
    /// Bytes to send back at once: the client's greeting waits for them.
    Say(Vec<u8>),
}

/// Reads one connection.
#[derive(Debug, Default)]
pub struct Parser {
    stage: Stage,
    /// Bytes of a frame, of a line or of what is not yet known, that are not whole.
    held: Vec<u8>,
    message: Message,
    dialect: Dialect,
    greeted: Greeted,
    /// Port and host of a greeting, for messages that lack their own.
    host: Option<String>,
    port: Option<u16>,
    /// Whether a message was read, so that it is known what ends one.
    settled: bool,
    /// How often silence was reported since the last byte.
    silences: u8,
    items: VecDeque<Item>,
}

/// What is known of the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Unknown,
    Text,
    Frames,
    /// Nothing more is read.
    Dead,
}

/// How far a client's greeting went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Greeted {
    /// Nothing was said yet.
    #[default]
    Open,
    /// A line with a host; its port may follow.
    Host,
    /// Four bytes of port are due.
    PortBytes,
    /// Requests have begun.
    Done,
}

/// Lines of a message that is not whole.
#[derive(Debug, Default)]
struct Message {
    lines: Vec<String>,
    bytes: usize,
    /// An empty line came; only a terminator may follow.
    blank: bool,
}

impl Parser {
    /// A parser for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.stage == Stage::Dead {
                return;
            }
            self.silences = 0;
            self.byte(*byte);
        }
    }

    /// Reports that [`Self::waits`] passed without a byte.
    pub fn silence(&mut self) {
        self.silences = self.silences.saturating_add(1);
        match self.stage {
            Stage::Dead => return,
            Stage::Unknown if self.held.is_empty() => return,
            // A length before the first message may be on its way.
            Stage::Unknown if self.silences < 2 && self.held.iter().all(is_of_prefix) => return,
            Stage::Unknown => self.become_text(),
            Stage::Text => (),
            // A frame knows its length: only patience can run out.
            Stage::Frames => {
                if self.silences >= 3 && !self.held.is_empty() {
                    self.die(Status::BadRequest);
                }
                return;
            }
        }
        if self.is_bare_host() {
            self.acknowledge_host();
            return;
        }
        if self.message.lines.is_empty() && self.held.is_empty() {
            return;
        }
        let rest = String::from_utf8_lossy(&self.held).into_owned();
        let mut lines = self.message.lines.clone();
        lines.extend((!rest.trim().is_empty()).then_some(rest));
        let draft = Draft::read(&lines);
        let whole = self.message.blank
            || draft.is_complete()
            || (self.silences >= 2 && draft.is_enough())
            || self.silences >= 3;
        if whole {
            self.flush();
        }
    }

    /// Reports that the client sends no more.
    pub fn end(&mut self) {
        match self.stage {
            Stage::Dead => return,
            Stage::Unknown if !self.held.is_empty() => self.become_text(),
            Stage::Frames if !self.held.is_empty() => return self.die(Status::BadRequest),
            _ => (),
        }
        if self.stage == Stage::Text {
            self.flush();
        }
        self.stage = Stage::Dead;
    }

    /// The next thing that the client said.
    pub fn pull(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// How long to wait for a byte before [`Self::silence`] is to be called; none while nothing
    /// has begun.
    pub fn waits(&self) -> Option<Duration> {
        let pending = !self.held.is_empty() || !self.message.lines.is_empty();
        if !pending || self.stage == Stage::Dead {
            return None;
        }
        match self.silences {
            0 => Some(limits::CI_SILENCE),
            1 => Some(limits::CI_LONG_SILENCE),
            2 => Some(limits::CI_REQUEST_TIME),
            _ => None,
        }
    }

    /// Whether the connection is of no more use.
    pub fn is_dead(&self) -> bool {
        self.stage == Stage::Dead
    }

    fn byte(&mut self, byte: u8) {
        match self.stage {
            Stage::Dead => (),
            Stage::Unknown => {
                self.held.push(byte);
                self.guess();
            }
            Stage::Frames => self.frame_byte(byte),
            Stage::Text => self.text_byte(byte),
        }
    }

    /// Decides from the first bytes how messages are told apart.
    fn guess(&mut self) {
        let held = &self.held;
        match held[0] {
            // A pickle, or a stream of Java objects.
            0x80 | 0xac => self.die(Status::BadRequest),
            first if UTF_FIRST.contains(&first) => {
                if held.len() < 3 {
                    return;
                }
                let bytes = std::mem::take(&mut self.held);
                if bytes[2].is_ascii_alphabetic() && bytes[..2] != [0, 0] {
                    self.become_frames(Framing::Utf, &bytes);
                } else {
                    self.die(Status::BadRequest);
                }
            }
            first if first.is_ascii_digit() => {
                if !held.iter().all(is_of_prefix) {
                    self.become_text();
                } else if held.len() == PREFIX_BYTES {
                    let bytes = std::mem::take(&mut self.held);
                    self.become_frames(Framing::Prefixed, &bytes);
                }
            }
            _ => self.become_text(),
        }
    }

    fn become_frames(&mut self, framing: Framing, bytes: &[u8]) {
        self.stage = Stage::Frames;
        self.dialect.framing = framing;
        self.greeted = Greeted::Done;
        bytes.iter().for_each(|byte| self.byte(*byte));
    }

    fn become_text(&mut self) {
        self.stage = Stage::Text;
        let bytes = std::mem::take(&mut self.held);
        bytes.iter().for_each(|byte| self.byte(*byte));
    }

    fn frame_byte(&mut self, byte: u8) {
        self.held.push(byte);
        let (head, length) = match self.dialect.framing {
            Framing::Utf if self.held.len() >= 2 => {
                (2, Some(usize::from(u16::from_be_bytes([self.held[0], self.held[1]]))))
            }
            Framing::Prefixed if self.held.len() >= PREFIX_BYTES => {
                let text = String::from_utf8_lossy(&self.held[..PREFIX_BYTES]);
                (PREFIX_BYTES, text.trim().parse::<usize>().ok())
            }
            _ => return,
        };
        let Some(length) = length.filter(|length| *length <= limits::CI_MESSAGE_BYTES) else {
            return self.die(Status::BadRequest);
        };
        if self.held.len() == head + length {
            let bytes = std::mem::take(&mut self.held);
            self.frame(&bytes[head..]);
        }
    }

    /// A whole message.
    fn frame(&mut self, bytes: &[u8]) {
        let crlf = bytes.windows(2).any(|pair| pair == b"\r\n");
        self.dialect.line_end = if crlf { LineEnd::CrLf } else { LineEnd::Lf };
        for line in bytes.split(|byte| *byte == b'\n') {
            match self.line_text(line) {
                Some(line) if line.is_empty() => (),
                Some(line) => self.add_line(line),
                None => return,
            }
        }
        self.dialect.blank_line = false;
        self.finish();
    }

    fn text_byte(&mut self, byte: u8) {
        if self.greeted == Greeted::PortBytes {
            return self.port_byte(byte);
        }
        match byte {
            // Some programs written in C send the end of their strings along.
            0 => (),
            b'\n' => {
                let bytes = std::mem::take(&mut self.held);
                if self.message.lines.is_empty() {
                    let crlf = bytes.last() == Some(&b'\r');
                    self.dialect.line_end = if crlf { LineEnd::CrLf } else { LineEnd::Lf };
                }
                if let Some(line) = self.line_text(&bytes) {
                    self.line(line);
                }
            }
            _ if self.held.len() >= limits::CI_LINE_BYTES => self.die(Status::BadRequest),
            _ => self.held.push(byte),
        }
    }

    /// A line as text: without its end, with blanks for tabs. Bytes that are not UTF-8 are taken
    /// for Latin-1.
    fn line_text(&mut self, bytes: &[u8]) -> Option<String> {
        self.message.bytes += bytes.len() + 1;
        let much = self.message.bytes > limits::CI_MESSAGE_BYTES
            || bytes.len() > limits::CI_LINE_BYTES
            || self.message.lines.len() >= limits::CI_LINES;
        if much {
            self.die(Status::BadRequest);
            return None;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        };
        // One known client ends its lines the wrong way round: LF CR.
        let text = text.trim_matches(['\r', '\0']).replace('\t', " ");
        Some(text.trim_end_matches(' ').to_owned())
    }

    /// A line with its end.
    fn line(&mut self, line: String) {
        self.dialect.whole_lines = true;
        if self.message.blank {
            // What comes after the first message's empty line shows whether a terminator is due.
            if let Some(word) = Terminator::of(line.trim()) {
                self.dialect.terminator = Some(word);
                return self.finish();
            }
            if line.trim().is_empty() {
                return;
            }
            self.finish();
        }
        if self.message.lines.is_empty() {
            self.opening(line);
        } else if line.trim().is_empty() {
            self.blank();
        } else if let Some(word) = Terminator::of(line.trim()) {
            self.dialect.terminator = Some(word);
            self.dialect.blank_line = false;
            self.finish();
        } else if is_first_line(&line) {
            self.dialect.blank_line = false;
            self.finish();
            self.opening(line);
        } else {
            self.add_line(line);
        }
    }

    /// A line where a message may begin.
    fn opening(&mut self, line: String) {
        let word = line.trim();
        if word.is_empty() || Terminator::of(word).is_some() || is_header(word) {
            self.message.bytes = 0;
            return;
        }
        match self.greeted {
            Greeted::Open if word.contains(":::") => return self.colons(word),
            Greeted::Open if is_host(word) && !word.contains("::") => {
                self.host = Some(word.to_owned());
                self.greeted = Greeted::Host;
                return;
            }
            Greeted::Host => {
                self.greeted = Greeted::Done;
                if let Ok(port) = word.parse::<u16>() {
                    self.port = Some(port).filter(|port| *port != 0);
                    self.dialect.greeting = Greeting::Lines;
                    self.dialect.terminator = Some(Terminator::Eor);
                    return;
                }
            }
            _ => self.greeted = Greeted::Done,
        }
        self.add_line(line);
    }

    fn add_line(&mut self, line: String) {
        self.message.lines.push(line);
    }

    /// The empty line after the headers. Only the first message waits for a terminator behind it:
    /// from then on it is known whether one comes.
    fn blank(&mut self) {
        self.dialect.blank_line = true;
        self.message.blank = true;
        if self.settled && self.dialect.terminator.is_none() {
            self.finish();
        }
    }

    /// `host:::port`
    fn colons(&mut self, word: &str) {
        self.greeted = Greeted::Done;
        let (host, port) = word.split_once(":::").unwrap_or((word, ""));
        self.host = Some(host.to_owned()).filter(|host| is_host(host));
        self.port = port.trim().parse().ok().filter(|port| *port != 0);
        self.dialect.greeting = Greeting::Colons;
        self.dialect.terminator = Some(Terminator::Eof);
        self.say(b"P2P-CI/1.0 200 OK\n");
    }

    /// Whether all that ever came is a host without an end of line.
    fn is_bare_host(&self) -> bool {
        let text = std::str::from_utf8(&self.held).unwrap_or("");
        self.greeted == Greeted::Open
            && self.silences == 1
            && self.message.lines.is_empty()
            && is_host(text)
            && !text.contains(':')
            && !Method::may_become(text)
    }

    fn acknowledge_host(&mut self) {
        let bytes = std::mem::take(&mut self.held);
        self.host = String::from_utf8(bytes).ok();
        self.greeted = Greeted::PortBytes;
        self.dialect.greeting = Greeting::Acks;
        self.say(b"A");
    }

    fn port_byte(&mut self, byte: u8) {
        self.held.push(byte);
        if self.held.len() < 4 {
            return;
        }
        self.greeted = Greeted::Done;
        if self.held[..2] == [0, 0] {
            let port = u16::from_be_bytes([self.held[2], self.held[3]]);
            self.port = Some(port).filter(|port| *port != 0);
            self.held.clear();
            return self.say(b"A");
        }
        // No port at all: these are the first bytes of a request.
        self.become_text();
    }

    fn say(&mut self, bytes: &[u8]) {
        self.items.push_back(Item::Say(bytes.to_vec()));
    }

    /// Ends the message with what there is of it.
    fn flush(&mut self) {
        if self.message.blank {
            return self.finish();
        }
        let bytes = std::mem::take(&mut self.held);
        let Some(rest) = self.line_text(&bytes) else { return };
        let terminator = Terminator::of(rest.trim());
        if self.message.lines.is_empty() && (is_header(&rest) || terminator.is_some()) {
            return;
        }
        self.dialect.whole_lines = rest.trim().is_empty();
        self.dialect.blank_line = false;
        if terminator.is_some() {
            self.dialect.terminator = terminator;
        } else if !rest.trim().is_empty() {
            self.add_line(rest);
        }
        self.greeted = Greeted::Done;
        self.finish();
    }

    /// The lines of a message are all there.
    fn finish(&mut self) {
        let message = std::mem::take(&mut self.message);
        if message.lines.is_empty() {
            if self.stage == Stage::Frames {
                self.refuse(Status::BadRequest);
            }
            return;
        }
        let mut draft = Draft::read(&message.lines);
        draft.host = draft.host.or_else(|| self.host.clone());
        draft.port = draft.port.or(self.port);
        self.dialect.tight = draft.tight;
        let seen = draft.version.as_ref().map(|(_, token)| token.clone());
        let request = draft.finish();
        if let (Ok(_), Some(token)) = (&request, seen) {
            self.dialect.version = token;
        }
        self.greeted = Greeted::Done;
        self.settled = true;
        self.items.push_back(Item::Request(request, self.dialect.clone()));
    }

    fn refuse(&mut self, status: Status) {
        self.items.push_back(Item::Request(Err(status), self.dialect.clone()));
    }

    /// Refuses what came and reads no more.
    fn die(&mut self, status: Status) {
        self.refuse(status);
        self.held.clear();
        self.message = Message::default();
        self.stage = Stage::Dead;
    }
}

/// Whether a byte may stand in the length before a message.
fn is_of_prefix(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b' '
}
