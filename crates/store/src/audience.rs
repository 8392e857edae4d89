//! Whom contents are for: what each offer says, and what follows for every file in a shared folder.

use std::collections::BTreeSet;

use potluck_base::{ContentId, NetworkId, PeerId};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::offers;
use crate::owners;
use crate::stored;

/// Who may have a content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Everyone who names it.
    pub anyone: bool,
    /// The members of these networks.
    pub networks: BTreeSet<NetworkId>,
    /// These peers, whatever networks they are in.
    pub peers: BTreeSet<PeerId>,
}

impl Audience {
    /// Everyone who names the content.
    pub fn anyone() -> Self {
        Self { anyone: true, ..Self::default() }
    }

    /// Nobody: a content that is kept but not served.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// The members of one network.
    pub fn network(network: NetworkId) -> Self {
        Self { networks: BTreeSet::from([network]), ..Self::default() }
    }

    /// Whether a peer is among them; `networks_of_peer` says whether it is a member of a network.
    pub fn allows(&self, peer: &PeerId, networks_of_peer: impl Fn(&NetworkId) -> bool) -> bool {
        self.anyone || self.peers.contains(peer) || self.networks.iter().any(networks_of_peer)
    }

    /// These, and those of another audience, too.
    pub fn or(mut self, other: Self) -> Self {
        self.anyone |= other.anyone;
        self.networks.extend(other.networks);
        self.peers.extend(other.peers);
        self
    }
}

/// For whom a content is, by all offers of it and of folders that have it as a file; none if it is
/// not offered. What is shared or downloaded and is no offer is for anyone; what is held for others
/// is for the members of their networks.
pub(crate) fn of(connection: &Connection, id: &ContentId) -> Result<Option<Audience>, StoreError> {
    let mut found = of_whole(connection, id)?;
    for folder in owners::contents_with(connection, id)? {
        found = match (found, of_whole(connection, &folder)?) {
            (Some(found), Some(more)) => Some(found.or(more)),
            (found, more) => found.or(more),
        };
        if found.as_ref().is_some_and(|found| found.anyone) {
            break;
        }
    }
    Ok(found)
}

/// For whom a share or download as a whole is, or what is held for others.
fn of_whole(connection: &Connection, id: &ContentId) -> Result<Option<Audience>, StoreError> {
    let networks = stored::networks_of(connection, id)?;
    let held = (!networks.is_empty()).then(|| Audience { networks, ..Audience::nobody() });
    Ok(match (of_person(connection, id)?, held) {
        (Some(person), Some(held)) => Some(person.or(held)),
        (person, held) => person.or(held),
    })
}

/// For whom the person's share or download as a whole is.
fn of_person(connection: &Connection, id: &ContentId) -> Result<Option<Audience>, StoreError> {
    let offered = offers::audiences(connection, id)?;
    if let Some(all) = offered.into_iter().reduce(Audience::or) {
        return Ok(Some(all));
    }
    let sql = "SELECT 1 FROM shares WHERE id = ?1
               UNION ALL SELECT 1 FROM downloads WHERE content = ?1 AND held = 0 LIMIT 1";
    let here = connection.prepare_cached(sql)?.query_row([id.0], |_| Ok(())).optional()?;
    Ok(here.map(|()| Audience::anyone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_anyone_members_or_named_peers() {
        let (peer, other) = (PeerId([1; 32]), PeerId([2; 32]));
        let (network, elsewhere) = (NetworkId([3; 32]), NetworkId([4; 32]));
        let member_of = |of: NetworkId| move |asked: &NetworkId| *asked == of;
        let none = |_: &NetworkId| false;
        assert!(Audience::anyone().allows(&peer, none));
        assert!(!Audience::nobody().allows(&peer, |_| true));
        let members = Audience::network(network);
        assert!(members.allows(&peer, member_of(network)));
        assert!(!members.allows(&peer, member_of(elsewhere)));
        let named = Audience { peers: BTreeSet::from([peer]), ..Audience::nobody() };
        assert!(named.allows(&peer, none) && !named.allows(&other, |_| true));
        let both = members.or(named);
        assert!(both.allows(&peer, none) && both.allows(&other, member_of(network)));
        assert!(!both.allows(&other, none));
    }
}
