//! Stories of several commands on one home: who runs the node, who joins it, who goes on.

use std::fs;
use std::process::Command;

use potluck_testkit::{Person, fill, random_bytes};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_potluck");

fn api_file(person: &Person) -> Option<Value> {
    let text = fs::read(person.home().join("api.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

fn pid_of_node(person: &Person) -> Option<u64> {
    api_file(person)?["pid"].as_u64()
}

#[test]
fn a_small_demo_passes_and_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let mut demo = Command::new(EXE);
    demo.args(["demo", "--size", "3", "--temp"]).arg(temp.path()).env("NO_COLOR", "1");
    let output = demo.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("PASSED"), "{output:?}");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn a_demo_of_a_single_file_passes_in_json_too() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("a file");
    fill(&file, 1, 200_000);
    let mut demo = Command::new(EXE);
    demo.arg("demo").arg(&file).args(["--receivers", "2", "--json", "--temp"]).arg(temp.path());
    let output = demo.output().unwrap();
    let last = String::from_utf8(output.stdout).unwrap();
    let verdict: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(verdict["equal"], true, "{verdict}");
    assert_eq!(verdict["receivers"].as_array().unwrap().len(), 2);
}

#[test]
fn a_daemon_is_started_once_and_takes_its_token_with_it() {
    let ann = Person::new(EXE);
    assert!(ann.run(&["daemon", "start"]).status.success());
    let file = api_file(&ann).expect("a running daemon has published its API");
    assert_eq!(file["daemon"], true);
    let again = ann.run(&["daemon", "start"]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(api_file(&ann).unwrap(), file, "the second start changed nothing");
    let shown = ann.run(&["daemon", "status"]);
    let pid = file["pid"].to_string();
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&pid), "{shown:?}");
    assert!(ann.run(&["daemon", "stop"]).status.success());
    assert!(api_file(&ann).is_none());
    // The lock is free: a command starts a node of its own at once.
    assert!(ann.run(&["id"]).status.success());
}

#[test]
fn a_daemon_that_cannot_start_says_why_and_with_which_kind() {
    let ann = Person::new(EXE);
    let output = ann.run(&["daemon", "start", "--api-listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("loopback only"), "{told}");
}

#[test]
fn a_share_that_joined_another_goes_on_when_that_ends() {
    let [ann, ben] = std::array::from_fn(|_| Person::new(EXE));
    fill(&ann.at("one"), 1, 10_000);
    fill(&ann.at("two"), 2, 10_000);
    let (mut first, _) = ann.share(&ann.at("one"));
    let (second, ticket) = ann.share(&ann.at("two"));
    assert_eq!(pid_of_node(&ann), Some(first.id().into()), "the second joined the first");
    first.interrupt();
    assert_eq!(first.wait(), Some(0), "{:#?}", first.said);
    // Whoever comes now is served by the second: `get` waits until it listens.
    ben.get(&ticket, &ben.at("in"));
    assert!(fs::read(ben.at("in/two")).unwrap() == random_bytes(2, 10_000));
    assert_eq!(pid_of_node(&ann), Some(second.id().into()));
}

#[test]
fn a_foreground_node_is_stopped_by_daemon_stop() {
    let ann = Person::new(EXE);
    fill(&ann.at("one"), 1, 10_000);
    let (mut serving, _) = ann.share(&ann.at("one"));
    let refused = ann.run(&["daemon", "start"]);
    assert_eq!(refused.status.code(), Some(11), "the home is in use: {refused:?}");
    assert_eq!(ann.run(&["daemon", "status"]).status.code(), Some(3), "it is no daemon");
    assert!(ann.run(&["daemon", "stop"]).status.success());
    assert_eq!(serving.wait(), Some(0), "{:#?}", serving.said);
}

#[cfg(unix)]
#[test]
fn the_file_with_the_token_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let ann = Person::new(EXE);
    fill(&ann.at("one"), 1, 10_000);
    let (_serving, _) = ann.share(&ann.at("one"));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(ann.home().join("api.json")), 0o600);
}
