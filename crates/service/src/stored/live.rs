//! The circles that this node stands on, as stored files need them.

use std::sync::Arc;

use potluck_base::{ContentId, NetworkId, PeerId};
use potluck_identity::Signed;
use potluck_proto::directory::chord::Reject;
use potluck_proto::directory::chord::index::Deposit;
use tokio::sync::watch;

use super::circle::{Circle, Circles, Put};
use crate::directory::chord::ChordDirectory;
use crate::directory::{Answer, Directory};
use crate::networks::Networks;

impl Circle for ChordDirectory {
    fn network(&self) -> NetworkId {
        Directory::network(self)
    }

    fn put(&self, deposit: Signed<Deposit>) -> Answer<'_, Put> {
        Box::pin(async move {
            Ok(match self.put_deposit(deposit).await? {
                Ok(copies) => Put::Kept(copies),
                Err(Reject::Stale) => Put::Stale,
                Err(why) => Put::Refused(why),
            })
        })
    }

    fn kept(&self) -> Vec<Signed<Deposit>> {
        self.deposits()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.deposit_changes()
    }

    fn keepers(&self, content: ContentId) -> Answer<'_, Vec<PeerId>> {
        Box::pin(ChordDirectory::keepers(self, content))
    }

    fn deposits_of(&self, content: ContentId) -> Answer<'_, Vec<Signed<Deposit>>> {
        Box::pin(ChordDirectory::deposits_of(self, content))
    }
}

impl Circles for Networks {
    fn get(&self, network: &NetworkId) -> Option<Arc<dyn Circle>> {
        self.circle(network).ok().map(|circle| circle as Arc<_>)
    }

    fn all(&self) -> Vec<Arc<dyn Circle>> {
        self.ids().iter().filter_map(|network| Circles::get(self, network)).collect()
    }
}
