//! What can go wrong with a link, sorted by whose fault it is.

use std::fmt;
use std::net::SocketAddr;

use potluck_base::{PeerAddr, PeerId, escape};

/// Why there is no link, or no longer one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    // The peer lied.
    /// Whoever answered is not the peer that was dialled.
    #[error("a stranger answered instead of peer {}", expected.short())]
    WrongPeer {
        /// The peer that was dialled.
        expected: PeerId,
        /// The key that answered, if it was seen.
        found: Option<PeerId>,
    },
    /// The peer broke the protocol; the link is closed.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(String),

    // The peer is too old, or we are.
    /// The peer speaks no version of the protocol that we speak.
    #[error(
        "the peer speaks another version of Potluck's protocol than {ours}; update the older one"
    )]
    Version {
        /// The version that we speak.
        ours: &'static str,
    },

    // The peer cannot now.
    /// The peer has as many links as it takes.
    #[error("the peer has no room for another link")]
    Busy,

    // The user asked the impossible.
    /// Nothing is known about where the peer may be reached with what is switched on.
    #[error("no address of peer {} can be tried", .0.short())]
    NoAddress(PeerId),
    /// The peer is this node.
    #[error("this is our own id")]
    Ourselves,
    /// A relay's URL cannot be read.
    #[error("{url:?} is not the URL of a relay")]
    BadRelay {
        /// What was configured.
        url: String,
    },
    /// Neither TCP nor QUIC is switched on, or the addresses to listen on contradict each other.
    #[error("cannot listen: {0}")]
    Config(&'static str),

    // The world failed.
    /// We cannot listen there.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// No address of the peer leads to it.
    #[error("peer {} cannot be reached{}", peer.short(), Listed(attempts))]
    Unreachable {
        /// The peer that was dialled.
        peer: PeerId,
        /// Every address that was tried, and what came of it.
        attempts: Vec<Attempt>,
    },
    /// The link ended, and not in order.
    #[error("the link is broken: {0}")]
    Broken(String),
    /// The link is closed.
    #[error("the link is closed")]
    Closed,

    // We have a bug.
    /// A frame is larger than any peer takes.
    #[error("a frame of {0} bytes is too large")]
    FrameTooLarge(usize),
}

/// One address that was dialled in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried.
    pub over: Transport,
    /// The address, or all of them for QUIC, which tries them together.
    pub to: String,
    /// What came of it.
    pub fault: DialFault,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.over, self.to, self.fault)
    }
}

/// What a dial was tried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP with TLS 1.3.
    Tcp,
    /// QUIC, direct or through a relay.
    Quic,
    /// Within this process.
    Memory,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "TCP",
            Transport::Quic => "QUIC",
            Transport::Memory => "memory",
        })
    }
}

/// What came of dialling one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialFault {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// Somebody with another key listens there.
    WrongKey(Option<PeerId>),
    /// The peer speaks another version.
    Version,
    /// The peer has no room.
    Busy,
    /// Another address was quicker or failed the dial first.
    GivenUp,
    /// Whatever answered does not speak our protocol, or hung up.
    HungUp,
    /// The system says something else.
    Other(String),
}

impl fmt::Display for DialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFault::Refused => f.write_str("refused"),
            DialFault::TimedOut => f.write_str("timed out"),
            DialFault::WrongKey(Some(found)) => write!(f, "wrong key ({})", found.short()),
            DialFault::WrongKey(None) => f.write_str("wrong key"),
            DialFault::Version => f.write_str("another version"),
            DialFault::Busy => f.write_str("no room"),
            DialFault::GivenUp => f.write_str("given up"),
            DialFault::HungUp => f.write_str("hung up"),
            DialFault::Other(text) => f.write_str(&escape(text, 200)),
        }
    }
}

/// Sums up the attempts of a dial that reached nobody.
pub(crate) fn sum_up(addr: &PeerAddr, attempts: Vec<Attempt>) -> LinkError {
    let expected = addr.id;
    if attempts.is_empty() {
        return LinkError::NoAddress(expected);
    }
    // The right peer said no: that says more than that its other addresses are dead.
    if attempts.iter().any(|attempt| attempt.fault == DialFault::Version) {
        return LinkError::Version { ours: OURS };
    }
    if attempts.iter().any(|attempt| attempt.fault == DialFault::Busy) {
        return LinkError::Busy;
    }
    let keys: Vec<_> = attempts
        .iter()
        .filter_map(|attempt| match attempt.fault {
            DialFault::WrongKey(found) => Some(found),
            _ => None,
        })
        .collect();
    if keys.len() == attempts.len() {
        return LinkError::WrongPeer { expected, found: keys.into_iter().flatten().next() };
    }
    LinkError::Unreachable { peer: expected, attempts }
}

pub(crate) const OURS: &str = "potluck/1";

struct Listed<'a>(&'a [Attempt]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            write!(f, "{} {attempt}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}
