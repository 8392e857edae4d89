//! The directory of a node without a network: it keeps nothing and finds nothing.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey};
use potluck_proto::directory::tracker::Query;

use super::{Announcement, Answer, Directory, Found, Located, Provider};

/// Stands where no directory was chosen yet, so that nothing has to ask whether there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unassigned;

impl Directory for Unassigned {
    fn network(&self) -> NetworkId {
        NetworkId([0; 32])
    }

    fn announce(&self, _share: Announcement) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn withdraw(&self, _share: ShareKey) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn search(&self, _query: Query) -> Answer<'_, Found> {
        Box::pin(async { Ok(Found::default()) })
    }

    fn providers(&self, _content: ContentId) -> Answer<'_, Vec<Provider>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn resolve(&self, _peer: PeerId) -> Answer<'_, Option<Located>> {
        Box::pin(async { Ok(None) })
    }
}
