//! Peers that no machine plays: strangers, forgers, those who repeat the past, and those who do not
//! stop.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey};
use potluck_identity::{Membership, SecretKey, Signature, Signed};
use potluck_proto::Dice;
use potluck_proto::directory::record::{EntryKind, Presence, ShareHead, Withdrawal};
use potluck_proto::directory::tracker::{Message, Query, Request};

use super::fixture::{EPOCH_MS, Shared, Signer};

/// What a liar does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It is no member, and tries everything.
    Stranger,
    /// It is a member and publishes in the name of others, or with bad signatures.
    Forger,
    /// It is a member and says what was true once.
    Repeater,
    /// It is a member and asks without end.
    Flooder,
    /// It is a member, registers again and again, and leaves, and goes on.
    Twice,
}

impl Habit {
    /// Any of them.
    pub fn any(dice: &mut Dice) -> Self {
        let all = [Self::Stranger, Self::Forger, Self::Repeater, Self::Flooder, Self::Twice];
        all[dice.below(all.len() as u64) as usize]
    }
}

/// A peer that no machine plays.
pub struct Liar {
    /// What it does.
    pub habit: Habit,
    key: SecretKey,
    membership: Membership,
    network: NetworkId,
    /// What it may repeat.
    shared: Vec<Shared>,
    next_id: u32,
}

impl Liar {
    /// One with some shares of its own.
    pub fn new(
        habit: Habit,
        key: SecretKey,
        membership: Membership,
        network: NetworkId,
        dice: &mut Dice,
    ) -> Self {
        let mut sequence = 0;
        let mut signer = Signer { key: &key, network, now_ms: EPOCH_MS, sequence: &mut sequence };
        let mut first = Shared::any(dice, &mut signer);
        let mut shared = Vec::new();
        for _ in 0..3 {
            let mut next = Shared::any(dice, &mut signer);
            std::mem::swap(&mut first, &mut next);
            shared.push(next);
        }
        Self { habit, key, membership, network, shared, next_id: 0 }
    }

    /// Who it is.
    pub fn peer_id(&self) -> PeerId {
        self.key.peer_id()
    }

    /// The next thing that it says. `victim` is an honest member.
    pub fn say(&mut self, victim: PeerId, dice: &mut Dice) -> Message {
        self.next_id += 1;
        let body = if dice.chance(1, 6) { self.register() } else { self.body(victim, dice) };
        Message::Request { id: self.next_id, network: self.network, body }
    }

    fn register(&self) -> Request {
        Request::Register { membership: self.membership.clone(), nick: None, revocations: 0 }
    }

    fn body(&mut self, victim: PeerId, dice: &mut Dice) -> Request {
        match self.habit {
            Habit::Stranger => self.strange(victim, dice),
            Habit::Forger => self.forged(victim, dice),
            Habit::Repeater => self.repeated(dice),
            Habit::Flooder => match dice.below(3) {
                0 => Request::States,
                1 => Request::Search { query: Query { words: "file".into(), ..Query::default() } },
                _ => Request::Renew,
            },
            Habit::Twice => match dice.below(4) {
                0 => Request::Leave { forget: false },
                1 => Request::Renew,
                _ => self.register(),
            },
        }
    }

    fn strange(&self, victim: PeerId, dice: &mut Dice) -> Request {
        match dice.below(8) {
            0 => Request::Search { query: Query::default() },
            1 => Request::Resolve { peer: victim },
            2 => Request::Members { after: None },
            3 => Request::Join { membership: self.membership.clone() },
            4 => Request::Record,
            5 => Request::Browse { peer: victim, share: None, after: None },
            6 => self.put_page(dice),
            _ => self.register(),
        }
    }

    fn forged(&self, victim: PeerId, dice: &mut Dice) -> Request {
        let share = ShareKey([dice.below(4) as u8; 16]);
        let sequence = EPOCH_MS + dice.below(100_000_000);
        let mut head = ShareHead {
            network: self.network,
            peer: victim,
            share,
            name: "not mine".into(),
            tags: Vec::new(),
            content: ContentId([1; 32]),
            kind: EntryKind::File,
            size: 1,
            files: 1,
            partial: false,
            pages: 1,
            sequence,
            expires_ms: sequence,
        };
        match dice.below(5) {
            0 => Request::PutShare { head: Signed::sign(&self.key, head) },
            1 => {
                head.peer = self.peer_id();
                let mut head = Signed::sign(&self.key, head);
                head.signature = Signature([7; 64]);
                Request::PutShare { head }
            }
            2 => {
                let gone = Withdrawal { network: self.network, peer: victim, share, sequence };
                Request::Withdraw { withdrawal: Signed::sign(&self.key, gone) }
            }
            3 => {
                let presence = Presence {
                    network: self.network,
                    peer: victim,
                    nick: "somebody".into(),
                    addresses: Vec::new(),
                    relay: None,
                    agent: String::new(),
                    p2p_ci: None,
                    sequence,
                    expires_ms: sequence,
                };
                Request::Announce { presence: Signed::sign(&self.key, presence) }
            }
            _ => self.put_page(dice),
        }
    }

    /// Shares in any order, older versions after newer ones, pages before their heads.
    fn repeated(&mut self, dice: &mut Dice) -> Request {
        let at = dice.below(self.shared.len() as u64) as usize;
        match dice.below(6) {
            0 | 1 => Request::PutShare { head: self.shared[at].published.head.clone() },
            2 => {
                let value = &self.shared[at].published.head.value;
                let gone = Withdrawal {
                    network: self.network,
                    peer: self.peer_id(),
                    share: value.share,
                    sequence: value.sequence - dice.below(3) + 1,
                };
                Request::Withdraw { withdrawal: Signed::sign(&self.key, gone) }
            }
            3 => {
                let mut sequence = self.shared[at].published.head.value.sequence;
                let (key, network) = (&self.key, self.network);
                let now_ms = EPOCH_MS;
                let mut signer = Signer { key, network, now_ms, sequence: &mut sequence };
                let old = self.shared[at].published.head.clone();
                self.shared[at].change(dice, &mut signer);
                Request::PutShare { head: old }
            }
            _ => self.put_page(dice),
        }
    }

    fn put_page(&self, dice: &mut Dice) -> Request {
        let at = dice.below(self.shared.len() as u64) as usize;
        let pages = &self.shared[at].pages;
        let mut page = pages[dice.below(pages.len() as u64) as usize].clone();
        if self.habit == Habit::Forger {
            page.head.value.root[0] ^= 1;
        }
        Request::PutPage { page }
    }
}
