//! Fetches what this node is to hold, from whoever has it: its publisher, the others who keep its
//! key, and whom the directory knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerId, limits};
use potluck_content::{Ticket, TicketKind};
use potluck_store::{HeldClaim, OnExists, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::StoredService;
use super::hold::Progress;
use crate::error::ServiceError;
use crate::fetch::{Fetch, Step};

/// Steps of a fetch that wait to be looked at.
const STEPS_QUEUED: usize = 16;
/// How often it is tried to delete what is still being closed, and the pause in between.
const CLOSE_TRIES: u32 = 20;
const CLOSE_PAUSE: Duration = Duration::from_millis(50);

/// The fetching of one file, over several attempts.
pub(super) struct Job {
    running: Option<Running>,
    have: Arc<AtomicU64>,
    /// Who asked about our copy: they have one, or know why there should be one.
    askers: BTreeSet<PeerId>,
    failed: u32,
    /// How long the file was taken to be.
    size: Option<u64>,
    /// Why it did not come, and when it is tried again.
    again: Option<Failure>,
}

/// An attempt that failed.
struct Failure {
    /// When there is to be another.
    at: Instant,
    /// Half a sentence.
    why: String,
    /// Whether there is hope that the next one does better.
    hope: bool,
}

/// An attempt in progress.
struct Running {
    publisher: Option<PeerId>,
    cancel: CancellationToken,
    ended: watch::Receiver<()>,
}

impl Job {
    fn new() -> Self {
        let (have, askers) = (Arc::default(), BTreeSet::new());
        Self { running: None, have, askers, failed: 0, size: None, again: None }
    }

    pub(super) fn progress(&self) -> Progress {
        match &self.again {
            // Somebody who waits for it is told of the trouble until bytes come again.
            Some(Failure { why, hope, .. }) if self.running.is_none() || !hope => {
                Progress::Failed { why: why.clone(), hope: *hope }
            }
            _ => Progress::Coming { have: self.have.load(Ordering::Relaxed) },
        }
    }

    /// When it is to be tried again; none while it is being tried.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let failure = self.again.as_ref().filter(|_| self.running.is_none())?;
        Some(failure.at)
    }

    /// Whether it failed for a reason that does not go away by itself.
    pub(super) fn is_hopeless(&self) -> bool {
        self.again.as_ref().is_some_and(|failure| !failure.hope)
    }

    /// Somebody asked about the copy; whether that is news.
    pub(super) fn asked_by(&mut self, peer: PeerId) -> bool {
        self.askers.len() < limits::COPY_ASKERS && self.askers.insert(peer)
    }

    /// It need not wait any longer.
    pub(super) fn try_now(&mut self) {
        self.failed = 0;
        if let Some(failure) = &mut self.again {
            failure.at = Instant::now();
        }
    }

    fn is_due(&self) -> bool {
        self.running.is_none() && self.next_try().is_none_or(|at| at <= Instant::now())
    }
}

impl StoredService {
    /// Has everything fetched that is to be held and is not here. A thorough look sees what
    /// vanished, too.
    pub(super) async fn fetch_missing(
        self: &Arc<Self>,
        thorough: bool,
    ) -> Result<(), ServiceError> {
        let looked_at: Vec<ContentId> = {
            let holds = self.holds();
            if thorough { holds.book.contents().collect() } else { holds.not_here() }
        };
        if looked_at.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let seen = tokio::task::spawn_blocking(move || {
            let look = |content: ContentId| Ok((content, store.is_here(&content)?));
            let seen: Result<Vec<_>, ServiceError> = looked_at.into_iter().map(look).collect();
            Ok::<_, ServiceError>((seen?, store.claims()?))
        });
        let (seen, claims) = seen.await??;
        let mut by_content: BTreeMap<ContentId, Vec<HeldClaim>> = BTreeMap::new();
        for claim in claims {
            by_content.entry(claim.content).or_default().push(claim);
        }
        let mut holds = self.holds();
        let mut due = Vec::new();
        for (content, here) in seen {
            holds.set_here(content, here);
            if here {
                holds.jobs.remove(&content);
            } else if let Some(claims) = by_content.remove(&content) {
                let job = holds.jobs.entry(content).or_insert_with(Job::new);
                if job.is_due() {
                    due.push((job.failed, content, claims));
                }
            }
        }
        // What never failed goes first, and nobody has more than a part of what can be done at a
        // time: whoever floods us does not keep others waiting.
        due.sort_by_key(|(failed, ..)| *failed);
        for (_, content, claims) in due {
            let publisher = claims.first().map(|claim| claim.peer);
            let running = || holds.jobs.values().filter_map(|job| job.running.as_ref());
            let of_this = running().filter(|running| running.publisher == publisher).count();
            let free = running().count() < limits::HOLDS_AT_A_TIME;
            if !free || of_this >= limits::HOLDS_AT_A_TIME_FOR_ONE {
                continue;
            }
            if let Some(job) = holds.jobs.get_mut(&content) {
                self.begin(content, job, claims);
            }
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, content: ContentId, job: &mut Job, claims: Vec<HeldClaim>) {
        let cancel = CancellationToken::new();
        let (end, ended) = watch::channel(());
        let publisher = claims.first().map(|claim| claim.peer);
        let askers = job.askers.clone();
        job.running = Some(Running { publisher, cancel: cancel.clone(), ended });
        // The content decides how long it is: of several who say something, each is tried in turn.
        let sizes: BTreeSet<u64> = claims.iter().map(|claim| claim.bytes).collect();
        let size = sizes.iter().copied().cycle().nth(job.failed as usize % sizes.len().max(1));
        let size = size.unwrap_or(0);
        let afresh = sizes.len() > 1 && job.size != Some(size);
        job.size = Some(size);
        let (service, have) = (Arc::clone(self), Arc::clone(&job.have));
        self.spawn(async move {
            let work = async {
                if afresh {
                    service.discard(content).await?;
                }
                service.fetch((content, size), &claims, askers, &have).await
            };
            let outcome = tokio::select! {
                outcome = work => Some(outcome),
                () = cancel.cancelled() => None,
            };
            service.ended(content, outcome);
            drop(end);
        });
    }

    /// An attempt has ended, or was ended.
    fn ended(&self, content: ContentId, outcome: Option<Result<(), ServiceError>>) {
        {
            let mut holds = self.holds();
            match outcome {
                Some(Ok(())) => {
                    tracing::info!(content = %content.short(), "held for others");
                    holds.jobs.remove(&content);
                    holds.set_here(content, true);
                }
                Some(Err(error)) => {
                    tracing::info!(content = %content.short(), %error, "not held yet");
                    if let Some(job) = holds.jobs.get_mut(&content) {
                        job.running = None;
                        let (least, most) = self.pace.retry;
                        let pause = least.saturating_mul(1 << job.failed.min(16)).min(most);
                        job.failed += 1;
                        let hope = !is_full(&error);
                        let at = Instant::now() + pause;
                        job.again = Some(Failure { at, why: in_words(&error), hope });
                    }
                }
                None => {
                    holds.jobs.remove(&content);
                }
            }
        }
        self.kick.notify_one();
    }

    async fn fetch(
        &self,
        (content, size): (ContentId, u64),
        claims: &[HeldClaim],
        askers: BTreeSet<PeerId>,
        have: &AtomicU64,
    ) -> Result<(), ServiceError> {
        let networks: Vec<NetworkId> = claims.iter().map(|claim| claim.network).collect();
        let mut providers: Vec<PeerId> = askers.into_iter().collect();
        providers.extend(claims.iter().map(|claim| claim.peer));
        for circle in networks.iter().filter_map(|network| self.circles.get(network)) {
            // Without the others there is still the publisher.
            providers.extend(circle.keepers(content).await.unwrap_or_default());
        }
        providers.retain(|peer| *peer != self.own);
        providers.sort_unstable();
        providers.dedup();
        let store = self.store.clone();
        let read = move || {
            let audience = store.audience(&content)?.unwrap_or_default();
            Ok::<_, ServiceError>((store.held_place(&content)?, audience))
        };
        let ((folder, name), audience) = tokio::task::spawn_blocking(read).await??;
        let peers = &self.fetcher.peers;
        let fetch = Fetch {
            ticket: Ticket {
                content,
                kind: TicketKind::File { size, executable: false },
                name: name.clone(),
                providers: providers.iter().map(|peer| peers.address(*peer)).collect(),
                personal: false,
            },
            folder,
            name: Some(name),
            selection: Vec::new(),
            on_exists: OnExists::Overwrite,
            give_up_after: Some(self.pace.patience),
            audience,
            networks,
            offer: None,
        };
        let (steps, mut heard) = mpsc::channel(STEPS_QUEUED);
        let mut work = Box::pin(self.fetcher.fetch(fetch, &steps));
        loop {
            tokio::select! {
                outcome = &mut work => return outcome.map(|_| ()),
                Some(step) = heard.recv() => if let Step::Progress { done, .. } = step {
                    have.store(done, Ordering::Relaxed);
                }
            }
        }
    }

    /// Deletes what came of a file that was taken to have another length.
    async fn discard(&self, content: ContentId) -> Result<(), ServiceError> {
        let store = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || store.discard_held(&content)).await??)
    }

    /// Ends an attempt, and waits until nothing of it is going on any more.
    pub(super) async fn end_fetch(&self, content: ContentId) {
        let running = self.holds().jobs.remove(&content).and_then(|job| job.running);
        if let Some(mut running) = running {
            running.cancel.cancel();
            // It ends with its sender.
            let _ = running.ended.changed().await;
        }
    }

    /// Forgets what is held for these, on disk. What was being fetched a moment ago is let go of by
    /// the engine in its own time.
    pub(super) async fn drop_claims(
        &self,
        content: ContentId,
        gone: &[super::Claimant],
    ) -> Result<(), ServiceError> {
        for turn in 1.. {
            let (store, gone) = (self.store.clone(), gone.to_vec());
            let dropped = tokio::task::spawn_blocking(move || store.drop_claims(&content, &gone));
            match dropped.await? {
                Err(StoreError::Busy { .. }) if turn < CLOSE_TRIES => {
                    tokio::time::sleep(CLOSE_PAUSE).await;
                }
                dropped => {
                    dropped?;
                    break;
                }
            }
        }
        tracing::info!(content = %content.short(), "no longer held for others");
        Ok(())
    }
}

/// Whether a file did not come because there is no room for it on the disk: then it is others'.
fn is_full(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Store(StoreError::NoSpace { .. }))
}

/// Why a file could not be fetched, as half a sentence about the node that was to have it.
fn in_words(error: &ServiceError) -> String {
    match error {
        full if is_full(full) => "its disk is full",
        ServiceError::Store(_) => "its disk cannot be written to",
        ServiceError::NoProviders | ServiceError::NotShared => {
            "nobody whom it reaches has the file"
        }
        ServiceError::Unreachable { .. } => "it reaches nobody who has the file",
        ServiceError::GaveUp(_) => "nothing comes to it from those who have the file",
        ServiceError::Busy(_) => "it is busy with the file already",
        other => return other.to_string(),
    }
    .to_owned()
}
