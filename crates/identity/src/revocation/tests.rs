//! Lists of revoked members: old ones, forged ones, and those of people who may not.

use super::*;
use crate::member::Role;
use crate::scene::{NOW, OWNER, by_invitation, key, member, network, nobody, owner, peer};

const ANN: u8 = 10;
const BEN: u8 = 11;
const EVE: u8 = 66;

fn list(number: u64, who: &[u8]) -> RevocationList {
    let revoked = who.iter().map(|who| Revoked { peer: peer(*who), at_ms: NOW }).collect();
    RevocationList { network: network(), number, revoked }
}

/// A list as its signer puts it together, by the rules or not.
fn signed(list: RevocationList, by: u8, membership: Membership) -> Revocations {
    Revocations::of(network(), Some((Signed::sign(&key(by), list), membership)))
}

fn accept(into: &mut Revocations, newer: &Revocations) -> Result<(), RevocationError> {
    into.accept(newer, &by_invitation())
}

#[test]
fn a_newer_list_replaces_the_one_in_force() {
    let first = nobody().next(&key(OWNER), owner(), [peer(EVE)], NOW).unwrap();
    let second = first.next(&key(OWNER), owner(), [peer(BEN), peer(EVE)], NOW + 1).unwrap();
    let mut held = nobody();
    assert_eq!(accept(&mut held, &first), Ok(()));
    assert_eq!((held.number(), held.is_revoked(&peer(EVE))), (1, true));
    assert_eq!(accept(&mut held, &second), Ok(()));
    assert_eq!(held, second);
    let times: Vec<_> = held.revoked().iter().map(|revoked| revoked.at_ms).collect();
    assert_eq!(times, [NOW, NOW + 1], "who is on the list stays as it was");
}

#[test]
fn an_old_list_is_refused() {
    let first = nobody().next(&key(OWNER), owner(), [peer(EVE)], NOW).unwrap();
    let second = first.next(&key(OWNER), owner(), [peer(BEN)], NOW).unwrap();
    let mut held = nobody();
    accept(&mut held, &second).unwrap();
    for old in [&first, &second] {
        assert_eq!(accept(&mut held, old), Err(RevocationError::Stale { have: 2 }));
    }
    assert_eq!(accept(&mut held, &nobody()), Err(RevocationError::Stale { have: 2 }));
    assert_eq!(held, second);
    let zero = signed(list(0, &[EVE]), OWNER, owner());
    assert_eq!(accept(&mut nobody(), &zero), Err(RevocationError::Stale { have: 0 }));
}

#[test]
fn admins_may_revoke_and_members_may_not() {
    let by = |role| {
        let newer = nobody().next(&key(ANN), member(ANN, role), [peer(EVE)], NOW).unwrap();
        accept(&mut nobody(), &newer)
    };
    assert_eq!(by(Role::Admin), Ok(()));
    assert_eq!(by(Role::Member), Err(RevocationError::Role));
    assert_eq!(by(Role::Guest), Err(RevocationError::Role));
}

#[test]
fn who_was_put_out_puts_nobody_out() {
    let ann = member(ANN, Role::Admin);
    let mut held = nobody().next(&key(OWNER), owner(), [peer(ANN)], NOW).unwrap();
    let revenge = signed(list(2, &[OWNER, BEN]), ANN, ann);
    let refused = MembershipError::Revoked(peer(ANN));
    assert_eq!(accept(&mut held, &revenge), Err(RevocationError::Signer(refused)));
    assert_eq!(held.number(), 1);
}

#[test]
fn an_owner_on_the_list_signs_the_next_one() {
    let ann = member(ANN, Role::Admin);
    let mut held = nobody();
    accept(&mut held, &signed(list(1, &[OWNER]), ANN, ann.clone())).unwrap();
    let answer = held.next(&key(OWNER), owner(), [peer(ANN)], NOW).unwrap();
    assert_eq!(accept(&mut held, &answer), Ok(()));
    assert!(ann.verify(&by_invitation(), &held).is_err());
}

#[test]
fn a_forged_list_is_refused() {
    let wrong = Err(RevocationError::Signature(IdentityError::Signature));
    let by_eve = signed(list(1, &[BEN]), EVE, owner());
    assert_eq!(accept(&mut nobody(), &by_eve), wrong);
    let mut more = nobody().next(&key(OWNER), owner(), [peer(EVE)], NOW).unwrap();
    if let Some((list, _)) = &mut more.signed {
        list.value.revoked[0].peer = peer(BEN);
    }
    assert_eq!(accept(&mut nobody(), &more), wrong);
    let stranger = signed(list(1, &[BEN]), EVE, Membership::open(peer(EVE)));
    let closed = RevocationError::Signer(MembershipError::Closed);
    assert_eq!(accept(&mut nobody(), &stranger), Err(closed));
}

#[test]
fn a_list_of_another_network_is_refused() {
    let other = key(EVE).network_id();
    let refused = Err(RevocationError::Network);
    assert_eq!(accept(&mut Revocations::none(other), &nobody()), refused);
    let foreign = RevocationList { network: other, ..list(1, &[BEN]) };
    assert_eq!(accept(&mut nobody(), &signed(foreign, OWNER, owner())), refused);
}

#[test]
fn nobody_can_use_up_the_numbers() {
    let far = |number| accept(&mut nobody(), &signed(list(number, &[BEN]), OWNER, owner()));
    assert_eq!(far(u64::MAX), Err(RevocationError::TooFar));
    assert_eq!(far(limits::REVOCATIONS_MISSED + 1), Err(RevocationError::TooFar));
    assert_eq!(far(limits::REVOCATIONS_MISSED), Ok(()));
}

#[test]
fn a_full_list_fits_into_a_frame_and_takes_no_more() {
    let peers = (0..limits::REVOKED as u32).map(|index| {
        let mut id = [0xff; 32];
        id[..4].copy_from_slice(&index.to_le_bytes());
        PeerId(id)
    });
    let full = nobody().next(&key(OWNER), owner(), peers, NOW).unwrap();
    let bytes = full.encode();
    assert!(bytes.len() < limits::FRAME_BYTES - 16 * 1024, "{} bytes", bytes.len());
    assert_eq!(Revocations::decode(&bytes).as_ref(), Ok(&full));
    let more = full.next(&key(OWNER), owner(), [peer(EVE)], NOW);
    assert_eq!(more, Err(RevocationError::Full));
    let mut longer = full.revoked().to_vec();
    longer.push(Revoked { peer: peer(EVE), at_ms: NOW });
    let longer = RevocationList { network: network(), number: 1, revoked: longer };
    let longer = signed(longer, OWNER, owner());
    assert_eq!(accept(&mut nobody(), &longer), Err(RevocationError::Full));
    assert_eq!(Revocations::decode(&longer.encode()), Err(RevocationError::Malformed));
}

#[test]
fn lists_go_into_bytes_and_back() {
    let some = nobody().next(&key(OWNER), owner(), [peer(EVE)], NOW).unwrap();
    for revocations in [nobody(), some] {
        let bytes = revocations.encode();
        assert_eq!(Revocations::decode(&bytes), Ok(revocations));
        for end in 0..bytes.len() {
            assert_eq!(Revocations::decode(&bytes[..end]), Err(RevocationError::Malformed));
        }
    }
}
