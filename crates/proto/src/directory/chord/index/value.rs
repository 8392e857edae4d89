//! How the machine sees records: checks, slots, splitting.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use potluck_base::{NetworkId, PeerId, RelPath, limits};
use potluck_identity::{Signed, Statement};

use super::ask::{Answer, Question};
use super::record::{
    Deposit, Entries, Files, Gone, Placed, Record, Redeemed, SEQUENCE_MAX, Stored, Why,
    withdrawal_expires_ms,
};
use super::term::Subject;
use crate::directory::chord::{Reject, RingId, Slot, Value};
use crate::directory::record::{
    PageHead, Presence, RecordError, ShareHead, Withdrawal, check_expiry, ms, nick_folded,
};

/// Heads that are remembered as good ones: those of the pages that come in at the same time.
const HEADS_KEPT: usize = 512;

/// What records are checked against.
///
/// A page's head stands in each of its records, so most heads that come in were checked just
/// before. They are remembered by their hashes: nothing depends on that but time.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Of which network they must be.
    pub network: NetworkId,
    good: RefCell<VecDeque<[u8; 32]>>,
}

impl Rules {
    /// The rules of a network.
    pub fn new(network: NetworkId) -> Self {
        Self { network, good: RefCell::default() }
    }

    /// Whether a share's head is signed by whom it names, and counts now.
    fn share<'a>(
        &self,
        signed: &'a Signed<ShareHead>,
        now_ms: u64,
    ) -> Result<&'a ShareHead, RecordError> {
        let head = &signed.value;
        self.once(signed, || ShareHead::check(signed, &self.network, &head.peer).map(drop))?;
        check_lifetime(head.sequence, head.expires_ms, limits::RING_RECORD_LIFETIME, now_ms)?;
        Ok(head)
    }

    /// Whether a page's head is signed by this peer, and counts now.
    fn page<'a>(
        &self,
        signed: &'a Signed<PageHead>,
        peer: &PeerId,
        now_ms: u64,
    ) -> Result<&'a PageHead, RecordError> {
        let page = &signed.value;
        if page.peer != *peer {
            return Err(RecordError::Peer);
        }
        self.once(signed, || PageHead::check(signed, &self.network, peer).map(drop))?;
        check_lifetime(page.sequence, page.expires_ms, limits::RING_RECORD_LIFETIME, now_ms)?;
        Ok(page)
    }

    /// Checks what was not checked lately.
    fn once<T: Statement>(
        &self,
        signed: &Signed<T>,
        check: impl FnOnce() -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let before = T::DOMAIN.as_bytes().to_vec();
        let bytes = postcard::to_extend(signed, before).expect("writing to memory does not fail");
        let name = potluck_content::hash(&bytes).0;
        // The last ones come again, mostly.
        if self.good.borrow().iter().rev().any(|good| *good == name) {
            return Ok(());
        }
        check()?;
        let mut good = self.good.borrow_mut();
        if good.len() == HEADS_KEPT {
            good.pop_front();
        }
        good.push_back(name);
        Ok(())
    }
}

impl Value for Record {
    type Rules = Rules;
    type Question = Question;
    type Answer = Answer;

    fn slot(&self) -> Slot {
        self.slot()
    }

    fn version(&self) -> u64 {
        self.version()
    }

    fn expires_ms(&self) -> u64 {
        self.expires_ms()
    }

    fn copies(&self) -> Option<u8> {
        match self {
            // Whoever put it there may be one of those who keep its key, and is no copy; and some
            // of the others may have no room.
            Self::Deposit(stored) => {
                let others = 1 + limits::DEPOSIT_SPARES as u8;
                Some(stored.deposit.value.copies.saturating_add(others))
            }
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn check(&self, rules: &Rules, key: RingId, now_ms: u64) -> Result<(), Reject> {
        self.examine(rules, key, now_ms).map_err(|_| Reject::Bad)
    }

    fn split(&self, rules: &Rules) -> Vec<(RingId, Self)> {
        // The whole record goes on by the bits of its slot: so a page stays under one of the keys,
        // and what takes its place, or takes it away, comes the same way.
        let child = self.term().child_for(self.slot());
        child.map(|term| (term.key(&rules.network), self.under(term))).into_iter().collect()
    }

    fn answer<'a>(
        records: impl Iterator<Item = &'a Self>,
        question: &Question,
        full: bool,
        now_ms: u64,
    ) -> Answer {
        super::answer::answer(records, question, full, now_ms)
    }

    fn merge(one: Answer, other: Answer, question: &Question) -> Answer {
        super::merge::merge(one, other, question)
    }
}

impl Record {
    /// What is wrong with it, if anything: whether its publisher signed it, it counts now, and it
    /// belongs where it stands.
    pub fn examine(&self, rules: &Rules, key: RingId, now_ms: u64) -> Result<(), RecordError> {
        let term = self.term();
        if term.key(&rules.network) != key || !term.path.leads_to(self.slot()) {
            return Err(RecordError::Place);
        }
        match self {
            Self::Files(files) => files.check(rules, now_ms),
            Self::Share(heading) => {
                let head = rules.share(&heading.head, now_ms)?;
                placed(heading.term.of.fits_share(head))
            }
            Self::Gone(gone) => gone.check(rules, now_ms),
            Self::Presence(placed) => placed.check(&rules.network, now_ms),
            Self::Deposit(stored) => stored.check(&rules.network, now_ms),
            Self::Redeemed(redeemed) => redeemed.check(&rules.network, now_ms),
        }
    }
}

impl Files {
    /// Whether its peer has published all of it, it counts now, and all entries belong under its
    /// term.
    pub fn check(&self, rules: &Rules, now_ms: u64) -> Result<(), RecordError> {
        let head = rules.share(&self.head, now_ms)?;
        let page = rules.page(&self.page, &head.peer, now_ms)?;
        if page.share != head.share {
            return Err(RecordError::Share);
        }
        if page.pages != head.pages {
            return Err(RecordError::Pages);
        }
        if self.part >= limits::RING_RECORD_PARTS {
            return Err(RecordError::Entries);
        }
        match &self.entries {
            Entries::All(entries) => drop(page.check_all(entries)?),
            Entries::Some(entries) => {
                if entries.windows(2).any(|pair| pair[0].index >= pair[1].index) {
                    return Err(RecordError::Order);
                }
                for one in entries {
                    page.check_one(one.index, &one.siblings, &one.entry)?;
                }
            }
        }
        let of = &self.term.of;
        let fits = of.fits_around(head)
            || self.entries.iter().all(|entry| of.fits(head, page.page, entry));
        placed(fits && matches!(of, Subject::Word(_) | Subject::Content(_) | Subject::Pages { .. }))
    }
}

impl Gone {
    fn check(&self, rules: &Rules, now_ms: u64) -> Result<(), RecordError> {
        if self.part >= limits::RING_RECORD_PARTS {
            return Err(RecordError::Entries);
        }
        match &self.why {
            Why::Withdrawn(signed) => {
                let gone = Withdrawal::check(signed, &rules.network, &signed.value.peer)?;
                let expires_ms = withdrawal_expires_ms(gone);
                check_lifetime(gone.sequence, expires_ms, limits::RING_RECORD_LIFETIME, now_ms)
            }
            Why::Changed(signed) => {
                let head = rules.share(signed, now_ms)?;
                let is_gone = match self.page {
                    Some(page) => page >= head.pages,
                    None => !self.term.of.fits_share(head),
                };
                placed(is_gone)
            }
        }
    }
}

impl Placed {
    fn check(&self, network: &NetworkId, now_ms: u64) -> Result<(), RecordError> {
        let signed = &self.presence;
        let presence = Presence::check(signed, network, &signed.value.peer)?;
        check_expiry(presence.expires_ms, limits::PRESENCE_LIFETIME, now_ms)?;
        placed(match &self.term.of {
            Subject::Peer(peer) => *peer == presence.peer,
            Subject::Nick(nick) => nick_folded(&presence.nick).as_ref() == Some(nick),
            _ => false,
        })
    }
}

impl Stored {
    fn check(&self, network: &NetworkId, now_ms: u64) -> Result<(), RecordError> {
        let signed = &self.deposit;
        let deposit = Deposit::check(signed, network, &signed.value.peer)?;
        check_expiry(deposit.expires_ms, limits::DEPOSIT_LIFETIME, now_ms)?;
        placed(self.term.of == Subject::Deposit(deposit.content))
    }
}

impl Deposit {
    /// Whether it is of this peer in this network, and within the rules; says nothing about time.
    pub fn check<'a>(
        signed: &'a Signed<Self>,
        network: &NetworkId,
        peer: &PeerId,
    ) -> Result<&'a Self, RecordError> {
        if signed.value.network != *network {
            return Err(RecordError::Network);
        }
        if signed.value.peer != *peer {
            return Err(RecordError::Peer);
        }
        let deposit = signed.verify(peer).map_err(|_| RecordError::Signature)?;
        RelPath::parse_name(&deposit.name).map_err(|_| RecordError::Name)?;
        let copies = (1..=limits::DEPOSIT_COPIES).contains(&deposit.copies);
        if copies { Ok(deposit) } else { Err(RecordError::Entries) }
    }
}

impl Redeemed {
    /// Whether the invite's issuer and its key have signed, and it could be used at this moment.
    /// Whether the issuer may invite is for those to judge who know its membership.
    fn check(&self, network: &NetworkId, now_ms: u64) -> Result<(), RecordError> {
        let (capability, redemption) = (&self.capability.value, &self.redemption.value);
        if capability.network != *network || redemption.network != *network {
            return Err(RecordError::Network);
        }
        if redemption.invite != capability.key {
            return Err(RecordError::Share);
        }
        self.capability.verify(&capability.issuer).map_err(|_| RecordError::Signature)?;
        self.redemption.verify(&capability.key).map_err(|_| RecordError::Signature)?;
        let late = ms(limits::CLOCK_SKEW);
        if now_ms > capability.expires_ms {
            return Err(RecordError::Expired);
        }
        let latest = now_ms.saturating_add(late);
        if capability.issued_ms > latest || redemption.at_ms > latest {
            return Err(RecordError::TooLong);
        }
        placed(self.term.of == Subject::Invite(capability.key))
    }
}

fn check_lifetime(
    sequence: u64,
    expires_ms: u64,
    lifetime: Duration,
    now_ms: u64,
) -> Result<(), RecordError> {
    if sequence > SEQUENCE_MAX {
        return Err(RecordError::TooLong);
    }
    check_expiry(expires_ms, lifetime, now_ms)
}

fn placed(fits: bool) -> Result<(), RecordError> {
    if fits { Ok(()) } else { Err(RecordError::Place) }
}
