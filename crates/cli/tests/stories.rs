//! Whole stories with real processes on loopback: people share, receive, are interrupted, and go
//! on.

use std::fs;
use std::path::Path;

use potluck_testkit::{Person, Running, Thing, fill, random_bytes, random_tree, snapshot};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_potluck");
/// Long enough that a transfer is still running when its first progress is told.
const LARGE: usize = 400 << 20;

fn people<const N: usize>() -> [Person; N] {
    std::array::from_fn(|_| Person::new(EXE))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

/// The result of a command: the fields of its last line.
fn result(said: &[Value]) -> &Value {
    said.iter().rev().find(|value| value.is_object()).expect("a result line")
}

/// A number in a result, wherever it stands.
fn number(value: &Value, field: &str) -> u64 {
    match value {
        Value::Object(fields) => fields
            .get(field)
            .and_then(Value::as_u64)
            .or_else(|| fields.values().map(|v| number(v, field)).find(|n| *n != u64::MAX))
            .unwrap_or(u64::MAX),
        _ => u64::MAX,
    }
}

#[test]
fn a_folder_arrives_as_it_was_sent() {
    let [ann, ben] = people();
    random_tree(&ann.at("tree"), 1, 250);
    let (_serving, ticket) = ann.share(&ann.at("tree"));
    ben.get(&ticket, &ben.at("in"));
    assert_eq!(snapshot(&ann.at("tree")), snapshot(&ben.at("in/tree")));
    assert_eq!(fs::read_dir(ben.at("in")).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn a_file_is_named_by_its_plain_blake3_hash() {
    let [ann, ben] = people();
    fs::write(ann.at("hello"), b"hello\n").unwrap();
    let (serving, ticket) = ann.share(&ann.at("hello"));
    let (said, hash) = (format!("{:?}", serving.said), blake3::hash(b"hello\n").to_hex());
    assert!(said.contains(hash.as_str()), "{hash} is not in {said}");
    ben.get(&ticket, &ben.at("in"));
    assert_eq!(fs::read(ben.at("in/hello")).unwrap(), b"hello\n");
}

#[test]
fn empty_things_arrive_too() {
    let [ann, ben] = people();
    fs::write(ann.at("nothing"), b"").unwrap();
    fs::create_dir(ann.at("hollow")).unwrap();
    let (_file, ticket) = ann.share(&ann.at("nothing"));
    ben.get(&ticket, &ben.at("in"));
    assert_eq!(fs::metadata(ben.at("in/nothing")).unwrap().len(), 0);
    let (_folder, ticket) = Person::share(&people::<1>()[0], &ann.at("hollow"));
    ben.get(&ticket, &ben.at("in"));
    assert!(fs::metadata(ben.at("in/hollow")).unwrap().is_dir());
}

#[test]
fn a_receiver_that_is_killed_goes_on_where_it_was() {
    let [ann, ben] = people();
    fill(&ann.at("film"), 2, LARGE);
    let (_serving, ticket) = ann.share(&ann.at("film"));
    for _ in 0..2 {
        let mut get = ben.start(&["get", &ticket]);
        get.progress(1);
        get.kill();
        assert!(!ben.at("film").exists(), "an unfinished file must not look finished");
    }
    let mut get = ben.start(&["get", &ticket]);
    assert_eq!(get.wait(), Some(0), "{:#?}", get.said);
    assert!(fs::read(ben.at("film")).unwrap() == random_bytes(2, LARGE));
    let resumed = number(result(&get.said), "resumed_bytes");
    assert!(resumed > 0 && resumed != u64::MAX, "nothing was kept: {:#?}", get.said.last());
    let fetched = number(result(&get.said), "fetched_bytes");
    assert!(fetched + resumed <= LARGE as u64 + (16 << 20), "{fetched} + {resumed}");
}

#[test]
fn a_sender_that_is_killed_and_started_again_is_found_again() {
    let [ann, ben] = people();
    fill(&ann.at("film"), 3, LARGE);
    let (mut serving, ticket) = ann.share(&ann.at("film"));
    let mut get = ben.start(&["get", &ticket]);
    get.progress(1);
    serving.kill();
    let waiting = get.event("waiting");
    assert!(waiting["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{waiting}");
    let (_again, _) = ann.share(&ann.at("film"));
    assert_eq!(get.wait(), Some(0), "{:#?}", get.said);
    assert!(fs::read(ben.at("film")).unwrap() == random_bytes(3, LARGE));
}

#[test]
fn a_file_that_changes_after_sharing_is_named_and_the_others_arrive() {
    let [ann, ben] = people();
    for (index, name) in ["a", "b", "c"].iter().enumerate() {
        fill(&ann.at("tree").join(name), index as u64, 300_000);
    }
    let (mut serving, ticket) = ann.share(&ann.at("tree"));
    fill(&ann.at("tree/b"), 99, 300_000);
    let mut get = ben.start(&["get", &ticket]);
    assert_eq!(get.wait(), Some(6), "{:#?}", get.said);
    let failed = get.said.iter().find(|v| v["type"] == "file-failed").expect("the file is named");
    assert_eq!(failed["path"], "b");
    assert!(ben.at("tree/a").exists() && ben.at("tree/c").exists() && !ben.at("tree/b").exists());
    let noticed = serving.event("source-changed");
    assert!(noticed["path"].as_str().is_some_and(|path| path.ends_with("/b")), "{noticed}");
}

#[test]
fn what_exists_is_never_replaced_unless_asked() {
    let [ann, ben] = people();
    fill(&ann.at("song"), 4, 100_000);
    let (_serving, ticket) = ann.share(&ann.at("song"));
    fs::write(ben.at("song"), b"my own").unwrap();
    let refused = ben.run(&["get", &ticket]);
    assert_eq!(refused.status.code(), Some(8));
    assert_eq!(fs::read(ben.at("song")).unwrap(), b"my own");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--overwrite"), "{refused:?}");
    assert!(ben.run(&["get", &ticket, "--rename"]).status.success());
    assert_eq!(fs::read(ben.at("song")).unwrap(), b"my own");
    assert!(fs::read(ben.at("song (2)")).unwrap() == random_bytes(4, 100_000));
    assert!(ben.run(&["get", &ticket, "--overwrite"]).status.success());
    assert!(fs::read(ben.at("song")).unwrap() == random_bytes(4, 100_000));
}

#[test]
fn a_part_can_be_chosen_and_the_rest_fetched_later() {
    let [ann, ben] = people();
    for name in ["a.txt", "b.jpg", "deep/c.txt"] {
        fill(&ann.at("tree").join(name), name.len() as u64, 5000);
    }
    let (_serving, ticket) = ann.share(&ann.at("tree"));
    let list = ben.run(&["get", &ticket, "--list"]);
    let listed = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.status.success() && listed.contains("deep/c.txt"), "{list:?}");
    assert!(!ben.at("tree").exists(), "listing fetches nothing");
    assert!(ben.run(&["get", &ticket, "--select", "*.txt"]).status.success());
    let part: Vec<_> = snapshot(&ben.at("tree")).into_keys().collect();
    assert_eq!(part, ["a.txt", "deep", "deep/c.txt"].map(std::path::PathBuf::from));
    let all = ben.run(&["get", &ticket]);
    assert!(all.status.success(), "{all:?}");
    assert_eq!(snapshot(&ann.at("tree")), snapshot(&ben.at("tree")));
    assert_eq!(ben.run(&["get", &ticket, "--select", "*.none"]).status.code(), Some(2));
}

#[test]
fn a_ticket_with_another_key_leads_nowhere() {
    let [ann, ben, eve] = people();
    fill(&ann.at("secret"), 5, 1000);
    let (serving, ticket) = ann.share(&ann.at("secret"));
    drop(serving);
    // Eve answers at Ann's address with a key of her own.
    fs::copy(ann.home().join("port"), eve.home().join("port")).unwrap();
    let (_eve, _) = eve.share(&ann.at("secret"));
    let get = ben.run(&["get", &ticket, "--give-up", "3"]);
    assert_eq!(get.status.code(), Some(5), "{get:?}");
    let told = String::from_utf8_lossy(&get.stderr).into_owned();
    assert!(!told.is_empty() && !ben.at("secret").exists(), "{told}");
}

#[test]
fn several_receivers_get_it_and_send_ends_when_they_have() {
    let [ann, ben, cleo, dan] = people();
    random_tree(&ann.at("tree"), 6, 60);
    fill(&ann.at("tree/large"), 6, 30 << 20);
    let path = ann.at("tree");
    let mut sending = ann.start(&["send", text(&path), "--count", "3"]);
    let ticket = sending.ticket();
    let receivers = [&ben, &cleo, &dan];
    let mut gets: Vec<Running> = receivers.map(|p| p.start(&["get", &ticket])).into();
    for get in &mut gets {
        assert_eq!(get.wait(), Some(0), "{:#?}", get.said);
    }
    assert_eq!(sending.wait(), Some(0), "{:#?}", sending.said);
    let sent = snapshot(&path);
    for person in receivers {
        assert_eq!(sent, snapshot(&person.at("tree")));
    }
}

#[test]
fn a_daemon_serves_and_fetches_for_all_commands_of_its_home() {
    let [ann, ben] = people();
    fill(&ann.at("song"), 7, 200_000);
    for person in [&ann, &ben] {
        let started = person.run(&["daemon", "start"]);
        assert!(started.status.success(), "{started:?}");
    }
    let song = ann.at("song");
    let shared = ann.run(&["share", text(&song)]);
    assert!(shared.status.success(), "with a daemon, share returns: {shared:?}");
    let ticket = String::from_utf8(shared.stdout).unwrap().trim().to_owned();
    assert!(ticket.starts_with("pot1") && !ticket.contains('\n'), "stdout has the ticket only");
    assert!(ben.run(&["get", &ticket]).status.success());
    let song = &snapshot(ben.desk.path())[Path::new("song")];
    assert!(matches!(song, Thing::File(false, bytes) if bytes.len() == 200_000));
    let ls = ann.run(&["ls"]);
    assert!(String::from_utf8_lossy(&ls.stdout).contains("song"), "{ls:?}");
    let gone = ann.run(&["unshare", "song"]);
    assert!(gone.status.success(), "{gone:?}");
    let late = Person::new(EXE);
    assert_eq!(late.run(&["get", &ticket, "--give-up", "5"]).status.code(), Some(3));
    for person in [&ann, &ben] {
        assert!(person.run(&["daemon", "stop"]).status.success());
        assert_eq!(person.run(&["daemon", "status"]).status.code(), Some(3));
    }
}

#[test]
fn a_second_command_of_a_home_joins_the_first() {
    let [ann, ben] = people();
    fill(&ann.at("mine"), 8, 1000);
    fill(&ben.at("yours"), 9, 1000);
    let (_ann, to_ann) = ann.share(&ann.at("mine"));
    let (_ben, to_ben) = ben.share(&ben.at("yours"));
    ann.get(&to_ben, &ann.at("in"));
    ben.get(&to_ann, &ben.at("in"));
    assert!(ann.at("in/yours").exists() && ben.at("in/mine").exists());
    ann.get(&to_ann, &ann.at("own"));
    assert!(fs::read(ann.at("own/mine")).unwrap() == random_bytes(8, 1000), "from oneself too");
}

#[test]
fn an_interrupted_download_says_how_to_go_on() {
    let [ann, ben] = people();
    fill(&ann.at("film"), 10, LARGE);
    let (_serving, ticket) = ann.share(&ann.at("film"));
    let mut get = ben.start(&["get", &ticket]);
    get.progress(1);
    get.interrupt();
    assert_eq!(get.wait(), Some(9), "{:#?}", get.said);
    let told = format!("{:?}", get.said);
    assert!(told.contains("again"), "{told}");
    let ls = ben.run(&["ls"]);
    assert!(String::from_utf8_lossy(&ls.stdout).contains("film"), "{ls:?}");
    assert!(ben.run(&["get", &ticket]).status.success());
    assert!(fs::read(ben.at("film")).unwrap() == random_bytes(10, LARGE));
}

#[test]
fn a_name_that_hides_is_taken_only_when_the_receiver_chose_it() {
    let [ann, ben] = people();
    fs::write(ann.at(".bashrc"), b"echo hello\n").unwrap();
    let (_serving, ticket) = ann.share(&ann.at(".bashrc"));
    let refused = ben.run(&["get", &ticket]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(!ben.at(".bashrc").exists());
    let chosen = ben.at("bashrc of ann");
    assert!(ben.run(&["get", &ticket, "-o", text(&chosen)]).status.success());
    assert_eq!(fs::read(chosen).unwrap(), b"echo hello\n");
}

#[test]
fn a_single_file_that_vanished_is_an_error_that_names_it() {
    let [ann, ben] = people();
    fill(&ann.at("film"), 11, 500_000);
    let (_serving, ticket) = ann.share(&ann.at("film"));
    fs::remove_file(ann.at("film")).unwrap();
    let get = ben.run(&["get", &ticket]);
    assert_eq!(get.status.code(), Some(6), "{get:?}");
    let told = String::from_utf8_lossy(&get.stderr).into_owned();
    assert!(told.contains("film") && told.contains("moved or deleted"), "{told}");
    assert!(!ben.at("film").exists());
}
