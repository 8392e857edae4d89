//! What this node offers, and to whom: shares, their networks and their audiences.

use std::collections::BTreeSet;

use potluck_api::{
    self as api, ApiError, DownloadInfo, Event, PeerName, Reply, ShareCommand, ShareInfo, Shares,
    Unshared,
};
use potluck_base::{ContentId, NetworkId, RelPath};
use potluck_service::share::{Sharing, offer};
use potluck_store::{Audience, Offer};
use tokio::sync::mpsc;

use crate::node::NodeHandle;
use crate::{failure, view};

/// Steps that wait for a slow door.
const STEPS_QUEUED: usize = 64;

type Events = mpsc::Sender<Event>;

impl NodeHandle {
    pub(crate) async fn share(
        &self,
        what: ShareCommand,
        events: &Events,
    ) -> Result<Reply, ApiError> {
        let known: BTreeSet<ContentId> =
            self.on_disk(|store| store.shares()).await?.into_iter().map(|s| s.id).collect();
        let sharing = self.sharing(what).await?;
        let (steps, mut heard) = mpsc::channel(STEPS_QUEUED);
        let sharing = offer(&self.inner.store, sharing, &steps);
        let telling = async {
            while let Some(step) = heard.recv().await {
                self.tell(events, view::share_event(step)).await;
            }
        };
        let shared = tokio::select! {
            shared = sharing => shared,
            () = telling => unreachable!("the sender of the steps outlives the sharing"),
        };
        drop(steps);
        while let Ok(step) = heard.try_recv() {
            self.tell(events, view::share_event(step)).await;
        }
        let offer = shared.map_err(failure::of_service)?;
        self.inner.enter_networks().await?;
        self.inner.announcing.announce(offer.clone()).await.map_err(failure::of_service)?;
        if let Some(publisher) = self.inner.publisher.get() {
            publisher.add(&offer).await;
        }
        // What a session allows was decided when it began.
        self.inner.swarms.review_audiences().await.map_err(failure::of_service)?;
        let info = self.share_info(offer.content, known.contains(&offer.content)).await?;
        Ok(Reply::Shared(info))
    }

    /// What is to be shared, where it is listed and who may have it.
    async fn sharing(&self, what: ShareCommand) -> Result<Sharing, ApiError> {
        let name = what.name.map(|name| {
            RelPath::parse_name(&name)
                .map_err(|error| ApiError::usage(format!("{name:?} cannot be a name: {error}")))
        });
        if let Some(path) = what.paths.iter().find(|path| !path.is_absolute()) {
            return Err(ApiError::usage(format!("{} is not an absolute path", path.display())));
        }
        let mut listed: BTreeSet<NetworkId> = self.networks(&what.networks)?.into_iter().collect();
        if listed.is_empty() && !what.unlisted && what.to.is_empty() {
            match self.inner.networks.ids().as_slice() {
                [] => {}
                [only] => _ = listed.insert(*only),
                _ => {
                    return Err(ApiError::usage("this node is in several networks")
                        .hint("say where with --network NAME, or --unlisted for the ticket only"));
                }
            }
        }
        if !what.to.is_empty() && !listed.is_empty() {
            return Err(ApiError::usage("--to and --network contradict each other")
                .hint("what is for named peers is listed nowhere: give them the ticket"));
        }
        if what.unlisted && !listed.is_empty() {
            return Err(ApiError::usage("--unlisted and --network contradict each other"));
        }
        let mut audience = Audience::nobody();
        if what.to.is_empty() {
            audience.anyone = listed.is_empty();
            audience.networks = listed.clone();
        }
        if !what.to.is_empty() {
            self.inner.enter_networks().await?;
        }
        for peer in &what.to {
            audience.peers.insert(self.whom(peer, None).await?.peer);
        }
        for id in &listed {
            let role = self.inner.networks.role_in(id);
            if !role.is_some_and(|role| role.may_publish()) {
                let name = self.network_name(id).name;
                return Err(ApiError::new(
                    api::ErrorKind::Denied,
                    format!("guests of {name:?} cannot publish there"),
                )
                .hint("ask an admin for an invite as a member, or use --unlisted"));
            }
        }
        Ok(Sharing {
            paths: what.paths,
            name: name.transpose()?,
            tags: what.tags,
            watch: !listed.is_empty(),
            listed,
            audience,
        })
    }

    pub(crate) async fn ls(&self) -> Result<Reply, ApiError> {
        let all = self.on_disk(|store| store.shares()).await?;
        let mut shares = Vec::new();
        for share in &all {
            shares.push(self.share_info(share.id, true).await?);
        }
        let downloads = self.on_disk(|store| store.unfinished()).await?;
        let running = |id| self.inner.swarms.is_fetching(id);
        let downloads = downloads
            .into_iter()
            .map(|d| DownloadInfo {
                id: d.content,
                name: d.name.as_str().to_owned(),
                target: d.path,
                done: d.have,
                total: d.size,
                running: running(d.content),
            })
            .collect();
        Ok(Reply::Shares(Shares { shares, downloads }))
    }

    /// A share in the words of the API.
    pub(crate) async fn share_info(
        &self,
        id: ContentId,
        known_before: bool,
    ) -> Result<ShareInfo, ApiError> {
        let (share, offers) =
            self.on_disk(move |store| Ok((store.share(&id)?, store.offers_of(&id)?))).await?;
        let share = share.ok_or_else(|| ApiError::internal("a share vanished as it was made"))?;
        let done = self.inner.swarms.receivers_done(id);
        let own = self.inner.peers.own_address();
        let all = offers.iter().fold(Audience::nobody(), |all, o| all.or(o.audience.clone()));
        let personal = !offers.is_empty() && !all.anyone && all.networks.is_empty();
        let mut info = view::share_info(&share, own, done, known_before, personal);
        if offers.is_empty() {
            return Ok(info);
        }
        let listed: BTreeSet<NetworkId> =
            offers.iter().flat_map(|offer| offer.listed.iter().copied()).collect();
        info.networks = listed.iter().map(|id| self.network_name(id)).collect();
        info.tags = offers.iter().flat_map(|offer| offer.tags.iter().cloned()).collect();
        info.watched = offers.iter().any(|offer| offer.watch);
        if let Some(offer) = offers.iter().find(|offer| !offer.downloaded) {
            info.paths = offer.paths.clone();
        }
        info.audience = self.audience_to_api(&all);
        Ok(info)
    }

    fn audience_to_api(&self, all: &Audience) -> api::Audience {
        api::Audience {
            anyone: all.anyone,
            networks: all.networks.iter().map(|id| self.network_name(id)).collect(),
            peers: all.peers.iter().map(|id| PeerName { id: *id, nick: None }).collect(),
        }
    }

    pub(crate) async fn unshare(&self, id: String) -> Result<Reply, ApiError> {
        let named: Vec<_> = self
            .on_disk(|store| store.shares())
            .await?
            .into_iter()
            .filter(|share| share.name.as_str() == id)
            .collect();
        let id = match named.as_slice() {
            [only] => only.id.to_string(),
            [] => id,
            _ => {
                return Err(ApiError::usage(format!("several shares are called {id:?}"))
                    .hint("name one by its id: \"potluck ls\" shows them"));
            }
        };
        let (gone, offers) = self.on_disk(move |store| store.unshare(&id)).await?;
        self.inner.swarms.close(gone.id).await;
        if offers.iter().any(|offer| !offer.listed.is_empty()) {
            self.inner.enter_networks().await?;
        }
        for offer in offers {
            self.take_back(&offer).await;
        }
        Ok(Reply::Unshared(Unshared { id: gone.id, name: gone.name.as_str().to_owned() }))
    }

    /// Takes an offer out of the directories, and stops watching it.
    async fn take_back(&self, offer: &Offer) {
        if let Some(publisher) = self.inner.publisher.get() {
            publisher.remove(offer.key).await;
        }
        self.inner.announcing.withdraw(offer.key).await;
    }

    /// Takes everything back that is published in a network; what is published elsewhere too stays
    /// there.
    pub(crate) async fn withdraw_all(&self, network: &NetworkId) -> Result<(), ApiError> {
        for mut offer in self.on_disk(|store| store.offers()).await? {
            if !offer.listed.remove(network) {
                continue;
            }
            offer.audience.networks.remove(network);
            let nobody = offer.listed.is_empty() && offer.audience == Audience::nobody();
            let (content, kept) = (offer.content, offer.clone());
            if nobody {
                self.take_back(&offer).await;
                self.on_disk(move |store| store.remove_offer(&kept.key)).await?;
                self.inner.swarms.close(content).await;
            } else {
                self.on_disk(move |store| store.put_offer(&kept)).await?;
                self.inner.announcing.announce(offer).await.map_err(failure::of_service)?;
            }
        }
        self.inner.swarms.review_audiences().await.map_err(failure::of_service)?;
        Ok(())
    }
}
