//! A semester of a study group: a tracker, members who come and go, one who is put out, an old
//! client, with real processes on loopback.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on panics")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use potluck_testkit::{Member, Person, Running, random_bytes, snapshot};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_potluck");
/// Longer than anything here takes that works.
const PATIENCE: Duration = Duration::from_secs(45);
/// Pause between two questions whether something has come to pass.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Starts the group's tracker and waits for its ticket.
fn start_tracker(person: &Person) -> (Running, String) {
    let args = ["tracker", "run", "--name", "library", "--lease", "3", "--p2p-ci", "127.0.0.1:0"];
    let mut tracker = person.start(&args);
    let says = |value: &Value| value.to_string().contains("pottr1");
    let text = tracker.until("a ticket", says).to_string();
    let start = text.find("pottr1").unwrap();
    let ticket: String = text[start..].chars().take_while(char::is_ascii_alphanumeric).collect();
    (tracker, ticket)
}

fn online(members: &Value, nick: &str) -> Option<bool> {
    let all = members["networks"][0]["members"].as_array()?;
    all.iter().find(|member| member["nick"] == nick)?["online"].as_bool()
}

/// What a tracker's statistics say of its P2P-CI side.
fn old_door(librarian: &Person) -> String {
    let output = librarian.run(&["tracker", "stats", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let value: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    value["reply"]["p2p_ci"]["address"].as_str().unwrap().to_owned()
}

/// Says something to an old server and reads until it is silent or done.
fn say(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 || (line == "\r\n" && answer.contains("RFC")) {
            return answer;
        }
        answer.push_str(&line);
    }
}

#[test]
fn a_study_group_lives_through_a_semester() {
    let librarian = Person::new(EXE);
    let (mut tracker, ticket) = start_tracker(&librarian);
    let old_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let anna = Member::new(EXE, &["--set", &format!("p2p_ci={old_port}")]);
    let [mut bert, carla, dora] = std::array::from_fn(|_| Member::new(EXE, &[]));
    they_found_a_group(&ticket, &anna, &bert, &carla, &dora);
    let notes = anna.person.at("notes");
    they_publish_and_fetch(&anna, &bert, &carla, &notes);
    one_dies_and_returns(&anna, &mut bert, &carla);
    one_is_put_out(&anna, &carla);
    bert.finds("thermo", |_| true);
    tracker.kill();
    let stale = |reply: &Value| reply["groups"].as_array().is_some_and(|all| !all.is_empty());
    bert.until("what was found before", &["search", "thermo"], stale);
    let again = start_tracker(&librarian);
    assert_eq!(again.1, ticket, "the tracker is where it was");
    anna.until("everybody back", &["network", "members"], |reply| {
        online(reply, "anna") == Some(true) && online(reply, "Bert") == Some(true)
    });
    bert.finds("rfc1149", |group| group["online"] == 2);
    an_old_client_takes_part(&librarian, &bert, &notes);
}

/// The owner invites two; the third use of the same invite is refused.
fn they_found_a_group(ticket: &str, anna: &Member, bert: &Member, carla: &Member, dora: &Member) {
    anna.done(&["network", "create", "group", "--tracker", ticket, "--nick", "anna"]);
    let invited = anna.done(&["invite", "--uses", "2"]);
    let invite = invited["invite"].as_str().unwrap();
    assert_eq!(bert.done(&["join", invite, "--nick", "Bert"])["nick"], "Bert");
    carla.fails(&["join", invite, "--nick", "bert"], "exists");
    assert_eq!(carla.done(&["join", invite])["network"]["name"], "group");
    dora.fails(&["join", invite], "denied");
    dora.fails(&["search", "anything"], "not-found");
}

/// They publish by dropping files into folders, and fetch from each other by name.
fn they_publish_and_fetch(anna: &Member, bert: &Member, carla: &Member, notes: &Path) {
    fs::create_dir_all(notes.join("week-1")).unwrap();
    fs::write(notes.join("week-1/Thermodynamik.txt"), random_bytes(1, 300_000)).unwrap();
    anna.done(&["share", notes.to_str().unwrap(), "--tag", "physics"]);
    bert.finds("thermo", |group| group["online"] == 1);
    fs::write(notes.join("rfc1149.txt"), random_bytes(2, 70_000)).unwrap();
    carla.finds("rfc1149", |group| group["size"] == 70_000);
    fs::rename(notes.join("week-1"), notes.join("week-01")).unwrap();
    carla.finds("thermo", |group| {
        group["hits"][0]["path"].as_str() == Some("week-01/Thermodynamik.txt")
    });
    let into = bert.person.at("in");
    bert.get("notes", &into);
    assert_eq!(snapshot(notes), snapshot(&into.join("notes")));
    carla.finds("thermo", |group| group["providers"] == 2 && group["online"] == 2);
}

/// The files of somebody who is away stay listed.
fn one_dies_and_returns(anna: &Member, bert: &mut Member, carla: &Member) {
    bert.dies();
    anna.until("Bert offline", &["network", "members"], |reply| {
        online(reply, "Bert") == Some(false)
    });
    carla.finds("thermo", |group| group["providers"] == 2 && group["online"] == 1);
    bert.returns();
    carla.finds("thermo", |group| group["online"] == 2);
}

/// She becomes a stranger to the tracker and to everybody whom she knew.
fn one_is_put_out(anna: &Member, carla: &Member) {
    let ticket = anna.done(&["ls"])["shares"][0]["ticket"].as_str().unwrap().to_owned();
    let nick = carla.done(&["network", "ls"])["networks"][0]["nick"].as_str().unwrap().to_owned();
    anna.done(&["network", "revoke", &nick]);
    let deadline = Instant::now() + PATIENCE;
    while carla.ask(&["search", "thermo"]).1 == 0 {
        assert!(Instant::now() < deadline, "still let in after she was put out");
        std::thread::sleep(ASK_EVERY);
    }
    let nowhere = carla.person.at("nowhere");
    fs::create_dir_all(&nowhere).unwrap();
    let (refused, code) = carla.ask(&["get", &ticket, "-o", nowhere.to_str().unwrap()]);
    assert_ne!(code, 0, "{refused:#}");
    assert_eq!(fs::read_dir(&nowhere).unwrap().count(), 0, "a revoked member got something");
}

/// A client of P2P-CI/1.0 finds and fetches what a member publishes, and a member what it adds.
fn an_old_client_takes_part(librarian: &Person, bert: &Member, notes: &Path) {
    let mut server = TcpStream::connect(old_door(librarian)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let upload = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upload.local_addr().unwrap().port();
    let headers = format!("Host: localhost\r\nPort: {port}\r\n");
    let add = format!("ADD RFC 2549 P2P-CI/1.0\r\n{headers}Title: Avian Carriers QoS\r\n\r\n");
    assert!(say(&mut server, &add).contains("200 OK"));
    let lookup = format!("LOOKUP RFC 1149 P2P-CI/1.0\r\n{headers}Title: rfc1149.txt\r\n\r\n");
    let rows = say(&mut server, &lookup);
    let row = rows.lines().find(|line| line.starts_with("RFC 1149")).expect("a row");
    let words: Vec<&str> = row.split_whitespace().collect();
    let (host, at) = (words[words.len() - 2], words[words.len() - 1]);
    let mut peer = TcpStream::connect(format!("{host}:{at}")).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(b"GET RFC 1149 P2P-CI/1.0\r\nHost: localhost\r\nOS: none\r\n\r\n").unwrap();
    let wanted = fs::read(notes.join("rfc1149.txt")).unwrap();
    let mut got = Vec::new();
    let mut buffer = [0; 8192];
    while !got.ends_with(&wanted) {
        let length = peer.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "the file was cut short");
        got.extend_from_slice(&buffer[..length]);
    }
    // The other way: a member finds and fetches what nobody has signed.
    let serving = std::thread::spawn(move || {
        // The member may try several dialects; this old peer knows one.
        for stream in upload.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            let mut stream = stream;
            if first == "GET RFC 2549 P2P-CI/1.0" {
                let head = "P2P-CI/1.0 200 OK\r\nContent-Length: 6\r\n\r\npigeon";
                stream.write_all(head.as_bytes()).unwrap();
                return;
            }
        }
    });
    let found = bert.finds("avian carriers", |group| group["content"].is_null());
    assert!(found["hits"][0]["unverified"].is_string());
    let into = bert.person.at("old");
    fs::create_dir_all(&into).unwrap();
    let place = into.to_str().unwrap().to_owned();
    bert.fails(&["get", "Avian Carriers QoS", "-o", &place], "denied");
    let reply = bert.done(&["get", "Avian Carriers QoS", "--unverified", "-o", &place]);
    assert_eq!(reply["bytes"], 6);
    assert_eq!(fs::read(into.join("Avian Carriers QoS")).unwrap(), b"pigeon");
    serving.join().unwrap();
}
