//! The searcher's side of what is not a search: who has a content, and what a peer shares.

use std::collections::BTreeMap;

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::Signed;

use super::ask::{Answer, Question, Seen, Told};
use super::record::{Files, page_name, page_of_proof};
use super::search::There;
use super::term::{Subject, Term};
use super::value::Rules;
use super::walk::{Asked, Walk};
use crate::directory::record::{Entry, Presence, Proof, RecordError, ShareHead, check_expiry};
use crate::directory::tracker::{ProviderRecord, Standing};

/// Finds out who has a content.
pub struct Providers {
    network: NetworkId,
    content: ContentId,
    walk: Walk,
    found: BTreeMap<PeerId, ProviderRecord>,
    seen: BTreeMap<u64, u64>,
    lies: usize,
}

impl Providers {
    /// Of this content.
    pub fn new(network: NetworkId, content: ContentId) -> Self {
        let mut walk = Walk::new(network);
        let question = Question::Providers { content, offset: 0 };
        walk.add(Term::new(Subject::Content(content)), question);
        let (found, seen) = (BTreeMap::new(), BTreeMap::new());
        Self { network, content, walk, found, seen, lies: 0 }
    }

    /// The next question that can be put now. Several may be open at the same time.
    pub fn next_ask(&mut self) -> Option<Asked> {
        self.walk.next()
    }

    /// What was answered to a question, or that nobody answered.
    pub fn told(&mut self, id: u32, answer: Option<Answer>, now_ms: u64) {
        let Some((term, question)) = self.walk.close(id, answer.is_some()) else { return };
        let Question::Providers { content, offset } = question else { return };
        let Some(Answer { told: Told::Providers { providers, more, seen }, full }) = answer else {
            return;
        };
        for Seen { page, sequence } in seen {
            let last = self.seen.entry(page).or_default();
            *last = (*last).max(sequence);
        }
        let count = providers.len() as u32;
        for provider in providers {
            match provider.check(&self.network, &content, now_ms) {
                Ok(Standing::Signed) => drop(self.found.insert(provider.peer, provider)),
                _ => self.lies += 1,
            }
        }
        let enough = self.found.len() >= limits::PROVIDERS_ASKED;
        if more && count > 0 && !enough {
            self.walk.add(term, Question::Providers { content, offset: offset + count });
        } else if full && !enough {
            for child in term.children() {
                self.walk.add(child, Question::Providers { content, offset: 0 });
            }
        }
    }

    /// Whether everything that is needed was answered.
    pub fn is_done(&self) -> bool {
        self.walk.is_done()
    }

    /// Whether some keys could not be asked, so that somebody may be missing.
    pub fn is_incomplete(&self) -> bool {
        self.walk.incomplete
    }

    /// How many of those who were named have never said that they have it.
    pub fn lies(&self) -> usize {
        self.lies
    }

    /// Who has it, as far as is known: the searcher may find out who of them is online.
    pub fn peers(&self) -> Vec<PeerId> {
        self.found.keys().copied().collect()
    }

    /// Who has it, those online first; with what the searcher knows of each, which it has checked.
    pub fn finish(
        self,
        there: &dyn Fn(&PeerId) -> There,
        presence: &dyn Fn(&PeerId) -> Option<Signed<Presence>>,
    ) -> Vec<ProviderRecord> {
        let current = |one: &ProviderRecord| {
            let (page, sequence) = page_of_proof(&one.hit.proof);
            let newest = self.seen.get(&page_name(&one.hit.peer, &one.hit.share, page));
            newest.is_none_or(|newest| *newest <= sequence) && one.hit.entry.content == self.content
        };
        let mut list: Vec<_> = self.found.into_values().filter(current).collect();
        for one in &mut list {
            let There { online, last_seen_ms } = there(&one.peer);
            (one.online, one.last_seen_ms) = (online, last_seen_ms);
            (one.hit.online, one.hit.last_seen_ms) = (online, last_seen_ms);
            one.presence = presence(&one.peer);
        }
        list.sort_by_key(|one| !one.online);
        list
    }
}

/// Finds out what a peer shares.
pub struct Shares {
    network: NetworkId,
    peer: PeerId,
    walk: Walk,
    found: BTreeMap<ShareKey, Signed<ShareHead>>,
}

impl Shares {
    /// Of this peer.
    pub fn new(network: NetworkId, peer: PeerId) -> Self {
        let mut walk = Walk::new(network);
        walk.add(Term::new(Subject::Shares(peer)), Question::Shares { after: None });
        Self { network, peer, walk, found: BTreeMap::new() }
    }

    /// The next question that can be put now. Several may be open at the same time.
    pub fn next_ask(&mut self) -> Option<Asked> {
        self.walk.next()
    }

    /// What was answered to a question, or that nobody answered.
    pub fn told(&mut self, id: u32, answer: Option<Answer>, now_ms: u64) {
        let Some((term, _)) = self.walk.close(id, answer.is_some()) else { return };
        let Some(Answer { told: Told::Shares { shares, more }, full }) = answer else { return };
        let last = shares.last().map(|head| head.value.share);
        for head in shares {
            if check_share(&head, &self.network, &self.peer, now_ms).is_err() {
                continue;
            }
            let known = self.found.entry(head.value.share).or_insert_with(|| head.clone());
            if known.value.sequence < head.value.sequence {
                *known = head;
            }
        }
        if more && last.is_some() {
            self.walk.add(term, Question::Shares { after: last });
        } else if full {
            for child in term.children() {
                self.walk.add(child, Question::Shares { after: None });
            }
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

    /// What the peer shares, in order of keys.
    pub fn finish(self) -> Vec<Signed<ShareHead>> {
        self.found.into_values().collect()
    }
}

/// Finds out what is in a share.
pub struct Listing {
    rules: Rules,
    head: ShareHead,
    walk: Walk,
    /// Records by page and part.
    found: BTreeMap<(u16, u8), Files>,
}

impl Listing {
    /// Of this share, by its newest head.
    ///
    /// The entries of sixteen pages, about a thousand, stand under one key; a share with more than
    /// [`limits::RING_ASKS`] times as many is listed in part.
    pub fn new(network: NetworkId, head: &ShareHead) -> Self {
        let mut walk = Walk::new(network);
        for subject in Subject::all_pages(head) {
            walk.add(Term::new(subject), Question::Files { after: None });
        }
        Self { rules: Rules::new(network), head: head.clone(), walk, found: BTreeMap::new() }
    }

    /// The next question that can be put now. Several may be open at the same time.
    pub fn next_ask(&mut self) -> Option<Asked> {
        self.walk.next()
    }

    /// What was answered to a question, or that nobody answered.
    pub fn told(&mut self, id: u32, answer: Option<Answer>, now_ms: u64) {
        let Some((term, _)) = self.walk.close(id, answer.is_some()) else { return };
        let Some(Answer { told: Told::Files { files, more }, full }) = answer else { return };
        let last = files.last().map(|files| (files.page.value.page, files.part));
        for files in files {
            let head = &files.head.value;
            let asked = (head.peer, head.share) == (self.head.peer, self.head.share);
            if !asked || head.pages != self.head.pages || files.check(&self.rules, now_ms).is_err()
            {
                continue;
            }
            let place = (files.page.value.page, files.part);
            let newer = |known: &Files| known.page.value.sequence < files.page.value.sequence;
            if self.found.get(&place).is_none_or(newer) {
                self.found.insert(place, files);
            }
        }
        if more && last.is_some() {
            self.walk.add(term, Question::Files { after: last });
        } else if full {
            for child in term.children() {
                self.walk.add(child, Question::Files { after: None });
            }
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

    /// What is in the share, in order of paths (bytes), each with its proof.
    pub fn finish(self) -> Vec<(Entry, Proof)> {
        let mut all = BTreeMap::new();
        for files in self.found.values() {
            for (entry, proof) in files.proved() {
                all.insert(entry.path.clone(), (entry, proof));
            }
        }
        all.into_values().collect()
    }
}

/// Whether a peer says that it shares this now.
fn check_share(
    head: &Signed<ShareHead>,
    network: &NetworkId,
    peer: &PeerId,
    now_ms: u64,
) -> Result<(), RecordError> {
    let head = ShareHead::check(head, network, peer)?;
    check_expiry(head.expires_ms, limits::RING_RECORD_LIFETIME, now_ms)
}
