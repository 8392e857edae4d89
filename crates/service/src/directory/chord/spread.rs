//! How the network itself stays the same for all of its members: its record and its list of revoked
//! members go from member to member, whoever has something newer sends it.

use std::sync::Arc;

use potluck_base::PeerId;
use potluck_identity::{NetworkRecord, RevocationError, Revocations, Signed};
use potluck_proto::directory::tracker::Denial;
use potluck_proto::{CircleBody, Known};

use super::heart::Heart;
use crate::chance::now_ms;
use crate::directory::{Happened, State};
use crate::error::ServiceError;

/// A list of more than so many is not sent to everybody: they are told that there is one.
const LIST_SENT: usize = 500;

impl Heart {
    /// What we have.
    pub(super) fn known(&self) -> Known {
        let standing = self.standing();
        Known::of(&standing.record.value, &standing.revocations)
    }

    /// A member says what it has: it gets what we have that is newer.
    pub(super) fn compare(self: &Arc<Self>, with: PeerId, theirs: Known) {
        let ours = self.known();
        if ours.record > theirs.record {
            let record = self.standing().record.clone();
            self.lines.send(with, CircleBody::Record(record));
        }
        let other = ours.list == theirs.list && ours.revoked != theirs.revoked;
        if ours.list > theirs.list || other {
            let list = self.standing().revocations.clone();
            self.lines.send(with, CircleBody::Revoked(list));
        }
        if theirs.record > ours.record || theirs.list > ours.list {
            self.lines.send(with, CircleBody::Have(ours));
        }
    }

    /// A member sent a record of the network.
    pub(super) fn take_record(self: &Arc<Self>, newer: Signed<NetworkRecord>) {
        {
            let mut standing = self.standing();
            let ours = &standing.record.value;
            let is_newer = newer.value.network == ours.network
                && newer.value.sequence > ours.sequence
                && newer.value.replicas().is_some();
            if !is_newer {
                return;
            }
            if let Err(error) = newer.record() {
                return tracing::info!(%error, "a record of the network was not taken");
            }
            standing.record = newer.clone();
        }
        self.tell(Happened::Record(newer));
        self.tell_all();
    }

    /// A member sent a list of revoked members.
    pub(super) fn take_list(self: &Arc<Self>, list: Revocations) {
        let taken = {
            let mut standing = self.standing();
            let (ours, record) = (&standing.revocations, &standing.record.value);
            let next = match list.number().cmp(&ours.number()) {
                std::cmp::Ordering::Less => return,
                std::cmp::Ordering::Equal => self.both(ours, &list, record),
                std::cmp::Ordering::Greater => {
                    let mut next = ours.clone();
                    next.accept(&list, record).map(|()| Some(next))
                }
            };
            match next {
                Ok(Some(next)) => {
                    standing.revocations = next.clone();
                    next
                }
                Ok(None) => return,
                Err(error) => {
                    return tracing::info!(%error, "a list of revoked members was not taken");
                }
            }
        };
        self.in_force(taken);
    }

    /// Two admins made a list with the same number: whoever may makes the next one, with everybody
    /// who is on either.
    fn both(
        &self,
        ours: &Revocations,
        theirs: &Revocations,
        record: &NetworkRecord,
    ) -> Result<Option<Revocations>, RevocationError> {
        let new: Vec<PeerId> =
            theirs.revoked().iter().map(|one| one.peer).filter(|p| !ours.is_revoked(p)).collect();
        let by = self.parts.membership.clone();
        let may = by.verify(record, ours).is_ok_and(|role| role.may_revoke());
        if new.is_empty() || !may {
            return Ok(None);
        }
        Revocations::none(record.network).accept(theirs, record)?;
        ours.next(&self.parts.secret, by, new, now_ms()).map(Some)
    }

    /// Our own side revokes somebody.
    pub(super) fn revoke(self: &Arc<Self>, list: Revocations) -> Result<(), ServiceError> {
        {
            let mut standing = self.standing();
            let mut next = standing.revocations.clone();
            match next.accept(&list, &standing.record.value) {
                Ok(()) => standing.revocations = next,
                Err(RevocationError::Stale { .. }) if standing.revocations == list => return Ok(()),
                Err(RevocationError::Stale { have }) => return Err(Denial::Stale { have }.into()),
                Err(error) => return Err(error.into()),
            }
        }
        self.in_force(list);
        Ok(())
    }

    fn in_force(self: &Arc<Self>, list: Revocations) {
        let out = {
            let standing = self.standing();
            let (record, list) = (&standing.record.value, &standing.revocations);
            self.parts.membership.verify(record, list).is_err()
        };
        if list.revoked().len() <= LIST_SENT {
            for linked in self.lines.linked() {
                self.lines.send(linked.peer, CircleBody::Revoked(list.clone()));
            }
        } else {
            self.tell_all();
        }
        // Those who are on it have been told.
        self.bar_revoked();
        self.tell(Happened::Revoked(list));
        if out {
            self.enter(State::Expelled);
            self.lines.shut();
            self.stop.cancel();
        }
    }

    /// Says nothing any more to members who were revoked.
    pub(super) fn bar_revoked(&self) {
        let standing = self.standing();
        self.lines.bar(standing.revocations.revoked().iter().map(|one| one.peer));
    }

    fn tell_all(self: &Arc<Self>) {
        let known = self.known();
        for linked in self.lines.linked() {
            self.lines.send(linked.peer, CircleBody::Have(known));
        }
    }
}
