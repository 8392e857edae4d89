//! The index server of a network: what is said, the server's decisions and the member's.
//!
//! A tracker knows names and addresses; bytes never pass through it. Whatever a peer publishes is
//! signed by that peer and handed on with its signature, so a tracker can leave things out but
//! cannot invent them.

mod change;
pub mod client;
mod found;
mod ledger;
mod message;
pub mod registry;

pub use change::{
    Answer, Change, Conflict, Loaded, LoadedMember, LoadedPage, LoadedShare, Question, Written,
};
pub use client::{About, Client, Nick, PageRoot, Published, Unanswered};
pub use found::{Found, Group, Hit, HitProof, ProviderRecord, Standing};
pub use ledger::Ledger;
pub use message::{
    Claim, Denial, FileType, MemberInfo, Message, Notice, PageState, Query, Reply, Request,
    ShareState, Sort, same_nick,
};
pub use registry::{Registry, Stats};
