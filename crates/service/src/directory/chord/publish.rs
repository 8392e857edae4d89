//! Publishing: what this node shares, signed, cut into records and put where searches look for it;
//! only what changed, again before it is forgotten, and again if it could not be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::ShareKey;
use potluck_identity::Signed;
use potluck_proto::directory::chord::index::{Needed, Plan, Record};
use potluck_proto::directory::chord::{Reject, RingId, Value};
use potluck_proto::directory::record::Withdrawal;
use potluck_proto::directory::tracker::Published;
use tokio::sync::Notify;

use super::heart::{Heart, Phase};
use crate::directory::shares::Shares;
use crate::directory::{Announcement, Happened};
use crate::error::ServiceError;

/// Records that are put at a time.
const BATCH: usize = 500;
/// Bytes of records that are put at a time.
const BATCH_BYTES: usize = 128 * 1024;
/// First pause before records that could not be kept are put again; it doubles up to the longest.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest such pause.
const AGAIN_MOST: Duration = Duration::from_secs(60);
/// Records that wait to be put again; beyond that whole shares are put again.
const AGAIN_RECORDS: usize = 10_000;
/// Pause between two looks whether shares are to be signed again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Publishes in one network.
pub(super) struct Publisher {
    heart: Arc<Heart>,
    shares: Arc<Shares>,
    wanted: Mutex<BTreeMap<ShareKey, Want>>,
    changed: Notify,
    /// Counts turns in which everything that was wanted was put.
    idle: tokio::sync::watch::Sender<bool>,
}

/// What is to become of a share.
enum Want {
    Publish(Box<Published>),
    Withdraw(Signed<Withdrawal>),
}

/// What one task has put, and has still to put again.
struct Putting {
    plan: Plan,
    /// The number of the publication of each share that was put last.
    put: BTreeMap<ShareKey, u64>,
    again: Vec<(RingId, Record)>,
    /// Shares to be put again as a whole.
    shares: BTreeSet<ShareKey>,
}

impl Publisher {
    pub(super) fn new(heart: Arc<Heart>, shares: Arc<Shares>) -> Self {
        let idle = tokio::sync::watch::Sender::new(false);
        Self { heart, shares, wanted: Mutex::default(), changed: Notify::new(), idle }
    }

    /// Takes a share, new or changed.
    pub(super) async fn announce(&self, what: Announcement) -> Result<(), ServiceError> {
        let (shares, share) = (Arc::clone(&self.shares), what.share);
        let published = tokio::task::spawn_blocking(move || shares.publish(what)).await??;
        self.want(share, Want::Publish(Box::new(published)));
        Ok(())
    }

    /// Takes a share back.
    pub(super) async fn withdraw(&self, share: ShareKey) -> Result<(), ServiceError> {
        let shares = Arc::clone(&self.shares);
        let number = tokio::task::spawn_blocking(move || shares.withdraw(&share)).await??;
        let Some(sequence) = number else { return Ok(()) };
        let (network, peer) = (self.heart.network(), self.heart.own());
        let withdrawal = Withdrawal { network, peer, share, sequence };
        let withdrawal = Signed::sign(&self.heart.parts.secret, withdrawal);
        self.want(share, Want::Withdraw(withdrawal));
        Ok(())
    }

    /// Takes everything back, and waits until that is known, for as long as it makes sense.
    pub(super) async fn withdraw_all(&self, patience: Duration) {
        for share in self.shares.all() {
            if let Err(error) = self.withdraw(share).await {
                tracing::error!(%error, "not withdrawn");
            }
        }
        let mut idle = self.idle.subscribe();
        let done = async {
            while !self.wanted().is_empty() || !*idle.borrow_and_update() {
                if idle.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(patience, done).await.is_err() {
            tracing::info!("left before everything was withdrawn: it expires");
        }
    }

    fn want(&self, share: ShareKey, want: Want) {
        self.wanted().insert(share, want);
        self.idle.send_replace(false);
        self.changed.notify_one();
    }

    /// Puts whatever is wanted, as long as it is polled.
    pub(super) async fn run(self: Arc<Self>) {
        let mut putting = Putting {
            plan: Plan::new(self.heart.network()),
            put: BTreeMap::new(),
            again: Vec::new(),
            shares: BTreeSet::new(),
        };
        let mut phase = self.heart.phase.subscribe();
        let mut pause = AGAIN;
        loop {
            if phase.wait_for(|phase| *phase == Phase::On).await.is_err() {
                return;
            }
            let next = self.wanted().pop_first();
            let before = putting.waiting();
            match next {
                Some((share, Want::Publish(published))) => {
                    self.publish(&mut putting, share, *published).await;
                }
                Some((_, Want::Withdraw(withdrawal))) => {
                    self.take_back(&mut putting, &withdrawal).await;
                }
                None if putting.waiting() == 0 => {
                    if !self.idle.send_replace(true) {
                        self.heart.tell(Happened::InStep);
                    }
                    pause = AGAIN;
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep(LOOK_EVERY) => self.renew(&mut putting).await,
                    }
                }
                None => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep(pause) => self.put_again(&mut putting).await,
                    }
                    let better = putting.waiting() < before;
                    pause = if better { AGAIN } else { (pause * 2).min(AGAIN_MOST) };
                }
            }
        }
    }

    async fn publish(&self, putting: &mut Putting, share: ShareKey, published: Published) {
        let sequence = published.head.value.sequence;
        let last = putting.put.insert(share, sequence);
        let (mut batch, needed) = putting.plan.head(&published.head);
        let since = match needed {
            Needed::All => 0,
            Needed::Changed => last.map_or(0, |last| last + 1),
        };
        let pages = published.pages.into_iter().filter(|(_, root)| root.sequence >= since);
        for (page, _) in pages {
            if self.wanted().contains_key(&share) {
                // Something newer is to be put, from the page on that is reached now.
                putting.put.insert(share, last.unwrap_or(0));
                break;
            }
            let shares = Arc::clone(&self.shares);
            let made = tokio::task::spawn_blocking(move || shares.page(&share, page)).await;
            if let Ok(Some(page)) = made {
                batch.extend(putting.plan.page(&page));
            }
            if batch.len() >= BATCH || bytes_of(&batch) >= BATCH_BYTES {
                self.put(putting, std::mem::take(&mut batch)).await;
            }
        }
        self.put(putting, batch).await;
    }

    async fn take_back(&self, putting: &mut Putting, withdrawal: &Signed<Withdrawal>) {
        let share = withdrawal.value.share;
        putting.put.remove(&share);
        putting.shares.remove(&share);
        let batch = putting.plan.withdraw(withdrawal);
        self.put(putting, batch).await;
    }

    /// Puts records; those that are not kept are put again later.
    async fn put(&self, putting: &mut Putting, mut records: Vec<(RingId, Record)>) {
        while !records.is_empty() {
            let mut bytes = 0;
            let fits = records.iter().take(BATCH).take_while(|(_, record)| {
                bytes += record.bytes();
                bytes < BATCH_BYTES
            });
            let count = fits.count().max(1);
            let batch: Vec<_> = records.drain(..count).collect();
            let ended = self.heart.core.put(batch.clone()).await.unwrap_or_default();
            let settled: BTreeSet<_> = ended
                .into_iter()
                .filter(|(_, _, ended)| match ended {
                    Ok(_) | Err(Reject::Stale | Reject::Full) => true,
                    Err(Reject::Bad) => {
                        tracing::warn!("a record of ours is refused");
                        true
                    }
                    Err(Reject::NotMine | Reject::Busy) => false,
                })
                .map(|(key, slot, _)| (key, slot))
                .collect();
            let open =
                batch.into_iter().filter(|(k, record)| !settled.contains(&(*k, record.slot())));
            putting.again.extend(open);
        }
        if putting.again.len() > AGAIN_RECORDS {
            putting.again.clear();
            putting.shares.extend(putting.put.keys().copied());
        }
    }

    async fn put_again(&self, putting: &mut Putting) {
        let again = std::mem::take(&mut putting.again);
        self.put(putting, again).await;
        let shares = std::mem::take(&mut putting.shares);
        self.sign_again(putting, shares);
    }

    /// Signs shares again before what was signed runs out.
    async fn renew(&self, putting: &mut Putting) {
        let aging = self.shares.aging().into_iter().collect();
        self.sign_again(putting, aging);
    }

    fn sign_again(&self, putting: &mut Putting, shares: BTreeSet<ShareKey>) {
        for share in shares {
            putting.plan.renew(&share);
            putting.put.remove(&share);
            if let Some(published) = self.shares.sign_above(&share, 0) {
                self.wanted().entry(share).or_insert(Want::Publish(Box::new(published)));
            }
        }
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeMap<ShareKey, Want>> {
        self.wanted.lock().expect("no panic while held")
    }
}

impl Putting {
    fn waiting(&self) -> usize {
        self.again.len() + self.shares.len()
    }
}

fn bytes_of(records: &[(RingId, Record)]) -> usize {
    records.iter().map(|(_, record)| record.bytes()).sum()
}
