//! Looks after what this node has put into networks: renews it, sees to it that its copies are
//! there, and tells what could not be told before.

use std::collections::BTreeMap;
use std::sync::Arc;

use potluck_base::{ContentId, NetworkId};
use potluck_store::OwnDeposit;
use tokio::time::Instant;

use super::hold::around;
use super::{StoredService, copies, millis};
use crate::chance::now_ms;
use crate::error::ServiceError;

/// How many looks go by before a file is looked at again whose copies were all there.
const LOOKS_APART: u32 = 10;

impl StoredService {
    /// Looks now and then at every deposit of ours.
    pub(super) async fn tend(self: Arc<Self>) {
        let mut next: BTreeMap<(NetworkId, ContentId), Instant> = BTreeMap::new();
        loop {
            tokio::time::sleep(around(self.pace.look)).await;
            let store = self.store.clone();
            let own = match tokio::task::spawn_blocking(move || store.deposits()).await {
                Ok(Ok(own)) => own,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what is stored in networks cannot be looked after");
                    continue;
                }
                Err(_) => continue,
            };
            next.retain(|key, _| own.iter().any(|one| key_of(one) == *key));
            for mut one in own {
                let key = key_of(&one);
                let due = next.get(&key).is_none_or(|at| *at <= Instant::now());
                match self.tend_one(&mut one, due).await {
                    Ok(Some(true)) => {
                        next.insert(key, Instant::now() + self.pace.look * LOOKS_APART);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let content = key.1.short();
                        tracing::debug!(%content, %error, "its copies could not be looked at");
                    }
                }
            }
        }
    }

    /// Looks after one deposit of ours: whether all its copies are there, if that was looked at.
    async fn tend_one(
        &self,
        own: &mut OwnDeposit,
        due: bool,
    ) -> Result<Option<bool>, ServiceError> {
        if own.removed {
            self.tell_removed(own).await;
            return Ok(None);
        }
        let Some(circle) = self.circles.get(&own.network) else { return Ok(None) };
        let left = own.expires_ms.saturating_sub(now_ms());
        if left < millis(self.pace.lifetime) / 3 * 2 {
            self.publish(&circle, own).await?;
        }
        if !due {
            return Ok(None);
        }
        let seen = self.look_at_copies(&circle, own).await?;
        let all = copies::count(&seen) >= u32::from(own.copies);
        let before = own.heard.clone();
        copies::note(own, &seen);
        if own.heard != before {
            self.save_heard(own).await?;
        }
        Ok(Some(all))
    }

    /// Writes down what was heard, unless the deposit was changed or taken back meanwhile.
    async fn save_heard(&self, own: &OwnDeposit) -> Result<(), ServiceError> {
        let (store, own) = (self.store.clone(), own.clone());
        let save = move || -> Result<(), ServiceError> {
            let now = store.deposits()?;
            let same = |one: &OwnDeposit| key_of(one) == key_of(&own);
            if now.iter().any(|one| same(one) && one.sequence == own.sequence) {
                store.put_deposit(&own)?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(save).await?
    }
}

fn key_of(own: &OwnDeposit) -> (NetworkId, ContentId) {
    (own.network, own.content)
}
