//! A network without a server, of real processes on this machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Member, PATIENCE, random_bytes};

/// Pause between two looks at all members.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Daemons that start at a time.
const AT_ONCE: usize = 4;

/// Members on a circle. Each shares one file of its own.
pub struct Circle {
    /// Those who are there.
    pub members: Vec<Member>,
    /// How many of each record there are to be.
    pub replicas: u8,
    /// What each has published, of those who are or were there.
    pub published: Vec<Published>,
}

/// A file that somebody has published.
#[derive(Clone, Debug)]
pub struct Published {
    /// By which member's nickname.
    pub nick: String,
    /// A word that only its name has.
    pub word: String,
    /// Its content id.
    pub content: String,
}

/// One lookup, as the one who asked tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Peers on the way, without the owner.
    pub hops: u64,
    /// From question to answer, milliseconds.
    pub took_ms: f64,
}

impl Circle {
    /// A network of this kind (`chord` or `ring`) with so many members, all in their places.
    pub fn new(exe: &str, kind: &str, count: usize, replicas: u8) -> Self {
        let mut members = Vec::with_capacity(count);
        while members.len() < count {
            let batch = AT_ONCE.min(count - members.len());
            let started: Vec<Member> = (0..batch).map(|_| Member::begin(exe, &[])).collect();
            members.extend(started.into_iter().map(Member::awake));
        }
        let copies = replicas.to_string();
        members[0].done(&[
            "network",
            "create",
            "circle",
            "--directory",
            kind,
            "--replicas",
            &copies,
            "--nick",
            "n0",
        ]);
        let uses = count.to_string();
        let invited = members[0].done(&["invite", "--uses", &uses]);
        let invite = invited["invite"].as_str().expect("an invite").to_owned();
        for (number, member) in members.iter().enumerate().skip(1) {
            member.done(&["join", &invite, "--nick", &format!("n{number}")]);
        }
        let circle = Self { members, replicas, published: Vec::new() };
        circle.until_whole();
        circle
    }

    /// Waits until everybody knows who stands before and behind.
    pub fn until_whole(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let faults = self.faults();
            if faults.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "the circle is not whole: {faults:#?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What is not as a sorted list of the places says.
    pub fn faults(&self) -> Vec<String> {
        let mut all: Vec<Value> =
            self.members.iter().map(|member| member.done(&["dht", "status"])).collect();
        let place = |status: &Value| status["own"]["place"].as_str().unwrap_or_default().to_owned();
        all.sort_by_key(&place);
        let mut faults = Vec::new();
        let count = all.len();
        for (index, status) in all.iter().enumerate() {
            let who = &status["own"]["nick"];
            let next = &all[(index + 1) % count];
            let before = &all[(index + count - 1) % count];
            if count > 1 && status["successors"][0]["place"] != place(next).as_str() {
                faults.push(format!("{who} is not followed by {}", next["own"]["nick"]));
            }
            if count > 1 && status["predecessor"]["place"] != place(before).as_str() {
                faults.push(format!("{who} does not follow {}", before["own"]["nick"]));
            }
        }
        faults
    }

    /// Each member publishes a file that it alone has.
    pub fn publish_all(&mut self) {
        for (number, member) in self.members.iter().enumerate() {
            let word = format!("{}{number}", WORDS[number % WORDS.len()]);
            let path = member.person.at(&format!("{word} notes.txt"));
            let bytes = random_bytes(number as u64 + 1, 1000 + number);
            std::fs::write(&path, bytes).expect("a file on the desk");
            let shared = member.done(&["share", path.to_str().expect("a path of ours")]);
            let content = shared["id"].as_str().unwrap_or_default().to_owned();
            let nick = format!("n{number}");
            self.published.push(Published { nick, word, content });
        }
    }

    /// Waits until this member finds everything that was published.
    pub fn finds_all(&self, member: &Member) {
        for published in &self.published {
            member.finds(&published.word, |_| true);
        }
    }

    /// Takes out members by number in the order of their places on the circle.
    pub fn take(&mut self, chosen: impl Fn(usize) -> bool) -> Vec<Member> {
        let place = |member: &Member| {
            member.done(&["dht", "status"])["own"]["place"].as_str().unwrap_or_default().to_owned()
        };
        let mut all: Vec<(String, Member)> =
            self.members.drain(..).map(|member| (place(&member), member)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let mut taken = Vec::new();
        for (index, (_, member)) in all.into_iter().enumerate() {
            if chosen(index) { taken.push(member) } else { self.members.push(member) }
        }
        taken
    }

    /// Looks keys up from every member; every member must name the same owner.
    pub fn look_up(&self, keys: &[String]) -> Vec<Looked> {
        let mut looked = Vec::new();
        for key in keys {
            let mut owners = BTreeSet::new();
            for member in &self.members {
                let found = member.done(&["dht", "lookup", key]);
                owners.insert(found["owner"]["place"].to_string());
                looked.push(Looked {
                    hops: found["hops"].as_u64().unwrap_or_default(),
                    took_ms: found["took_ms"].as_f64().unwrap_or_default(),
                });
            }
            assert_eq!(owners.len(), 1, "they do not agree who keeps {key}: {owners:?}");
        }
        looked
    }
}

/// Beginnings of names that have little in common.
const WORDS: [&str; 8] = ["amber", "birch", "cedar", "dune", "ember", "fjord", "glade", "harbour"];
