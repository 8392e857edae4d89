//! What is published, what the tracker has of it, and so what is still to be said.
//!
//! The tracker says once per session which shares it has. A share on which sequence number and
//! digest agree costs nothing more; one that differs has its page roots compared, and only pages
//! that differ are sent. While the session lasts the client knows what the tracker has.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{ShareKey, limits};
use potluck_identity::Signed;

use super::share::{Behind, Share, There};
use super::values::{PageRoot, Published};
use crate::directory::record::{ShareHead, share_digest};
use crate::directory::tracker::message::ShareState;

/// Shares, withdrawals and comparisons on their way at a time: enough to fill a far link, few
/// enough for the tracker's queue.
const STEPS_IN_FLIGHT: usize = 32;
/// Pages on their way at a time when a session begins; it grows while answers come quickly.
const FIRST_WINDOW: usize = 2;

/// All shares of this peer in one network.
pub(super) struct Publication {
    shares: BTreeMap<ShareKey, Share>,
    /// Withdrawals that no tracker has acknowledged, by their sequence numbers.
    withdrawn: BTreeMap<ShareKey, Withdrawal>,
    /// Shares that have changed: it is not known what they wait for.
    open: BTreeSet<ShareKey>,
    /// Shares whose head is to be sent, or whose pages are to be compared.
    stepping: BTreeSet<ShareKey>,
    /// Shares of which pages are to be sent.
    sending: BTreeSet<ShareKey>,
    /// After which share to look on: they take turns.
    turn: ShareKey,
    states: States,
    steps: usize,
    pages: usize,
    window: usize,
    /// Whether our own side knows that all is said.
    in_step: bool,
}

/// Whether the tracker has said which shares it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum States {
    Unknown,
    Asked,
    Known,
}

struct Withdrawal {
    sequence: u64,
    flying: bool,
}

/// The next thing to say to the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    States,
    Withdraw(ShareKey, u64),
    Head(ShareKey),
    Roots(ShareKey),
    Page(ShareKey, u16, PageRoot),
}

impl Publication {
    pub(super) fn new(shares: Vec<Published>, withdrawn: Vec<(ShareKey, u64)>) -> Self {
        let mut publication = Self {
            shares: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            open: BTreeSet::new(),
            stepping: BTreeSet::new(),
            sending: BTreeSet::new(),
            turn: ShareKey([0; 16]),
            states: States::Unknown,
            steps: 0,
            pages: 0,
            window: FIRST_WINDOW,
            in_step: false,
        };
        for (share, sequence) in withdrawn {
            publication.withdrawn.insert(share, Withdrawal { sequence, flying: false });
        }
        for published in shares {
            publication.publish(published);
        }
        publication
    }

    /// A share as it is published, by its key.
    pub(super) fn head(&self, share: &ShareKey) -> Option<&Signed<ShareHead>> {
        self.shares.get(share).map(|share| &share.head)
    }

    /// The sequence numbers and digests of all that is published.
    pub(super) fn states(&self) -> impl Iterator<Item = ShareState> + '_ {
        self.shares.iter().map(|(key, share)| ShareState {
            share: *key,
            sequence: share.head.value.sequence,
            digest: share.digest,
        })
    }

    pub(super) fn publish(&mut self, published: Published) -> Option<Behind> {
        let key = published.head.value.share;
        // What was withdrawn and never said is overtaken: a higher sequence number goes out.
        if self.withdrawn.get(&key).is_some_and(|withdrawal| !withdrawal.flying) {
            self.withdrawn.remove(&key);
        }
        let digest = share_digest(published.pages.iter().map(|(page, root)| (*page, root.root)));
        let there = match self.states {
            // Had the tracker had it, it would have said so.
            States::Known => There::nothing(0),
            _ => There::Unknown,
        };
        let share = match self.shares.entry(key) {
            Entry::Vacant(place) => place.insert(Share::new(published, digest, there)),
            Entry::Occupied(place) => {
                let share = place.into_mut();
                share.head = published.head;
                share.pages = published.pages;
                share.digest = digest;
                share.stuck = false;
                share.behind = false;
                share
            }
        };
        share.compare();
        self.open.insert(key);
        self.in_step = false;
        share.behind(key)
    }

    /// A share is no longer published.
    pub(super) fn withdraw(&mut self, share: ShareKey, sequence: u64) {
        let last = self.shares.remove(&share).map_or(0, |share| share.sequence());
        self.open.insert(share);
        let sequence = sequence.max(last.saturating_add(1));
        self.withdrawn.insert(share, Withdrawal { sequence, flying: false });
        self.in_step = false;
    }

    /// A session ended, or begins: nothing is known of the tracker, nothing is on its way.
    pub(super) fn forget(&mut self) {
        self.states = States::Unknown;
        self.steps = 0;
        self.pages = 0;
        self.window = FIRST_WINDOW;
        self.in_step = false;
        self.withdrawn.values_mut().for_each(|withdrawal| withdrawal.flying = false);
        for (key, share) in &mut self.shares {
            share.forget();
            self.open.insert(*key);
        }
    }

    /// The next thing to say; it counts as on its way from now on.
    pub(super) fn next(&mut self) -> Option<Next> {
        if self.states == States::Unknown {
            self.states = States::Asked;
            return Some(Next::States);
        }
        if self.steps < STEPS_IN_FLIGHT {
            let waiting = self.withdrawn.iter_mut().find(|(_, withdrawal)| !withdrawal.flying);
            if let Some((share, withdrawal)) = waiting {
                withdrawal.flying = true;
                self.steps += 1;
                return Some(Next::Withdraw(*share, withdrawal.sequence));
            }
        }
        if self.states != States::Known {
            return None;
        }
        self.next_of_shares()
    }

    fn next_of_shares(&mut self) -> Option<Next> {
        for key in std::mem::take(&mut self.open) {
            self.sort_in(key);
        }
        let (steps, pages) = (self.steps < STEPS_IN_FLIGHT, self.pages < self.window);
        let in_turn = |set: &BTreeSet<ShareKey>, turn: ShareKey| {
            set.range(turn..).chain(set.range(..turn)).next().copied()
        };
        let step = in_turn(&self.stepping, self.turn).filter(|_| steps);
        let key = step.or_else(|| in_turn(&self.sending, self.turn).filter(|_| pages))?;
        let next = self.shares.get(&key).and_then(|share| share.next(key))?;
        let share = self.shares.get_mut(&key)?;
        match next {
            Next::Page(_, page, _) => {
                self.pages += 1;
                share.pages_flying.insert(page);
            }
            Next::Head(_) => {
                self.steps += 1;
                share.head_flying = true;
            }
            _ => {
                self.steps += 1;
                share.roots_flying = true;
            }
        }
        self.open.insert(key);
        // The next in turn is the share behind this one.
        self.turn = ShareKey(u128::from_be_bytes(key.0).wrapping_add(1).to_be_bytes());
        Some(next)
    }

    /// Finds out what a share waits for.
    fn sort_in(&mut self, key: ShareKey) {
        self.stepping.remove(&key);
        self.sending.remove(&key);
        // A withdrawal of the same key goes first.
        let free = self.shares.get(&key).filter(|_| !self.withdrawn.contains_key(&key));
        match free.and_then(|share| share.next(key)) {
            None => {}
            Some(Next::Page(..)) => _ = self.sending.insert(key),
            Some(_) => _ = self.stepping.insert(key),
        }
    }

    /// Whether the tracker has everything that it takes.
    pub(super) fn is_in_step(&self) -> bool {
        self.states == States::Known
            && self.steps == 0
            && self.pages == 0
            && self.withdrawn.is_empty()
            && self.open.is_empty()
            && self.stepping.is_empty()
            && self.sending.is_empty()
            && self.shares.values().all(Share::is_there)
    }

    /// Whether it has everything, and our own side does not know that yet.
    pub(super) fn now_in_step(&mut self) -> bool {
        !self.in_step && self.is_in_step() && !std::mem::replace(&mut self.in_step, true)
    }

    /// The tracker has said which shares of ours it has. What it has besides is to be withdrawn.
    pub(super) fn states_came(&mut self, states: &[ShareState]) -> Vec<Behind> {
        self.states = States::Known;
        let mut findings = Vec::new();
        self.in_step = false;
        for share in self.shares.values_mut() {
            share.there = There::nothing(0);
        }
        for state in states {
            let (key, sequence, digest) = (state.share, state.sequence, state.digest);
            match self.shares.get_mut(&key) {
                Some(share) => share.there = There::State { sequence, digest },
                None if self.withdrawn.contains_key(&key) => {}
                None => {
                    let withdrawal =
                        Withdrawal { sequence: sequence.saturating_add(1), flying: false };
                    self.withdrawn.insert(key, withdrawal);
                }
            }
        }
        for (key, share) in &mut self.shares {
            share.compare();
            findings.extend(share.behind(*key));
        }
        self.open.extend(self.shares.keys());
        findings
    }

    /// The states could not be had; they are asked for again.
    pub(super) fn states_failed(&mut self) {
        self.states = States::Unknown;
    }

    /// A withdrawal was acknowledged, or is not needed. Says whether it was the latest.
    pub(super) fn withdrawal_ended(&mut self, share: ShareKey, sequence: u64) -> bool {
        self.steps = self.steps.saturating_sub(1);
        let is_latest = self.withdrawn.get(&share).is_some_and(|w| w.sequence == sequence);
        if is_latest {
            self.withdrawn.remove(&share);
            // What is published under the same key now is new to the tracker.
            if let Some(again) = self.shares.get_mut(&share) {
                again.there = There::nothing(sequence);
                again.compare();
                self.open.insert(share);
            }
        } else if let Some(newer) = self.withdrawn.get_mut(&share) {
            newer.flying = false;
        }
        is_latest
    }

    /// A withdrawal did not get through; it is said again, with a higher number if need be.
    pub(super) fn withdrawal_failed(&mut self, share: ShareKey, have: u64) {
        self.steps = self.steps.saturating_sub(1);
        if let Some(withdrawal) = self.withdrawn.get_mut(&share) {
            withdrawal.flying = false;
            withdrawal.sequence = withdrawal.sequence.max(have.saturating_add(1));
        }
    }

    /// The tracker has taken a share's head, with this sequence number and number of pages.
    pub(super) fn head_taken(&mut self, key: ShareKey, sequence: u64, count: u16) {
        self.steps = self.steps.saturating_sub(1);
        let Some(share) = self.shares.get_mut(&key) else {
            return;
        };
        share.head_flying = false;
        match &mut share.there {
            There::Unknown => {}
            There::State { sequence: there, .. } => *there = sequence,
            There::Pages { sequence: there, count: pages, roots } => {
                *there = sequence;
                // Other pages than before: the tracker has dropped what it had.
                if *pages != count {
                    roots.clear();
                    *pages = count;
                }
            }
        }
        share.compare();
        self.open.insert(key);
    }

    /// The tracker has said which pages of a share it has.
    pub(super) fn roots_came(
        &mut self,
        key: ShareKey,
        found: &[(u16, PageRoot)],
    ) -> Option<Behind> {
        self.steps = self.steps.saturating_sub(1);
        let share = self.shares.get_mut(&key)?;
        share.roots_flying = false;
        if let There::State { sequence, .. } = share.there {
            let (count, roots) = (share.head.value.pages, found.iter().copied().collect());
            share.there = There::Pages { sequence, count, roots };
        }
        share.compare();
        self.open.insert(key);
        share.behind(key)
    }

    /// The tracker has taken a page.
    pub(super) fn page_taken(&mut self, key: ShareKey, page: u16, count: u16, sent: PageRoot) {
        self.page_ended(key, page);
        if let Some(share) = self.shares.get_mut(&key) {
            match &mut share.there {
                // If it was a page of another division, the tracker has dropped it since.
                There::Pages { count: pages, roots, .. } if *pages == count => {
                    roots.insert(page, sent);
                }
                _ => {}
            }
            share.compare();
        }
    }

    /// A page is no longer on its way, whatever became of it.
    pub(super) fn page_ended(&mut self, key: ShareKey, page: u16) {
        self.pages = self.pages.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(&key) {
            share.pages_flying.remove(&page);
            self.open.insert(key);
        }
    }

    /// A head or a comparison is no longer on its way, and did not succeed.
    pub(super) fn step_failed(&mut self, key: ShareKey) {
        self.steps = self.steps.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(&key) {
            share.head_flying = false;
            share.roots_flying = false;
            self.open.insert(key);
        }
    }

    /// Whether a page that was sent is what is published now.
    pub(super) fn is_current(&self, key: ShareKey, page: u16, pages: u16, sent: PageRoot) -> bool {
        self.shares.get(&key).is_some_and(|share| {
            share.head.value.pages == pages && share.pages.get(&page) == Some(&sent)
        })
    }

    /// The tracker does not take a share as it is, perhaps because it must be signed again. Says
    /// whether that is news.
    pub(super) fn stuck(&mut self, key: ShareKey, behind: bool) -> bool {
        self.shares.get_mut(&key).is_some_and(|share| {
            share.behind |= behind;
            !std::mem::replace(&mut share.stuck, true)
        })
    }

    /// The tracker does not know a share that it seemed to know: it is compared again, once in a
    /// session. Says whether that is done.
    pub(super) fn compare_again(&mut self, key: ShareKey) -> bool {
        let Some(share) = self.shares.get_mut(&key) else {
            return true;
        };
        if std::mem::replace(&mut share.compared_again, true) {
            return false;
        }
        share.there = There::nothing(0);
        share.compare();
        self.open.insert(key);
        true
    }

    /// Answers come quickly: more pages may be on their way; or slowly, then fewer.
    pub(super) fn pace(&mut self, quick: bool) {
        self.window = match quick {
            true => (self.window + 1).min(limits::PAGES_IN_FLIGHT),
            false => (self.window / 2).max(1),
        };
    }
}
