//! The examples of `docs/spec/07-networks.md` are what the code makes.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use potluck_base::{PeerAddr, limits};
use potluck_identity::{
    Admission, DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role,
    SecretKey, Signed, TrackerTicket,
};

const SPEC: &str = include_str!("../../../docs/spec/07-networks.md");

const DAY: u64 = 24 * 3600 * 1000;
const NOW: u64 = 1_800_000_000_000;

/// The blocks of one language after the heading `Example`.
fn blocks<'a>(spec: &'a str, language: &str) -> Vec<&'a str> {
    let (_, example) = spec.split_once("\n## Example\n").expect("the spec has an example");
    let fence = format!("```{language}\n");
    let rests = example.split(&fence).skip(1);
    rests.map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

/// The hexadecimal digits of a block: on each line, those before two spaces.
fn digits(block: &str) -> String {
    let lines = block.lines().filter_map(|line| line.split("  ").next());
    lines.flat_map(|hex| hex.chars().filter(|c| !c.is_whitespace())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn tracker() -> PeerAddr {
    let direct = vec!["192.0.2.7:41641".parse().unwrap()];
    PeerAddr { id: key(2).peer_id(), direct, relay: None }
}

fn record() -> Signed<NetworkRecord> {
    let record = NetworkRecord {
        network: key(1).network_id(),
        name: "Reading group".to_owned(),
        directory: DirectoryKind::Tracker { trackers: vec![tracker()] },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence: 1,
        created_ms: NOW,
    };
    record.sign(&key(1)).unwrap()
}

fn owner() -> Membership {
    Membership::owner(&key(1), key(3).peer_id(), NOW)
}

fn invite() -> Invite {
    let expires = NOW + 7 * DAY;
    Invite::make(record(), &key(3), owner(), Role::Member, 1, NOW, expires, [4; 32]).unwrap()
}

fn member() -> Membership {
    let (network, invite_key, peer) = (key(1).network_id(), key(4).peer_id(), key(5).peer_id());
    let redeemed = invite().redeem(peer, NOW + DAY);
    let admission = Admission { network, invite: invite_key, peer, number: 1, at_ms: NOW + DAY };
    redeemed.with_admission(Signed::sign(&key(2), admission))
}

fn revocations() -> Revocations {
    let none = Revocations::none(key(1).network_id());
    none.next(&key(3), owner(), [key(5).peer_id()], NOW + 2 * DAY).unwrap()
}

#[test]
fn the_example_record_is_as_the_spec_says() {
    let bytes = postcard::to_allocvec(&record()).unwrap();
    assert_eq!(digits(blocks(SPEC, "hex")[0]), hex(&bytes));
    let read: Signed<NetworkRecord> = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(read.record().unwrap().name, "Reading group");
}

#[test]
fn the_example_membership_is_as_the_spec_says() {
    assert_eq!(digits(blocks(SPEC, "hex")[1]), hex(&member().encode()));
    let none = Revocations::none(key(1).network_id());
    assert_eq!(member().verify(&record().value, &none), Ok(Role::Member));
}

#[test]
fn the_example_list_of_revoked_members_is_as_the_spec_says() {
    assert_eq!(digits(blocks(SPEC, "hex")[2]), hex(&revocations().encode()));
    assert!(member().verify(&record().value, &revocations()).is_err());
}

#[test]
fn the_example_texts_are_as_the_spec_says() {
    let texts = blocks(SPEC, "text");
    assert_eq!(texts[0].split_whitespace().collect::<String>(), invite().to_string());
    let ticket = TrackerTicket { addr: tracker(), token: [0x77; 16] };
    assert_eq!(texts[1].split_whitespace().collect::<String>(), ticket.to_string());
}

#[test]
fn the_limits_of_the_spec_are_those_of_the_code() {
    let line = |limit: u64, name: &str| {
        let digits = |text: &str| text.replace(',', "").contains(&limit.to_string());
        let found = SPEC.lines().any(|line| digits(line) && line.contains(name));
        assert!(found, "{limit} for {name}");
    };
    line(limits::NETWORK_NAME_BYTES as u64, "limits::NETWORK_NAME_BYTES");
    line(limits::NETWORK_TRACKERS as u64, "limits::NETWORK_TRACKERS");
    line(u64::from(limits::REPLICAS_MAX), "limits::REPLICAS_MAX");
    line(limits::INVITE_CONTACTS as u64, "limits::INVITE_CONTACTS");
    line(limits::NETWORK_RELAYS as u64, "limits::NETWORK_RELAYS");
    line(limits::RELAY_URL_BYTES as u64, "limits::RELAY_URL_BYTES");
    line(limits::PEER_ADDRS as u64, "limits::PEER_ADDRS");
    line(limits::MEMBERSHIP_DEPTH as u64, "limits::MEMBERSHIP_DEPTH");
    line(limits::REVOKED as u64, "limits::REVOKED");
    line(limits::REVOCATIONS_MISSED, "limits::REVOCATIONS_MISSED");
    line(limits::INVITE_CHARS as u64, "limits::INVITE_CHARS");
    line(limits::CLAIMS as u64, "limits::CLAIMS");
    line(limits::CLAIMS_PER_LINK as u64, "limits::CLAIMS_PER_LINK");
    line(limits::CLOCK_SKEW.as_secs() / 3600, "limits::CLOCK_SKEW");
}
