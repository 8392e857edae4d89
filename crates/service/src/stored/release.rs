//! What this node holds no longer for others: who has it instead, and until when it is kept.

use std::collections::{BTreeMap, BTreeSet};

use potluck_base::{ContentId, NetworkId, limits};
use potluck_identity::Signed;
use potluck_proto::CopySaid;
use potluck_proto::directory::chord::index::Deposit;
use potluck_store::HeldClaim;
use tokio::time::Instant;

use super::book::Claimant;
use super::circle::Put;
use super::copies::Heard;
use super::hold::{Claim, Holds, Kept};
use super::{StoredService, turns};
use crate::chance::now_ms;
use crate::error::ServiceError;

/// What becomes of a file that others are to hold.
enum Fate {
    /// It is this node's to hold after all.
    Ours,
    /// Not all others have it.
    Needed,
    /// All of them have it.
    Spare,
    /// Whoever put it there has taken it back.
    TakenBack,
}

impl Holds {
    /// Nothing is held for a claim any more.
    pub(super) fn forget(&mut self, claim: &Claim) {
        self.book.drop_claim(&claim.0, &claim.1);
        self.left.remove(claim);
        self.verdicts.remove(claim);
        if !self.book.has(&claim.0) {
            self.jobs.remove(&claim.0);
            self.here.remove(&claim.0);
        }
    }
}

impl StoredService {
    /// Claims that are over: taken back, run out, or of networks that were left.
    pub(super) fn over(
        &self,
        claims: &[HeldClaim],
        kept: &[Kept],
        networks: &BTreeSet<NetworkId>,
    ) -> Vec<Claim> {
        let removed: BTreeSet<Claim> =
            kept.iter().filter(|kept| kept.signed.value.removed).map(Kept::claim).collect();
        let of = |claim: &HeldClaim| (claim.content, (claim.network, claim.peer));
        let mut over: BTreeSet<Claim> = claims
            .iter()
            .filter(|claim| removed.contains(&of(claim)) || !networks.contains(&claim.network))
            .map(of)
            .collect();
        over.extend(self.holds().book.expired(now_ms()));
        over.into_iter().collect()
    }

    /// Holds on to what others are to hold, until they do and for a while.
    pub(super) async fn outlast(
        &self,
        claim: &HeldClaim,
        thorough: bool,
    ) -> Result<(), ServiceError> {
        let of = (claim.content, (claim.network, claim.peer));
        if !self.holds().book.has_claim(&of.0, &of.1) {
            return Ok(());
        }
        let now = Instant::now();
        let since = *self.holds().left.entry(of).or_insert(now);
        if !thorough {
            return Ok(());
        }
        let is_over = since.elapsed() >= self.pace.linger;
        match self.fate(claim).await {
            Fate::Ours => {
                self.holds().left.remove(&of);
            }
            Fate::Needed => self.holds().book.set_spare(&claim.content, false),
            Fate::TakenBack => self.let_go(vec![of]).await?,
            Fate::Spare if is_over => self.let_go(vec![of]).await?,
            Fate::Spare => self.holds().book.set_spare(&claim.content, true),
        }
        Ok(())
    }

    async fn fate(&self, claim: &HeldClaim) -> Fate {
        match self.find_fate(claim).await {
            Ok(fate) => fate,
            Err(error) => {
                tracing::debug!(content = %claim.content.short(), %error, "held on to for now");
                Fate::Needed
            }
        }
    }

    async fn find_fate(&self, claim: &HeldClaim) -> Result<Fate, ServiceError> {
        let Ok(signed) = postcard::from_bytes::<Signed<Deposit>>(&claim.record) else {
            // An older program wrote it: its time runs out.
            return Ok(Fate::Needed);
        };
        let Some(circle) = self.circles.get(&claim.network) else { return Ok(Fate::Needed) };
        let keepers = circle.keepers(claim.content).await?;
        let candidates = turns::candidates(&keepers, &signed.value);
        let others: Vec<_> = candidates.iter().copied().filter(|peer| *peer != self.own).collect();
        let heard = self.ask_copies(&others, claim.network, claim.content).await;
        let ours = turns::chosen(&candidates, signed.value.copies, &heard).contains(&self.own);
        let count = |wanted: CopySaid| {
            heard.values().filter(|heard| **heard == Heard::Said(wanted.clone())).count()
        };
        if !ours && count(CopySaid::There) >= usize::from(signed.value.copies) {
            return Ok(Fate::Spare);
        }
        // Those who are to have it may never have heard of it; or they know better than we.
        let (sequence, peer) = (signed.value.sequence, signed.value.peer);
        if (ours || count(CopySaid::Unasked) > 0) && circle.put(signed).await? == Put::Stale {
            let deposits = circle.deposits_of(claim.content).await?;
            let newer = deposits.into_iter().take(limits::DEPOSITS_PER_CONTENT);
            let newer = newer.filter(|one| one.value.peer == peer && one.value.sequence > sequence);
            match newer.max_by_key(|one| one.value.sequence) {
                Some(newer) if newer.value.removed => return Ok(Fate::TakenBack),
                Some(newer) => {
                    self.take(&newer).await?;
                }
                None => {}
            }
        }
        Ok(if ours { Fate::Ours } else { Fate::Needed })
    }

    /// Lets go of everything that wants a content held.
    pub(super) async fn let_go_of(&self, content: ContentId) -> Result<(), ServiceError> {
        let store = self.store.clone();
        let claims = tokio::task::spawn_blocking(move || store.claims()).await??;
        let of = claims.into_iter().filter(|claim| claim.content == content);
        self.let_go(of.map(|claim| (content, (claim.network, claim.peer))).collect()).await
    }

    /// Lets go of claims, and of files that nobody wants held any more.
    pub(super) async fn let_go(&self, over: Vec<Claim>) -> Result<(), ServiceError> {
        let mut by_content: BTreeMap<ContentId, Vec<Claimant>> = BTreeMap::new();
        for (content, of) in over {
            by_content.entry(content).or_default().push(of);
        }
        for (content, gone) in by_content {
            let last = self.holds().book.would_be_last(&content, &gone);
            if last {
                self.end_fetch(content).await;
                let swarms = &self.fetcher.swarms;
                if !swarms.is_fetching(content) {
                    swarms.close(content).await;
                }
            }
            self.drop_claims(content, &gone).await?;
            let mut holds = self.holds();
            for of in gone {
                holds.forget(&(content, of));
            }
        }
        self.fetcher.swarms.review_audiences().await
    }
}
