//! What records stand under, and where that is on the circle.

use std::collections::BTreeSet;
use std::fmt;

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, bounded, limits};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::directory::chord::{RingId, Slot};
use crate::directory::record::{Entry, ShareHead, nick_folded};
use crate::directory::words::tokens;

/// Letters by which a word is found: the beginning that it shares with others.
const LETTERS: usize = 3;
/// Bytes of so many letters, with room for what folding makes of them.
const WORD_BYTES: usize = 32;
/// Pages of one share whose entries stand under one key, for those who browse.
const PAGES_TOGETHER: u16 = 16;

/// What records stand under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term {
    /// What they are about.
    pub of: Subject,
    /// Which part of them, where there are too many for one key.
    pub path: Path,
}

/// What records are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// Names with a word that begins so: its first three letters, or all of a shorter one. Of
    /// scripts without spaces one ideograph, or a pair of letters.
    Word(#[serde(deserialize_with = "bounded::text::<_, WORD_BYTES>")] String),
    /// Who has this content.
    Content(ContentId),
    /// Where this peer is.
    Peer(PeerId),
    /// Who is called this; in the form in which nicknames are compared.
    Nick(#[serde(deserialize_with = "bounded::text::<_, { limits::NICK_BYTES }>")] String),
    /// What this peer shares.
    Shares(PeerId),
    /// What is in a share: sixteen of its pages.
    Pages {
        /// Whose.
        peer: PeerId,
        /// Which share.
        share: ShareKey,
        /// The number of its first page, divided by sixteen.
        group: u16,
    },
    /// A file that is stored in the network.
    Deposit(ContentId),
    /// Who used this invite, by its key.
    Invite(PeerId),
}

/// The way from a key to one of the keys that its records were sent on to: at each step the next
/// four bits of their slots. At most [`limits::RING_SPLITS`] steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Path {
    steps: u8,
    bits: u16,
}

impl Term {
    /// The records about something, as long as there is room for them under one key.
    pub fn new(of: Subject) -> Self {
        Self { of, path: Path::default() }
    }

    /// Where they are.
    pub fn key(&self, network: &NetworkId) -> RingId {
        let whole = self.of.key(network);
        let Path { steps, bits } = self.path;
        if steps == 0 {
            return whole;
        }
        let [high, low] = bits.to_be_bytes();
        let bytes = [&whole.0.to_be_bytes()[..], &[steps, high, low]].concat();
        RingId::of_parts(b"potluck ring part", network, &bytes)
    }

    /// One of the sixteen terms to which records are sent on for want of room; none if this one is
    /// such a term of such a term and so on, as far as it goes.
    pub fn child(&self, step: u8) -> Option<Term> {
        Some(Self { of: self.of.clone(), path: self.path.then(step)? })
    }

    /// All of them.
    pub fn children(&self) -> impl Iterator<Item = Term> {
        (0..16).filter_map(|step| self.child(step))
    }

    /// The one to which the record with this slot is sent on.
    pub fn child_for(&self, slot: Slot) -> Option<Term> {
        self.child(Path::step_of(slot, usize::from(self.path.steps)))
    }
}

impl Path {
    /// Whether a record with this slot may stand there.
    pub fn leads_to(&self, slot: Slot) -> bool {
        let steps = (0..usize::from(self.steps)).map(|at| Self::step_of(slot, at));
        let bits = steps.fold(0, |bits: u16, step| (bits << 4) | u16::from(step));
        bits == self.bits
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        usize::from(self.steps)
    }

    fn then(self, step: u8) -> Option<Self> {
        let fits = self.steps() < limits::RING_SPLITS;
        let bits = (self.bits << 4) | u16::from(step & 15);
        fits.then_some(Self { steps: self.steps + 1, bits })
    }

    fn step_of(slot: Slot, at: usize) -> u8 {
        let byte = slot.0[at / 2];
        if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (steps, bits) = <(u8, u16)>::deserialize(from)?;
        let known = usize::from(steps) <= limits::RING_SPLITS;
        if !known || u32::from(bits) >= 1 << (4 * u32::from(steps)) {
            return Err(D::Error::custom("no way to a key"));
        }
        Ok(Self { steps, bits })
    }
}

impl Subject {
    /// The name of a peer, if it is one.
    pub fn nick(nick: &str) -> Option<Self> {
        nick_folded(nick).map(Self::Nick)
    }

    /// Where a page of a share stands for those who browse.
    pub fn pages(peer: PeerId, share: ShareKey, page: u16) -> Self {
        Self::Pages { peer, share, group: page / PAGES_TOGETHER }
    }

    /// All places at which a share's pages stand.
    pub fn all_pages(head: &ShareHead) -> impl Iterator<Item = Self> + use<> {
        let (peer, share) = (head.peer, head.share);
        let groups = 0..head.pages.div_ceil(PAGES_TOGETHER);
        groups.map(move |group| Self::Pages { peer, share, group })
    }

    fn key(&self, network: &NetworkId) -> RingId {
        match self {
            Self::Word(word) => RingId::of_parts(b"potluck ring word", network, word.as_bytes()),
            Self::Content(content) => {
                RingId::of_parts(b"potluck ring providers", network, &content.0)
            }
            Self::Peer(peer) => RingId::of_peer(network, peer),
            Self::Nick(nick) => RingId::of_parts(b"potluck ring nick", network, nick.as_bytes()),
            Self::Shares(peer) => RingId::of_parts(b"potluck ring shares", network, &peer.0),
            Self::Pages { peer, share, group } => {
                let bytes = [&peer.0[..], &share.0, &group.to_be_bytes()].concat();
                RingId::of_parts(b"potluck ring pages", network, &bytes)
            }
            Self::Deposit(content) => RingId::of_content(network, content),
            Self::Invite(key) => RingId::of_parts(b"potluck ring invite", network, &key.0),
        }
    }

    /// Whether an entry of this page of this share belongs under it.
    pub(super) fn fits(&self, head: &ShareHead, page: u16, entry: &Entry) -> bool {
        match self {
            Self::Word(word) => has_word(word, [entry.path.as_str()]),
            Self::Content(content) => entry.content == *content,
            pages @ Self::Pages { .. } => *pages == Self::pages(head.peer, head.share, page),
            _ => false,
        }
    }

    /// Whether all entries of a share belong under it, whatever they are called.
    pub(super) fn fits_around(&self, head: &ShareHead) -> bool {
        match self {
            Self::Word(word) => has_word(word, around(head)),
            _ => false,
        }
    }

    /// Whether a share itself belongs under it.
    pub(super) fn fits_share(&self, head: &ShareHead) -> bool {
        shares_subjects(head).contains(self)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Subject::Word(word) => write!(f, "word {}", potluck_base::escape(word, WORD_BYTES))?,
            Subject::Content(content) => write!(f, "content {}", content.short())?,
            Subject::Peer(peer) => write!(f, "peer {}", peer.short())?,
            Subject::Nick(nick) => {
                write!(f, "nickname {}", potluck_base::escape(nick, limits::NICK_BYTES))?;
            }
            Subject::Shares(peer) => write!(f, "shares of {}", peer.short())?,
            Subject::Pages { peer, group, .. } => {
                write!(f, "files of {}, part {}", peer.short(), group + 1)?;
            }
            Subject::Deposit(content) => write!(f, "stored {}", content.short())?,
            Subject::Invite(key) => write!(f, "invite {}", key.short())?,
        }
        let Path { steps, bits } = self.path;
        match usize::from(steps) {
            0 => Ok(()),
            width => write!(f, " /{bits:0width$x}"),
        }
    }
}

/// The beginning under which a word of a name stands: three letters, or one of those characters
/// that are words by themselves.
pub(super) fn beginning(word: &str) -> &str {
    let letters = if word.starts_with(is_word) { 1 } else { LETTERS };
    word.char_indices().nth(letters).map_or(word, |(end, _)| &word[..end])
}

/// Whether a word stands for those that begin with it, too: it has as many letters as it takes.
pub(super) fn is_long(word: &str) -> bool {
    word.starts_with(is_word) || word.chars().nth(LETTERS - 1).is_some()
}

/// Ideographs and pictures. Other scripts without spaces have letters, which alone say nothing:
/// their names stand under pairs of them.
fn is_word(c: char) -> bool {
    matches!(
        c,
        '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
            | '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}'
    )
}

/// What the name and the tags of a share are found by.
pub(super) fn around_words(head: &ShareHead) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in around(head) {
        add_words(text, &mut words);
    }
    words
}

/// What a path is found by: first its name, then the folders from the innermost on, so that of very
/// many words the best are taken.
pub(super) fn path_words(path: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for name in path.rsplit('/') {
        add_words(name, &mut words);
        if words.len() == limits::RING_WORDS {
            break;
        }
    }
    words
}

/// What a share itself stands under: its peer's list; and if it is a folder, which a search finds
/// as such, its words and its content.
pub(super) fn shares_subjects(head: &ShareHead) -> BTreeSet<Subject> {
    let mut all = BTreeSet::from([Subject::Shares(head.peer)]);
    if head.kind == crate::directory::record::EntryKind::Folder {
        all.insert(Subject::Content(head.content));
        all.extend(around_words(head).into_iter().map(Subject::Word));
    }
    all
}

fn add_words(text: &str, to: &mut BTreeSet<String>) {
    tokens(text, &mut |token| {
        let word = beginning(token.text);
        if to.len() < limits::RING_WORDS && !to.contains(word) {
            to.insert(word.to_owned());
        }
    });
}

fn has_word<'a>(word: &str, texts: impl IntoIterator<Item = &'a str>) -> bool {
    let mut found = false;
    for text in texts {
        tokens(text, &mut |token| found |= beginning(token.text) == word);
    }
    found
}

/// The texts beside the path of an entry by which it is found.
pub(super) fn around(head: &ShareHead) -> impl Iterator<Item = &str> {
    std::iter::once(head.name.as_str()).chain(head.tags.iter().map(String::as_str))
}
