//! The index of a network without a server: who has what, spread over the circle.
//!
//! Goals: a word, or a beginning of at least three letters, is looked up at one key, and those who
//! keep it look at the full names; what is found is signed by who has it, as at a tracker; a
//! changed file sends little; a frequent word is spread over many keys.
//!
//! Non-goals: lists of everything; beginnings of one or two letters; an order over all results of a
//! word that is spread over many keys.
//!
//! - [`Term`]: what records stand under. Names stand under the first three letters of each of their
//!   words, and shorter words as a whole; those of scripts without spaces under each ideograph, or
//!   each pair of letters.
//! - [`Record`]: what stands there: entries of a page with their proofs ([`Files`]), shares, where
//!   peers are, stored files, uses of invites.
//! - [`Plan`]: the publisher's side. [`Search`], [`Providers`], [`Shares`], [`Listing`]: the
//!   searcher's.
//! - [`Question`], [`Answer`]: what goes between them and those who keep a key.
//!
//! Records count as long as their publisher says, [`limits::RING_RECORD_LIFETIME`] at most, and it
//! signs and puts them again before that. What a share was before is replaced, key by key, by what
//! it is now. A member that means harm can put a part of another's entries in their place, with the
//! numbers of a newer page, until the publisher puts them again; it cannot make any up.
//!
//! [`limits::RING_RECORD_LIFETIME`]: potluck_base::limits::RING_RECORD_LIFETIME

mod answer;
mod ask;
mod found;
mod lists;
mod merge;
mod plan;
mod record;
mod search;
mod term;
#[cfg(test)]
mod tests;
mod value;
mod walk;

pub use ask::{Answer, FoundHere, GroupHere, Question, Seen, Told};
pub use lists::{Listing, Providers, Shares};
pub use plan::{Needed, Plan, Puts, deposit_put, presence_puts, redemption_put};
pub use record::{
    Deposit, Entries, Files, Gone, Heading, Placed, Proved, Record, Redeemed, Stored, Why,
};
pub use search::{Search, There, Unanswerable};
pub use term::{Path, Subject, Term};
pub use value::Rules;
pub use walk::Asked;
