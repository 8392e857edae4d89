//! What a committed change means for what the registry remembers, whoever wrote it.

use potluck_base::{NetworkId, PeerId, ShareKey};
use potluck_identity::{NetworkRecord, Revocations, Role, Signed};

use super::network::{Network, Slot};
use super::{Out, Registry};
use crate::directory::record::Presence;
use crate::directory::tracker::change::{Change, Written};
use crate::directory::tracker::message::Notice;

/// The part of a change that is remembered.
#[derive(Debug)]
pub(super) enum Fact {
    Network(Box<Signed<NetworkRecord>>),
    Member {
        network: NetworkId,
        peer: PeerId,
        nick: String,
        role: Role,
        at_ms: u64,
    },
    Presence(Box<Signed<Presence>>),
    Seen {
        network: NetworkId,
        peer: PeerId,
        at_ms: u64,
    },
    Revocations(Box<Revocations>),
    Share {
        network: NetworkId,
        peer: PeerId,
        share: ShareKey,
        sequence: u64,
        pages: u16,
        size: u64,
    },
    Page {
        network: NetworkId,
        peer: PeerId,
        share: ShareKey,
        pages: u16,
        slot: Slot,
    },
    Withdrawn {
        network: NetworkId,
        peer: PeerId,
        share: ShareKey,
        sequence: u64,
    },
    Dropped {
        network: NetworkId,
        peer: PeerId,
    },
    Banned(PeerId),
    Unbanned(PeerId),
    /// What expired stands in the answer; uses of invites are counted by the store alone.
    Nothing,
}

impl Fact {
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::PutNetwork { record } => Fact::Network(Box::new(record.clone())),
            Change::Admit { .. } | Change::Expire { .. } => Fact::Nothing,
            Change::PutMember { network, peer, nick, role, at_ms, .. } => {
                let (nick, role) = (nick.clone(), *role);
                Fact::Member { network: *network, peer: *peer, nick, role, at_ms: *at_ms }
            }
            Change::PutPresence { presence } => Fact::Presence(Box::new(presence.clone())),
            Change::Seen { network, peer, at_ms } => {
                Fact::Seen { network: *network, peer: *peer, at_ms: *at_ms }
            }
            Change::PutRevocations { revocations, .. } => {
                Fact::Revocations(Box::new(revocations.clone()))
            }
            Change::PutShare { head } => {
                let head = &head.value;
                Fact::Share {
                    network: head.network,
                    peer: head.peer,
                    share: head.share,
                    sequence: head.sequence,
                    pages: head.pages,
                    size: head.size,
                }
            }
            Change::PutPage { page, .. } => {
                let head = &page.head.value;
                let slot = Slot {
                    page: head.page,
                    entries: head.entries,
                    sequence: head.sequence,
                    root: head.root,
                };
                let (network, peer, share) = (head.network, head.peer, head.share);
                Fact::Page { network, peer, share, pages: head.pages, slot }
            }
            Change::Withdraw { withdrawal, .. } => {
                let gone = &withdrawal.value;
                let (network, peer, share) = (gone.network, gone.peer, gone.share);
                Fact::Withdrawn { network, peer, share, sequence: gone.sequence }
            }
            Change::DropMember { network, peer } => {
                Fact::Dropped { network: *network, peer: *peer }
            }
            Change::Ban { peer, .. } => Fact::Banned(*peer),
            Change::Unban { peer } => Fact::Unbanned(*peer),
        }
    }
}

impl<P: Copy + Ord + std::fmt::Debug> Registry<P> {
    /// Remembers what was committed, and says what follows from it.
    pub(super) fn apply(&mut self, fact: Fact, written: &Written, out: &mut Out<P>) {
        match fact {
            Fact::Network(record) => self.hosted(*record, out),
            Fact::Member { network, peer, nick, role, at_ms } => {
                if let Some(known) = self.networks.get_mut(&network) {
                    known.put_member(peer, nick, role, at_ms);
                }
            }
            Fact::Presence(presence) => {
                let (network, peer) = (presence.value.network, presence.value.peer);
                if let Some(member) = self.member_mut(&network, &peer) {
                    let have = member.presence.as_ref().map_or(0, |known| known.value.sequence);
                    if presence.value.sequence >= have {
                        member.presence = Some(presence);
                    }
                }
            }
            Fact::Seen { network, peer, at_ms } => {
                if let Some(member) = self.member_mut(&network, &peer) {
                    member.last_seen_ms = member.last_seen_ms.max(at_ms);
                    member.seen_written_ms = member.seen_written_ms.max(at_ms);
                }
            }
            Fact::Revocations(revocations) => self.revoked(*revocations, out),
            Fact::Share { network, peer, share, sequence, pages, size } => {
                if let Some(member) = self.member_mut(&network, &peer) {
                    member.put_share(share, sequence, pages, size);
                }
            }
            Fact::Page { network, peer, share, pages, slot } => {
                if let Some(member) = self.member_mut(&network, &peer) {
                    member.put_page(share, pages, slot);
                }
            }
            Fact::Withdrawn { network, peer, share, sequence } => {
                if let Some(member) = self.member_mut(&network, &peer) {
                    member.drop_share(&share, sequence);
                }
            }
            Fact::Dropped { network, peer } => self.dropped(network, peer, out),
            Fact::Banned(peer) => self.banned(peer, out),
            Fact::Unbanned(peer) => {
                self.banned.remove(&peer);
            }
            Fact::Nothing => self.expired(written),
        }
    }

    fn hosted(&mut self, record: Signed<NetworkRecord>, out: &mut Out<P>) {
        let network = record.value.network;
        match self.networks.get_mut(&network) {
            Some(known) if known.record.value.sequence >= record.value.sequence => return,
            Some(known) => {
                known.record = record.clone();
                self.tell(network, Notice::Record(record), out);
            }
            None => {
                let known = Network::new(record, Revocations::none(network));
                self.networks.insert(network, known);
            }
        }
        out.emit(super::Event::Hosted { network });
    }

    fn expired(&mut self, written: &Written) {
        let Written::Expired { shares, pages } = written else { return };
        for (network, peer, share) in shares {
            if let Some(member) = self.member_mut(network, peer) {
                member.drop_share(share, u64::MAX);
            }
        }
        for (network, peer, share, page) in pages {
            if let Some(member) = self.member_mut(network, peer) {
                member.drop_page(share, *page);
            }
        }
    }

    fn member_mut(
        &mut self,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Option<&mut super::network::Member> {
        self.networks.get_mut(network)?.members.get_mut(peer)
    }
}
