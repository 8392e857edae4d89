//! Puts files into networks, and takes them out again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{NetworkId, ShareKey, limits};
use potluck_proto::CopySaid;
use potluck_store::{Audience, Offer, OwnDeposit};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::circle::{Circle, Put as CirclePut};
use super::copies::{self, Heard};
use super::{CopyState, Deposit, Put, Removed, Step, StoredService};
use crate::error::ServiceError;
use crate::share::{ShareStep, Sharing, offer};

/// Steps of sharing that wait to be told on.
const STEPS_QUEUED: usize = 16;
/// How long holders are waited for that a file is taken from.
const DROP_TIME: Duration = Duration::from_secs(5);

impl StoredService {
    /// Shares a file with the members of a network, and waits until copies of it are where they
    /// are to be, or everybody who could have one was tried. Fewer than wanted is no error, none
    /// is.
    pub async fn put(&self, put: Put, steps: &mpsc::Sender<Step>) -> Result<Deposit, ServiceError> {
        let refuse =
            |why: &str| ServiceError::NotStorable { path: put.path.clone(), why: why.to_owned() };
        if !(1..=limits::DEPOSIT_COPIES).contains(&put.copies) {
            let most = limits::DEPOSIT_COPIES;
            return Err(refuse(&format!("there can be 1 to {most} copies")));
        }
        let circle = self.circle(&put.network)?;
        match tokio::fs::metadata(&put.path).await {
            Ok(meta) if meta.is_file() => {}
            Ok(meta) if meta.is_dir() => return Err(refuse("it is a folder, not a file")),
            Ok(_) => return Err(refuse("it is no file")),
            Err(error) => return Err(refuse(&error.to_string())),
        }
        let (offer, earlier, bytes) = self.share(&put, steps).await?;
        // Nobody listening is no fault, here and below.
        let _ = steps.send(Step::Placing).await;
        let known = self.own_of(&offer, &put.network).await?;
        let made = match (&known, earlier) {
            (Some(known), Some(earlier)) if known.offer == Some(earlier) => Some(earlier),
            (_, Some(_)) => None,
            (_, None) => Some(offer.key),
        };
        let mut own = OwnDeposit {
            network: put.network,
            content: offer.content,
            name: offer.name.clone(),
            bytes,
            copies: put.copies,
            sequence: 0,
            expires_ms: 0,
            removed: false,
            offer: made,
            heard: known.as_ref().map(|known| known.heard.clone()).unwrap_or_default(),
        };
        match self.place(&circle, &mut own, steps).await {
            Err(error) if known.is_none() => {
                // As if it had never been tried.
                if let Err(undone) = self.take_out(own).await {
                    tracing::warn!(error = %undone, "a file that has no copies is still listed");
                }
                Err(error)
            }
            placed => placed,
        }
    }

    /// Shares the file from where it lies: the offer, that of the same path before if there was
    /// one, and its bytes.
    async fn share(
        &self,
        put: &Put,
        steps: &mpsc::Sender<Step>,
    ) -> Result<(Offer, Option<ShareKey>, u64), ServiceError> {
        let (store, paths) = (self.store.clone(), vec![put.path.clone()]);
        let same = move |offer: &Offer| !offer.downloaded && offer.paths == paths;
        let before = tokio::task::spawn_blocking(move || store.offers()).await??;
        let before = before.into_iter().rfind(same);
        let network = put.network;
        let mut sharing = Sharing {
            paths: vec![put.path.clone()],
            name: None,
            tags: Vec::new(),
            listed: BTreeSet::from([network]),
            audience: Audience::network(network),
            watch: false,
        };
        if let Some(before) = &before {
            // Whatever it was shared for before, it still is.
            sharing.name = Some(before.name.clone());
            sharing.tags.clone_from(&before.tags);
            sharing.listed.extend(&before.listed);
            sharing.audience = sharing.audience.or(before.audience.clone());
            sharing.watch = before.watch;
        }
        let offer = self.hash(sharing, steps).await?;
        let (store, content) = (self.store.clone(), offer.content);
        let share = tokio::task::spawn_blocking(move || store.share_record(&content)).await??;
        let share = share.ok_or_else(|| changed(&put.path))?;
        self.fetcher.announcing.announce(offer.clone()).await?;
        self.fetcher.swarms.review_audiences().await?;
        Ok((offer, before.map(|before| before.key), share.size))
    }

    async fn hash(
        &self,
        sharing: Sharing,
        steps: &mpsc::Sender<Step>,
    ) -> Result<Offer, ServiceError> {
        let (tell, mut heard) = mpsc::channel(STEPS_QUEUED);
        let mut work = Box::pin(offer(&self.store, sharing, &tell));
        loop {
            tokio::select! {
                offer = &mut work => return offer,
                Some(step) = heard.recv() => if let ShareStep::Hashing { done, total, .. } = step {
                    let _ = steps.try_send(Step::Hashing { done, total });
                }
            }
        }
    }

    /// What was put into the network before of the same content.
    async fn own_of(
        &self,
        offer: &Offer,
        network: &NetworkId,
    ) -> Result<Option<OwnDeposit>, ServiceError> {
        let store = self.store.clone();
        let own = tokio::task::spawn_blocking(move || store.deposits()).await??;
        let same = |one: &OwnDeposit| one.content == offer.content && one.network == *network;
        Ok(own.into_iter().find(|one| same(one) && !one.removed))
    }

    /// Has a deposit of ours kept, and waits for its copies.
    async fn place(
        &self,
        circle: &Arc<dyn Circle>,
        own: &mut OwnDeposit,
        steps: &mpsc::Sender<Step>,
    ) -> Result<Deposit, ServiceError> {
        let no_copies = |why: String| ServiceError::NoCopies { why };
        match self.publish(circle, own).await {
            Ok(CirclePut::Kept(_) | CirclePut::Stale) => {}
            Ok(CirclePut::Refused(why)) => {
                return Err(no_copies(format!("those who keep its key refuse it ({why:?})")));
            }
            Err(error) => return Err(no_copies(error.to_string())),
        }
        let awaited = self.await_copies(circle, own, steps).await?;
        copies::note(own, &awaited.copies);
        self.save(own).await?;
        let view = copies::view(own);
        if copies::count(&view.copies) == 0 && !view.copies.iter().any(is_coming) {
            return Err(no_copies(view.why.unwrap_or_default()));
        }
        Ok(view)
    }

    /// Looks at every copy of this node's files now, or of one that is named, and waits until those
    /// are made that are missing; how many that were.
    pub async fn repair(
        &self,
        what: Option<&str>,
        network: Option<&NetworkId>,
        steps: &mpsc::Sender<Step>,
    ) -> Result<(Vec<Deposit>, u32), ServiceError> {
        self.look_soon();
        let (mut all, mut made) = (Vec::new(), 0);
        for mut own in self.meant(what, network).await? {
            let circle = self.circle(&own.network)?;
            let _ = steps.send(Step::Placing).await;
            self.publish(&circle, &mut own).await?;
            let awaited = self.await_copies(&circle, &own, steps).await?;
            made += awaited.made;
            copies::note(&mut own, &awaited.copies);
            self.save(&own).await?;
            all.push(copies::view(&own));
        }
        Ok((all, made))
    }

    /// Takes a file out of its network again: whoever holds it drops it, at once or on hearing of
    /// it.
    pub async fn remove(
        &self,
        what: &str,
        network: Option<&NetworkId>,
    ) -> Result<Removed, ServiceError> {
        let mut meant = self.meant(Some(what), network).await?;
        if meant.len() > 1 {
            return Err(ServiceError::SeveralStored(what.to_owned()));
        }
        let own = meant.pop().ok_or_else(|| ServiceError::NotStored(what.to_owned()))?;
        let before = copies::view(&own);
        let there = before.copies.iter().filter(|copy| copy.state == CopyState::There);
        let there: Vec<_> = there.map(|copy| copy.peer).collect();
        let told = self.take_out(own).await?;
        let mut removed = Removed {
            content: before.content,
            name: before.name,
            network: before.network,
            dropped: 0,
            copies: there.len() as u32,
        };
        let until = Instant::now() + DROP_TIME.min(self.pace.patience);
        while told && removed.dropped < removed.copies && Instant::now() < until {
            let heard = self.ask_copies(&there, before.network, before.content).await;
            let dropped =
                |heard: &&Heard| matches!(heard, Heard::Said(said) if *said != CopySaid::There);
            removed.dropped = heard.values().filter(dropped).count() as u32;
            if removed.dropped < removed.copies {
                tokio::time::sleep(self.pace.ask).await;
            }
        }
        Ok(removed)
    }

    /// Signs that a deposit of ours is taken back, and tells the network; whether it was told. If
    /// not, it is later.
    pub(super) async fn take_out(&self, mut own: OwnDeposit) -> Result<bool, ServiceError> {
        own.removed = true;
        let offer = own.offer.take();
        self.renew(&mut own).await?;
        if let Some(key) = offer {
            let store = self.store.clone();
            tokio::task::spawn_blocking(move || store.remove_offer(&key)).await??;
            self.fetcher.announcing.withdraw(key).await;
            self.fetcher.swarms.review_audiences().await?;
        }
        Ok(self.tell_removed(&own).await)
    }

    /// Tells a network that a deposit of ours is taken back, and forgets it then.
    pub(super) async fn tell_removed(&self, own: &OwnDeposit) -> bool {
        let Some(circle) = self.circles.get(&own.network) else { return false };
        match circle.put(self.sign(own)).await {
            Ok(CirclePut::Kept(_) | CirclePut::Stale) => {}
            Ok(CirclePut::Refused(why)) => {
                tracing::warn!(?why, "nobody takes note that a file is taken back");
                return false;
            }
            Err(error) => {
                tracing::info!(%error, "that a file is taken back is told later");
                return false;
            }
        }
        let (store, network, content) = (self.store.clone(), own.network, own.content);
        let forgotten =
            tokio::task::spawn_blocking(move || store.remove_deposit(&network, &content)).await;
        if !matches!(forgotten, Ok(Ok(()))) {
            tracing::warn!("a deposit that was taken back is still noted");
        }
        true
    }
}

fn is_coming(copy: &super::Copy) -> bool {
    copy.state == CopyState::Coming
}

fn changed(path: &Path) -> ServiceError {
    let why = "it was changed while it was read".to_owned();
    ServiceError::NotStorable { path: PathBuf::from(path), why }
}
