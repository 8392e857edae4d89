//! What peers list: shares, their pages, withdrawals.

use std::fmt::Debug;

use potluck_base::{ShareKey, limits};
use potluck_identity::Signed;

use super::jobs::Then;
use super::{Answered, Call, Out, Registry};
use crate::directory::record::{Page, ShareHead, Withdrawal, check_expiry};
use crate::directory::tracker::change::Change;
use crate::directory::tracker::message::{Denial, Reply};

impl<P: Copy + Ord + Debug> Registry<P> {
    pub(super) fn states(&self, call: &Call<P>) -> Answered {
        Ok(Some(Reply::States { shares: self.member(call, &call.peer)?.states() }))
    }

    pub(super) fn page_roots(&self, call: &Call<P>, share: &ShareKey, from: u16) -> Answered {
        let share = self.member(call, &call.peer)?.share(share);
        let (roots, more) =
            share.map_or((Vec::new(), false), |share| share.roots(from, limits::PAGE_ROOTS));
        Ok(Some(Reply::PageRoots { roots, more }))
    }

    pub(super) fn put_share(
        &mut self,
        call: &Call<P>,
        signed: Signed<ShareHead>,
        out: &mut Out<P>,
    ) -> Answered {
        let member = self.member(call, &call.peer)?;
        let head = &signed.value;
        match member.share(&head.share) {
            Some(known) if known.sequence > head.sequence => {
                return Err(Denial::Stale { have: known.sequence });
            }
            Some(_) => {}
            None => {
                let most = self.setup.config.shares_per_peer;
                if member.share_count() + self.heads_of(call) >= most {
                    return Err(Denial::TooMuch(format!("a peer lists at most {most} shares")));
                }
            }
        }
        ShareHead::check(&signed, &call.network, &call.peer)?;
        check_expiry(head.expires_ms, limits::RECORD_LIFETIME, call.now_ms)?;
        self.write(call, Change::PutShare { head: signed }, Then::Done, out)
    }

    pub(super) fn put_page(&mut self, call: &Call<P>, page: Page, out: &mut Out<P>) -> Answered {
        let member = self.member(call, &call.peer)?;
        let head = &page.head.value;
        let coming = self.heads_on_the_way.contains_key(&(call.network, call.peer, head.share));
        let known = member.share(&head.share).filter(|share| share.pages == head.pages);
        if known.is_none() && !coming {
            return Err(Denial::Unknown);
        }
        let slot = known.and_then(|share| share.slot(head.page));
        if let Some(slot) = slot {
            if (slot.sequence, slot.root) == (head.sequence, head.root) {
                return Ok(Some(Reply::Done));
            }
            if slot.sequence >= head.sequence {
                return Err(Denial::Stale { have: slot.sequence });
            }
        }
        let (totals, config) = (member.totals(), &self.setup.config);
        if slot.is_none() && totals.pages >= config.pages_per_peer {
            let text = format!("a peer lists at most {} pages", config.pages_per_peer);
            return Err(Denial::TooMuch(text));
        }
        let before = slot.map_or(0, |slot| u64::from(slot.entries));
        if totals.entries - before + u64::from(head.entries) > config.entries_per_peer {
            let text = format!("a peer lists at most {} files", config.entries_per_peer);
            return Err(Denial::TooMuch(text));
        }
        check_expiry(head.expires_ms, limits::RECORD_LIFETIME, call.now_ms)?;
        let leaves = page.check(&call.network, &call.peer)?;
        self.write(call, Change::PutPage { page, leaves }, Then::Done, out)
    }

    pub(super) fn withdraw(
        &mut self,
        call: &Call<P>,
        signed: Signed<Withdrawal>,
        out: &mut Out<P>,
    ) -> Answered {
        let gone = Withdrawal::check(&signed, &call.network, &call.peer)?;
        if let Some(known) = self.member(call, &call.peer)?.share(&gone.share)
            && known.sequence >= gone.sequence
        {
            return Err(Denial::Stale { have: known.sequence });
        }
        let change = Change::Withdraw { withdrawal: signed, at_ms: call.now_ms };
        self.write(call, change, Then::Done, out)
    }

    /// How many shares of a peer are being written.
    fn heads_of(&self, call: &Call<P>) -> usize {
        let first = (call.network, call.peer, ShareKey([0; 16]));
        let last = (call.network, call.peer, ShareKey([u8::MAX; 16]));
        self.heads_on_the_way.range(first..=last).count()
    }
}
