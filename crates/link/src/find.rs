//! Finding out where a peer is by its key alone, through whatever directory the node has.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use iroh::address_lookup::{AddressLookup, EndpointInfo, Error, Item};
use iroh::{EndpointId, TransportAddr};
use potluck_base::{PeerAddr, PeerId};

use crate::quic;

/// Knows where peers are, or whom to ask.
///
/// What it says is a hint: the peer proves its key whatever address it is met at.
pub trait Finder: fmt::Debug + Send + Sync + 'static {
    /// Where a peer is said to be; `None` if nobody knows.
    fn find(&self, peer: PeerId) -> BoxFuture<'static, Option<PeerAddr>>;
}

/// A [`Finder`] as iroh asks it: when it has a connection to a peer and no path any more.
#[derive(Clone, Debug)]
pub(crate) struct Lookup(pub(crate) Arc<dyn Finder>);

impl AddressLookup for Lookup {
    fn resolve(&self, endpoint_id: EndpointId) -> Option<BoxStream<'static, Result<Item, Error>>> {
        let finding = self.0.find(PeerId(*endpoint_id.as_bytes()));
        let item = async move {
            let found = finding.await?;
            let direct: Vec<_> = found.direct.iter().copied().filter(quic::is_dialable).collect();
            let target = quic::target(&found, &direct, true)?;
            let places: Vec<TransportAddr> = target.addrs.iter().cloned().collect();
            let info = EndpointInfo::from(iroh::EndpointAddr::from_parts(endpoint_id, places));
            Some(Ok(Item::new(info, "directory", None)))
        };
        Some(stream::once(item).filter_map(|item| async move { item }).boxed())
    }
}
