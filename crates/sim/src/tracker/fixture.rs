//! The people of a run: keys, memberships, and what they share.

use std::collections::BTreeMap;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey};
use potluck_content::hash;
use potluck_identity::{
    Admission, DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role,
    SecretKey, Signed,
};
use potluck_proto::Dice;
use potluck_proto::directory::record::{Entry, EntryKind, Page, Place, ShareHead, page_of};
use potluck_proto::directory::tracker::{PageRoot, Published};

/// Unix time of the beginning of every run by an exact clock, in milliseconds.
pub const EPOCH_MS: u64 = 1_800_000_000_000;
/// The right to create networks on the trackers of a run.
pub const TOKEN: [u8; 16] = [3; 16];
/// Lifetime of what is signed in a run, in milliseconds: nothing expires in one.
const LIFETIME_MS: u64 = 24 * 3600 * 1000;

/// A key that a run gives to a role and a number.
pub fn key(seed: u64, role: u8, number: u32) -> SecretKey {
    let mut bytes = [role; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[8..12].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_seed(bytes)
}

/// A network, its owner and its trackers.
pub struct Fixture {
    seed: u64,
    network_key: SecretKey,
    /// The network's record.
    pub record: Signed<NetworkRecord>,
    /// The owner's key; the owner is the first member.
    pub owner_key: SecretKey,
    /// The owner's membership.
    pub owner: Membership,
    tracker_keys: Vec<SecretKey>,
    open_invite: Invite,
    /// An invite for one peer only.
    pub single: Invite,
}

impl Fixture {
    /// The people of a seed.
    pub fn new(seed: u64, trackers: u32) -> Self {
        let network_key = key(seed, 1, 0);
        let owner_key = key(seed, 3, 0);
        let owner = Membership::owner(&network_key, owner_key.peer_id(), EPOCH_MS);
        let tracker_keys: Vec<SecretKey> =
            (0..trackers).map(|tracker| key(seed, 2, tracker)).collect();
        let addr = |key: &SecretKey| PeerAddr { id: key.peer_id(), direct: vec![], relay: None };
        let record = NetworkRecord {
            network: network_key.network_id(),
            name: "simulated".to_owned(),
            directory: DirectoryKind::Tracker { trackers: tracker_keys.iter().map(addr).collect() },
            policy: Policy::Invite,
            relays: Vec::new(),
            sequence: 1,
            created_ms: EPOCH_MS,
        };
        let record = record.sign(&network_key).expect("the record keeps the rules");
        let invite = |uses, number: u32| {
            let secret = key(seed, 4, number).to_seed();
            let (key, by, record) = (&owner_key, owner.clone(), record.clone());
            let expires = EPOCH_MS + 10 * LIFETIME_MS;
            Invite::make(record, key, by, Role::Member, uses, EPOCH_MS, expires, secret)
                .expect("the owner may invite")
        };
        let (open_invite, single) = (invite(1_000_000, 0), invite(1, 1));
        Self { seed, network_key, record, owner_key, owner, tracker_keys, open_invite, single }
    }

    /// Which network.
    pub fn network(&self) -> NetworkId {
        self.record.value.network
    }

    /// The key of a tracker.
    pub fn tracker_key(&self, tracker: u32) -> &SecretKey {
        &self.tracker_keys[tracker as usize]
    }

    /// The key of a member; the owner is member 0.
    pub fn member_key(&self, member: u32) -> SecretKey {
        key(self.seed, 3, member)
    }

    /// What a member becomes with the invite that all may use, or with the one for a single peer.
    pub fn redeemed(&self, member: u32, single: bool) -> Membership {
        let invite = if single { &self.single } else { &self.open_invite };
        invite.redeem(self.member_key(member).peer_id(), EPOCH_MS)
    }

    /// The membership of somebody who joined long ago.
    pub fn admitted(&self, member: u32) -> Membership {
        let membership = self.redeemed(member, false);
        let invite = membership.capability().expect("it comes from an invite").key;
        let (network, peer) = (self.network(), membership.peer);
        let admission = Admission { network, invite, peer, number: 1000 + member, at_ms: EPOCH_MS };
        membership.with_admission(Signed::sign(&self.tracker_keys[0], admission))
    }

    /// The network's record with another number.
    pub fn newer_record(&self, sequence: u64) -> Signed<NetworkRecord> {
        let record = NetworkRecord { sequence, ..self.record.value.clone() };
        record.sign(&self.network_key).expect("the record keeps the rules")
    }

    /// The list after this one, with one more peer.
    pub fn revoke(&self, before: &Revocations, peer: PeerId, now_ms: u64) -> Revocations {
        let next = before.next(&self.owner_key, self.owner.clone(), [peer], now_ms);
        next.expect("there is room in the list")
    }
}

/// A share as its peer has it: all its files and the pages that it signed.
pub struct Shared {
    /// What is published.
    pub published: Published,
    /// The signed pages.
    pub pages: Vec<Page>,
    files: BTreeMap<String, u64>,
    key: ShareKey,
}

/// Whose shares are signed, and with which clock.
pub struct Signer<'a> {
    /// With which key.
    pub key: &'a SecretKey,
    /// In which network.
    pub network: NetworkId,
    /// The time, by this peer's clock.
    pub now_ms: u64,
    /// The last sequence number that was given.
    pub sequence: &'a mut u64,
}

impl Signer<'_> {
    fn next(&mut self) -> u64 {
        *self.sequence = self.now_ms.max(*self.sequence + 1);
        *self.sequence
    }
}

impl Shared {
    /// A folder with a few files.
    pub fn any(dice: &mut Dice, signer: &mut Signer<'_>) -> Self {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&dice.next_u64().to_be_bytes());
        let files = (0..1 + dice.below(9)).map(|_| any_file(dice)).collect();
        let mut shared = Self::sign(ShareKey(key), files, 1 << dice.below(3), signer);
        shared.key = ShareKey(key);
        shared
    }

    /// Some files come, change or go.
    pub fn change(&mut self, dice: &mut Dice, signer: &mut Signer<'_>) {
        for _ in 0..1 + dice.below(3) {
            match dice.below(3) {
                0 => self.files.extend([any_file(dice)]),
                1 => {
                    let path = self.files.keys().next().cloned();
                    self.files.extend(path.map(|path| (path, dice.next_u64() >> 20)));
                }
                _ => _ = self.files.pop_last(),
            }
        }
        let pages = match dice.below(4) {
            0 => 1 << dice.below(3),
            _ => self.published.head.value.pages,
        };
        let next = Self::sign(self.key, std::mem::take(&mut self.files), pages, signer);
        // Pages that are as they were stay as they were signed.
        let same = |new: &Page, old: &Page| {
            let (new, old) = (&new.head.value, &old.head.value);
            (new.pages, new.root) == (old.pages, old.root)
        };
        let old = std::mem::replace(self, next);
        for page in 0..self.pages.len() {
            if old.pages.get(page).is_some_and(|old| same(&self.pages[page], old)) {
                self.pages[page] = old.pages[page].clone();
            }
        }
        self.read_roots();
    }

    /// Everything is signed anew, with higher numbers.
    pub fn sign_again(&mut self, signer: &mut Signer<'_>) {
        let (files, pages) = (std::mem::take(&mut self.files), self.published.head.value.pages);
        *self = Self::sign(self.key, files, pages, signer);
    }

    fn sign(
        share: ShareKey,
        files: BTreeMap<String, u64>,
        pages: u16,
        signer: &mut Signer<'_>,
    ) -> Self {
        let (network, expires_ms) = (signer.network, signer.now_ms + LIFETIME_MS);
        let mut parts: Vec<Vec<Entry>> = vec![Vec::new(); usize::from(pages)];
        for (path, version) in &files {
            parts[usize::from(page_of(path, pages))].push(entry(path, *version));
        }
        let signed = parts.into_iter().enumerate().map(|(page, entries)| {
            let (page, sequence) = (page as u16, signer.next());
            let place = Place { network, share, page, pages, sequence, expires_ms };
            Page::make(signer.key, place, entries).expect("the entries keep the rules")
        });
        let signed: Vec<Page> = signed.collect();
        let all: Vec<u8> = signed.iter().flat_map(|page| page.head.value.root).collect();
        let head = ShareHead {
            network,
            peer: signer.key.peer_id(),
            share,
            name: format!("folder {share}"),
            tags: Vec::new(),
            content: hash(&all),
            kind: EntryKind::Folder,
            size: files.values().sum(),
            files: files.len() as u32,
            partial: false,
            pages,
            sequence: signer.next(),
            expires_ms,
        };
        let head = Signed::sign(signer.key, head);
        let published = Published { head, pages: BTreeMap::new() };
        let mut shared = Self { published, pages: signed, files, key: share };
        shared.read_roots();
        shared
    }

    fn read_roots(&mut self) {
        let root = |page: &Page| {
            let head = &page.head.value;
            (head.page, PageRoot { sequence: head.sequence, root: head.root })
        };
        self.published.pages = self.pages.iter().map(root).collect();
    }
}

fn any_file(dice: &mut Dice) -> (String, u64) {
    (format!("file {:03}.txt", dice.below(200)), dice.below(1 << 40))
}

fn entry(path: &str, version: u64) -> Entry {
    let content: ContentId = hash(format!("{path} {version}").as_bytes());
    Entry {
        path: path.to_owned(),
        content,
        size: version,
        kind: EntryKind::File,
        executable: false,
        modified_s: version >> 10,
    }
}
