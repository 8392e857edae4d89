//! All that a tracker has in memory, for whoever runs it.

use std::fmt::Debug;

use potluck_base::{NetworkId, PeerId};
use potluck_identity::NetworkRecord;

use super::Registry;
use crate::directory::record::Presence;
use crate::directory::tracker::message::MemberInfo;

/// The networks of a tracker and who is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The networks.
    pub networks: Vec<SurveyedNetwork>,
    /// The members of all of them.
    pub members: Vec<SurveyedMember>,
    /// Peers that are not let in.
    pub banned: Vec<PeerId>,
}

/// A network, in sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedNetwork {
    /// What it is.
    pub record: NetworkRecord,
    /// How many are in it.
    pub members: usize,
    /// How many of them are there now.
    pub online: usize,
    /// Members that were revoked.
    pub revoked: usize,
    /// Shares that are listed.
    pub shares: u64,
    /// Files and folders in them.
    pub files: u64,
    /// Their bytes, as the members say.
    pub bytes: u64,
}

/// A member of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedMember {
    /// Of which network.
    pub network: NetworkId,
    /// What other members may know of it.
    pub info: MemberInfo,
    /// Where it said that it is.
    pub presence: Option<Presence>,
}

impl<P: Copy + Ord + Debug> Registry<P> {
    pub(super) fn survey(&self) -> Survey {
        let mut survey =
            Survey { banned: self.banned.iter().copied().collect(), ..Survey::default() };
        for (id, network) in &self.networks {
            let from = survey.members.len();
            survey.members.extend(network.members.iter().map(|(peer, member)| SurveyedMember {
                network: *id,
                info: network.info(*peer, member),
                presence: member.presence.as_ref().map(|signed| signed.value.clone()),
            }));
            let infos = || survey.members[from..].iter().map(|member| &member.info);
            survey.networks.push(SurveyedNetwork {
                record: network.record.value.clone(),
                members: network.members.len(),
                online: network.online.len(),
                revoked: network.revocations.revoked().len(),
                shares: infos().map(|info| u64::from(info.shares)).sum(),
                files: infos().map(|info| info.files).sum(),
                bytes: infos().map(|info| info.bytes).sum(),
            });
        }
        survey
    }
}
