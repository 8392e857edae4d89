//! What trackers and members say to each other; `docs/spec/08-tracker.md` draws it.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, bounded, limits};
use potluck_identity::{Membership, NetworkRecord, Revocations, Role, Signed};
use serde::{Deserialize, Serialize};

use super::found::{Found, ProviderRecord};
use crate::directory::record::{
    Entry, Page, Presence, Proof, RecordError, ShareHead, Withdrawal, nick_folded,
};
use crate::hello::AGENT_BYTES;

/// That the sender belongs to a network, said before anything else on a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which network.
    pub network: NetworkId,
    /// Why it does.
    pub membership: Membership,
}

/// What stands in a tracker frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A member wants something. Exactly one reply with this number follows.
    Request {
        /// Chosen by the member; one of its requests that are open on this link.
        id: u32,
        /// In which network.
        network: NetworkId,
        /// What.
        body: Request,
    },
    /// The tracker's answer.
    Reply {
        /// To which request.
        id: u32,
        /// The answer, or why there is none.
        result: Result<Reply, Denial>,
    },
    /// Something that members of a network are told without having asked.
    Notice {
        /// Which network.
        network: NetworkId,
        /// What.
        notice: Notice,
    },
}

/// What a member wants. Until [`Request::Register`] has succeeded on this link, everything but
/// that, `Host` and `Join` is answered [`Denial::Stranger`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Keep this network here, or its newer record. [`Reply::Hosted`].
    Host {
        /// The right to create networks here; not needed for a newer record.
        token: [u8; 16],
        /// What the network is, signed by its key.
        record: Signed<NetworkRecord>,
        /// That the sender is an owner of it.
        owner: Membership,
    },
    /// Count the use of an invite. [`Reply::Admitted`]; the same peer and invite again get the same
    /// answer.
    Join {
        /// As it was redeemed, without an admission.
        membership: Membership,
    },
    /// Open the session. [`Reply::Registered`].
    Register {
        /// Why the sender belongs here.
        membership: Membership,
        /// Under which name; none for the one that it had, or a numbered one.
        #[serde(deserialize_with = "bounded::optional_text::<_, { limits::NICK_BYTES }>")]
        nick: Option<String>,
        /// The number of the list of revoked members that it knows.
        revocations: u64,
    },
    /// Where the sender is. [`Reply::Done`].
    Announce {
        /// Signed by the sender.
        presence: Signed<Presence>,
    },
    /// The sender is still there; any other request says so, too. [`Reply::Done`].
    Renew,
    /// What is listed of the sender? [`Reply::States`].
    States,
    /// What is listed of a share of the sender? [`Reply::PageRoots`].
    PageRoots {
        /// Which share.
        share: ShareKey,
        /// From which page on.
        from: u16,
    },
    /// List this share. If it has another number of pages than before, all its pages are gone.
    /// [`Reply::Done`].
    PutShare {
        /// Signed by the sender.
        head: Signed<ShareHead>,
    },
    /// List these files of a share whose head was put before. [`Reply::Done`].
    PutPage {
        /// Signed by the sender.
        page: Page,
    },
    /// Do not list this share any more. [`Reply::Done`].
    Withdraw {
        /// Signed by the sender.
        withdrawal: Signed<Withdrawal>,
    },
    /// Who has something like this? [`Reply::Found`].
    Search {
        /// Like what.
        query: Query,
    },
    /// Who has this content? [`Reply::Providers`].
    Providers {
        /// Which content.
        content: ContentId,
        /// How many to leave out.
        offset: u32,
    },
    /// Where is this peer? [`Reply::Resolved`].
    Resolve {
        /// Which peer.
        peer: PeerId,
    },
    /// What does this peer share? [`Reply::Shares`], or [`Reply::Entries`] of one share.
    Browse {
        /// Which peer.
        peer: PeerId,
        /// One of its shares, or none for the list of shares.
        share: Option<ShareKey>,
        /// Go on behind this path, or behind the share with this key as text.
        #[serde(deserialize_with = "bounded::optional_text::<_, { limits::PATH_BYTES }>")]
        after: Option<String>,
    },
    /// Who belongs to this network? [`Reply::Members`].
    Members {
        /// Go on behind this peer.
        after: Option<PeerId>,
    },
    /// Who is called this? [`Reply::Members`] with one member.
    Find {
        /// A nickname, in any case.
        #[serde(deserialize_with = "bounded::text::<_, { limits::NICK_BYTES }>")]
        nick: String,
    },
    /// Take this list of revoked members. [`Reply::Done`].
    Revoke {
        /// Signed by an owner or admin.
        revocations: Revocations,
    },
    /// Who is revoked? [`Reply::Revocations`].
    Revocations,
    /// What is this network? [`Reply::Record`].
    Record,
    /// The sender goes. [`Reply::Done`].
    Leave {
        /// Whether it is for good: its name and all that it lists are dropped.
        forget: bool,
    },
}

/// What a tracker answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done, and will outlive a crash of the tracker.
    Done,
    /// The network is kept here.
    Hosted,
    /// The invite's use was counted.
    Admitted {
        /// The membership with its admission.
        membership: Membership,
    },
    /// The session is open.
    Registered {
        /// The name in the network.
        #[serde(deserialize_with = "bounded::text::<_, { limits::NICK_BYTES }>")]
        nick: String,
        /// When the peer was last seen, in unix milliseconds, if it was here before.
        returning: Option<u64>,
        /// For how long the peer counts as online after each of its words, in milliseconds.
        lease_ms: u64,
        /// What the network is.
        record: Signed<NetworkRecord>,
        /// The number of the list of revoked members; the list follows as a notice if the peer has
        /// an older one.
        revocations: u64,
    },
    /// What is listed of the sender.
    States {
        /// All its shares.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::SHARES_PER_PEER }>")]
        shares: Vec<ShareState>,
    },
    /// What is listed of a share; nothing if it is not listed at all.
    PageRoots {
        /// Pages in order, those that were never put left out.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::PAGE_ROOTS }>")]
        roots: Vec<PageState>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// What a search found.
    Found(Found),
    /// Who has a content.
    Providers {
        /// Those online first.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::PROVIDERS }>")]
        providers: Vec<ProviderRecord>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// Where a peer is.
    Resolved {
        /// What it said itself, unless that has expired.
        presence: Option<Signed<Presence>>,
        /// Whether it is there now.
        online: bool,
        /// When it was last there, in unix milliseconds.
        last_seen_ms: u64,
    },
    /// What a peer shares.
    Shares {
        /// In order of their keys.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::BROWSE_ENTRIES }>")]
        shares: Vec<Signed<ShareHead>>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// What is in a share.
    Entries {
        /// In order of their paths (bytes).
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::BROWSE_ENTRIES }>")]
        entries: Vec<(Entry, Proof)>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// Who belongs to the network.
    Members {
        /// In order of their keys.
        #[serde(deserialize_with = "bounded::list::<_, _, { limits::MEMBERS_LISTED }>")]
        members: Vec<MemberInfo>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// Who is revoked.
    Revocations(Revocations),
    /// What the network is.
    Record(Signed<NetworkRecord>),
}

/// What members are told without having asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// There is a newer list of revoked members.
    Revoked(Revocations),
    /// The network's record has changed.
    Record(Signed<NetworkRecord>),
    /// This session has ended: the tracker stops, or does not want this peer any more.
    Closing,
}

/// Why a tracker does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Denial {
    /// There is nothing here for the sender. Unknown networks, bad memberships, revoked and banned
    /// peers all get this one answer.
    #[error("the tracker knows no such network, or does not take you for a member of it")]
    Stranger,
    /// Too many requests in short time.
    #[error("the tracker asks you to wait for {retry_ms} ms")]
    Busy {
        /// When to try again.
        retry_ms: u32,
    },
    /// Another member has this name.
    #[error("another member has this nickname; \"{}\" is free", potluck_base::escape(.free, 40))]
    NickTaken {
        /// One like it that is free.
        #[serde(deserialize_with = "bounded::text::<_, { limits::NICK_BYTES }>")]
        free: String,
    },
    /// The invite was used as often as it may be.
    #[error("this invite was used as often as it may be")]
    UsedUp,
    /// The invite's time is over.
    #[error("this invite has expired")]
    Expired,
    /// Something newer is known.
    #[error("the tracker knows something newer")]
    Stale {
        /// Its sequence number, or the number of the list.
        have: u64,
    },
    /// A record of another peer or another network.
    #[error("this record is not yours")]
    NotYours,
    /// A record that breaks a rule.
    #[error("the tracker refuses the record: {}", potluck_base::escape(.0, limits::DENIAL_BYTES))]
    BadRecord(#[serde(deserialize_with = "bounded::text::<_, { limits::DENIAL_BYTES }>")] String),
    /// A limit of the tracker is reached.
    #[error("the tracker's limit is reached: {}", potluck_base::escape(.0, limits::DENIAL_BYTES))]
    TooMuch(#[serde(deserialize_with = "bounded::text::<_, { limits::DENIAL_BYTES }>")] String),
    /// The sender's role does not allow it.
    #[error("your role in this network does not allow it")]
    Role {
        /// The least that would.
        needed: Role,
    },
    /// There is no such peer, share or name.
    #[error("there is no such peer, share or nickname")]
    Unknown,
    /// The tracker cannot reach its index, or is overloaded.
    #[error("the tracker's index is not available")]
    Unavailable {
        /// When to try again.
        retry_ms: u32,
    },
}

impl From<RecordError> for Denial {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Network | RecordError::Peer => Denial::NotYours,
            other => Denial::BadRecord(other.to_string()),
        }
    }
}

/// What is searched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Words and beginnings of words, in any case; all of them must be there.
    #[serde(deserialize_with = "bounded::text::<_, { limits::QUERY_BYTES }>")]
    pub words: String,
    /// Only things of these types; empty for all.
    #[serde(deserialize_with = "bounded::list::<_, _, { limits::QUERY_KINDS }>")]
    pub kinds: Vec<FileType>,
    /// Only things of at least so many bytes.
    pub min_size: Option<u64>,
    /// Only things of at most so many bytes.
    pub max_size: Option<u64>,
    /// What comes first.
    pub sort: Sort,
    /// How many results to leave out, at most [`limits::SEARCH_OFFSET`].
    pub offset: u32,
    /// How many results to return, at most [`limits::SEARCH_RESULTS`]; 0 for as many as that.
    pub limit: u16,
}

/// What a file is, by the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileType {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// Still pictures.
    Image,
    /// Texts, tables and the like.
    Document,
    /// Many files in one.
    Archive,
    /// Something to run or to install.
    Program,
    /// Anything else.
    Other,
    /// A folder.
    Folder,
}

/// What comes first in a list of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// What fits the words best, and is there.
    #[default]
    Best,
    /// By name.
    Name,
    /// The largest.
    Size,
    /// What was changed last.
    Newest,
    /// What most peers have.
    Providers,
}

/// What is listed of one share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareState {
    /// Which.
    pub share: ShareKey,
    /// The sequence number of its head.
    pub sequence: u64,
    /// [`share_digest`](crate::directory::record::share_digest) of its pages.
    pub digest: [u8; 32],
}

/// What is listed of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageState {
    /// Which.
    pub page: u16,
    /// Its sequence number.
    pub sequence: u64,
    /// What its entries hash to.
    pub root: [u8; 32],
}

/// A member, as a tracker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Who.
    pub peer: PeerId,
    /// Its name in the network.
    #[serde(deserialize_with = "bounded::text::<_, { limits::NICK_BYTES }>")]
    pub nick: String,
    /// What it may do.
    pub role: Role,
    /// Whether it is there now.
    pub online: bool,
    /// When it was last there, in unix milliseconds.
    pub last_seen_ms: u64,
    /// Its program.
    #[serde(deserialize_with = "bounded::text::<_, AGENT_BYTES>")]
    pub agent: String,
    /// How many shares it lists.
    pub shares: u32,
    /// How many files and folders are in them.
    pub files: u64,
    /// Their bytes, as it says.
    pub bytes: u64,
}

/// Whether two nicknames are the same to people: no case, no spaces around.
pub fn same_nick(one: &str, other: &str) -> bool {
    nick_folded(one).is_some_and(|folded| nick_folded(other) == Some(folded))
}
