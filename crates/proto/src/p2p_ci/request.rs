//! From the lines of one message to a request.

use potluck_base::limits;

use super::dialect::{Version, version_of};
use super::{Status, is_host, is_unsafe};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Registers a file of the client.
    Add,
    /// Asks who has a file.
    Lookup,
    /// Asks for the whole index.
    List,
    /// Asks a peer for a file.
    Get,
    /// Says hello before the first ADD; some clients do.
    Register,
    /// Says goodbye: `EXIT`, `QUIT`, `LEAVE`, `DEL` or `DISCONNECT`.
    Leave,
}

impl Method {
    /// The method that a word names, in capitals or not.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "ADD" => Self::Add,
            "LOOKUP" => Self::Lookup,
            "LIST" | "LISTALL" => Self::List,
            "GET" => Self::Get,
            "REGISTER" => Self::Register,
            "EXIT" | "QUIT" | "LEAVE" | "DEL" | "DISCONNECT" => Self::Leave,
            _ => return None,
        })
    }

    /// Whether more letters could make a method of this.
    pub(super) fn may_become(start: &str) -> bool {
        let start = start.to_ascii_uppercase();
        ["ADD", "LOOKUP", "LISTALL", "GET", "REGISTER", "EXIT", "QUIT", "LEAVE", "DISCONNECT"]
            .iter()
            .any(|method| method.starts_with(&start))
    }

    /// The word itself.
    pub fn text(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Lookup => "LOOKUP",
            Self::List => "LIST",
            Self::Get => "GET",
            Self::Register => "REGISTER",
            Self::Leave => "EXIT",
        }
    }
}

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// The file's number; always there in ADD and GET.
    pub number: Option<u32>,
    /// The file's title; always there in ADD, where it may be empty.
    pub title: Option<String>,
    /// The host that the client says it is on.
    pub host: Option<String>,
    /// The port of the client's own GET server; always there in ADD.
    pub port: Option<u16>,
    /// The client's operating system.
    pub os: Option<String>,
}

/// What the lines of a message say, before it is clear that they make sense.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) method: Option<Method>,
    pub(super) version: Option<(Version, String)>,
    pub(super) number: Option<u32>,
    pub(super) title: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) os: Option<String>,
    /// Whether a header is written without a blank after its colon.
    pub(super) tight: bool,
    /// Whether some line cannot be understood or must not be.
    spoilt: bool,
}

impl Draft {
    /// Reads the first line and the headers.
    pub(super) fn read(lines: &[String]) -> Self {
        let mut draft = Self::default();
        if let Some((first, headers)) = lines.split_first() {
            draft.first_line(first);
            headers.iter().for_each(|line| draft.header(line));
        }
        draft
    }

    /// Whether nothing more is needed when 50 ms of silence follow.
    pub(super) fn is_complete(&self) -> bool {
        let named = self.host.is_some() && self.port.is_some();
        match self.method {
            Some(Method::Add | Method::Lookup) => named && self.title.is_some(),
            Some(Method::List | Method::Register | Method::Leave) => named,
            Some(Method::Get) => self.host.is_some() && self.os.is_some(),
            None => false,
        }
    }

    /// Whether it can be answered without the headers that are missing.
    pub(super) fn is_enough(&self) -> bool {
        self.method != Some(Method::Add) || (self.port.is_some() && self.title.is_some())
    }

    /// The request, or how it is refused.
    pub(super) fn finish(self) -> Result<Request, Status> {
        match &self.version {
            Some((Version::Other, _)) => return Err(Status::Version),
            Some((Version::Ours, _)) if !self.spoilt => (),
            _ => return Err(Status::BadRequest),
        }
        let method = self.method.ok_or(Status::BadRequest)?;
        let numbered = self.number.is_some();
        let whole = match method {
            Method::Add => numbered && self.port.is_some() && self.title.is_some(),
            Method::Get => numbered,
            Method::Lookup => numbered || self.title.is_some(),
            Method::List | Method::Register | Method::Leave => true,
        };
        if !whole {
            return Err(Status::BadRequest);
        }
        let Self { number, title, host, port, os, .. } = self;
        Ok(Request { method, number, title, host, port, os })
    }

    /// `METHOD RFC number version`, with everything that was seen in its place.
    fn first_line(&mut self, line: &str) {
        self.spoilt |= line.chars().any(is_unsafe);
        let mut words = line.split_whitespace().peekable();
        self.method = words.next().and_then(Method::of);
        while let Some(word) = words.next() {
            if let Some(version) = version_of(word) {
                self.version = Some((version, word.to_owned()));
                // `P2P/CI 1.0`: the number is a word of its own.
                if let Some(joined) = words.peek().map(|next| format!("{word} {next}"))
                    && version_of(&joined) == Some(Version::Ours)
                {
                    self.version = Some((Version::Ours, joined));
                    words.next();
                }
            } else if let Some(name) = word.strip_suffix(':').filter(|_| self.version.is_some()) {
                let value = words.next().unwrap_or("");
                self.header(&format!("{name}: {value}"));
            } else if self.number.is_none() {
                let upper = word.to_ascii_uppercase();
                let digits = upper.strip_prefix("RFC").unwrap_or(&upper);
                match number_from(digits) {
                    Some(number) => self.number = Some(number),
                    None => self.spoilt |= !matches!(upper.as_str(), "RFC" | "ALL"),
                }
            }
        }
    }

    fn header(&mut self, line: &str) {
        self.spoilt |= line.chars().any(is_unsafe);
        let Some((name, value)) = line.split_once(':') else {
            self.spoilt = true;
            return;
        };
        let blank = value.starts_with([' ', '\t']);
        let value = value.trim();
        match name.trim().to_ascii_uppercase().as_str() {
            "HOST" | "HOSTNAME" => {
                self.tight |= !blank && !value.is_empty();
                self.spoilt |= !is_host(value);
                self.host = Some(value.to_owned());
            }
            "PORT" | "POST" => {
                let port = value.parse().ok().filter(|port| *port != 0);
                self.spoilt |= port.is_none();
                self.port = port;
            }
            "TITLE" => {
                self.spoilt |= value.chars().count() > limits::CI_TITLE_CHARS;
                self.title = Some(value.to_owned());
            }
            "OS" => self.os = Some(value.to_owned()),
            _ => (),
        }
    }
}

/// Whether a line is a header that this protocol has: what is left of a message that was answered
/// too early.
pub(super) fn is_header(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        let name = name.trim().to_ascii_uppercase();
        matches!(name.as_str(), "HOST" | "HOSTNAME" | "PORT" | "POST" | "TITLE" | "OS")
    })
}

/// Whether a line begins a message: a method, and somewhere behind it a version.
pub(super) fn is_first_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next().and_then(Method::of).is_some() && words.any(|word| version_of(word).is_some())
}

/// A file's number: decimal, at most 31 bits, for clients that count with signs.
fn number_from(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number <= i32::MAX as u32)
}
