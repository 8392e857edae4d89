//! What a tracker keeps and what it asks its index: the contract between registry and store.
//!
//! The registry does not believe itself to be the only writer. Each change says what must still be
//! true when it is committed, and the store refuses it otherwise. A change that is there already,
//! the same in every part, is [`Written::Done`] again, so that a lost answer does no harm. Whatever
//! is written outlives a crash before it counts as written.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey};
use potluck_identity::{Membership, NetworkRecord, Revocations, Role, Signed};

use super::found::{Found, ProviderRecord};
use super::message::Query;
use crate::directory::record::{Entry, Page, Presence, Proof, ShareHead, Withdrawal};

/// One change of what is kept. Everything in it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A network, or its newer record. [`Conflict::Stale`] unless its sequence number is higher.
    PutNetwork {
        /// What it is.
        record: Signed<NetworkRecord>,
    },
    /// The use of an invite. Counts from 1 and answers [`Written::Admitted`]; the same peer again
    /// gets what it got before, whatever the count. [`Conflict::UsedUp`] if all uses are taken.
    Admit {
        /// Where.
        network: NetworkId,
        /// The invite's key.
        invite: PeerId,
        /// How many peers may use it.
        uses: u32,
        /// Who does.
        peer: PeerId,
        /// When, in unix milliseconds.
        at_ms: u64,
    },
    /// A member, new or changed. [`Conflict::NickTaken`] if another member of the network has the
    /// same nickname, compared by [`nick_folded`](crate::directory::record::nick_folded).
    PutMember {
        /// Where.
        network: NetworkId,
        /// Who.
        peer: PeerId,
        /// Its name.
        nick: String,
        /// What its membership came to.
        role: Role,
        /// Why it belongs here.
        membership: Membership,
        /// When it was seen, in unix milliseconds: for the first time if it is new.
        at_ms: u64,
    },
    /// Where a member is. [`Conflict::Stale`] unless its sequence number is higher,
    /// [`Conflict::Unknown`] if there is no such member.
    PutPresence {
        /// Signed by the member.
        presence: Signed<Presence>,
    },
    /// A member was seen; never moves the time back. Nothing happens if there is no such member.
    Seen {
        /// Where.
        network: NetworkId,
        /// Who.
        peer: PeerId,
        /// When, in unix milliseconds.
        at_ms: u64,
    },
    /// A list of revoked members. [`Conflict::Stale`] unless the list that is kept has the number
    /// `expected` (0 if there is none).
    PutRevocations {
        /// Where.
        network: NetworkId,
        /// The number of the list that it takes the place of.
        expected: u64,
        /// The list.
        revocations: Revocations,
    },
    /// A share. [`Conflict::Stale`] unless its sequence number is higher than that of its head and
    /// of its withdrawal, if there are such; [`Conflict::Unknown`] if there is no such member. If
    /// its number of pages differs from what it was, all its pages go.
    PutShare {
        /// Signed by the member.
        head: Signed<ShareHead>,
    },
    /// A page. [`Conflict::Unknown`] unless its share is there with the same number of pages;
    /// [`Conflict::Stale`] unless its sequence number is higher than that of the page and of the
    /// share's withdrawal, if there are such.
    PutPage {
        /// Signed by the member; in order.
        page: Page,
        /// The leaves of its tree, one for each entry.
        leaves: Vec<[u8; 32]>,
    },
    /// A share goes with all its pages. Its sequence number stays. [`Conflict::Stale`] if the
    /// share's head has the same or a higher one, or an earlier withdrawal a higher one.
    Withdraw {
        /// Signed by the member.
        withdrawal: Signed<Withdrawal>,
        /// When, in unix milliseconds.
        at_ms: u64,
    },
    /// A member goes with its presence, its shares and its name. Withdrawals and used invites stay.
    DropMember {
        /// Where.
        network: NetworkId,
        /// Who.
        peer: PeerId,
    },
    /// A peer is no longer let in, in no network.
    Ban {
        /// Who.
        peer: PeerId,
        /// Since when, in unix milliseconds.
        at_ms: u64,
    },
    /// A peer is let in again.
    Unban {
        /// Who.
        peer: PeerId,
    },
    /// Drops shares and pages whose time is over by more than
    /// [`CLOCK_SKEW`](potluck_base::limits::CLOCK_SKEW), and withdrawals that nothing signed before
    /// them can outlive. Answers [`Written::Expired`].
    Expire {
        /// The time, in unix milliseconds.
        now_ms: u64,
    },
}

/// A change is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is.
    Done,
    /// An invite's use was counted.
    Admitted {
        /// Which use it was; 1 is the first.
        number: u32,
        /// When it was counted first, in unix milliseconds.
        at_ms: u64,
    },
    /// What was dropped.
    Expired {
        /// Whole shares.
        shares: Vec<(NetworkId, PeerId, ShareKey)>,
        /// Single pages of other shares.
        pages: Vec<(NetworkId, PeerId, ShareKey, u16)>,
    },
}

/// A change is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Something newer is there.
    Stale {
        /// Its sequence number, or the number of the list.
        have: u64,
    },
    /// The invite was used as often as it may be.
    UsedUp,
    /// Another member has this name.
    NickTaken,
    /// What it belongs to is not there.
    Unknown,
    /// The store cannot be reached, or is broken. Nobody knows whether the change is there.
    Unavailable,
}

/// What the index is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// [`Answer::Found`].
    Search {
        /// Where.
        network: NetworkId,
        /// What; its offset and limit are within their limits, the limit not 0.
        query: Query,
    },
    /// [`Answer::Providers`].
    Providers {
        /// Where.
        network: NetworkId,
        /// Of which content.
        content: ContentId,
        /// How many to leave out.
        offset: u32,
    },
    /// [`Answer::Shares`], in order of their keys.
    Shares {
        /// Where.
        network: NetworkId,
        /// Whose.
        peer: PeerId,
        /// Only those behind this one.
        after: Option<ShareKey>,
    },
    /// [`Answer::Entries`], in order of their paths (bytes).
    Entries {
        /// Where.
        network: NetworkId,
        /// Whose.
        peer: PeerId,
        /// Of which share.
        share: ShareKey,
        /// Only those behind this path.
        after: Option<String>,
    },
}

/// What the index answers. The registry cuts it to size and says who is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What a search found.
    Found(Found),
    /// Who has a content: those online first, at most
    /// [`PROVIDERS`](potluck_base::limits::PROVIDERS). The registry fills in presences.
    Providers {
        /// The providers.
        providers: Vec<ProviderRecord>,
        /// Whether there are more.
        more: bool,
    },
    /// What a peer shares, at most [`BROWSE_ENTRIES`](potluck_base::limits::BROWSE_ENTRIES).
    Shares {
        /// The shares.
        shares: Vec<Signed<ShareHead>>,
        /// Whether there are more.
        more: bool,
    },
    /// What is in a share, at most [`BROWSE_ENTRIES`](potluck_base::limits::BROWSE_ENTRIES).
    Entries {
        /// The entries, each with its proof.
        entries: Vec<(Entry, Proof)>,
        /// Whether there are more.
        more: bool,
    },
    /// The index cannot be reached, or is broken.
    Unavailable,
}

/// What a registry has to know of what is kept, when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Networks, each with its list of revoked members.
    pub networks: Vec<(Signed<NetworkRecord>, Revocations)>,
    /// Members of all networks.
    pub members: Vec<LoadedMember>,
    /// Shares of all members.
    pub shares: Vec<LoadedShare>,
    /// Pages of all shares.
    pub pages: Vec<LoadedPage>,
    /// Peers that are not let in.
    pub banned: Vec<PeerId>,
}

/// A member, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedMember {
    /// Where.
    pub network: NetworkId,
    /// Who.
    pub peer: PeerId,
    /// Its name.
    pub nick: String,
    /// What its membership came to.
    pub role: Role,
    /// When it came first, in unix milliseconds.
    pub first_seen_ms: u64,
    /// When it was last seen, in unix milliseconds.
    pub last_seen_ms: u64,
    /// Where it said that it is.
    pub presence: Option<Signed<Presence>>,
}

/// A share, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedShare {
    /// Where.
    pub network: NetworkId,
    /// Whose.
    pub peer: PeerId,
    /// Which.
    pub share: ShareKey,
    /// The sequence number of its head.
    pub sequence: u64,
    /// Into how many pages its files are put.
    pub pages: u16,
    /// Its bytes, as its head says.
    pub size: u64,
}

/// A page, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedPage {
    /// Where.
    pub network: NetworkId,
    /// Whose.
    pub peer: PeerId,
    /// Of which share.
    pub share: ShareKey,
    /// Which.
    pub page: u16,
    /// Its sequence number.
    pub sequence: u64,
    /// What its entries hash to.
    pub root: [u8; 32],
    /// How many entries it has.
    pub entries: u16,
}
