//! A ticket: a text that names content and says where to get it.
//!
//! Goals: it survives chat programs, line editors and reading aloud (one case, no punctuation), is
//! as short as ids allow, and says so when it was damaged. Non-goals: secrecy (who has the ticket
//! may get the content), proof of who made it. The form is described in `docs/spec/04-ticket.md`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use potluck_base::{ContentId, PeerAddr, PeerId, RelPath, limits};

use crate::hash;
use crate::reader::{Malformed, Reader, push_varint};
use crate::tree::Layout;

const FAMILY: &str = "pot";
const PREFIX: &str = "pot1";
const SCHEME: &str = "potluck:";
const VERSION: u8 = 1;

const FLAG_FOLDER: u8 = 1;
const FLAG_EXECUTABLE: u8 = 2;
const FLAG_PERSONAL: u8 = 4;

const CHECKSUM_BYTES: usize = 4;
/// Bytes, checksum included, that fit into `limits::TICKET_CHARS`.
const BYTES_MAX: usize = (limits::TICKET_CHARS - PREFIX.len()) * 5 / 8;

/// What to get, what to call it, and whom to ask.
///
/// As text it carries at most `limits::TICKET_PROVIDERS` providers with `limits::PEER_ADDRS`
/// addresses each, and no more than fit into `limits::TICKET_CHARS`; the first ones are kept. The
/// scope and flow of an IPv6 address, which mean something on one machine only, do not travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The file's hash, or the manifest's.
    pub content: ContentId,
    /// What the content is.
    pub kind: TicketKind,
    /// What to call it: exactly one name.
    pub name: RelPath,
    /// Peers that are said to have it.
    pub providers: Vec<PeerAddr>,
    /// Whether it is for named peers: an honest receiver passes nothing of it on.
    pub personal: bool,
}

/// What a ticket's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketKind {
    /// The bytes of a file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Whether it may be run.
        executable: bool,
    },
    /// A manifest and the files that it lists.
    Folder,
}

/// Why a text is not a ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It does not look like one at all.
    #[error("this is not a ticket: a ticket starts with \"{PREFIX}\"")]
    NotATicket,
    /// Characters are missing or wrong.
    #[error("this ticket is damaged: copy it again, from the first to the last character")]
    Damaged,
    /// It follows rules that are newer than this program.
    #[error("this ticket was made by a newer version of Potluck: update this one")]
    Newer,
    /// It arrived as it was made, but what it says makes no sense.
    #[error("this ticket cannot be used: {0}")]
    Invalid(&'static str),
}

impl From<Malformed> for TicketError {
    fn from(malformed: Malformed) -> Self {
        TicketError::Invalid(match malformed {
            Malformed::Short => "it ends too early",
            Malformed::Number => "it has a malformed number",
        })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = data_encoding::BASE32_NOPAD.encode(&self.to_bytes());
        text.make_ascii_lowercase();
        write!(f, "{PREFIX}{text}")
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let text = strip_prefix(text, SCHEME).unwrap_or(text);
        if text.len() > limits::TICKET_CHARS {
            return Err(TicketError::NotATicket);
        }
        let text = strip_prefix(text, PREFIX).ok_or_else(|| not_our_prefix(text))?;
        let bytes = data_encoding::BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| TicketError::Damaged)?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TicketError::Damaged)?;
        if *sum != checksum(body) {
            return Err(TicketError::Damaged);
        }
        Self::from_body(body)
    }
}

impl Ticket {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let (mut flags, size) = match self.kind {
            TicketKind::Folder => (FLAG_FOLDER, None),
            TicketKind::File { size, executable: false } => (0, Some(size)),
            TicketKind::File { size, executable: true } => (FLAG_EXECUTABLE, Some(size)),
        };
        if self.personal {
            flags |= FLAG_PERSONAL;
        }
        out.push(flags);
        out.extend_from_slice(&self.content.0);
        if let Some(size) = size {
            push_varint(&mut out, size);
        }
        push_short_text(&mut out, self.name.file_name());
        let count_at = out.len();
        out.push(0);
        for provider in self.providers.iter().take(limits::TICKET_PROVIDERS) {
            let before = out.len();
            push_provider(&mut out, provider);
            if out.len() + CHECKSUM_BYTES > BYTES_MAX {
                out.truncate(before);
                break;
            }
            out[count_at] += 1;
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    fn from_body(body: &[u8]) -> Result<Self, TicketError> {
        let mut reader = Reader::new(body);
        match reader.byte()? {
            VERSION => {}
            0 => return Err(TicketError::Invalid("it has version 0, which never was")),
            _ => return Err(TicketError::Newer),
        }
        let flags = reader.byte()?;
        let personal = flags & FLAG_PERSONAL != 0;
        let content = ContentId(reader.array()?);
        let kind = match flags & !FLAG_PERSONAL {
            FLAG_FOLDER => TicketKind::Folder,
            0 | FLAG_EXECUTABLE => TicketKind::File {
                size: reader.varint()?,
                executable: flags & FLAG_EXECUTABLE != 0,
            },
            _ => {
                return Err(TicketError::Invalid(
                    "it names something other than a file or a folder",
                ));
            }
        };
        check_size(&kind, &content)?;
        let name = RelPath::parse_name(read_short_text(&mut reader)?)
            .map_err(|_| TicketError::Invalid("its name cannot be the name of a file"))?;
        let count = usize::from(reader.byte()?);
        if count > limits::TICKET_PROVIDERS {
            return Err(TicketError::Invalid("it names too many providers"));
        }
        let providers =
            (0..count).map(|_| read_provider(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        if !reader.is_empty() {
            return Err(TicketError::Invalid("something follows its end"));
        }
        Ok(Self { content, kind, name, providers, personal })
    }
}

/// A later text form would count on: `pot2`.
fn not_our_prefix(text: &str) -> TicketError {
    let later = strip_prefix(text, FAMILY)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if later { TicketError::Newer } else { TicketError::NotATicket }
}

fn check_size(kind: &TicketKind, content: &ContentId) -> Result<(), TicketError> {
    match kind {
        TicketKind::File { size, .. } if *size > Layout::LEN_MAX => {
            Err(TicketError::Invalid("its file is larger than can be shared"))
        }
        TicketKind::File { size: 0, .. } if *content != hash(&[]) => {
            Err(TicketError::Invalid("its file is empty but has the hash of something else"))
        }
        TicketKind::File { .. } | TicketKind::Folder => Ok(()),
    }
}

fn push_provider(out: &mut Vec<u8>, provider: &PeerAddr) {
    out.extend_from_slice(&provider.id.0);
    let direct = &provider.direct[..provider.direct.len().min(limits::PEER_ADDRS)];
    out.push(direct.len() as u8);
    for address in direct {
        match address {
            SocketAddr::V4(v4) => {
                out.push(4);
                out.extend_from_slice(&v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                out.push(6);
                out.extend_from_slice(&v6.ip().octets());
            }
        }
        out.extend_from_slice(&address.port().to_be_bytes());
    }
    push_short_text(out, provider.relay.as_deref().filter(|url| is_relay(url)).unwrap_or(""));
}

fn read_provider(reader: &mut Reader<'_>) -> Result<PeerAddr, TicketError> {
    let id = PeerId(reader.array()?);
    let count = usize::from(reader.byte()?);
    if count > limits::PEER_ADDRS {
        return Err(TicketError::Invalid("a provider has too many addresses"));
    }
    let direct = (0..count).map(|_| read_address(reader)).collect::<Result<Vec<_>, _>>()?;
    let relay = match read_short_text(reader)? {
        "" => None,
        url if is_relay(url) => Some(url.to_owned()),
        _ => return Err(TicketError::Invalid("a provider's relay is not a URL")),
    };
    Ok(PeerAddr { id, direct, relay })
}

fn read_address(reader: &mut Reader<'_>) -> Result<SocketAddr, TicketError> {
    let ip = match reader.byte()? {
        4 => Ipv4Addr::from(reader.array::<4>()?).into(),
        6 => Ipv6Addr::from(reader.array::<16>()?).into(),
        _ => {
            return Err(TicketError::Invalid("a provider has an address of an unknown kind"));
        }
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes(reader.array()?)))
}

/// A relay's URL as far as a ticket is concerned: no more than 255 visible ASCII characters.
fn is_relay(url: &str) -> bool {
    (1..=255).contains(&url.len()) && url.bytes().all(|b| b.is_ascii_graphic())
}

fn push_short_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names and relays have at most 255 bytes"));
    out.extend_from_slice(text.as_bytes());
}

fn read_short_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, TicketError> {
    let len = reader.byte()?;
    let bytes = reader.take(len.into())?;
    std::str::from_utf8(bytes).map_err(|_| TicketError::Invalid("it has text that is not UTF-8"))
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = hash(body).0;
    std::array::from_fn(|i| hash[i])
}

/// The rest of `text` after `prefix`, in whatever case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests;
