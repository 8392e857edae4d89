//! The first words on a connection: what it is for, and whether the other side takes it.
//!
//! ```text
//! dialler   kind (1) | link id (16)    kind: 1 control, 2 lane to acceptor, 3 lane to dialler
//! acceptor  answer (1)                 1 yes, 2 no room, 3 no such link
//! dialler   go (1) = 1                 control only: this connection won the dial
//! ```
//!
//! Neither TLS 1.3 nor QUIC tells a dialler by itself that it was accepted: the answer does. And a
//! dial that is tried over several addresses makes one link, because only one hears "go".

use std::io;

use iroh::endpoint::{RecvStream, SendStream};

use crate::error::DialFault;
use crate::tls::TlsStream;

/// Names a link among those of its two peers; the dialler rolls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) [u8; 16]);

impl LinkId {
    pub(crate) fn random() -> Self {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).expect("the system has randomness");
        Self(id)
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Control,
    LaneToAcceptor,
    LaneToDialler,
}

/// The first words of a dialler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preface {
    pub(crate) purpose: Purpose,
    pub(crate) link: LinkId,
}

const LENGTH: usize = 17;
const GO: u8 = 1;

impl Preface {
    fn encode(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = match self.purpose {
            Purpose::Control => 1,
            Purpose::LaneToAcceptor => 2,
            Purpose::LaneToDialler => 3,
        };
        bytes[1..].copy_from_slice(&self.link.0);
        bytes
    }

    fn decode(bytes: [u8; LENGTH]) -> Option<Self> {
        let purpose = match bytes[0] {
            1 => Purpose::Control,
            2 => Purpose::LaneToAcceptor,
            3 => Purpose::LaneToDialler,
            _ => return None,
        };
        let (_, link) = bytes.split_first_chunk::<1>()?;
        Some(Self { purpose, link: LinkId(link.try_into().ok()?) })
    }
}

/// What an acceptor answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes = 1,
    NoRoom = 2,
    NoSuchLink = 3,
}

/// A connection on which a preface is said.
pub(crate) trait Wire {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
    async fn get(&mut self, buf: &mut [u8]) -> io::Result<()>;
}

impl Wire for TlsStream {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await
    }

    async fn get(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.read_exact(buf).await
    }
}

impl Wire for (SendStream, RecvStream) {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await.map_err(io::Error::from)
    }

    async fn get(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.1.read_exact(buf).await.map_err(io::Error::other)
    }
}

/// Dialler: asks to be taken.
pub(crate) async fn ask(
    wire: &mut impl Wire,
    preface: Preface,
) -> io::Result<Result<(), DialFault>> {
    wire.put(&preface.encode()).await?;
    let mut answer = [0];
    wire.get(&mut answer).await?;
    Ok(match answer[0] {
        1 => Ok(()),
        2 => Err(DialFault::Busy),
        3 => Err(DialFault::Other("it knows no such link".to_owned())),
        _ => Err(DialFault::HungUp),
    })
}

/// Dialler: this connection is the one.
pub(crate) async fn go(wire: &mut impl Wire) -> io::Result<()> {
    wire.put(&[GO]).await
}

/// Acceptor: what the dialler wants; `None` if it makes no sense.
pub(crate) async fn hear(wire: &mut impl Wire) -> io::Result<Option<Preface>> {
    let mut bytes = [0; LENGTH];
    wire.get(&mut bytes).await?;
    Ok(Preface::decode(bytes))
}

/// Acceptor: answers.
pub(crate) async fn answer(wire: &mut impl Wire, answer: Answer) -> io::Result<()> {
    wire.put(&[answer as u8]).await
}

/// Acceptor: waits for the word that this connection won the dial.
pub(crate) async fn hear_go(wire: &mut impl Wire) -> io::Result<bool> {
    let mut word = [0];
    wire.get(&mut word).await?;
    Ok(word[0] == GO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_has_this_picture() {
        let preface = Preface { purpose: Purpose::LaneToDialler, link: LinkId([7; 16]) };
        let mut bytes = [7; LENGTH];
        bytes[0] = 3;
        assert_eq!(preface.encode(), bytes);
        assert_eq!(Preface::decode(bytes), Some(preface));
        bytes[0] = 4;
        assert_eq!(Preface::decode(bytes), None);
    }
}
