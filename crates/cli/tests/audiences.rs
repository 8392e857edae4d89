//! For whom a share is, with real processes: named peers get it, others learn nothing.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on panics")]

use std::fs;

use potluck_testkit::{Person, random_bytes};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_potluck");

/// A person's key.
fn id(person: &Person) -> String {
    String::from_utf8(person.run(&["id"]).stdout).unwrap().trim().to_owned()
}

/// Fetches, and tells how that ended: the exit code and the last line.
fn get(person: &Person, ticket: &str, into: &str) -> (Option<i32>, Value) {
    let folder = person.at(into);
    fs::create_dir_all(&folder).unwrap();
    let mut running = person.start(&["get", ticket, "-o", folder.to_str().unwrap()]);
    let code = running.wait();
    (code, running.said.last().cloned().unwrap_or_default())
}

#[test]
fn a_share_for_named_peers_is_for_nobody_else() {
    let [ann, ben, eve] = std::array::from_fn(|_| Person::new(EXE));
    let secret = random_bytes(7, 200_000);
    fs::write(ann.at("diary"), &secret).unwrap();
    let path = ann.at("diary");
    let mut serving = ann.start(&["share", path.to_str().unwrap(), "--to", &id(&ben)]);
    let ticket = serving.ticket();
    let (code, refused) = get(&eve, &ticket, "in");
    assert_eq!(code, Some(3), "as if there were nothing: {refused:#}");
    let (code, got) = get(&ben, &ticket, "in");
    assert_eq!(code, Some(0), "{got:#}");
    assert_eq!(fs::read(ben.at("in/diary")).unwrap(), secret);
    // Who got it passes nothing on: it is kept for nobody.
    let listed = String::from_utf8(ben.run(&["ls", "--json"]).stdout).unwrap();
    let listed: Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    let audience = &listed["reply"]["shares"][0]["audience"];
    assert_eq!(audience["anyone"], false, "{listed:#}");
    assert!(audience["peers"].as_array().unwrap().is_empty());
}

#[test]
fn a_share_cannot_be_both_for_named_peers_and_for_a_network() {
    let ann = Person::new(EXE);
    fs::write(ann.at("diary"), b"dear").unwrap();
    let path = ann.at("diary");
    let path = path.to_str().unwrap();
    let peer = id(&Person::new(EXE));
    let output = ann.run(&["share", path, "--to", &peer, "--network", "lab"]);
    assert_ne!(output.status.code(), Some(0));
}
