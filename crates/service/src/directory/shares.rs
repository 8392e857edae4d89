//! What we publish in one network: signed here, page by page, when its directory wants it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use potluck_base::{NetworkId, ShareKey};
use potluck_identity::SecretKey;
use potluck_proto::directory::record::Page;
use potluck_proto::directory::tracker::{PageRoot, Published};
use potluck_store::Store;

use crate::chance::now_ms;
use crate::directory::Announcement;
use crate::error::ServiceError;
use crate::publish::{HeadFields, PagedShare};

/// The shares of one network.
pub(super) struct Shares {
    network: NetworkId,
    secret: SecretKey,
    store: Store,
    /// How long what is signed counts.
    lifetime: Duration,
    listed: Mutex<BTreeMap<ShareKey, Listed>>,
}

/// A share and its pages.
struct Listed {
    what: Announcement,
    paged: PagedShare,
    expires_ms: u64,
}

impl Shares {
    pub(super) fn new(
        network: NetworkId,
        secret: SecretKey,
        store: Store,
        lifetime: Duration,
    ) -> Self {
        Self { network, secret, store, lifetime, listed: Mutex::default() }
    }

    /// Takes a share, new or changed, and signs its head.
    pub(super) fn publish(&self, what: Announcement) -> Result<Published, ServiceError> {
        let sequence = self.store.next_sequence(now_ms())?;
        let expires_ms = self.expires_ms();
        let mut listed = self.lock();
        let entries = what.entries.as_ref().clone();
        let one = match listed.remove(&what.share) {
            Some(Listed { mut paged, .. }) => {
                paged.update(entries, sequence);
                Listed { what, paged, expires_ms }
            }
            None => {
                let pages = self.store.offer_pages(&what.share)?;
                let paged = PagedShare::new(entries, pages, sequence);
                Listed { what, paged, expires_ms }
            }
        };
        self.store.set_offer_pages(&one.what.share, one.paged.pages())?;
        let published = self.sign(&one, sequence);
        listed.insert(one.what.share, one);
        Ok(published)
    }

    fn sign(&self, one: &Listed, sequence: u64) -> Published {
        let head = one.paged.head(
            &self.secret,
            &HeadFields {
                network: self.network,
                share: one.what.share,
                name: &one.what.name,
                tags: &one.what.tags,
                content: one.what.content,
                kind: one.what.kind,
                partial: one.what.partial,
                sequence,
                expires_ms: one.expires_ms,
            },
        );
        let roots = one.paged.roots().into_iter();
        let pages = roots.map(|(page, (sequence, root))| (page, PageRoot { sequence, root }));
        Published { head, pages: pages.collect() }
    }

    /// Signs a share once more, with a sequence number above one that the tracker has.
    pub(super) fn sign_above(&self, share: &ShareKey, have: u64) -> Option<Published> {
        let sequence = self.store.next_sequence(now_ms().max(have + 1));
        let sequence = sequence.inspect_err(|error| tracing::warn!(%error, "no number")).ok()?;
        let mut listed = self.lock();
        let one = listed.get_mut(share)?;
        one.paged.renew(sequence);
        one.expires_ms = self.expires_ms();
        Some(self.sign(one, sequence))
    }

    /// The shares that are to be signed again before what was signed runs out.
    pub(super) fn aging(&self) -> Vec<ShareKey> {
        let half = self.lifetime.as_millis() as u64 / 2;
        let listed = self.lock();
        let old = listed.iter().filter(|(_, one)| one.expires_ms < now_ms() + half);
        old.map(|(share, _)| *share).collect()
    }

    /// All shares that are listed.
    pub(super) fn all(&self) -> Vec<ShareKey> {
        self.lock().keys().copied().collect()
    }

    /// Signs a page; none if it is no longer published.
    pub(super) fn page(&self, share: &ShareKey, page: u16) -> Option<Page> {
        let listed = self.lock();
        let one = listed.get(share)?;
        let made = one.paged.page(page, &self.secret, self.network, *share, one.expires_ms)?;
        made.inspect_err(|error| tracing::warn!(%share, page, %error, "a page is left out")).ok()
    }

    /// Takes a share off; the number of its withdrawal, if it was listed.
    pub(super) fn withdraw(&self, share: &ShareKey) -> Result<Option<u64>, ServiceError> {
        if self.lock().remove(share).is_none() {
            return Ok(None);
        }
        Ok(Some(self.store.next_sequence(now_ms())?))
    }

    fn expires_ms(&self) -> u64 {
        now_ms() + self.lifetime.as_millis() as u64
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShareKey, Listed>> {
        self.listed.lock().expect("no panic while held")
    }
}
