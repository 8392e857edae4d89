//! What a directory tells, once its signatures were checked.

use std::collections::BTreeSet;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId};
use potluck_proto::directory::record::Presence;
use potluck_proto::directory::tracker::{self as wire, HitProof, ProviderRecord, Standing};

use super::{Found, Group, Hit, Offered, Outside, Provider};
use crate::chance::now_ms;

/// Checks what a directory found: what its peers did not sign is dropped.
pub(super) fn found(network: NetworkId, mut found: wire::Found) -> Found {
    let lies = found.drop_lies(&network, now_ms());
    if lies > 0 {
        tracing::warn!(lies, network = %network.short(), "unsigned results dropped");
    }
    let groups = found.groups.into_iter().map(|group| Group {
        content: group.content,
        size: group.size,
        kind: group.kind,
        online: group.online,
        providers: group.providers,
        partial: group.partial,
        newest_s: group.newest_s,
        hits: group.hits.into_iter().map(hit).collect(),
        networks: BTreeSet::from([network]),
    });
    Found {
        groups: groups.collect(),
        more: found.more,
        did_you_mean: found.did_you_mean,
        stale_ms: None,
    }
}

fn hit(hit: wire::Hit) -> Hit {
    let by = match hit.proof {
        HitProof::Page(_) | HitProof::Head(_) => Offered::Member(hit.peer, hit.share),
        HitProof::Unverified { host, port, number, .. } => {
            Offered::Outside(Outside { host, port, number })
        }
    };
    Hit { by, entry: hit.entry, online: hit.online, last_seen_ms: hit.last_seen_ms }
}

/// Whether a provider has only a part: its share's head says so.
fn is_partial(hit: &wire::Hit) -> bool {
    matches!(&hit.proof, HitProof::Head(head) if head.value.partial)
}

/// A provider, if it says itself that it has the content, and is somebody else than us.
pub(super) fn provider(
    network: &NetworkId,
    own: PeerId,
    content: &ContentId,
    record: ProviderRecord,
) -> Option<Provider> {
    let standing = record.check(network, content, now_ms()).ok()?;
    if standing == Standing::Unverified || record.peer == own {
        return None;
    }
    let nick = record.presence.as_ref().map_or(String::new(), |p| p.value.nick.clone());
    let address = match &record.presence {
        Some(presence) => address_of(&presence.value),
        None => PeerAddr::unknown(record.peer),
    };
    let partial = is_partial(&record.hit);
    Some(Provider {
        peer: record.peer,
        nick,
        address,
        online: record.online,
        last_seen_ms: record.last_seen_ms,
        partial,
        entry: record.hit.entry,
    })
}

/// Where a peer says that it is.
pub(super) fn address_of(presence: &Presence) -> PeerAddr {
    PeerAddr {
        id: presence.peer,
        direct: presence.addresses.clone(),
        relay: presence.relay.clone(),
    }
}
