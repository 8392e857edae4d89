//! The searcher's side: which keys to ask for what, and what the answers come to.
//!
//! A search asks the keys of all its words how many entries they have, and then the one that has
//! the fewest, with the whole query: those who keep it look at the full names. No list of files is
//! ever sent to be compared with another.
//!
//! What differs from a tracker: a search needs a word; words of one or two letters are found only
//! whole unless there is a longer one; where a word is so frequent that its records had to be put
//! under several keys, the keys that follow are asked only until there is enough, so that the best
//! of what was looked at comes first, not the best of all; nothing is suggested for words that find
//! nothing; who is online is found out by the searcher itself.

use std::collections::BTreeMap;

use potluck_base::{NetworkId, PeerId, limits};

use super::ask::{Answer, GroupHere, Question, Seen, Told};
use super::found::{Candidate, Key, leads, limit_of, read, sort};
use super::record::{page_name, page_of_proof};
use super::term::{Subject, Term, beginning, is_long};
use super::walk::{Asked, Walk};
use crate::directory::tracker::{Found, Group, Hit, Query};
use crate::directory::words::{Judge, Wanted, WantedWord};

/// What a key that could not be asked, or that has more elsewhere, counts for when the key with the
/// fewest entries is chosen.
const UNKNOWN: u64 = 1 << 20;

/// Why a query cannot be answered on a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// There is no word in it.
    #[error("without a server there is no list of everything: a search needs a word")]
    NoWords,
    /// So many results are not put in order.
    #[error("results end after {}: say more words", limits::SEARCH_OFFSET)]
    TooDeep,
}

/// What the searcher knows of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// Whether it is there now.
    pub online: bool,
    /// When it was last there, in unix milliseconds.
    pub last_seen_ms: u64,
}

/// One search.
pub struct Search {
    network: NetworkId,
    query: Query,
    wanted: Wanted,
    walk: Walk,
    /// The keys of each word, while they are counted.
    covers: Vec<Cover>,
    groups: BTreeMap<Key, Candidate<Hit>>,
    seen: BTreeMap<u64, u64>,
    /// Whether there is more than was asked for.
    more: bool,
    lies: usize,
}

/// Keys under which everything stands that fits one word, and how much there is.
struct Cover {
    terms: Vec<(Term, Option<u64>)>,
}

impl Search {
    /// A search, if it can be answered.
    pub fn new(network: NetworkId, query: Query) -> Result<Self, Unanswerable> {
        let wanted = read(&query.words);
        if wanted.is_empty() {
            return Err(Unanswerable::NoWords);
        }
        if query.offset > limits::SEARCH_OFFSET {
            return Err(Unanswerable::TooDeep);
        }
        let some_lead = wanted.terms.iter().any(leads);
        let words = wanted.terms.iter().filter(|word| !some_lead || leads(word));
        let mut covers: Vec<Cover> = Vec::new();
        for cover in words.map(Cover::of) {
            if !covers.iter().any(|known| known.terms == cover.terms) {
                covers.push(cover);
            }
        }
        let mut search = Self {
            network,
            query,
            wanted,
            walk: Walk::new(network),
            covers,
            groups: BTreeMap::new(),
            seen: BTreeMap::new(),
            more: false,
            lies: 0,
        };
        if search.covers.len() == 1 {
            search.choose();
        } else {
            for (term, _) in search.covers.iter().flat_map(|cover| &cover.terms) {
                search.walk.add(term.clone(), Question::Count);
            }
        }
        Ok(search)
    }

    /// The next question that can be put now. Several may be open at the same time.
    pub fn next_ask(&mut self) -> Option<Asked> {
        self.walk.next()
    }

    /// What was answered to a question, or that nobody answered.
    pub fn told(&mut self, id: u32, answer: Option<Answer>, now_ms: u64) {
        let Some((term, question)) = self.walk.close(id, answer.is_some()) else { return };
        match question {
            Question::Count => self.counted(&term, answer),
            Question::Search(asked) => {
                if let Some(Answer { told: Told::Found(found), full }) = answer {
                    self.seen(&found.seen);
                    let count = found.groups.len() as u32;
                    for group in found.groups {
                        self.add(group, now_ms);
                    }
                    self.go_on(&term, asked, count, found.more, full);
                }
            }
            _ => {}
        }
    }

    /// Whether everything that is needed was answered.
    pub fn is_done(&self) -> bool {
        self.walk.is_done()
    }

    /// Whether some keys could not be asked, so that something may be missing.
    pub fn is_incomplete(&self) -> bool {
        self.walk.incomplete
    }

    /// Whether only whole words were looked for, as none has three letters or is an ideograph.
    pub fn is_whole_words(&self) -> bool {
        !self.wanted.terms.iter().any(leads)
    }

    /// How many of the contents that were told of nobody had signed for.
    pub fn lies(&self) -> usize {
        self.lies
    }

    /// Who has what was found, those first that matter most: the searcher may find out who of them
    /// is online.
    pub fn peers(&self) -> Vec<PeerId> {
        let mut groups: Vec<(Key, &Candidate<Hit>)> =
            self.groups.iter().map(|(key, group)| (*key, group)).collect();
        groups.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
        groups.truncate(self.needed());
        let named = groups.iter().flat_map(|(_, group)| group.hits.iter().map(|(_, hit)| hit.peer));
        let others = groups.iter().flat_map(|(_, group)| group.peers.keys().copied());
        let mut known = std::collections::BTreeSet::new();
        named.chain(others).filter(|peer| known.insert(*peer)).collect()
    }

    /// What was found, as a tracker would tell it.
    pub fn finish(mut self, there: &dyn Fn(&PeerId) -> There) -> Found {
        self.drop_outdated();
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        sort(&mut groups, self.query.sort, &|peer| there(peer).online);
        let (offset, limit) = (self.query.offset as usize, limit_of(&self.query));
        let more = self.more || groups.len() > offset + limit;
        let wanted = groups.into_iter().skip(offset).take(limit);
        let groups = wanted.map(|(key, one)| group(key, one, there)).collect();
        Found { groups, more, did_you_mean: None, revision: 0 }
    }

    /// How many contents must be known for the page that is asked for.
    fn needed(&self) -> usize {
        self.query.offset as usize + limit_of(&self.query)
    }

    fn counted(&mut self, term: &Term, answer: Option<Answer>) {
        let count = match answer {
            Some(Answer { told: Told::Count(count), full: false }) => count,
            Some(Answer { told: Told::Count(count), full: true }) => count.saturating_add(UNKNOWN),
            _ => UNKNOWN,
        };
        let terms = self.covers.iter_mut().flat_map(|cover| &mut cover.terms);
        terms.filter(|(known, _)| known == term).for_each(|(_, known)| *known = Some(count));
        if self.walk.is_done() {
            self.choose();
        }
    }

    /// Asks for the records of the word that has the fewest; for none, if a word has none at all.
    fn choose(&mut self) {
        let best = self.covers.iter().min_by_key(|cover| cover.count());
        let Some(best) = best.filter(|cover| cover.count() != Some(0)) else { return };
        let terms: Vec<Term> = best.terms.iter().map(|(term, _)| term.clone()).collect();
        for term in terms {
            let question = self.question(0);
            self.walk.add(term, question);
        }
    }

    /// The query as it is put to those who keep a key: they know nothing of other keys, so each is
    /// asked for the first.
    fn question(&self, offset: u32) -> Question {
        let limit = self.needed().saturating_sub(offset as usize).min(limits::SEARCH_RESULTS);
        Question::Search(Query { offset, limit: limit as u16, ..self.query.clone() })
    }

    fn seen(&mut self, seen: &[Seen]) {
        for Seen { page, sequence } in seen {
            let last = self.seen.entry(*page).or_default();
            *last = (*last).max(*sequence);
        }
    }

    /// Takes what its publishers have really signed.
    fn add(&mut self, here: GroupHere, now_ms: u64) {
        let GroupHere { group, peers } = here;
        if group.hits.is_empty() || group.check(&self.network, now_ms).is_err() {
            self.lies += 1;
            return;
        }
        let mut judge = Judge::new(&self.wanted);
        let candidate = self.groups.entry((group.content, group.size, group.kind)).or_default();
        candidate.newest_s = candidate.newest_s.max(group.newest_s);
        let partial = peers.iter().filter(|(_, partial)| *partial).count() as u32;
        let whole = peers.len() as u32 - partial;
        candidate.others.0 += group.providers.saturating_sub(whole);
        candidate.others.1 += group.partial.saturating_sub(partial);
        for (peer, partial) in peers {
            candidate.add_peer(peer, partial);
        }
        for hit in group.hits {
            let same = |(_, known): &(f32, Hit)| is_same(known, &hit);
            if !candidate.hits.iter().any(same) {
                candidate.add_hit(judge.score(&hit.entry.path), hit);
            }
        }
    }

    /// What is to be asked after an answer: the rest of it, as far as it is needed; and the keys
    /// that follow, if there is not enough without them.
    fn go_on(&mut self, term: &Term, asked: Query, count: u32, more: bool, full: bool) {
        let offset = asked.offset + count;
        if more && count > 0 && (offset as usize) < self.needed() {
            let question = self.question(offset);
            return self.walk.add(term.clone(), question);
        }
        self.more |= more;
        if !full {
            return;
        }
        if self.groups.len() >= self.needed() {
            self.more = true;
            return;
        }
        for child in term.children() {
            let question = self.question(0);
            self.walk.add(child, question);
        }
    }

    /// Drops what has been replaced or taken back since, as another key knows.
    fn drop_outdated(&mut self) {
        let seen = &self.seen;
        let outdated = |hit: &Hit| {
            let (page, sequence) = page_of_proof(&hit.proof);
            let newest = seen.get(&page_name(&hit.peer, &hit.share, page));
            newest.is_some_and(|newest| *newest > sequence)
        };
        self.groups.retain(|_, group| {
            let gone: Vec<PeerId> =
                group.hits.iter().filter(|(_, hit)| outdated(hit)).map(|(_, h)| h.peer).collect();
            group.hits.retain(|(_, hit)| !outdated(hit));
            for peer in gone {
                if !group.hits.iter().any(|(_, hit)| hit.peer == peer) {
                    group.peers.remove(&peer);
                }
            }
            !group.hits.is_empty()
        });
    }
}

impl Cover {
    /// The keys under which everything stands that fits a word: its own, and where it may also
    /// stand in parts, that of one of these.
    fn of(word: &WantedWord) -> Self {
        let term = |word: &str| (Term::new(Subject::Word(beginning(word).to_owned())), None);
        let own = term(&word.text);
        let parts = word.parts.iter().map(|part| (is_long(part), term(part)));
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() || parts.iter().any(|(_, part)| *part == own) {
            return Self { terms: vec![own] };
        }
        // The last part may go on, so if it is short it has no key of its own.
        let best = parts.iter().find(|(long, _)| *long).or(parts.first());
        let part = best.map(|(_, part)| part.clone());
        Self { terms: std::iter::once(own).chain(part).collect() }
    }

    /// How many entries there are; none if they were not counted.
    fn count(&self) -> Option<u64> {
        self.terms.iter().map(|(_, count)| *count).sum()
    }
}

pub(super) fn is_same(one: &Hit, other: &Hit) -> bool {
    (one.peer, one.share) == (other.peer, other.share) && one.entry.path == other.entry.path
}

fn group(
    (content, size, kind): Key,
    one: Candidate<Hit>,
    there: &dyn Fn(&PeerId) -> There,
) -> Group {
    let (providers, partial) = one.counts();
    let online = one.peers.keys().filter(|peer| there(peer).online).count() as u32;
    let mut hits: Vec<Hit> = one.hits.into_iter().map(|(_, hit)| hit).collect();
    for hit in &mut hits {
        let There { online, last_seen_ms } = there(&hit.peer);
        (hit.online, hit.last_seen_ms) = (online, last_seen_ms);
    }
    hits.sort_by_key(|hit| !hit.online);
    let newest_s = one.newest_s;
    Group { content, size, kind, online, providers, partial, newest_s, hits }
}
