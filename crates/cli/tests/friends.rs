//! Friends without a server: they make a network, share and search, come and go, with real
//! processes on loopback.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on panics")]

use std::fs;

use potluck_testkit::{Member, random_bytes};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_potluck");

/// Where a member stands, from what it tells of itself.
fn place(member: &Member) -> String {
    member.done(&["dht", "status"])["own"]["place"].as_str().unwrap().to_owned()
}

/// Waits until so many stand on the circle as a member sees it, and all is sound.
fn sound(member: &Member, peers: u64) -> Value {
    member.until("a sound circle", &["dht", "status"], |reply| {
        reply["peers"] == peers && reply["troubles"].as_array().is_some_and(Vec::is_empty)
    })
}

#[test]
fn friends_without_a_server_share_search_and_come_and_go() {
    let [anna, mut bert, carla] = std::array::from_fn(|_| Member::new(EXE, &[]));
    they_make_a_circle(&anna, &bert, &carla);
    let notes = anna.person.at("notes");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join("Thermodynamik.txt"), random_bytes(1, 300_000)).unwrap();
    anna.done(&["share", notes.to_str().unwrap()]);
    let group = carla.finds("thermo", |group| group["online"] == 1);
    carla.get("Thermodynamik.txt", &carla.person.at("in"));
    everybody_finds_the_same_keeper(&[&anna, &bert, &carla], &group);
    one_leaves_and_returns(&anna, &bert, &carla);
    bert.dies();
    sound(&anna, 2);
    anna.finds("thermo", |_| true);
    carla.finds("thermo", |_| true);
    bert.returns();
    sound(&bert, 3);
    bert.finds("thermo", |group| group["providers"] == 2);
}

fn they_make_a_circle(anna: &Member, bert: &Member, carla: &Member) {
    let made = anna.done(&["network", "create", "lab", "--directory", "chord", "--nick", "anna"]);
    assert_eq!(made["directory"], "chord");
    assert_eq!(made["circle"]["peers"], 1, "{made:#}");
    assert_eq!(anna.done(&["dht", "status"])["state"]["type"], "alone");
    let invite = anna.done(&["invite", "--uses", "2"])["invite"].as_str().unwrap().to_owned();
    assert_eq!(bert.done(&["join", &invite, "--nick", "bert"])["nick"], "bert");
    assert_eq!(carla.done(&["join", &invite, "--nick", "carla"])["nick"], "carla");
    for member in [anna, bert, carla] {
        let status = sound(member, 3);
        assert_eq!(status["successors"].as_array().unwrap().len(), 2, "{status:#}");
    }
    let next = &anna.done(&["dht", "status"])["successors"][0]["nick"];
    assert!(next == "bert" || next == "carla", "neighbours have names: {next}");
}

/// A word, a content, a person and a place are looked up alike from everywhere.
fn everybody_finds_the_same_keeper(members: &[&Member], group: &Value) {
    let content = group["content"].as_str().unwrap();
    let own = place(members[1]);
    for (what, kind) in
        [("thermo", "word"), (content, "content"), ("bert", "peer"), (&own, "place")]
    {
        let answers: Vec<Value> =
            members.iter().map(|member| member.done(&["dht", "lookup", what])).collect();
        for answer in &answers {
            assert_eq!(answer["kind"], kind, "{answer:#}");
            assert_eq!(answer["owner"]["place"], answers[0]["owner"]["place"], "{answers:#?}");
            assert_eq!(answer["copies"].as_array().unwrap().len(), 2, "{answer:#}");
        }
    }
    assert_eq!(members[0].done(&["dht", "lookup", "bert"])["owner"]["place"], own);
    let as_word = members[0].done(&["dht", "lookup", "bert", "--word"]);
    assert_eq!(as_word["kind"], "word");
    members[0].fails(&["dht", "lookup", "two words"], "usage");
    let kept = members[0].done(&["dht", "keys", "--limit", "1"]);
    assert_eq!(kept["records"].as_array().unwrap().len(), 1, "{kept:#}");
    assert_eq!(kept["more"], true, "{kept:#}");
}

/// Nothing is lost by it, and she is still a member.
fn one_leaves_and_returns(anna: &Member, bert: &Member, carla: &Member) {
    let left = carla.done(&["dht", "leave"]);
    assert!(left["handed"].as_u64().unwrap() > 0 && left["to"].is_object(), "{left:#}");
    assert_eq!(carla.done(&["dht", "status"])["state"]["type"], "left");
    carla.fails(&["dht", "lookup", "thermo"], "unreachable");
    sound(anna, 2);
    bert.finds("thermo", |_| true);
    assert_eq!(carla.done(&["dht", "join"])["network"]["name"], "lab");
    sound(carla, 3);
    carla.finds("thermo", |_| true);
}
