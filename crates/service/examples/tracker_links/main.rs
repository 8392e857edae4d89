//! Measures a tracker over real links: `cargo xtask bench tracker --part links` builds and runs it.
//!
//! `run FOLDER LINKS WAVE` starts this program again as the tracker, as a crowd of clients played
//! by hand and as a wave of clients as they really are; it prints lines of a name and a number. All
//! links are TCP with TLS on loopback.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program of the workshop")]

mod crowd;
mod hand;
mod member;
#[path = "../tracker_index/names.rs"]
mod names;
mod role;
mod tracker;
mod wave;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use potluck_base::PeerId;
use potluck_identity::Invite;
use potluck_proto::directory::tracker::{Query, Reply, Request};
use potluck_service::directory::Directory;

use self::hand::Hand;
use self::member::Member;
use self::names::Dice;
use self::role::{Role, micros, say, say_times};

/// Clients of one process: each takes two descriptors, of which a process has 20,000.
const CLIENTS_PER_PROCESS: u64 = 5000;
/// Files of each client.
const FILES_PER_CLIENT: u64 = 100;
/// Searches of each kind.
const SEARCHES: u64 = 500;
/// Pause between two searches: a link that asks without any is told to wait.
const SEARCH_PAUSE: Duration = Duration::from_millis(6);
/// Files that are added to see when they are found elsewhere.
const ADDED: u64 = 50;
/// Pause between two looks whether they are.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// For how long one is looked for.
const LOOK_TIME: Duration = Duration::from_secs(20);
/// How long the leases are watched before it is counted who is online.
const LEASES_TIME: Duration = Duration::from_secs(25);
/// How long the tracker is away in the second wave: long enough for pauses to be at their longest.
const AWAY_TIME: Duration = Duration::from_secs(15);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match *args.as_slice() {
        ["run", folder, links, wave] => {
            runtime.block_on(run(Path::new(folder), number(links), number(wave)));
        }
        ["tracker", folder, port] => {
            runtime.block_on(tracker::run(Path::new(folder), number(port) as u16));
        }
        ["crowd", invite, first, last] => {
            runtime.block_on(crowd::run(&invite.parse().unwrap(), number(first)..number(last)));
        }
        ["wave", invite, count, folder] => {
            runtime.block_on(wave::run(&invite.parse().unwrap(), number(count), Path::new(folder)));
        }
        _ => panic!("neither run nor a role: {args:?}"),
    }
    // Threads that wait for more are left behind.
    runtime.shutdown_background();
}

async fn run(folder: &Path, links: u64, wave: u64) {
    let data = folder.join("tracker");
    std::fs::create_dir_all(&data).unwrap();
    say("load_before", role::load());
    let tracker = tracker::start(&data, 0).await;
    let port = tracker.told.parse().unwrap();
    let owner = Member::new(folder, 1).await;
    let invite = owner.create(tracker::ticket(port)).await;
    let visitor = Member::new(folder, 2).await;
    visitor.join(&invite).await;
    let crowd = fill(&tracker, &invite, links).await;
    search_by_hand(&invite, links).await;
    search_as_member(&visitor, links).await;
    added_files(&owner, &visitor).await;
    say("peak_mib", tracker.memory_mib("VmHWM"));
    drop(crowd);
    let tracker = restart(tracker, &invite, wave, folder).await;
    drop(tracker);
    say("load_after", role::load());
}

/// Links, registers and publishes with the whole crowd.
async fn fill(tracker: &Role, invite: &Invite, links: u64) -> Vec<Role> {
    let mut crowd = Vec::new();
    let text = invite.to_string();
    for first in (0..links).step_by(CLIENTS_PER_PROCESS as usize) {
        let last = links.min(first + CLIENTS_PER_PROCESS).to_string();
        crowd.push(Role::start(&["crowd", &text, &first.to_string(), &last]).await);
    }
    let empty_mib = tracker.memory_mib("VmRSS");
    say("empty_mib", empty_mib);
    for (step, name, each) in [
        ("link", "links", 1),
        ("register", "registrations", 1),
        ("publish", "published_files", FILES_PER_CLIENT),
    ] {
        let (begun, cpu) = (Instant::now(), tracker.processor_s());
        let answers = role::ask_all(&mut crowd, step).await;
        let (took, cpu) = (begun.elapsed().as_secs_f64(), tracker.processor_s() - cpu);
        let work = (links * each) as f64;
        say(&format!("{name}_per_s"), work / took);
        say(&format!("{name}_per_tracker_cpu_s"), work / cpu.max(0.01));
        say_times(step, answers.iter().flat_map(|answer| role::times(answer)).collect());
        say(&format!("{step}ed_mib"), tracker.memory_mib("VmRSS"));
        if step != "publish" {
            let grown = (tracker.memory_mib("VmRSS") - empty_mib) * f64::from(1 << 20);
            say(&format!("bytes_per_{step}ed_client"), grown / links as f64);
        }
    }
    watch_leases(tracker, invite, links, &mut crowd).await;
    crowd
}

/// Lets the crowd live on for longer than a lease, and counts who is still there.
async fn watch_leases(tracker: &Role, invite: &Invite, links: u64, crowd: &mut [Role]) {
    let (begun, cpu) = (Instant::now(), tracker.processor_s());
    tokio::time::sleep(LEASES_TIME).await;
    let busy = (tracker.processor_s() - cpu) / begun.elapsed().as_secs_f64();
    say("idle_tracker_cpu_percent", 100.0 * busy);
    say("live_mib", tracker.memory_mib("VmRSS"));
    let answers = role::ask_all(crowd, "alive").await;
    let sum = |index| answers.iter().map(|answer| role::times(answer)[index]).sum::<f64>();
    say("live_links", sum(0));
    say("requests_put_off", sum(1));
    say("dials_repeated", sum(2));
    let listed = listed(invite, hand::CROWD, links).await;
    say("live_leases", listed.online as f64);
    say("listed_files", listed.files as f64);
}

/// What the tracker shows of some clients.
#[derive(Default)]
struct Listed {
    online: usize,
    files: u64,
}

/// Asks the tracker over a link what it shows of clients of a kind.
async fn listed(invite: &Invite, kind: u8, clients: u64) -> Listed {
    let ids: BTreeSet<PeerId> =
        (0..clients).map(|number| hand::key(kind, number).peer_id()).collect();
    let hand = Hand::dial(invite, hand::key(hand::COUNTER, kind.into())).await.unwrap();
    hand.register(&format!("counter {kind}")).await.unwrap();
    let (mut listed, mut after) = (Listed::default(), None);
    loop {
        let reply = hand.ask(Request::Members { after }).await.unwrap();
        let Reply::Members { members, more } = reply else { panic!("not a list of members") };
        for member in members.iter().filter(|member| ids.contains(&member.peer)) {
            listed.online += usize::from(member.online);
            listed.files += member.files;
        }
        after = members.last().map(|member| member.peer);
        if !more {
            return listed;
        }
    }
}

/// What is searched: words of names that are listed, or beginnings of them.
fn words(dice: &mut Dice, kind: Kind, clients: u64) -> String {
    let path = names::path(dice.below(clients * FILES_PER_CLIENT));
    let found = path.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2);
    let found: Vec<&str> = found.collect();
    match kind {
        Kind::Words => found[..found.len().min(1 + dice.below(2) as usize)].join(" "),
        Kind::Prefix => found[0].chars().take(3 + dice.below(3) as usize).collect(),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Words,
    Prefix,
}

const KINDS: [(Kind, &str); 2] = [(Kind::Words, "words"), (Kind::Prefix, "prefix")];

/// One client that asks over its link: the answer is read, its signatures are not looked at.
async fn search_by_hand(invite: &Invite, clients: u64) {
    let hand = Hand::dial(invite, hand::key(hand::SEARCHER, 0)).await.unwrap();
    hand.register("searcher").await.unwrap();
    for (kind, name) in KINDS {
        let (mut dice, mut times, mut found) = (Dice::new(7), Vec::new(), 0);
        for _ in 0..SEARCHES {
            let query =
                Query { words: words(&mut dice, kind, clients), limit: 20, ..Query::default() };
            let begun = Instant::now();
            let reply = hand.ask(Request::Search { query }).await.unwrap();
            times.push(micros(begun.elapsed()));
            let Reply::Found(reply) = reply else { panic!("not what was asked") };
            found += usize::from(!reply.groups.is_empty());
            tokio::time::sleep(SEARCH_PAUSE).await;
        }
        say_times(&format!("link_search_{name}"), times);
        say(&format!("link_search_{name}_found"), found as f64 / SEARCHES as f64);
    }
}

/// A member's directory: every result is checked against its peer's signature.
async fn search_as_member(member: &Member, clients: u64) {
    let directory = member.directory();
    for (kind, name) in KINDS {
        let (mut dice, mut times) = (Dice::new(8), Vec::new());
        for _ in 0..SEARCHES {
            let query =
                Query { words: words(&mut dice, kind, clients), limit: 20, ..Query::default() };
            let begun = Instant::now();
            directory.search(query).await.unwrap();
            times.push(micros(begun.elapsed()));
            tokio::time::sleep(SEARCH_PAUSE).await;
        }
        say_times(&format!("member_search_{name}"), times);
    }
}

/// One member adds files to a folder that it shares; the other one searches until it finds them.
async fn added_files(owner: &Member, visitor: &Member) {
    owner.share_folder(FILES_PER_CLIENT).await;
    found(&*visitor.directory(), "before 0").await.expect("the folder is found");
    let (mut dice, mut times, mut missing) = (Dice::new(9), Vec::new(), 0);
    for number in 0..ADDED {
        // At any moment of whatever pauses there are.
        tokio::time::sleep(Duration::from_millis(200 + dice.below(800))).await;
        let begun = Instant::now();
        owner.add_file(&format!("added q{number}z.txt"), number);
        match found(&*visitor.directory(), &format!("added q{number}z")).await {
            Some(_) => times.push(micros(begun.elapsed())),
            None => missing += 1,
        }
    }
    say("added_missing", f64::from(missing));
    say_times("added_file", times);
}

/// Searches until something is found; none if that takes too long.
async fn found(directory: &dyn Directory, words: &str) -> Option<()> {
    let begun = Instant::now();
    while begun.elapsed() < LOOK_TIME {
        let query = Query { words: words.to_owned(), limit: 5, ..Query::default() };
        if !directory.search(query).await.unwrap().groups.is_empty() {
            return Some(());
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    None
}

/// Kills the tracker under clients as they really are, twice: it is back at once, and later.
async fn restart(mut tracker: Role, invite: &Invite, wave: u64, folder: &Path) -> Role {
    let port = tracker.told.parse().unwrap();
    let home = folder.join("wave");
    let (text, count) = (invite.to_string(), wave.to_string());
    let begun = Instant::now();
    let mut clients = Role::start(&["wave", &text, &count, home.to_str().unwrap()]).await;
    say("wave_first_s", begun.elapsed().as_secs_f64());
    for (name, away) in [("wave", Duration::ZERO), ("late_wave", AWAY_TIME)] {
        tracker.kill().await;
        tokio::time::sleep(away).await;
        let began = role::unix_us();
        tracker = tracker::start(&folder.join("tracker"), port).await;
        say(&format!("{name}_tracker_ready_s"), (role::unix_us() - began) as f64 / 1e6);
        let answer = clients.ask(&format!("back {began}")).await;
        let (online, in_step) = answer.split_once(';').unwrap();
        for (what, times) in [("registered", online), ("in_step", in_step)] {
            let times = role::times(times);
            say(&format!("{name}_{what}"), times.len() as f64);
            say_times(&format!("{name}_{what}"), times);
        }
        let listed = listed(invite, hand::WAVE, wave).await;
        say(&format!("{name}_live_leases"), listed.online as f64);
        say(&format!("{name}_listed_files"), listed.files as f64);
        say(&format!("{name}_peak_mib"), tracker.memory_mib("VmHWM"));
    }
    tracker
}
