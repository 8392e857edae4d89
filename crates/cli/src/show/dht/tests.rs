//! What the circle looks like to people.

use potluck_api::{DhtKind, DhtRecord, NetworkName, PeerName};
use potluck_base::{NetworkId, PeerId};

use super::*;

fn lab() -> NetworkName {
    NetworkName { id: NetworkId([1; 32]), name: "lab".into() }
}

fn at_place(nick: &str, place: u8) -> DhtPeer {
    let peer = PeerName { id: PeerId([place; 32]), nick: Some(nick.into()) };
    DhtPeer { place: format!("{place:02x}").repeat(16), peer, own: nick == "ann" }
}

fn small() -> DhtStatus {
    DhtStatus {
        network: lab(),
        directory: DirectoryKind::Chord,
        own: at_place("ann", 0x40),
        state: DhtState::Joined,
        predecessor: Some(at_place("cleo", 0x10)),
        successors: vec![at_place("ben", 0x90), at_place("cleo", 0x10)],
        successors_wanted: 8,
        part: 0.1875,
        peers: 3,
        peers_counted: true,
        replicas: 3,
        records: DhtCount { own: 4, copies: 8, bytes: 2_400 },
        fingers: vec![DhtFinger {
            index: 126,
            start: "80".repeat(16),
            to: at_place("ben", 0x90),
            age_ms: 4_200,
            rtt_ms: Some(0.31),
        }],
        troubles: Vec::new(),
    }
}

#[test]
fn a_small_circle_is_drawn_whole_and_each_peer_once() {
    console::set_colors_enabled(false);
    let lines = circle(&small());
    assert_eq!(
        lines,
        [
            "╭─► cleo     ──► ann (you) ──► ben      ─╮",
            "│   10101010     40404040      90909090  │",
            "╰────────────────────────────────────────╯",
            "",
        ]
    );
}

#[test]
fn a_large_circle_is_drawn_open_and_fits_any_terminal() {
    console::set_colors_enabled(false);
    let successors = (1..9).map(|n| at_place(&format!("somebody {n}"), 0x40 + n)).collect();
    let large = DhtStatus { successors, peers: 100, peers_counted: false, ..small() };
    let lines = circle(&large);
    assert!(lines[0].starts_with("… ─► cleo") && lines[0].ends_with(" ─► …"), "{lines:#?}");
    assert!(lines.iter().all(|line| line.width() <= 90), "{lines:#?}");
    assert!(circle(&DhtStatus { state: DhtState::Left, ..small() }).is_empty());
}

#[test]
fn the_status_says_who_stands_where_and_that_all_is_well() {
    console::set_colors_enabled(false);
    let text = status(&small()).text();
    for part in [
        "lab (chord)",
        "on the circle, 3 of you",
        "before you  cleo",
        "behind you  ben",
        "18.8 % of the circle",
        "4 of your part, 8 copies of others', 2.4 kB",
        "● sound",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_is_wrong_is_said_and_few_peers_are_no_secret() {
    console::set_colors_enabled(false);
    let troubles = vec!["the records were not compared yet".to_owned()];
    let text = status(&DhtStatus { troubles, replicas: 5, ..small() }).text();
    assert!(text.contains("◌ 1 thing not as it should be"), "{text}");
    assert!(text.contains("the records were not compared yet"), "{text}");
    assert!(text.contains("5 (there are only 3 of you)"), "{text}");
    let alone = DhtStatus {
        state: DhtState::Alone,
        predecessor: None,
        successors: Vec::new(),
        peers: 1,
        directory: DirectoryKind::Ring,
        ..small()
    };
    let text = status(&alone).text();
    assert!(text.contains("alone on the circle") && text.contains("plain ring"), "{text}");
}

#[test]
fn a_finger_says_how_far_it_reaches() {
    assert_eq!([127, 126, 120, 100].map(reach), ["+1/2", "+1/4", "+1/256", "+2^-28"]);
    let all = DhtFingers {
        network: lab(),
        directory: DirectoryKind::Chord,
        own: at_place("ann", 0x40),
        peers: 3,
        peers_counted: true,
        fingers: small().fingers,
    };
    let text = fingers(&all).text();
    assert!(text.contains("+1/4    80808080   ben"), "{text}");
    assert!(text.contains("4.2 s ago"), "{text}");
    let ring = DhtFingers { directory: DirectoryKind::Ring, fingers: Vec::new(), ..all };
    assert!(fingers(&ring).text().contains("lab is a plain ring"));
}

#[test]
fn a_lookup_tells_the_way_and_who_was_silent() {
    let hop = |nick, place, took_ms, depth| DhtHop { peer: at_place(nick, place), took_ms, depth };
    let one = DhtFound {
        network: lab(),
        kind: DhtTarget::Word,
        what: "thermo".into(),
        place: "a0".repeat(16),
        owner: at_place("cleo", 0x10),
        predecessor: Some(at_place("ben", 0x90)),
        copies: vec![at_place("ann", 0x40)],
        path: vec![hop("dora", 0x70, None, 0), hop("ben", 0x90, Some(0.4), 0)],
        hops: 1,
        timeouts: 1,
        took_ms: 12.6,
    };
    let text = found(&one).text();
    for part in [
        "not at all",
        "word       thermo",
        "kept by    cleo (",
        "copies at  ann (you) at 40404040",
        "1 hop, 2 asked, 1 silent, 13 ms",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let known = DhtFound { path: Vec::new(), hops: 0, timeouts: 0, ..one };
    assert!(found(&known).text().contains("known here"));
}

#[test]
fn records_are_counted_by_kind_and_told_in_pages() {
    let record = DhtRecord {
        place: "a0".repeat(16),
        kind: "word".into(),
        what: "the\u{1b}[2J".into(),
        by: Some(at_place("ben", 0x90).peer),
        own: true,
        count: 2,
        bytes: 300,
        expires_ms: u64::MAX,
    };
    let count = DhtCount { own: 30, copies: 10, bytes: 12_000 };
    let page = DhtKeys {
        network: lab(),
        own: at_place("ann", 0x40),
        count,
        kinds: vec![DhtKind { kind: "word".into(), count }],
        records: vec![record],
        groups: 25,
        more: true,
    };
    let text = keys(&page, 20).text();
    assert!(text.contains("word   30      10  12.0 kB"), "{text}");
    assert!(text.contains("Places 21 to 21 of 25; --page and --limit"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let none = DhtKeys { count: DhtCount::default(), records: Vec::new(), ..page };
    assert!(keys(&none, 0).text().contains("You keep no records of lab."));
}
