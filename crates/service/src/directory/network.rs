//! What a network needs of its directory beyond finding things, whatever its kind: how it stands,
//! what is to be kept, and the questions about members.

use futures_util::future::BoxFuture;
use potluck_base::ShareKey;
use potluck_identity::{Membership, NetworkRecord, Revocations, Signed};
use potluck_proto::directory::tracker::{Denial, Reply, Request};
use tokio::sync::watch;

use super::{Answer, Directory};

/// The directory of a network that this node is a member of.
pub trait NetworkDirectory: Directory {
    /// Asks what a tracker can be asked; directories of other kinds answer as one would.
    fn ask(&self, request: Request) -> Answer<'_, Reply>;

    /// Takes another nickname; the state tells when it is taken.
    fn rename(&self, nick: String) -> BoxFuture<'_, ()>;

    /// How it is, now and later.
    fn state(&self) -> watch::Receiver<State>;

    /// Ends taking part in order; the member stays a member.
    fn stop(&self) -> BoxFuture<'_, ()>;
}

/// How a network's directory is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// No tracker and no member is reached yet, or none any more.
    Connecting {
        /// Why not, once it was tried.
        why: Option<String>,
        /// When the next attempt begins, unix milliseconds.
        retry_at_ms: Option<u64>,
    },
    /// We take part.
    Online {
        /// Under which name.
        nick: String,
        /// When we were there last, unix milliseconds, if we were.
        returning: Option<u64>,
    },
    /// The nickname that the person chose is taken; we take part under another.
    NickTaken {
        /// The chosen one.
        nick: String,
        /// One like it that is free.
        free: String,
    },
    /// We are not let in.
    Denied(Denial),
    /// We were a member and no longer are.
    Expelled,
    /// We handed over what we kept and went, for as long as this node is not started again.
    Away,
}

/// What is to be kept, or told.
#[derive(Clone, Debug)]
pub enum Happened {
    /// The state is another one now.
    State(State),
    /// We are called this.
    Named(String),
    /// Our membership is complete now.
    Admitted(Membership),
    /// The network's record has changed.
    Record(Signed<NetworkRecord>),
    /// Members were revoked.
    Revoked(Revocations),
    /// The directory does not list a share, and why.
    Refused {
        /// Which.
        share: ShareKey,
        /// Why.
        denial: Denial,
    },
    /// The directory has all that is published.
    InStep,
}
