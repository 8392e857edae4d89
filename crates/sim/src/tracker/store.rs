//! What trackers keep, in memory: the same guards as a real store has.

use std::collections::BTreeMap;

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{Membership, NetworkRecord, Revocations, Role, Signed};
use potluck_proto::directory::record::{
    Page, Presence, ShareHead, Withdrawal, nick_folded, share_digest,
};
use potluck_proto::directory::tracker::{
    Answer, Change, Conflict, Found, Group, Hit, HitProof, Loaded, LoadedMember, LoadedPage,
    LoadedShare, ProviderRecord, Query, Question, ShareState, Written,
};

/// Whose share: network, peer, share.
type Whose = (NetworkId, PeerId, ShareKey);

/// What all trackers of a run keep in common.
#[derive(Default)]
pub struct Store {
    networks: BTreeMap<NetworkId, (Signed<NetworkRecord>, Revocations)>,
    members: BTreeMap<(NetworkId, PeerId), Member>,
    /// Members by their folded names.
    nicks: BTreeMap<(NetworkId, String), PeerId>,
    shares: BTreeMap<Whose, Share>,
    withdrawn: BTreeMap<Whose, u64>,
    banned: BTreeMap<PeerId, u64>,
    /// Uses of invites: which use by whom, and when.
    uses: BTreeMap<(NetworkId, PeerId), BTreeMap<PeerId, (u32, u64)>>,
}

struct Member {
    nick: String,
    role: Role,
    membership: Membership,
    first_seen_ms: u64,
    last_seen_ms: u64,
    presence: Option<Signed<Presence>>,
}

struct Share {
    head: Signed<ShareHead>,
    pages: BTreeMap<u16, (Page, Vec<[u8; 32]>)>,
}

impl Store {
    /// What a tracker that starts has to know.
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
        let shares = self.shares.iter().map(|((network, peer, share), kept)| LoadedShare {
            network: *network,
            peer: *peer,
            share: *share,
            sequence: kept.head.value.sequence,
            pages: kept.head.value.pages,
            size: kept.head.value.size,
        });
        let pages = self.shares.iter().flat_map(|((network, peer, share), kept)| {
            kept.pages.values().map(|(page, _)| LoadedPage {
                network: *network,
                peer: *peer,
                share: *share,
                page: page.head.value.page,
                sequence: page.head.value.sequence,
                root: page.head.value.root,
                entries: page.head.value.entries,
            })
        });
        Loaded {
            networks: self.networks.values().cloned().collect(),
            members: members.collect(),
            shares: shares.collect(),
            pages: pages.collect(),
            banned: self.banned.keys().copied().collect(),
        }
    }

    /// What is kept of a peer's shares.
    pub fn states(&self, network: NetworkId, peer: PeerId) -> Vec<ShareState> {
        let of_peer = |(whose, _): &(&Whose, &Share)| (whose.0, whose.1) == (network, peer);
        let shares = self.shares.iter().filter(of_peer);
        let states = shares.map(|(whose, kept)| {
            let roots = kept.pages.iter().map(|(page, (kept, _))| (*page, kept.head.value.root));
            let (sequence, digest) = (kept.head.value.sequence, share_digest(roots));
            ShareState { share: whose.2, sequence, digest }
        });
        states.collect()
    }

    /// A network's record.
    pub fn record(&self, network: NetworkId) -> Option<&Signed<NetworkRecord>> {
        self.networks.get(&network).map(|(record, _)| record)
    }

    /// Who has used an invite.
    pub fn uses(&self, network: NetworkId, invite: PeerId) -> Vec<PeerId> {
        let uses = self.uses.get(&(network, invite));
        uses.map(|uses| uses.keys().copied().collect()).unwrap_or_default()
    }

    /// Keeps a network before anything happens.
    pub fn host(&mut self, record: Signed<NetworkRecord>) {
        let network = record.value.network;
        self.networks.insert(network, (record, Revocations::none(network)));
    }

    /// The sequence number of what a change would replace, of what kind and whose: it never falls.
    pub fn sequence_of(change: &Change) -> Option<(Vec<u8>, u64)> {
        let name = |kind: u8, peer: &PeerId, rest: &[u8]| [&[kind][..], &peer.0, rest].concat();
        match change {
            Change::PutPresence { presence } => {
                let value = &presence.value;
                Some((name(0, &value.peer, &[]), value.sequence))
            }
            Change::PutShare { head } => {
                let value = &head.value;
                Some((name(1, &value.peer, &value.share.0), value.sequence))
            }
            Change::Withdraw { withdrawal, .. } => {
                let value = &withdrawal.value;
                Some((name(1, &value.peer, &value.share.0), value.sequence))
            }
            Change::PutPage { page, .. } => {
                let value = &page.head.value;
                let page =
                    [&value.share.0[..], &value.pages.to_be_bytes(), &value.page.to_be_bytes()];
                Some((name(2, &value.peer, &page.concat()), value.sequence))
            }
            _ => None,
        }
    }

    /// Commits a change, or refuses it.
    pub fn write(&mut self, change: &Change) -> Result<Written, Conflict> {
        match change {
            Change::PutNetwork { record } => self.put_network(record),
            Change::Admit { network, invite, uses, peer, at_ms } => {
                let taken = self.uses.entry((*network, *invite)).or_default();
                let next = taken.len() as u32 + 1;
                if !taken.contains_key(peer) && next > *uses {
                    return Err(Conflict::UsedUp);
                }
                let (number, at_ms) = *taken.entry(*peer).or_insert((next, *at_ms));
                Ok(Written::Admitted { number, at_ms })
            }
            Change::PutMember { network, peer, nick, role, membership, at_ms } => {
                self.put_member(*network, *peer, nick, *role, membership, *at_ms)
            }
            Change::PutPresence { presence } => self.put_presence(presence),
            Change::Seen { network, peer, at_ms } => {
                if let Some(member) = self.members.get_mut(&(*network, *peer)) {
                    member.last_seen_ms = member.last_seen_ms.max(*at_ms);
                }
                Ok(Written::Done)
            }
            Change::PutRevocations { network, expected, revocations } => {
                let (_, kept) = self.networks.get_mut(network).ok_or(Conflict::Unknown)?;
                if kept == revocations {
                    return Ok(Written::Done);
                }
                if kept.number() != *expected {
                    return Err(Conflict::Stale { have: kept.number() });
                }
                *kept = revocations.clone();
                Ok(Written::Done)
            }
            Change::PutShare { head } => self.put_share(head),
            Change::PutPage { page, leaves } => self.put_page(page, leaves),
            Change::Withdraw { withdrawal, .. } => self.withdraw(&withdrawal.value),
            Change::DropMember { network, peer } => {
                self.members.remove(&(*network, *peer));
                self.nicks.retain(|(of, _), owner| (*of, *owner) != (*network, *peer));
                self.shares.retain(|whose, _| (whose.0, whose.1) != (*network, *peer));
                Ok(Written::Done)
            }
            Change::Ban { peer, at_ms } => {
                self.banned.insert(*peer, *at_ms);
                Ok(Written::Done)
            }
            Change::Unban { peer } => {
                self.banned.remove(peer);
                Ok(Written::Done)
            }
            Change::Expire { now_ms } => Ok(self.expire(*now_ms)),
        }
    }

    fn put_network(&mut self, record: &Signed<NetworkRecord>) -> Result<Written, Conflict> {
        let network = record.value.network;
        match self.networks.get_mut(&network) {
            Some((kept, _)) if kept == record => {}
            Some((kept, _)) if kept.value.sequence >= record.value.sequence => {
                return Err(Conflict::Stale { have: kept.value.sequence });
            }
            Some((kept, _)) => *kept = record.clone(),
            None => self.host(record.clone()),
        }
        Ok(Written::Done)
    }

    fn put_member(
        &mut self,
        network: NetworkId,
        peer: PeerId,
        nick: &str,
        role: Role,
        membership: &Membership,
        at_ms: u64,
    ) -> Result<Written, Conflict> {
        let folded = nick_folded(nick).expect("the registry checks names");
        if self.nicks.get(&(network, folded.clone())).is_some_and(|owner| *owner != peer) {
            return Err(Conflict::NickTaken);
        }
        if let Some(old) = self.members.get(&(network, peer)) {
            let old = nick_folded(&old.nick).expect("it was checked");
            self.nicks.remove(&(network, old));
        }
        self.nicks.insert((network, folded), peer);
        let member = self.members.entry((network, peer)).or_insert_with(|| Member {
            nick: nick.to_owned(),
            role,
            membership: membership.clone(),
            first_seen_ms: at_ms,
            last_seen_ms: at_ms,
            presence: None,
        });
        nick.clone_into(&mut member.nick);
        member.role = role;
        member.membership = membership.clone();
        member.last_seen_ms = member.last_seen_ms.max(at_ms);
        Ok(Written::Done)
    }

    fn put_presence(&mut self, presence: &Signed<Presence>) -> Result<Written, Conflict> {
        let whose = (presence.value.network, presence.value.peer);
        let member = self.members.get_mut(&whose).ok_or(Conflict::Unknown)?;
        match &member.presence {
            Some(kept) if kept == presence => {}
            Some(kept) if kept.value.sequence >= presence.value.sequence => {
                return Err(Conflict::Stale { have: kept.value.sequence });
            }
            _ => member.presence = Some(presence.clone()),
        }
        Ok(Written::Done)
    }

    fn put_share(&mut self, head: &Signed<ShareHead>) -> Result<Written, Conflict> {
        let value = &head.value;
        let whose = (value.network, value.peer, value.share);
        if !self.members.contains_key(&(value.network, value.peer)) {
            return Err(Conflict::Unknown);
        }
        if let Some(gone) = self.withdrawn.get(&whose).filter(|gone| **gone >= value.sequence) {
            return Err(Conflict::Stale { have: *gone });
        }
        match self.shares.get_mut(&whose) {
            Some(kept) if kept.head == *head => {}
            Some(kept) if kept.head.value.sequence >= value.sequence => {
                return Err(Conflict::Stale { have: kept.head.value.sequence });
            }
            Some(kept) => {
                if kept.head.value.pages != value.pages {
                    kept.pages.clear();
                }
                kept.head = head.clone();
            }
            None => {
                let share = Share { head: head.clone(), pages: BTreeMap::new() };
                self.shares.insert(whose, share);
            }
        }
        Ok(Written::Done)
    }

    fn put_page(&mut self, page: &Page, leaves: &[[u8; 32]]) -> Result<Written, Conflict> {
        let value = &page.head.value;
        let whose = (value.network, value.peer, value.share);
        let share = self.shares.get_mut(&whose).ok_or(Conflict::Unknown)?;
        if share.head.value.pages != value.pages {
            return Err(Conflict::Unknown);
        }
        if let Some(gone) = self.withdrawn.get(&whose).filter(|gone| **gone >= value.sequence) {
            return Err(Conflict::Stale { have: *gone });
        }
        match share.pages.get(&value.page) {
            Some((kept, _)) if kept == page => {}
            Some((kept, _)) if kept.head.value.sequence >= value.sequence => {
                return Err(Conflict::Stale { have: kept.head.value.sequence });
            }
            _ => _ = share.pages.insert(value.page, (page.clone(), leaves.to_vec())),
        }
        Ok(Written::Done)
    }

    fn withdraw(&mut self, value: &Withdrawal) -> Result<Written, Conflict> {
        let whose = (value.network, value.peer, value.share);
        if let Some(kept) = self.shares.get(&whose)
            && kept.head.value.sequence >= value.sequence
        {
            return Err(Conflict::Stale { have: kept.head.value.sequence });
        }
        let gone = self.withdrawn.entry(whose).or_insert(value.sequence);
        if *gone > value.sequence {
            return Err(Conflict::Stale { have: *gone });
        }
        *gone = value.sequence;
        self.shares.remove(&whose);
        Ok(Written::Done)
    }

    fn expire(&mut self, now_ms: u64) -> Written {
        let old = |expires_ms: u64| expires_ms + limits::CLOCK_SKEW.as_millis() as u64 <= now_ms;
        let (mut shares, mut pages) = (Vec::new(), Vec::new());
        self.shares.retain(|whose, kept| {
            let gone = old(kept.head.value.expires_ms);
            if gone {
                shares.push(*whose);
            }
            !gone
        });
        for (whose, kept) in &mut self.shares {
            kept.pages.retain(|page, (kept, _)| {
                let gone = old(kept.head.value.expires_ms);
                if gone {
                    pages.push((whose.0, whose.1, whose.2, *page));
                }
                !gone
            });
        }
        Written::Expired { shares, pages }
    }

    /// Answers a question as an index would, in its own simple way.
    pub fn ask(&self, question: &Question) -> Answer {
        match question {
            Question::Search { network, query } => Answer::Found(self.search(*network, query)),
            Question::Providers { network, content, offset } => {
                let hits = self.hits(*network, |hit| hit.entry.content == *content);
                let behind = hits.into_iter().skip(*offset as usize);
                let mut providers: Vec<ProviderRecord> = behind
                    .map(|hit| ProviderRecord {
                        peer: hit.peer,
                        online: false,
                        last_seen_ms: 0,
                        presence: None,
                        hit,
                    })
                    .collect();
                let more = providers.len() > limits::PROVIDERS;
                providers.truncate(limits::PROVIDERS);
                Answer::Providers { providers, more }
            }
            Question::Shares { network, peer, after } => {
                let all = self.shares.iter().filter(|(whose, _)| {
                    let behind = after.is_none_or(|after| whose.2 > after);
                    (whose.0, whose.1) == (*network, *peer) && behind
                });
                let heads = all.map(|(_, kept)| kept.head.clone());
                Answer::Shares { shares: heads.take(limits::BROWSE_ENTRIES).collect(), more: false }
            }
            Question::Entries { network, peer, share, after } => {
                let pages = self.shares.get(&(*network, *peer, *share)).map(|kept| &kept.pages);
                let mut entries = Vec::new();
                for (page, leaves) in pages.into_iter().flat_map(BTreeMap::values) {
                    for (index, entry) in page.entries.iter().enumerate() {
                        if after.as_ref().is_none_or(|after| entry.path > *after) {
                            entries.push((entry.clone(), page.proof(leaves, index)));
                        }
                    }
                }
                entries.sort_by(|a, b| a.0.path.cmp(&b.0.path));
                Answer::Entries { entries, more: false }
            }
        }
    }

    fn search(&self, network: NetworkId, query: &Query) -> Found {
        let mut groups: BTreeMap<ContentId, Group> = BTreeMap::new();
        for hit in self.hits(network, |hit| hit.entry.path.contains(&query.words)) {
            let entry = &hit.entry;
            let group = groups.entry(entry.content).or_insert_with(|| Group {
                content: entry.content,
                size: entry.size,
                kind: entry.kind,
                online: 0,
                providers: 0,
                partial: 0,
                newest_s: entry.modified_s,
                hits: Vec::new(),
            });
            group.providers += 1;
            if group.hits.len() < limits::GROUP_HITS {
                group.hits.push(hit);
            }
        }
        let groups = groups.into_values().take(usize::from(query.limit)).collect();
        Found { groups, more: false, did_you_mean: None, revision: 0 }
    }

    fn hits(&self, network: NetworkId, wanted: impl Fn(&Hit) -> bool) -> Vec<Hit> {
        let mut hits = Vec::new();
        for ((of, peer, share), kept) in self.shares.iter().filter(|(whose, _)| whose.0 == network)
        {
            debug_assert_eq!(*of, network);
            for (page, leaves) in kept.pages.values() {
                for (index, entry) in page.entries.iter().enumerate() {
                    let (entry, proof) = (entry.clone(), page.proof(leaves, index));
                    let proof = HitProof::Page(proof);
                    let (peer, share) = (*peer, *share);
                    let hit = Hit { peer, share, entry, proof, online: false, last_seen_ms: 0 };
                    if wanted(&hit) {
                        hits.push(hit);
                    }
                }
            }
        }
        hits
    }
}
