//! Networks without a server, of real processes on loopback: thirty-two on a circle, of whom a
//! third dies at once and another third leaves; a ring that starts again as a whole.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on panics")]

use std::fs;

use potluck_testkit::{Circle, Member, random_bytes, snapshot};

const EXE: &str = env!("CARGO_BIN_EXE_potluck");
/// As many as the members of a small club.
const MEMBERS: usize = 32;

/// Some keys, spread over the circle.
fn keys(count: u8) -> Vec<String> {
    (0..count).map(|number| format!("{:02x}{:030x}", number.wrapping_mul(83), number)).collect()
}

#[test]
fn thirty_two_lose_a_third_at_once_and_another_third_leaves() {
    let mut circle = Circle::new(EXE, "chord", MEMBERS, 3);
    circle.publish_all();
    circle.finds_all(&circle.members[5]);
    circle.look_up(&keys(2));

    let mut dead = circle.take(|place| place % 3 == 1);
    assert_eq!(dead.len(), 11);
    for member in &mut dead {
        member.dies();
    }
    circle.finds_all(&circle.members[0]);
    circle.until_whole();
    circle.look_up(&keys(1));

    let leaving = circle.take(|place| place % 2 == 1);
    assert_eq!(leaving.len(), 10);
    for member in &leaving {
        member.daemon.interrupt();
    }
    for mut member in leaving {
        assert_eq!(member.daemon.wait(), Some(0), "it ends in order");
    }
    circle.finds_all(&circle.members[3]);
    circle.until_whole();
    assert_eq!(circle.members.len(), 11);
}

#[test]
fn a_ring_shares_searches_fetches_and_starts_again_as_a_whole() {
    let mut ring = Circle::new(EXE, "ring", 6, 3);
    let folder = ring.members[1].person.at("Field recordings");
    fs::create_dir_all(folder.join("spring")).unwrap();
    fs::write(folder.join("spring/Nachtigall.flac"), random_bytes(1, 400_000)).unwrap();
    fs::write(folder.join("readme.txt"), "recorded in May").unwrap();
    ring.members[1].done(&["share", folder.to_str().unwrap(), "--tag", "birds"]);
    for words in ["nachtigall", "nach", "birds spring", "field recordings"] {
        ring.members[4].finds(words, |group| group["online"] == 1);
    }
    let into = ring.members[4].person.at("in");
    ring.members[4].get("Field recordings", &into);
    assert_eq!(snapshot(&folder), snapshot(&into.join("Field recordings")));
    ring.members[2].finds("nachtigall", |group| group["online"] == 2);

    ring.members.iter_mut().for_each(Member::dies);
    ring.members.iter_mut().for_each(Member::returns);
    ring.until_whole();
    ring.members[0].finds("nachtigall", |group| group["online"] == 2);
}
