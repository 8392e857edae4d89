//! What this node holds for others: it follows what the circles say, takes room, and has files
//! fetched.
//!
//! A file is held by the first of those who keep the key of its content. Who no longer is among
//! them goes on holding it for a while, and until all of them have it: most who vanish come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use potluck_base::{ContentId, NetworkId, PeerId, limits};
use potluck_identity::Signed;
use potluck_proto::directory::chord::index::Deposit;
use potluck_proto::directory::record::EntryKind;
use potluck_store::HeldClaim;
use tokio::time::Instant;

use super::book::{Book, Claimant};
use super::circle::Circle;
use super::fetching::Job;
use super::{StoredService, turns};
use crate::chance::{now_ms, random_seed};
use crate::error::ServiceError;

/// Pause between two looks whether this node has entered or left a network.
const CIRCLES_EVERY: Duration = Duration::from_secs(2);
/// How long changes of what is kept are gathered before they are looked at.
const GATHER: Duration = Duration::from_millis(20);
/// Circles that are asked who keeps a key, at a time.
const LOOKUPS_AT_A_TIME: usize = 16;

/// Pause between two looks whether it is this node's turn to hold one content.
const TURN_EVERY: Duration = Duration::from_secs(1);

/// Which claim on which content.
pub(super) type Claim = (ContentId, Claimant);

/// What is held, and how that goes.
pub(super) struct Holds {
    pub(super) book: Book,
    pub(super) jobs: BTreeMap<ContentId, Job>,
    /// Whole contents, as of the last thorough look.
    pub(super) here: BTreeSet<ContentId>,
    /// What this node should hold and has no room for, and why not.
    refused: BTreeMap<(ContentId, NetworkId), String>,
    /// Since when others are to hold something in our place.
    pub(super) left: BTreeMap<Claim, Instant>,
    /// Whether this node is to hold something, by the number of its deposit.
    pub(super) verdicts: BTreeMap<Claim, (u64, bool)>,
    /// Contents that others hold before this node and that somebody asked it about, and when.
    turns: BTreeMap<ContentId, Instant>,
    /// Whether the next look is to be a thorough one.
    asked: bool,
}

/// How the copy here is, if it is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Coming { have: u64 },
    Failed { why: String, hope: bool },
}

/// A deposit that is kept here, and the circle that it is on.
#[derive(Clone)]
pub(super) struct Kept {
    circle: Arc<dyn Circle>,
    pub(super) signed: Signed<Deposit>,
}

impl Kept {
    pub(super) fn claim(&self) -> Claim {
        let deposit = &self.signed.value;
        (deposit.content, (deposit.network, deposit.peer))
    }
}

impl Holds {
    /// Takes up what was held before.
    pub(super) fn restore(quota: u64, claims: Vec<HeldClaim>) -> Self {
        let mut book = Book::new(quota);
        for claim in claims {
            let of = (claim.network, claim.peer);
            book.restore(claim.content, claim.bytes, of, claim.expires_ms);
        }
        Self {
            book,
            jobs: BTreeMap::new(),
            here: BTreeSet::new(),
            refused: BTreeMap::new(),
            left: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            turns: BTreeMap::new(),
            asked: false,
        }
    }

    /// How far the copy of a content is that is held for a network; none if it is not to be.
    pub(super) fn progress(&self, content: &ContentId, network: &NetworkId) -> Option<Progress> {
        if !self.book.has_network(content, network) {
            return None;
        }
        Some(self.jobs.get(content).map_or(Progress::Coming { have: 0 }, Job::progress))
    }

    /// Why a content is not held for a network that should be.
    pub(super) fn refusal(&self, content: &ContentId, network: &NetworkId) -> Option<String> {
        self.refused.get(&(*content, *network)).cloned()
    }

    /// A file is whole, or turned out not to be.
    pub(super) fn set_here(&mut self, content: ContentId, here: bool) {
        if here {
            self.here.insert(content);
        } else {
            self.here.remove(&content);
        }
    }

    /// Contents to be held that are not whole here, as far as is known.
    pub(super) fn not_here(&self) -> Vec<ContentId> {
        self.book.contents().filter(|content| !self.here.contains(content)).collect()
    }
}

impl StoredService {
    /// Looks after what is held: whenever a circle says something else, and now and then at all.
    pub(super) async fn hold(self: Arc<Self>) {
        let mut known = Vec::new();
        let mut seen = Vec::new();
        let mut due = Instant::now();
        let mut turned = false;
        loop {
            let circles = self.circles.all();
            let networks: Vec<NetworkId> = circles.iter().map(|circle| circle.network()).collect();
            let asked = std::mem::take(&mut self.holds().asked);
            let thorough = asked || known != networks || Instant::now() >= due;
            if thorough {
                (known, due) = (networks, Instant::now() + around(self.pace.look));
            }
            let mut changes: Vec<_> = circles.iter().map(|circle| circle.changes()).collect();
            changes.iter_mut().for_each(|changes| changes.mark_unchanged());
            let mut kept = Vec::new();
            for circle in &circles {
                let each = circle.kept().into_iter().take(limits::HELD_FILES);
                kept.extend(each.map(|signed| Kept { circle: Arc::clone(circle), signed }));
            }
            let now: Vec<_> =
                kept.iter().map(|kept| (kept.claim(), kept.signed.value.sequence)).collect();
            if turned && now == seen {
                // Then it may be others who are to hold what is kept here.
                self.holds().verdicts.clear();
            }
            seen = now;
            if let Err(error) = self.look(kept, thorough).await {
                tracing::warn!(%error, "what is held for others cannot be looked after");
            }
            let next = due.min(Instant::now() + CIRCLES_EVERY).min(self.next_fetch(due));
            let changed = changes.iter_mut().map(|changes| Box::pin(changes.changed()));
            let changed: Vec<_> = changed.collect();
            let changed = async move {
                // One that ends belongs to a network that was left: that is seen soon enough.
                let alive = !changed.is_empty() && select_all(changed).await.0.is_ok();
                if !alive {
                    std::future::pending::<()>().await;
                }
            };
            turned = tokio::select! {
                () = changed => {
                    // Many come at once, or none.
                    tokio::time::sleep(GATHER).await;
                    true
                }
                () = self.kick.notified() => false,
                () = tokio::time::sleep_until(next) => false,
            };
        }
    }

    /// Looks at everything once more, soon.
    pub(super) fn look_soon(&self) {
        {
            let mut holds = self.holds();
            holds.asked = true;
            holds.jobs.values_mut().for_each(Job::try_now);
        }
        self.kick.notify_one();
    }

    /// Looks soon whether it is this node's turn to hold a content that it knows of, as somebody
    /// asks about it: then one before it may be unable to.
    pub(super) fn look_whose_turn(&self, content: ContentId) {
        {
            let mut holds = self.holds();
            let known = holds.verdicts.keys().any(|(of, _)| *of == content);
            let asked = holds.turns.get(&content);
            let lately = asked.is_some_and(|asked| asked.elapsed() < TURN_EVERY);
            if !known || lately {
                return;
            }
            holds.turns.insert(content, Instant::now());
            holds.verdicts.retain(|(of, _), _| *of != content);
        }
        self.kick.notify_one();
    }

    /// When the next file is to be tried again.
    fn next_fetch(&self, latest: Instant) -> Instant {
        let holds = self.holds();
        holds.jobs.values().filter_map(Job::next_try).min().unwrap_or(latest)
    }

    async fn look(self: &Arc<Self>, kept: Vec<Kept>, thorough: bool) -> Result<(), ServiceError> {
        let store = self.store.clone();
        let read = move || Ok::<_, ServiceError>((store.claims()?, store.networks()?));
        let (claims, networks) = tokio::task::spawn_blocking(read).await??;
        let networks: BTreeSet<NetworkId> = networks.into_iter().map(|(id, _)| id).collect();
        if thorough {
            let mut holds = self.holds();
            holds.verdicts.clear();
            holds.turns.retain(|_, asked| asked.elapsed() < TURN_EVERY);
        }
        let over = self.over(&claims, &kept, &networks);
        self.let_go(over).await?;
        let kept = kept.into_iter().filter(|kept| self.is_wanted(kept)).collect();
        let ours = self.take_all(kept, thorough).await?;
        for claim in &claims {
            let of = (claim.content, (claim.network, claim.peer));
            match ours.get(&of) {
                Some(_) => {
                    self.holds().left.remove(&of);
                }
                None => self.outlast(claim, thorough).await?,
            }
        }
        self.fetch_missing(thorough).await
    }

    /// Whether a deposit is one that somebody else wants held, of a kind that is.
    fn is_wanted(&self, kept: &Kept) -> bool {
        let deposit = &kept.signed.value;
        let counts = !deposit.removed && deposit.expires_ms >= now_ms();
        // Of an empty file there is no piece that would show that it is another.
        let is_empty = deposit.content == potluck_content::hash(&[]);
        let counts = counts && (deposit.size == 0) == is_empty;
        counts && deposit.peer != self.own && deposit.kind == EntryKind::File
    }

    /// Takes room for all that is this node's to hold; what that is, and whether there was room.
    async fn take_all(
        self: &Arc<Self>,
        kept: Vec<Kept>,
        thorough: bool,
    ) -> Result<BTreeMap<Claim, bool>, ServiceError> {
        let mut verdicts = Vec::with_capacity(kept.len());
        let mut kept = kept.into_iter().peekable();
        while kept.peek().is_some() {
            let some: Vec<Kept> = kept.by_ref().take(LOOKUPS_AT_A_TIME).collect();
            let asks = some.into_iter().map(|kept| async move {
                let ours = self.is_ours(&kept).await;
                (kept, ours)
            });
            verdicts.extend(join_all(asks).await);
        }
        let mut ours = BTreeMap::new();
        for (kept, verdict) in verdicts {
            let claim = kept.claim();
            let known = self.holds().book.has_claim(&claim.0, &claim.1);
            match verdict {
                Ok(true) => {
                    let before = self.holds().refused.contains_key(&(claim.0, claim.1.0));
                    let taken = self.take(&kept.signed).await?;
                    let failing = self.holds().jobs.get(&claim.0).is_some_and(Job::is_hopeless);
                    if (!taken && !before) || (thorough && (!taken || failing)) {
                        self.pass_on(&kept);
                    }
                    ours.insert(claim, taken);
                }
                Ok(false) => {
                    self.holds().refused.remove(&(claim.0, claim.1.0));
                }
                // Nobody knows now: what is held stays so.
                Err(_) if known => {
                    ours.insert(claim, true);
                }
                Err(error) => {
                    let content = claim.0.short();
                    tracing::debug!(%content, %error, "nobody knows who holds it");
                }
            }
        }
        let refused = |key: &(ContentId, NetworkId)| {
            ours.iter().any(|((content, of), taken)| !taken && (*content, of.0) == *key)
        };
        self.holds().refused.retain(|key, _| refused(key));
        Ok(ours)
    }

    async fn is_ours(&self, kept: &Kept) -> Result<bool, ServiceError> {
        let (claim, deposit) = (kept.claim(), &kept.signed.value);
        if let Some((sequence, ours)) = self.holds().verdicts.get(&claim)
            && *sequence == deposit.sequence
        {
            return Ok(*ours);
        }
        let keepers = kept.circle.keepers(deposit.content).await?;
        let candidates = turns::candidates(&keepers, deposit);
        let place = candidates.iter().position(|peer| *peer == self.own);
        let ours = match place {
            None => false,
            Some(place) if place < usize::from(deposit.copies) => true,
            Some(place) => self.is_our_turn(&claim, deposit, &candidates[..=place]).await,
        };
        self.holds().verdicts.insert(claim, (deposit.sequence, ours));
        Ok(ours)
    }

    /// Whether enough of those before us cannot hold a file. That is asked if we hold it already,
    /// or if somebody wants to know.
    async fn is_our_turn(&self, claim: &Claim, deposit: &Deposit, candidates: &[PeerId]) -> bool {
        let (content, of) = claim;
        let is_asked = {
            let holds = self.holds();
            holds.turns.contains_key(content) || holds.book.has_claim(content, of)
        };
        let Some((own, before)) = candidates.split_last().filter(|_| is_asked) else {
            return false;
        };
        let heard = self.ask_copies(before, deposit.network, *content).await;
        turns::chosen(candidates, deposit.copies, &heard).contains(own)
    }

    /// Asks those behind us about a file that we cannot hold: so they hear that it is their turn.
    fn pass_on(self: &Arc<Self>, kept: &Kept) {
        let (service, kept) = (Arc::clone(self), kept.clone());
        self.spawn(async move {
            let deposit = &kept.signed.value;
            let Ok(keepers) = kept.circle.keepers(deposit.content).await else { return };
            let mut behind = turns::candidates(&keepers, deposit).into_iter();
            if behind.any(|peer| peer == service.own) {
                let behind: Vec<PeerId> = behind.collect();
                service.ask_copies(&behind, deposit.network, deposit.content).await;
            }
        });
    }

    /// Takes room for a file and notes it, or notes why there is none; whether there is.
    pub(super) async fn take(&self, signed: &Signed<Deposit>) -> Result<bool, ServiceError> {
        let deposit = &signed.value;
        let (content, of) = (deposit.content, (deposit.network, deposit.peer));
        let taken = {
            let mut holds = self.holds();
            let taken = holds.book.take(content, deposit.size, of, deposit.expires_ms);
            match &taken {
                Ok(_) => holds.refused.remove(&(content, of.0)),
                Err(why) => holds.refused.insert((content, of.0), why.to_string()),
            };
            taken
        };
        let Ok(gone) = taken else { return Ok(false) };
        for content in gone {
            self.let_go_of(content).await?;
        }
        let record = postcard::to_allocvec(signed).expect("writing to memory does not fail");
        let claim = HeldClaim {
            content,
            network: deposit.network,
            peer: deposit.peer,
            name: deposit.name.clone(),
            bytes: deposit.size,
            expires_ms: deposit.expires_ms,
            since_ms: now_ms(),
            record,
        };
        let store = self.store.clone();
        let audience = tokio::task::spawn_blocking(move || {
            let known = store.claims()?;
            let same = |known: &HeldClaim| known.record == claim.record;
            if known.iter().any(same) {
                return Ok(None);
            }
            store.put_claim(&claim)?;
            store.audience(&claim.content)
        });
        if let Some(audience) = audience.await?? {
            self.fetcher.swarms.set_audience(content, audience).await;
        }
        Ok(true)
    }
}

/// So long, a fifth more or less: many nodes must not do the same at the same moment.
pub(super) fn around(pause: Duration) -> Duration {
    pause.mul_f64(0.8 + 0.4 * (random_seed() % 1000) as f64 / 1000.0)
}
