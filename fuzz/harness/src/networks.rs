//! Memberships, lists of revoked members and the texts of invites, and the words of P2P-CI/1.0.

use potluck_base::PeerAddr;
use potluck_identity::{
    DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role, SecretKey, Signed,
};
use potluck_proto::p2p_ci;

/// When everything happens, in unix milliseconds.
const NOW_MS: u64 = 1_700_000_000_000;

/// A membership certificate.
pub fn membership(bytes: &[u8]) -> bool {
    let Ok(membership) = Membership::decode(bytes) else { return false };
    let written = membership.encode();
    assert_eq!(Membership::decode(&written).as_ref(), Ok(&membership), "it means the same");
    // Whatever it says, judging it ends.
    let _ = membership.verify(&record().value, &Revocations::none(record().value.network));
    true
}

/// A list of revoked members.
pub fn revocations(bytes: &[u8]) -> bool {
    let Ok(list) = Revocations::decode(bytes) else { return false };
    let written = list.encode();
    assert_eq!(Revocations::decode(&written).as_ref(), Ok(&list), "it means the same");
    let mut ours = Revocations::none(record().value.network);
    let taken = ours.accept(&list, &record().value).is_ok();
    assert!(!taken || ours.number() == list.number(), "a list that is taken counts");
    true
}

/// An invite as a person pastes it.
pub fn invite(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(invite) = text.parse::<Invite>() else { return false };
    let written = invite.to_string();
    let again = written.parse::<Invite>().expect("what we write is an invite");
    assert_eq!(again.to_string(), written, "it means the same");
    true
}

/// What a client or server of P2P-CI/1.0 says; everything is taken, if only to be refused.
pub fn old_words(bytes: &[u8]) -> bool {
    p2p_ci::fuzz(bytes);
    !bytes.is_empty()
}

/// Memberships of an owner and of two who were invited, one by the other.
pub fn memberships() -> Vec<Vec<u8>> {
    people().iter().map(Membership::encode).collect()
}

/// Lists with nobody, with one and with several on them.
pub fn lists() -> Vec<Vec<u8>> {
    let none = Revocations::none(record().value.network);
    let next = |list: &Revocations, peers: &[u8]| {
        let peers = peers.iter().map(|number| key(*number).peer_id());
        list.next(&key(2), people()[0].clone(), peers, NOW_MS).expect("the owner may revoke")
    };
    let one = next(&none, &[7]);
    let more = next(&one, &[8, 9, 10]);
    [none, one, more].iter().map(Revocations::encode).collect()
}

/// Invites for several roles, and for an open network.
pub fn invites() -> Vec<Vec<u8>> {
    let made = [Role::Guest, Role::Admin].map(|role| invite_as(role, 5));
    let open = Invite::open(record());
    made.iter().chain([&open]).map(|invite| invite.to_string().into_bytes()).collect()
}

/// Requests and answers in several dialects, each behind the length of the pieces it comes in.
pub fn old_talks() -> Vec<Vec<u8>> {
    let talks = [
        "ADD RFC 123 P2P-CI/1.0\r\nHost: a.example\r\nPort: 5678\r\nTitle: A title\r\n\r\n",
        "LOOKUP RFC 1 P2P-CI/1.0\nHOST:a\nPost:1\nTITLE:x\nEND\n",
        "LISTALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n",
        "GET RFC 7 P2P-CI/1.0\r\nHost: b\r\nOS: none\r\n\r\n",
        "P2P-CI/1.0 200 OK\r\n\r\nRFC 1 x y 2\r\n",
    ];
    talks.iter().map(|talk| [&[16], talk.as_bytes()].concat()).collect()
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn record() -> Signed<NetworkRecord> {
    let record = NetworkRecord {
        network: key(1).network_id(),
        name: "group".to_owned(),
        directory: DirectoryKind::Tracker { trackers: vec![PeerAddr::unknown(key(3).peer_id())] },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence: 1,
        created_ms: NOW_MS,
    };
    record.sign(&key(1)).expect("a good record")
}

fn invite_as(role: Role, seed: u8) -> Invite {
    let owner = Membership::owner(&key(1), key(2).peer_id(), NOW_MS);
    let expires = NOW_MS + 1_000_000;
    Invite::make(record(), &key(2), owner, role, 3, NOW_MS, expires, [seed; 32])
        .expect("the owner may invite")
}

fn people() -> Vec<Membership> {
    let owner = Membership::owner(&key(1), key(2).peer_id(), NOW_MS);
    let admin = invite_as(Role::Admin, 5).redeem(key(7).peer_id(), NOW_MS);
    let guest = invite_as(Role::Guest, 6).redeem(key(8).peer_id(), NOW_MS);
    vec![owner, admin, guest, Membership::open(key(9).peer_id())]
}
