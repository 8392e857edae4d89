//! Memberships that people put together, forge, borrow and stretch.

use super::*;
use crate::invite::Invite;
use crate::record::DirectoryKind;
use crate::scene::{
    DAY, NETWORK, NOW, OWNER, TRACKER, admit, admit_as, by_invitation, changed, invite, invited,
    key, member, network, nobody, owner, peer, record,
};
use potluck_base::PeerAddr;

const ANN: u8 = 10;
const BEN: u8 = 11;
const EVE: u8 = 66;

fn verdict(membership: &Membership) -> Result<Role, MembershipError> {
    membership.verify(&by_invitation(), &nobody())
}

fn admissible(membership: &Membership, now_ms: u64) -> Result<Role, MembershipError> {
    let admissible = membership.may_be_admitted(&by_invitation(), &nobody(), now_ms);
    admissible.map(|(role, _)| role)
}

fn revoking(who: &[u8]) -> Revocations {
    let peers: Vec<_> = who.iter().map(|who| peer(*who)).collect();
    nobody().next(&key(OWNER), owner(), peers, NOW).unwrap()
}

/// The four parts of a membership by invite.
type Parts<'a> = (
    &'a mut Membership,
    &'a mut Signed<Capability>,
    &'a mut Signed<Redemption>,
    &'a mut Option<Signed<Admission>>,
);

fn parts(basis: &mut Basis) -> Parts<'_> {
    match basis {
        Basis::Invited { inviter, capability, redemption, admission } => {
            (inviter, capability, redemption, admission)
        }
        _ => panic!("it rests on an invite"),
    }
}

/// A chain of admins below the owner: the first is 20, the next 21, and so on.
fn chain(length: u8) -> Membership {
    (0..length).fold(owner(), |inviter, index| {
        let by = if index == 0 { OWNER } else { 19 + index };
        admit(invite(by, inviter, Role::Admin).redeem(peer(20 + index), NOW))
    })
}

#[test]
fn roles_may_what_those_before_them_may() {
    let may = |role: Role| (role.may_publish(), role.may_invite(), role.may_revoke());
    assert_eq!(may(Role::Guest), (false, false, false));
    assert_eq!(may(Role::Member), (true, false, false));
    assert_eq!(may(Role::Admin), (true, true, true));
    assert_eq!(may(Role::Owner), (true, true, true));
}

#[test]
fn an_owner_is_whom_the_networks_key_appoints() {
    assert_eq!(verdict(&owner()), Ok(Role::Owner));
    let by_other_key = Membership::owner(&key(EVE), peer(EVE), NOW);
    assert_eq!(verdict(&by_other_key), Err(MembershipError::Network));
    let renamed = changed(&by_other_key, |basis| match basis {
        Basis::Owner(appointment) => appointment.value.network = network(),
        _ => unreachable!("it was made by the network"),
    });
    let wrong = Err(MembershipError::Signature(IdentityError::Signature));
    assert_eq!(verdict(&renamed), wrong);
    let borrowed = Membership { peer: peer(EVE), ..owner() };
    assert_eq!(verdict(&borrowed), Err(MembershipError::Mismatch));
}

#[test]
fn who_redeems_an_invite_has_its_role_once_a_tracker_counted_it() {
    for role in [Role::Guest, Role::Member, Role::Admin] {
        assert_eq!(verdict(&member(ANN, role)), Ok(role));
        assert_eq!(verdict(&invited(ANN, role)), Err(MembershipError::NotAdmitted));
        assert_eq!(admissible(&invited(ANN, role), NOW + DAY), Ok(role));
    }
}

#[test]
fn an_open_network_takes_whoever_comes_and_no_other_does() {
    let stranger = Membership::open(peer(EVE));
    let open = record(Policy::Open);
    assert_eq!(stranger.verify(&open, &nobody()), Ok(Role::Member));
    assert_eq!(verdict(&stranger), Err(MembershipError::Closed));
    let revoked = Err(MembershipError::Revoked(peer(EVE)));
    assert_eq!(stranger.verify(&open, &revoking(&[EVE])), revoked);
}

#[test]
fn in_an_open_network_too_a_role_by_invite_must_be_counted() {
    let open = record(Policy::Open);
    let uncounted = invited(ANN, Role::Admin).verify(&open, &nobody());
    assert_eq!(uncounted, Err(MembershipError::NotAdmitted));
    assert_eq!(member(ANN, Role::Admin).verify(&open, &nobody()), Ok(Role::Admin));
}

#[test]
fn an_open_members_invite_is_worth_nothing() {
    let open = record(Policy::Open);
    let stranger = Membership::open(peer(EVE));
    let signed = open.clone().sign(&key(NETWORK)).unwrap();
    let refused =
        Invite::make(signed, &key(EVE), stranger, Role::Guest, 1, NOW, NOW + DAY, [9; 32]);
    assert_eq!(refused.unwrap_err(), MembershipError::Role);
}

#[test]
fn each_signature_is_checked() {
    let wrong = Err(MembershipError::Signature(IdentityError::Signature));
    let good = member(ANN, Role::Member);
    let capability = changed(&good, |basis| parts(basis).1.signature.0[3] ^= 1);
    assert_eq!(verdict(&capability), wrong);
    let redemption = changed(&good, |basis| parts(basis).2.signature.0[3] ^= 1);
    assert_eq!(verdict(&redemption), wrong);
    let admission = changed(&good, |basis| {
        parts(basis).3.as_mut().unwrap().signature.0[3] ^= 1;
    });
    assert_eq!(verdict(&admission), Err(MembershipError::NotAdmitted));
    let appointment = changed(&good, |basis| match &mut parts(basis).0.basis {
        Basis::Owner(appointment) => appointment.signature.0[3] ^= 1,
        _ => unreachable!("the owner invited"),
    });
    assert_eq!(verdict(&appointment), wrong);
}

#[test]
fn no_field_can_be_changed_after_it_was_signed() {
    type Change = fn(&mut Basis);
    let changes: &[Change] = &[
        |basis| parts(basis).1.value.role = Role::Admin,
        |basis| parts(basis).1.value.uses = 99,
        |basis| parts(basis).1.value.issued_ms += 1,
        |basis| parts(basis).1.value.expires_ms += DAY,
        |basis| parts(basis).1.value.issuer = peer(EVE),
        |basis| parts(basis).1.value.key = peer(EVE),
        |basis| parts(basis).1.value.network = key(EVE).network_id(),
        |basis| parts(basis).2.value.peer = peer(EVE),
        |basis| parts(basis).2.value.invite = peer(EVE),
        |basis| parts(basis).2.value.at_ms += 1,
        |basis| parts(basis).2.value.network = key(EVE).network_id(),
        |basis| parts(basis).3.as_mut().unwrap().value.peer = peer(EVE),
        |basis| parts(basis).3.as_mut().unwrap().value.invite = peer(EVE),
        |basis| parts(basis).3.as_mut().unwrap().value.number = 2,
        |basis| parts(basis).3.as_mut().unwrap().value.at_ms += 1,
        |basis| parts(basis).3.as_mut().unwrap().value.network = key(EVE).network_id(),
        |basis| parts(basis).0.peer = peer(EVE),
        |basis| match &mut parts(basis).0.basis {
            Basis::Owner(appointment) => appointment.value.issued_ms += 1,
            _ => unreachable!("the owner invited"),
        },
    ];
    let good = member(ANN, Role::Member);
    for (index, change) in changes.iter().enumerate() {
        assert!(verdict(&changed(&good, change)).is_err(), "change {index}");
    }
    let borrowed = Membership { peer: peer(EVE), ..good };
    assert_eq!(verdict(&borrowed), Err(MembershipError::Mismatch));
}

#[test]
fn parts_of_two_memberships_do_not_make_a_third() {
    let (ann, ben) = (member(ANN, Role::Member), member(BEN, Role::Admin));
    let swapped = [
        changed(&ann, |basis| *parts(basis).1 = parts(&mut ben.basis.clone()).1.clone()),
        changed(&ann, |basis| *parts(basis).2 = parts(&mut ben.basis.clone()).2.clone()),
        changed(&ann, |basis| *parts(basis).3 = parts(&mut ben.basis.clone()).3.clone()),
        changed(&ann, |basis| *parts(basis).0 = ben.clone()),
    ];
    for (index, swapped) in swapped.iter().enumerate() {
        assert!(verdict(swapped).is_err(), "swap {index}");
    }
    // As above, and the peer goes with the redemption.
    let stolen = Membership { peer: peer(BEN), ..swapped[1].clone() };
    assert_eq!(verdict(&stolen), Err(MembershipError::Signature(IdentityError::Signature)));
}

#[test]
fn a_statement_of_one_kind_is_worth_nothing_as_another() {
    let (network, invite, peer) = (network(), peer(ANN), peer(BEN));
    let redemption = Redemption { network, invite, peer, at_ms: NOW };
    let as_redemption = Signed::sign(&key(EVE), redemption);
    let admission = Admission { network, invite, peer, number: 1, at_ms: NOW };
    let as_admission = Signed { value: admission, signature: as_redemption.signature };
    let refused = as_admission.verify(&crate::scene::peer(EVE));
    assert_eq!(refused, Err(IdentityError::Signature));
}

#[test]
fn only_a_tracker_of_the_record_admits() {
    let by = |who| admit_as(invited(ANN, Role::Member), who, 1);
    assert_eq!(verdict(&by(TRACKER)), Ok(Role::Member));
    for other in [OWNER, NETWORK, ANN, EVE] {
        assert_eq!(verdict(&by(other)), Err(MembershipError::NotAdmitted), "{other}");
    }
    let mut two = by_invitation();
    let mut trackers = two.trackers().to_vec();
    trackers.push(PeerAddr::unknown(peer(EVE)));
    two.directory = DirectoryKind::Tracker { trackers };
    assert_eq!(by(EVE).verify(&two, &nobody()), Ok(Role::Member));
}

#[test]
fn an_invite_admits_as_often_as_it_says() {
    let number = |number| verdict(&admit_as(invited(ANN, Role::Member), TRACKER, number));
    let refused = Err(MembershipError::NotAdmitted);
    assert_eq!([number(0), number(4), number(u32::MAX)], [refused; 3]);
    assert_eq!([number(1), number(3)], [Ok(Role::Member); 2]);
}

#[test]
fn a_role_is_given_only_by_who_has_it() {
    // What `Invite::make` refuses is made by hand.
    let escalate = |by: u8, inviter: Membership, role| {
        let invite_key = key(150);
        let capability = Capability {
            network: network(),
            key: invite_key.peer_id(),
            role,
            uses: 1,
            issued_ms: NOW,
            expires_ms: NOW + DAY,
            issuer: peer(by),
        };
        let (network, invite) = (network(), invite_key.peer_id());
        let redemption = Redemption { network, invite, peer: peer(EVE), at_ms: NOW };
        admit(Membership {
            peer: peer(EVE),
            basis: Basis::Invited {
                inviter: Box::new(inviter),
                capability: Signed::sign(&key(by), capability),
                redemption: Signed::sign(&invite_key, redemption),
                admission: None,
            },
        })
    };
    let refused = Err(MembershipError::Role);
    assert_eq!(verdict(&escalate(OWNER, owner(), Role::Owner)), refused, "there is one way");
    assert_eq!(verdict(&escalate(ANN, member(ANN, Role::Admin), Role::Owner)), refused);
    assert_eq!(verdict(&escalate(ANN, member(ANN, Role::Member), Role::Guest)), refused);
    assert_eq!(verdict(&escalate(ANN, member(ANN, Role::Guest), Role::Guest)), refused);
    assert_eq!(verdict(&escalate(ANN, member(ANN, Role::Admin), Role::Admin)), Ok(Role::Admin));
    let own = escalate(OWNER, owner(), Role::Owner);
    let admission = own.may_be_admitted(&by_invitation(), &nobody(), NOW);
    assert_eq!(admission.unwrap_err(), MembershipError::Role);
}

#[test]
fn an_inviter_must_be_admitted_too() {
    // What `Invite::make` refuses: Ann was invited, and invites before the tracker counted her.
    let ann = invited(ANN, Role::Admin);
    let admitted = invite(ANN, admit(ann.clone()), Role::Member).redeem(peer(BEN), NOW);
    let early = changed(&admitted, |basis| *parts(basis).0 = ann);
    assert_eq!(verdict(&admit(early.clone())), Err(MembershipError::NotAdmitted));
    assert_eq!(admissible(&early, NOW), Err(MembershipError::NotAdmitted));
    assert_eq!(admissible(&admitted, NOW), Ok(Role::Member));
}

#[test]
fn who_is_revoked_is_out_and_who_was_invited_before_stays() {
    let ben = invite(ANN, member(ANN, Role::Admin), Role::Member).redeem(peer(BEN), NOW);
    let (record, list) = (by_invitation(), revoking(&[ANN]));
    let revoked = MembershipError::Revoked(peer(ANN));
    assert_eq!(member(ANN, Role::Admin).verify(&record, &list), Err(revoked));
    assert_eq!(admit(ben.clone()).verify(&record, &list), Ok(Role::Member));
    assert_eq!(ben.may_be_admitted(&record, &list, NOW).unwrap_err(), revoked);
    let list = revoking(&[BEN]);
    let revoked = MembershipError::Revoked(peer(BEN));
    assert_eq!(admit(ben.clone()).verify(&record, &list), Err(revoked));
    assert_eq!(ben.may_be_admitted(&record, &list, NOW).unwrap_err(), revoked);
}

#[test]
fn an_owner_cannot_be_revoked_and_goes_on_inviting() {
    let (record, list) = (by_invitation(), revoking(&[OWNER]));
    assert_eq!(owner().verify(&record, &list), Ok(Role::Owner));
    let ann = invited(ANN, Role::Member);
    assert!(ann.may_be_admitted(&record, &list, NOW).is_ok());
    let mut appointed = owner();
    if let Basis::Owner(appointment) = &mut appointed.basis {
        appointment.value.role = Role::Admin;
        *appointment = Signed::sign(&key(NETWORK), appointment.value.clone());
    }
    assert_eq!(verdict(&appointed), Ok(Role::Admin));
    let revoked = Err(MembershipError::Revoked(peer(OWNER)));
    assert_eq!(appointed.verify(&record, &list), revoked, "an appointed admin can be");
}

#[test]
fn an_invite_is_admitted_in_its_time_only() {
    let ann = invited(ANN, Role::Member);
    let skew = skew_ms();
    assert_eq!(admissible(&ann, NOW + 7 * DAY), Ok(Role::Member));
    assert_eq!(admissible(&ann, NOW + 7 * DAY + 1), Err(MembershipError::Expired));
    assert_eq!(admissible(&ann, u64::MAX), Err(MembershipError::Expired));
    assert_eq!(admissible(&ann, NOW - skew), Ok(Role::Member), "clocks differ");
    assert_eq!(admissible(&ann, NOW - skew - 1), Err(MembershipError::NotYet));
    assert_eq!(admissible(&ann, 0), Err(MembershipError::NotYet));
}

#[test]
fn an_admission_after_the_invites_end_is_none() {
    let at = |at_ms| {
        let ann = invited(ANN, Role::Member);
        let invite = ann.capability().unwrap().key;
        let (network, peer) = (network(), ann.peer);
        let admission = Admission { network, invite, peer, number: 1, at_ms };
        verdict(&ann.with_admission(Signed::sign(&key(TRACKER), admission)))
    };
    assert_eq!(at(NOW + 7 * DAY), Ok(Role::Member));
    assert_eq!(at(NOW + 8 * DAY), Err(MembershipError::NotAdmitted));
}

#[test]
fn nothing_counts_in_another_network() {
    let mut other = by_invitation();
    other.network = key(EVE).network_id();
    let nobody_there = Revocations::none(other.network);
    let refused = MembershipError::Network;
    assert_eq!(owner().verify(&other, &nobody_there), Err(refused));
    let ann = member(ANN, Role::Member);
    assert_eq!(ann.verify(&other, &nobody_there), Err(refused));
    assert_eq!(ann.verify(&by_invitation(), &nobody_there), Err(refused));
    let ann = invited(ANN, Role::Member);
    assert_eq!(ann.may_be_admitted(&other, &nobody_there, NOW).unwrap_err(), refused);
}

#[test]
fn an_owner_has_nothing_to_be_admitted_with() {
    let refused = MembershipError::NoInvite;
    assert_eq!(admissible(&owner(), NOW), Err(refused));
    assert_eq!(admissible(&Membership::open(peer(EVE)), NOW), Err(refused));
}

#[test]
fn a_chain_has_an_end() {
    let longest = chain(limits::MEMBERSHIP_DEPTH as u8);
    assert_eq!(verdict(&longest), Ok(Role::Admin));
    assert_eq!(Membership::decode(&longest.encode()), Ok(longest.clone()));
    let bytes = longest.encode().len();
    assert!((3500..4500).contains(&bytes), "{bytes} bytes");
    // One more, made by hand.
    let deeper = changed(&longest, |basis| *parts(basis).0 = longest.clone());
    assert_eq!(verdict(&deeper), Err(MembershipError::Depth));
    assert_eq!(admissible(&deeper, NOW), Err(MembershipError::Depth));
    assert_eq!(Membership::decode(&deeper.encode()), Err(MembershipError::Malformed));
}

#[test]
fn a_claim_of_endless_invitations_is_refused_before_they_are_read() {
    let mut bytes = owner().encode();
    assert_eq!(bytes.pop(), Some(0), "no invitations");
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    bytes.extend(vec![0; 400_000]);
    assert_eq!(Membership::decode(&bytes), Err(MembershipError::Malformed));
}

#[test]
fn memberships_go_into_bytes_and_back() {
    let ben = invite(ANN, member(ANN, Role::Admin), Role::Guest).redeem(peer(BEN), NOW);
    for membership in [owner(), Membership::open(peer(EVE)), ben.clone(), admit(ben)] {
        let bytes = membership.encode();
        assert_eq!(Membership::decode(&bytes), Ok(membership.clone()));
        for end in 0..bytes.len() {
            assert!(Membership::decode(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Membership::decode(&longer), Err(MembershipError::Malformed));
    }
}

#[test]
fn any_wrong_byte_is_noticed() {
    let bytes = member(ANN, Role::Member).encode();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x40;
        let verdict = Membership::decode(&wrong).and_then(|membership| verdict(&membership));
        assert!(verdict.is_err(), "byte {at}");
    }
}

/// The network without a tracker: its members are its directory.
fn on_a_circle() -> NetworkRecord {
    let mut record = by_invitation();
    record.directory = DirectoryKind::Chord { replicas: 3 };
    record
}

#[test]
fn without_a_tracker_who_redeems_an_invite_in_its_time_is_a_member() {
    let record = on_a_circle();
    let signed = record.clone().sign(&key(NETWORK)).unwrap();
    let invite =
        Invite::make(signed, &key(OWNER), owner(), Role::Admin, 1, NOW, NOW + DAY, [7; 32]);
    let invite = invite.unwrap();
    let at = |at_ms| invite.redeem(peer(ANN), at_ms).verify(&record, &nobody());
    let skew = skew_ms();
    for in_time in [NOW - skew, NOW, NOW + DAY, NOW + DAY + skew] {
        assert_eq!(at(in_time), Ok(Role::Admin), "{in_time}");
    }
    for out_of_time in [0, NOW - skew - 1, NOW + DAY + skew + 1, u64::MAX] {
        assert_eq!(at(out_of_time), Err(MembershipError::OutOfTime), "{out_of_time}");
    }
    let ann = invite.redeem(peer(ANN), NOW);
    assert_eq!(ann.verify(&record, &revoking(&[ANN])), Err(MembershipError::Revoked(peer(ANN))));
    assert_eq!(verdict(&ann), Err(MembershipError::NotAdmitted), "a tracker would count");
    let moved = changed(&ann, |basis| parts(basis).2.value.at_ms += 1);
    let wrong = Err(MembershipError::Signature(IdentityError::Signature));
    assert_eq!(moved.verify(&record, &nobody()), wrong);
}

#[test]
fn without_a_tracker_an_inviter_needs_no_admission_either() {
    let record = on_a_circle();
    let signed = record.clone().sign(&key(NETWORK)).unwrap();
    let make = |by, inviter, role, seed| {
        let made =
            Invite::make(signed.clone(), &key(by), inviter, role, 1, NOW, NOW + DAY, [seed; 32]);
        made.unwrap()
    };
    let ann = make(OWNER, owner(), Role::Admin, 7).redeem(peer(ANN), NOW);
    let ben = make(ANN, ann, Role::Guest, 8).redeem(peer(BEN), NOW);
    assert_eq!(ben.verify(&record, &nobody()), Ok(Role::Guest));
    let (role, granted) = ben.may_be_admitted(&record, &nobody(), NOW).unwrap();
    assert_eq!((role, granted.uses), (Role::Guest, 1));
}
