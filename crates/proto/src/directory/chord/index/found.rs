//! What fits a query, as groups of one content each: at those who keep a key, and put together by
//! who has asked several of them.
//!
//! The rules are the tracker's: each word must be there or be the beginning of a word, from three
//! letters on; names are judged in the same way. Different is what one key cannot know: who is
//! online is added by the searcher, and what was published last does not come first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use potluck_base::{ContentId, PeerId, limits};
use potluck_identity::Signed;

use super::answer::Listed;
use super::ask::{FoundHere, GroupHere};
use super::term::{around, is_long};
use crate::directory::record::{Entry, EntryKind, ShareHead};
use crate::directory::tracker::{FileType, Group, Hit, Query, Sort};
use crate::directory::words::{Judge, Wanted, WantedWord, file_type};

/// What being online adds to a score, as at a tracker.
const ONLINE: f32 = 0.5;
/// What each doubling of the peers that have it adds.
const MANY: f32 = 0.1;

/// How a content is told from others. Somebody may claim another size for it: that is another one.
pub(super) type Key = (ContentId, u64, EntryKind);

/// One content, while it is judged.
pub(super) struct Candidate<H> {
    pub(super) score: f32,
    pub(super) newest_s: u64,
    /// Who has it, and whether only a part.
    pub(super) peers: BTreeMap<PeerId, bool>,
    /// How many have it beside them, and how many of those only a part.
    pub(super) others: (u32, u32),
    /// Its names with their scores, best first.
    pub(super) hits: Vec<(f32, H)>,
}

/// Something with a path.
pub(super) trait Named {
    fn path(&self) -> &str;
}

impl Named for Listed<'_> {
    fn path(&self) -> &str {
        self.entry.map_or(&self.head.value.name, |entry| &entry.path)
    }
}

impl Named for Hit {
    fn path(&self) -> &str {
        &self.entry.path
    }
}

/// Reads the words of a query as the circle does.
///
/// A word of one or two letters stands under a key of its own only as a whole. If there is no
/// longer one, all are looked for as whole words, whichever of them is asked for.
pub(super) fn read(words: &str) -> Wanted {
    let mut wanted = Wanted::parse(words);
    if !wanted.terms.iter().any(leads) {
        wanted.terms.iter_mut().for_each(|word| word.prefix = false);
    }
    wanted
}

/// Whether what begins with this word stands under one key.
pub(super) fn leads(word: &WantedWord) -> bool {
    is_long(&word.text) || (!word.spaced && !word.prefix)
}

/// What of these entries fits a query.
pub(super) fn search<'a>(listed: impl Iterator<Item = Listed<'a>>, query: &Query) -> FoundHere {
    let wanted = read(&query.words);
    let mut judge = Judge::new(&wanted);
    let mut filter = Filter::new(&wanted, query);
    let mut groups: BTreeMap<Key, Candidate<Listed<'a>>> = BTreeMap::new();
    for one in listed {
        if !filter.fits(&one) {
            continue;
        }
        let head = &one.head.value;
        let (content, size, kind, changed_s) = match one.entry {
            Some(Entry { content, size, kind, modified_s, .. }) => {
                (*content, *size, *kind, *modified_s)
            }
            None => (head.content, head.size, head.kind, head.entry().modified_s),
        };
        let candidate = groups.entry((content, size, kind)).or_default();
        candidate.newest_s = candidate.newest_s.max(changed_s);
        candidate.add_peer(head.peer, head.partial);
        candidate.add_hit(judge.score(one.path()), one);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    sort(&mut groups, query.sort, &|_| true);
    let (offset, limit) = (query.offset as usize, limit_of(query));
    let more = groups.len() > offset + limit;
    let wanted = groups.into_iter().skip(offset).take(limit);
    FoundHere { groups: wanted.map(|(key, one)| here(key, one)).collect(), more, seen: Vec::new() }
}

/// How many results are wanted at a time.
pub(super) fn limit_of(query: &Query) -> usize {
    match usize::from(query.limit) {
        0 => limits::SEARCH_RESULTS,
        limit => limit.min(limits::SEARCH_RESULTS),
    }
}

/// Puts groups into order: first by score, then stably by what was asked for.
pub(super) fn sort<H: Named>(
    groups: &mut [(Key, Candidate<H>)],
    sort: Sort,
    online: &dyn Fn(&PeerId) -> bool,
) {
    let here = |one: &Candidate<H>| one.peers.keys().filter(|peer| online(peer)).count() as u32;
    groups.sort_by_cached_key(|(key, one)| {
        let count = here(one);
        let there = if count > 0 { ONLINE } else { 0.0 };
        let best = one.score + there + MANY * (count as f32 + 1.0).log2();
        (Reverse(Ordered(best)), *key)
    });
    match sort {
        Sort::Best => {}
        Sort::Name => groups.sort_by_cached_key(|(_, one)| one.name()),
        Sort::Size => groups.sort_by_key(|((_, size, _), _)| Reverse(*size)),
        Sort::Newest => groups.sort_by_key(|(_, one)| Reverse(one.newest_s)),
        Sort::Providers => groups.sort_by_cached_key(|(_, one)| {
            let (whole, partial) = one.counts();
            Reverse((here(one), whole, partial))
        }),
    }
}

impl<H> Default for Candidate<H> {
    fn default() -> Self {
        let (peers, others) = (BTreeMap::new(), (0, 0));
        Self { score: f32::MIN, newest_s: 0, peers, others, hits: Vec::new() }
    }
}

impl<H: Named> Candidate<H> {
    pub(super) fn add_peer(&mut self, peer: PeerId, partial: bool) {
        let known = self.peers.entry(peer).or_insert(partial);
        *known &= partial;
    }

    pub(super) fn add_hit(&mut self, score: f32, hit: H) {
        self.score = self.score.max(score);
        let at = self.hits.partition_point(|(other, _)| *other >= score);
        if at < limits::GROUP_HITS {
            self.hits.insert(at, (score, hit));
            self.hits.truncate(limits::GROUP_HITS);
        }
    }

    /// How many have all of it, and how many a part.
    pub(super) fn counts(&self) -> (u32, u32) {
        let partial = self.peers.values().filter(|partial| **partial).count() as u32;
        (self.peers.len() as u32 - partial + self.others.0, partial + self.others.1)
    }

    fn name(&self) -> String {
        let path = self.hits.first().map_or("", |(_, hit)| hit.path());
        path.rsplit('/').next().unwrap_or(path).to_lowercase()
    }
}

/// A score as it is sorted by.
#[derive(PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What is told of one content.
fn here((content, size, kind): Key, one: Candidate<Listed<'_>>) -> GroupHere {
    let (providers, partial) = one.counts();
    let hits = one.hits.into_iter().filter_map(|(_, listed)| listed.hit()).collect();
    let newest_s = one.newest_s;
    let group = Group { content, size, kind, online: 0, providers, partial, newest_s, hits };
    let peers = one.peers.into_iter().take(limits::RING_GROUP_PEERS).collect();
    GroupHere { group, peers }
}

/// Decides what fits.
struct Filter<'a> {
    wanted: &'a Wanted,
    query: &'a Query,
    /// The words that are not in the name and tags of the last share.
    left: Wanted,
    /// That share.
    head: Option<&'a Signed<ShareHead>>,
    lower: String,
}

impl<'a> Filter<'a> {
    fn new(wanted: &'a Wanted, query: &'a Query) -> Self {
        Self { wanted, query, left: Wanted::default(), head: None, lower: String::new() }
    }

    fn fits<'b: 'a>(&mut self, one: &Listed<'b>) -> bool {
        let head = &one.head.value;
        let (size, kind) = one.entry.map_or((head.size, head.kind), |one| (one.size, one.kind));
        let Query { kinds, min_size, max_size, .. } = self.query;
        if min_size.is_some_and(|least| size < least) || max_size.is_some_and(|most| size > most) {
            return false;
        }
        let of = |types: &[FileType]| types.contains(&file_type(kind, one.path()));
        if !kinds.is_empty() && !of(kinds) {
            return false;
        }
        if !self.head.is_some_and(|last| std::ptr::eq(last, one.head)) {
            let terms = self.wanted.terms.iter();
            let alone =
                |word: &&WantedWord| !Wanted { terms: vec![(*word).clone()] }.fits(around(head));
            self.left = Wanted { terms: terms.filter(alone).cloned().collect() };
            self.head = Some(one.head);
        }
        let texts = std::iter::once(one.path()).chain(around(head));
        self.left.is_empty() || (self.may_fit(one.path()) && self.left.fits(texts))
    }

    /// A quick look, which leaves few names to be read word by word.
    fn may_fit(&mut self, path: &str) -> bool {
        if !path.is_ascii() {
            return true;
        }
        self.lower.clear();
        self.lower.push_str(path);
        self.lower.make_ascii_lowercase();
        let lower = &self.lower;
        self.left.terms.iter().all(|word| !word.parts.is_empty() || lower.contains(&word.text))
    }
}
