//! A store of a tracker that only remembers: the contract of [`Change`] and [`Question`] in the
//! plainest form. Scenes and the simulator run on it, and the real store is compared with it.

mod answers;

use std::collections::BTreeMap;

use potluck_base::{NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{Membership, NetworkRecord, Revocations, Role, Signed};

use super::change::{Change, Conflict, Loaded, LoadedMember, LoadedPage, LoadedShare, Written};
use crate::directory::record::{Page, Presence, ShareHead, Withdrawal, ms, nick_folded};

/// A share of a peer in a network.
type Key = (NetworkId, PeerId, ShareKey);

/// All that a tracker keeps.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    networks: BTreeMap<NetworkId, (Signed<NetworkRecord>, Revocations)>,
    members: BTreeMap<(NetworkId, PeerId), Member>,
    shares: BTreeMap<Key, Share>,
    /// Withdrawals: their sequence numbers, and when they came.
    withdrawn: BTreeMap<Key, (u64, u64)>,
    /// Who used an invite, and when, in order.
    uses: BTreeMap<(NetworkId, PeerId), Vec<(PeerId, u64)>>,
    banned: BTreeMap<PeerId, u64>,
    /// Counts changes.
    revision: u64,
}

#[derive(Clone, Debug)]
struct Member {
    nick: String,
    role: Role,
    membership: Membership,
    first_seen_ms: u64,
    last_seen_ms: u64,
    presence: Option<Signed<Presence>>,
}

#[derive(Clone, Debug)]
struct Share {
    head: Signed<ShareHead>,
    pages: BTreeMap<u16, (Page, Vec<[u8; 32]>)>,
}

type Committed = Result<Written, Conflict>;

impl Ledger {
    /// Commits a change, or says why not.
    pub fn write(&mut self, change: Change) -> Committed {
        let committed = self.commit(change);
        self.revision += u64::from(committed.is_ok());
        committed
    }

    /// All that a registry has to know at its start.
    pub fn load(&self) -> Loaded {
        let members = self.members.iter().map(|((network, peer), member)| LoadedMember {
            network: *network,
            peer: *peer,
            nick: member.nick.clone(),
            role: member.role,
            first_seen_ms: member.first_seen_ms,
            last_seen_ms: member.last_seen_ms,
            presence: member.presence.clone(),
        });
        let shares = self.shares.values().map(|share| {
            let head = &share.head.value;
            let (network, peer, share) = (head.network, head.peer, head.share);
            let (sequence, pages, size) = (head.sequence, head.pages, head.size);
            LoadedShare { network, peer, share, sequence, pages, size }
        });
        let pages = self.shares.values().flat_map(|share| share.pages.values()).map(|(page, _)| {
            let head = &page.head.value;
            LoadedPage {
                network: head.network,
                peer: head.peer,
                share: head.share,
                page: head.page,
                sequence: head.sequence,
                root: head.root,
                entries: head.entries,
            }
        });
        Loaded {
            networks: self.networks.values().cloned().collect(),
            members: members.collect(),
            shares: shares.collect(),
            pages: pages.collect(),
            banned: self.banned.keys().copied().collect(),
        }
    }

    /// Why a member belongs to a network.
    pub fn membership(&self, network: &NetworkId, peer: &PeerId) -> Option<&Membership> {
        self.members.get(&(*network, *peer)).map(|member| &member.membership)
    }

    fn commit(&mut self, change: Change) -> Committed {
        match change {
            Change::PutNetwork { record } => self.put_network(record),
            Change::Admit { network, invite, uses, peer, at_ms } => {
                self.admit((network, invite), uses, peer, at_ms)
            }
            Change::PutMember { network, peer, nick, role, membership, at_ms } => {
                self.put_member((network, peer), nick, role, membership, at_ms)
            }
            Change::PutPresence { presence } => self.put_presence(presence),
            Change::Seen { network, peer, at_ms } => {
                if let Some(member) = self.members.get_mut(&(network, peer)) {
                    member.last_seen_ms = member.last_seen_ms.max(at_ms);
                }
                Ok(Written::Done)
            }
            Change::PutRevocations { network, expected, revocations } => {
                let (_, have) = self.networks.get_mut(&network).ok_or(Conflict::Unknown)?;
                if *have != revocations {
                    newer_than(have.number(), expected == have.number())?;
                    *have = revocations;
                }
                Ok(Written::Done)
            }
            Change::PutShare { head } => self.put_share(head),
            Change::PutPage { page, leaves } => self.put_page(page, leaves),
            Change::Withdraw { withdrawal, at_ms } => self.withdraw(&withdrawal.value, at_ms),
            Change::DropMember { network, peer } => {
                self.members.remove(&(network, peer));
                self.shares.retain(|(n, p, _), _| (*n, *p) != (network, peer));
                Ok(Written::Done)
            }
            Change::Ban { peer, at_ms } => {
                self.banned.entry(peer).or_insert(at_ms);
                Ok(Written::Done)
            }
            Change::Unban { peer } => {
                self.banned.remove(&peer);
                Ok(Written::Done)
            }
            Change::Expire { now_ms } => Ok(self.expire(now_ms)),
        }
    }

    fn put_network(&mut self, record: Signed<NetworkRecord>) -> Committed {
        let network = record.value.network;
        match self.networks.get_mut(&network) {
            Some((have, _)) if *have == record => {}
            Some((have, _)) => {
                newer_than(have.value.sequence, record.value.sequence > have.value.sequence)?;
                *have = record;
            }
            None => {
                self.networks.insert(network, (record, Revocations::none(network)));
            }
        }
        Ok(Written::Done)
    }

    fn admit(
        &mut self,
        invite: (NetworkId, PeerId),
        uses: u32,
        peer: PeerId,
        at_ms: u64,
    ) -> Committed {
        let used = self.uses.entry(invite).or_default();
        let index = match used.iter().position(|(other, _)| *other == peer) {
            Some(index) => index,
            None if used.len() >= uses as usize => return Err(Conflict::UsedUp),
            None => {
                used.push((peer, at_ms));
                used.len() - 1
            }
        };
        Ok(Written::Admitted { number: index as u32 + 1, at_ms: used[index].1 })
    }

    fn put_member(
        &mut self,
        (network, peer): (NetworkId, PeerId),
        nick: String,
        role: Role,
        membership: Membership,
        at_ms: u64,
    ) -> Committed {
        if !self.networks.contains_key(&network) {
            return Err(Conflict::Unknown);
        }
        let folded = nick_folded(&nick);
        let taken = self.members.iter().any(|((n, p), member)| {
            *n == network && *p != peer && nick_folded(&member.nick) == folded
        });
        if taken {
            return Err(Conflict::NickTaken);
        }
        let known = self.members.remove(&(network, peer));
        let first_seen_ms = known.as_ref().map_or(at_ms, |known| known.first_seen_ms);
        let last_seen_ms = known.as_ref().map_or(at_ms, |known| known.last_seen_ms.max(at_ms));
        let presence = known.and_then(|known| known.presence);
        let member = Member { nick, role, membership, first_seen_ms, last_seen_ms, presence };
        self.members.insert((network, peer), member);
        Ok(Written::Done)
    }

    fn put_presence(&mut self, presence: Signed<Presence>) -> Committed {
        let key = (presence.value.network, presence.value.peer);
        let member = self.members.get_mut(&key).ok_or(Conflict::Unknown)?;
        if let Some(have) = member.presence.as_ref().filter(|have| **have != presence) {
            let (old, new) = (have.value.sequence, presence.value.sequence);
            newer_than(old, new > old)?;
        }
        member.presence = Some(presence);
        Ok(Written::Done)
    }

    fn put_share(&mut self, signed: Signed<ShareHead>) -> Committed {
        let head = &signed.value;
        let key = (head.network, head.peer, head.share);
        if !self.members.contains_key(&(head.network, head.peer)) {
            return Err(Conflict::Unknown);
        }
        if let Some((gone, _)) = self.withdrawn.get(&key) {
            newer_than(*gone, head.sequence > *gone)?;
        }
        match self.shares.get_mut(&key) {
            Some(share) if share.head == signed => {}
            Some(share) => {
                let have = share.head.value.sequence;
                newer_than(have, head.sequence > have)?;
                if share.head.value.pages != head.pages {
                    share.pages.clear();
                }
                share.head = signed;
            }
            None => {
                self.shares.insert(key, Share { head: signed, pages: BTreeMap::new() });
            }
        }
        Ok(Written::Done)
    }

    fn put_page(&mut self, page: Page, leaves: Vec<[u8; 32]>) -> Committed {
        let head = &page.head.value;
        let key = (head.network, head.peer, head.share);
        let share = self.shares.get_mut(&key).ok_or(Conflict::Unknown)?;
        if share.head.value.pages != head.pages {
            return Err(Conflict::Unknown);
        }
        if let Some((gone, _)) = self.withdrawn.get(&key) {
            newer_than(*gone, head.sequence > *gone)?;
        }
        if let Some((have, _)) = share.pages.get(&head.page).filter(|(have, _)| *have != page) {
            let (old, new) = (have.head.value.sequence, head.sequence);
            newer_than(old, new > old)?;
        }
        share.pages.insert(head.page, (page, leaves));
        Ok(Written::Done)
    }

    fn withdraw(&mut self, gone: &Withdrawal, at_ms: u64) -> Committed {
        let key = (gone.network, gone.peer, gone.share);
        if let Some(share) = self.shares.get(&key) {
            let have = share.head.value.sequence;
            newer_than(have, gone.sequence > have)?;
        }
        if let Some((have, _)) = self.withdrawn.get(&key) {
            newer_than(*have, gone.sequence >= *have)?;
        }
        self.shares.remove(&key);
        self.withdrawn.insert(key, (gone.sequence, at_ms));
        self.forget_withdrawals(gone.network, gone.peer);
        Ok(Written::Done)
    }

    /// Keeps the newest withdrawals of a peer, at most [`limits::WITHDRAWALS_PER_PEER`].
    fn forget_withdrawals(&mut self, network: NetworkId, peer: PeerId) {
        let of = |(n, p, _): &Key| (*n, *p) == (network, peer);
        let mut theirs: Vec<(u64, Key)> =
            self.withdrawn.iter().filter(|(key, _)| of(key)).map(|(k, (s, _))| (*s, *k)).collect();
        theirs.sort_unstable();
        let surplus = theirs.len().saturating_sub(limits::WITHDRAWALS_PER_PEER);
        for (_, key) in &theirs[..surplus] {
            self.withdrawn.remove(key);
        }
    }

    fn expire(&mut self, now_ms: u64) -> Written {
        let over = |expires_ms: u64| expires_ms.saturating_add(ms(limits::CLOCK_SKEW)) < now_ms;
        let ended =
            |(key, share): (&Key, &Share)| over(share.head.value.expires_ms).then_some(*key);
        let shares: Vec<Key> = self.shares.iter().filter_map(ended).collect();
        for key in &shares {
            self.shares.remove(key);
        }
        let mut pages = Vec::new();
        for ((network, peer, share), known) in &mut self.shares {
            known.pages.retain(|number, (page, _)| {
                let gone = over(page.head.value.expires_ms);
                if gone {
                    pages.push((*network, *peer, *share, *number));
                }
                !gone
            });
        }
        // What was signed before a withdrawal lives no longer than this after it.
        let kept = ms(limits::RECORD_LIFETIME) + 2 * ms(limits::CLOCK_SKEW);
        self.withdrawn.retain(|_, (_, at_ms)| at_ms.saturating_add(kept) >= now_ms);
        Written::Expired { shares, pages }
    }
}

/// A conflict unless what comes is newer than what is there.
fn newer_than(have: u64, newer: bool) -> Result<(), Conflict> {
    if newer { Ok(()) } else { Err(Conflict::Stale { have }) }
}
