//! What a tracker remembers of a network: its record, its members and the outline of what they
//! list. Names and entries stay in the store.

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{PeerId, ShareKey, Time};
use potluck_identity::{NetworkRecord, Revocations, Role, Signed};

use crate::directory::record::{Presence, nick_folded, share_digest};
use crate::directory::tracker::message::{MemberInfo, PageState, ShareState};

/// A network.
pub(super) struct Network<P> {
    pub(super) record: Signed<NetworkRecord>,
    pub(super) revocations: Revocations,
    pub(super) members: BTreeMap<PeerId, Member>,
    /// Who is there, with the links on which it has registered.
    pub(super) online: BTreeMap<PeerId, Session<P>>,
    /// Members by their folded names.
    nicks: BTreeMap<String, PeerId>,
    /// The number that the next peer without a name gets, unless that is taken.
    next_number: u32,
}

/// A member that is online.
pub(super) struct Session<P> {
    /// Links on which it has registered and that are up.
    pub(super) links: BTreeSet<P>,
    /// When it is offline unless it says something before.
    pub(super) until: Time,
    /// When that is looked at: its place among the leases, not later than its end.
    pub(super) due: Time,
}

/// A member, online or not.
pub(super) struct Member {
    pub(super) nick: String,
    pub(super) role: Role,
    pub(super) last_seen_ms: u64,
    /// What the store has for that.
    pub(super) seen_written_ms: u64,
    pub(super) presence: Option<Box<Signed<Presence>>>,
    shares: BTreeMap<ShareKey, Share>,
    totals: Totals,
}

/// How much a member lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) pages: usize,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// The outline of a share.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) sequence: u64,
    pub(super) pages: u16,
    size: u64,
    /// The pages that are there, in order.
    slots: Vec<Slot>,
}

/// The outline of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) page: u16,
    pub(super) entries: u16,
    pub(super) sequence: u64,
    pub(super) root: [u8; 32],
}

impl<P> Network<P> {
    pub(super) fn new(record: Signed<NetworkRecord>, revocations: Revocations) -> Self {
        Self {
            record,
            revocations,
            members: BTreeMap::new(),
            online: BTreeMap::new(),
            nicks: BTreeMap::new(),
            next_number: 1,
        }
    }

    /// Takes in a member, or its new name or role.
    pub(super) fn put_member(&mut self, peer: PeerId, nick: String, role: Role, seen_ms: u64) {
        if let Some(folded) = nick_folded(&nick) {
            self.nicks.insert(folded, peer);
        }
        match self.members.get_mut(&peer) {
            Some(member) => {
                let old = std::mem::replace(&mut member.nick, nick);
                member.role = role;
                let renamed = nick_folded(&old) != nick_folded(&member.nick);
                if renamed {
                    self.forget_nick(&old, peer);
                }
            }
            None => {
                self.members.insert(peer, Member::new(nick, role, seen_ms));
            }
        }
    }

    /// Forgets a member, and whether there was one.
    pub(super) fn drop_member(&mut self, peer: PeerId) -> bool {
        let Some(member) = self.members.remove(&peer) else { return false };
        self.forget_nick(&member.nick, peer);
        true
    }

    fn forget_nick(&mut self, nick: &str, peer: PeerId) {
        let Some(folded) = nick_folded(nick) else { return };
        if self.nicks.get(&folded) == Some(&peer) {
            self.nicks.remove(&folded);
        }
    }

    /// Who has a name.
    pub(super) fn named(&self, nick: &str) -> Option<PeerId> {
        self.nicks.get(&nick_folded(nick)?).copied()
    }

    /// A name that nobody has, with a number that nobody was given.
    pub(super) fn numbered(&mut self) -> String {
        loop {
            let nick = format!("peer-{}", self.next_number);
            self.next_number = self.next_number.wrapping_add(1);
            if self.named(&nick).is_none() {
                return nick;
            }
        }
    }

    /// A name like this that nobody has.
    pub(super) fn free_nick_like(&self, nick: &str) -> String {
        let base: String = nick.trim().chars().take(24).collect();
        let tries = (2_u32..).map(|number| format!("{}-{number}", base.trim_end()));
        let mut free = tries.filter(|nick| self.named(nick).is_none());
        free.next().expect("there are more numbers than members")
    }

    /// Whether a member was revoked; owners cannot be.
    pub(super) fn is_out(&self, peer: &PeerId, role: Role) -> bool {
        role != Role::Owner && self.revocations.is_revoked(peer)
    }

    /// What others may know of a member.
    pub(super) fn info(&self, peer: PeerId, member: &Member) -> MemberInfo {
        MemberInfo {
            peer,
            nick: member.nick.clone(),
            role: member.role,
            online: self.online.contains_key(&peer),
            last_seen_ms: member.last_seen_ms,
            agent: member.presence.as_ref().map_or_else(String::new, |p| p.value.agent.clone()),
            shares: member.shares.len() as u32,
            files: member.totals.entries,
            bytes: member.totals.bytes,
        }
    }
}

impl Member {
    fn new(nick: String, role: Role, seen_ms: u64) -> Self {
        Self {
            nick,
            role,
            last_seen_ms: seen_ms,
            seen_written_ms: seen_ms,
            presence: None,
            shares: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    pub(super) fn share(&self, share: &ShareKey) -> Option<&Share> {
        self.shares.get(share)
    }

    /// How many shares it lists.
    pub(super) fn share_count(&self) -> usize {
        self.shares.len()
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether two memories of a member agree in all that does not depend on the moment.
    #[cfg(test)]
    pub(super) fn agrees(&self, other: &Member) -> bool {
        let one = (&self.nick, self.role, &self.presence, &self.shares, self.totals);
        one == (&other.nick, other.role, &other.presence, &other.shares, other.totals)
    }

    /// What it lists, for comparison.
    pub(super) fn states(&self) -> Vec<ShareState> {
        let state = |(share, known): (&ShareKey, &Share)| {
            let roots = known.slots.iter().map(|slot| (slot.page, slot.root));
            ShareState { share: *share, sequence: known.sequence, digest: share_digest(roots) }
        };
        self.shares.iter().map(state).collect()
    }

    /// Takes in a share's head. An older one changes nothing.
    pub(super) fn put_share(&mut self, key: ShareKey, sequence: u64, pages: u16, size: u64) {
        let share = self.shares.entry(key).or_default();
        if sequence < share.sequence {
            return;
        }
        self.totals.bytes = self.totals.bytes.saturating_sub(share.size).saturating_add(size);
        share.size = size;
        share.sequence = sequence;
        if share.pages != pages {
            share.pages = pages;
            for slot in std::mem::take(&mut share.slots) {
                self.totals.pages -= 1;
                self.totals.entries -= u64::from(slot.entries);
            }
        }
    }

    /// Takes in a page of a share with so many. An older one, or one of a share that is not there,
    /// changes nothing.
    pub(super) fn put_page(&mut self, key: ShareKey, pages: u16, slot: Slot) {
        let Some(share) = self.shares.get_mut(&key).filter(|share| share.pages == pages) else {
            return;
        };
        match share.slots.binary_search_by_key(&slot.page, |slot| slot.page) {
            Ok(at) if share.slots[at].sequence < slot.sequence => {
                self.totals.entries -= u64::from(share.slots[at].entries);
                share.slots[at] = slot;
            }
            Ok(_) => return,
            Err(at) => {
                self.totals.pages += 1;
                if share.slots.is_empty() {
                    // Most shares are one file: a million of them must not take room for four.
                    share.slots.reserve_exact(usize::from(pages.min(4)));
                }
                share.slots.insert(at, slot);
            }
        }
        self.totals.entries += u64::from(slot.entries);
    }

    /// Forgets a page of a share.
    pub(super) fn drop_page(&mut self, key: &ShareKey, page: u16) {
        let Some(share) = self.shares.get_mut(key) else { return };
        if let Ok(at) = share.slots.binary_search_by_key(&page, |slot| slot.page) {
            self.totals.pages -= 1;
            self.totals.entries -= u64::from(share.slots.remove(at).entries);
        }
    }

    /// Forgets a share whose head is not newer than this.
    pub(super) fn drop_share(&mut self, key: &ShareKey, sequence: u64) {
        if self.shares.get(key).is_none_or(|share| share.sequence > sequence) {
            return;
        }
        let share = self.shares.remove(key).expect("it was there just now");
        self.totals.bytes = self.totals.bytes.saturating_sub(share.size);
        for slot in share.slots {
            self.totals.pages -= 1;
            self.totals.entries -= u64::from(slot.entries);
        }
    }
}

impl Share {
    pub(super) fn slot(&self, page: u16) -> Option<&Slot> {
        let at = self.slots.binary_search_by_key(&page, |slot| slot.page).ok()?;
        Some(&self.slots[at])
    }

    /// Its pages from one on, at most so many, and whether there are more.
    pub(super) fn roots(&self, from: u16, most: usize) -> (Vec<PageState>, bool) {
        let rest = &self.slots[self.slots.partition_point(|slot| slot.page < from)..];
        let state = |slot: &Slot| {
            let Slot { page, sequence, root, .. } = *slot;
            PageState { page, sequence, root }
        };
        (rest.iter().take(most).map(state).collect(), rest.len() > most)
    }
}
