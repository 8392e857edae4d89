//! What goes into a registry and what comes out, besides messages.

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{NetworkId, PeerId, limits};
use potluck_identity::SecretKey;

use super::survey::Survey;
use crate::directory::tracker::change::{Answer, Change, Conflict, Question, Written};
use crate::directory::tracker::message::Denial;

/// What a registry starts with.
pub struct Setup<P> {
    /// The tracker's key: it signs admissions.
    pub key: SecretKey,
    /// Unix time of [`Time::ZERO`](potluck_base::Time::ZERO), in milliseconds.
    pub epoch_ms: u64,
    /// What can be chosen.
    pub config: Config,
    /// Who is at the other end of a link.
    pub identify: Box<dyn Fn(P) -> PeerId + Send>,
}

/// What whoever runs a tracker can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For how long a peer counts as online after each of its words.
    pub lease: Duration,
    /// The right to create networks here; nobody can without.
    pub token: Option<[u8; 16]>,
    /// Requests that one link may make per second in the long run.
    pub requests: u32,
    /// Requests that one link may make at once.
    pub burst: u32,
    /// Shares of one peer in one network.
    pub shares_per_peer: usize,
    /// Pages of one peer in one network.
    pub pages_per_peer: usize,
    /// Files and folders of one peer in one network.
    pub entries_per_peer: u64,
    /// Members of one network.
    pub members: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: limits::LEASE_TIME,
            token: None,
            requests: limits::TRACKER_REQUESTS,
            burst: limits::TRACKER_BURST,
            shares_per_peer: limits::SHARES_PER_PEER,
            pages_per_peer: limits::PAGES_PER_PEER,
            entries_per_peer: limits::ENTRIES_PER_PEER,
            members: limits::NETWORK_MEMBERS,
        }
    }
}

/// What our own side wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// End the links to this peer. It may come back.
    Kick {
        /// Who.
        peer: PeerId,
    },
    /// End the links to this peer, drop what it lists, and do not let it in again.
    Ban {
        /// Who.
        peer: PeerId,
    },
    /// Let it in again.
    Unban {
        /// Who.
        peer: PeerId,
    },
    /// Say how things stand: [`Event::Stats`] follows.
    Stats,
    /// Tell everything that is in memory: [`Event::Surveyed`] follows.
    Survey,
    /// Another tracker has committed this change to what is kept in common.
    Noticed(Change),
    /// Tell everybody that the tracker stops.
    Close,
}

/// What a timer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Look who has gone.
    Leases,
    /// Look which links nobody has registered on.
    Links,
    /// Tell the next members who is revoked.
    Notices,
    /// Drop what has expired.
    Sweep,
}

/// Work beside the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Commit this. Exactly one [`Outcome::Written`] follows. Changes are committed in the order in
    /// which they were asked for.
    Write {
        /// Names it.
        job: u64,
        /// What.
        change: Change,
    },
    /// Ask the index this. Exactly one [`Outcome::Answered`] follows, in any order.
    Ask {
        /// Names it.
        job: u64,
        /// What.
        question: Question,
    },
}

/// How such work ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A change was committed, or not.
    Written {
        /// Which.
        job: u64,
        /// What came of it.
        result: Result<Written, Conflict>,
    },
    /// A question was answered.
    Answered {
        /// Which.
        job: u64,
        /// The answer.
        answer: Answer,
    },
}

/// What the registry tells its own side.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A network is kept here from now on, or its record has changed.
    Hosted {
        /// Which.
        network: NetworkId,
    },
    /// A peer is there.
    Online {
        /// In which network.
        network: NetworkId,
        /// Who.
        peer: PeerId,
        /// Its name there.
        nick: String,
        /// When it was last seen, in unix milliseconds, if it was here before.
        returning: Option<u64>,
    },
    /// A peer is gone.
    Offline {
        /// In which network.
        network: NetworkId,
        /// Who.
        peer: PeerId,
        /// Its name there.
        nick: String,
        /// When it was last seen, in unix milliseconds.
        last_seen_ms: u64,
    },
    /// Members were revoked.
    Revoked {
        /// In which network.
        network: NetworkId,
        /// The number of the list.
        number: u64,
    },
    /// A peer was refused something in a way that whoever runs the tracker may want to know.
    Refused {
        /// Who.
        peer: PeerId,
        /// Why.
        why: Why,
    },
    /// How things stand.
    Stats(Box<Stats>),
    /// Everything that is in memory.
    Surveyed(Box<Survey>),
}

/// Why a peer was refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It does not belong here.
    Stranger,
    /// It asked too much in short time.
    Busy,
    /// Its nickname is taken.
    Nick,
    /// Its invite was used up.
    UsedUp,
    /// Its invite has expired.
    Expired,
    /// It came with something old.
    Stale,
    /// It came with a record of somebody else.
    NotYours,
    /// It came with a record that breaks the rules.
    BadRecord,
    /// It reached a limit on what one peer may list.
    TooMuch,
    /// Its role does not allow it.
    Role,
    /// It asked for what is not there.
    Unknown,
    /// The index could not be reached.
    Unavailable,
    /// It went on asking after it was told to wait: its link was ended.
    Flood,
    /// It came with bad records too often: its link was ended.
    Faults,
    /// Nobody registered on its link: the link was ended.
    Idle,
}

impl Why {
    /// The kind of an answer.
    pub(super) fn of(denial: &Denial) -> Self {
        match denial {
            Denial::Stranger => Why::Stranger,
            Denial::Busy { .. } => Why::Busy,
            Denial::NickTaken { .. } => Why::Nick,
            Denial::UsedUp => Why::UsedUp,
            Denial::Expired => Why::Expired,
            Denial::Stale { .. } => Why::Stale,
            Denial::NotYours => Why::NotYours,
            Denial::BadRecord(_) => Why::BadRecord,
            Denial::TooMuch(_) => Why::TooMuch,
            Denial::Role { .. } => Why::Role,
            Denial::Unknown => Why::Unknown,
            Denial::Unavailable { .. } => Why::Unavailable,
        }
    }
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Networks that are kept here.
    pub networks: usize,
    /// Members of all networks.
    pub members: usize,
    /// Those online.
    pub online: usize,
    /// Links.
    pub links: usize,
    /// Shares that are listed.
    pub shares: u64,
    /// Files and folders that are listed.
    pub files: u64,
    /// Their bytes, as the peers say.
    pub bytes: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Searches among them.
    pub searches: u64,
    /// Changes that were committed.
    pub writes: u64,
    /// Work that waits for index and disk.
    pub waiting: usize,
    /// What was refused since the start, by kind.
    pub refusals: BTreeMap<Why, u64>,
}
