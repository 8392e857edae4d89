//! Measures the index of a tracker: `cargo xtask bench tracker` builds and runs it.
//!
//! `fill FILE FILES PEERS` publishes into an empty index, `ask FILE FILES PEERS` starts with it and
//! searches. Each prints lines of a name and a number.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program of the workshop")]

mod names;

use std::path::Path;
use std::time::{Duration, Instant};

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey};
use potluck_identity::{DirectoryKind, Membership, NetworkRecord, Policy, Role, SecretKey, Signed};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, Place, ShareHead, page_of, pages_for,
};
use potluck_proto::directory::tracker::{Answer, Change, Query, Question, Written};
use potluck_service::tracker::sqlite::SqliteStore;
use potluck_service::tracker::store::TrackerStore;

use self::names::Dice;

const NOW_MS: u64 = 1_750_000_000_000;
const EXPIRES_MS: u64 = NOW_MS + 86_400_000;
/// Changes that are committed together, as a tracker does under load.
const BATCH: usize = 64;
/// Queries of each kind.
const QUERIES: u64 = 500;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |index: usize| args[index].parse::<u64>().expect("a number");
    let (path, world) = (Path::new(&args[2]), World { files: number(3), peers: number(4) });
    match args[1].as_str() {
        "fill" => world.fill(path),
        "ask" => world.ask(path),
        other => panic!("neither fill nor ask: {other}"),
    }
}

fn say(name: &str, value: f64) {
    println!("{name}\t{value}");
}

/// Who shares what.
struct World {
    files: u64,
    peers: u64,
}

/// A page or a head that a peer sends.
enum Sent {
    Head(Signed<ShareHead>),
    Page(Page),
}

impl World {
    fn key(&self) -> SecretKey {
        SecretKey::from_seed([1; 32])
    }

    fn network(&self) -> NetworkId {
        self.key().network_id()
    }

    fn fill(&self, path: &Path) {
        let store = SqliteStore::open(path).unwrap();
        commit(&store, vec![Change::PutNetwork { record: self.record() }]);
        let start = Instant::now();
        for first in (0..self.peers).step_by(BATCH) {
            let last = self.peers.min(first + BATCH as u64);
            commit(&store, (first..last).map(|peer| self.member(peer)).collect());
        }
        say("members_per_s", self.peers as f64 / start.elapsed().as_secs_f64());
        let before = processor_ms();
        let (mut checking, mut writing) = (Duration::ZERO, Duration::ZERO);
        let mut slowest = Duration::ZERO;
        for first in (0..self.peers).step_by(100) {
            let sent = (first..self.peers.min(first + 100)).flat_map(|peer| self.publish(peer));
            let mut sent: Vec<(PeerId, Sent)> = sent.collect();
            while !sent.is_empty() {
                let rest = sent.split_off(sent.len().min(BATCH));
                let start = Instant::now();
                let changes = sent.into_iter().map(|sent| self.check(sent)).collect();
                checking += start.elapsed();
                let start = Instant::now();
                commit(&store, changes);
                writing += start.elapsed();
                slowest = slowest.max(start.elapsed());
                sent = rest;
            }
        }
        let rate = |time: Duration| self.files as f64 / time.as_secs_f64();
        say("written_files_per_s", rate(writing));
        say("checked_files_per_s", rate(checking + writing));
        say("fill_cpu_s", (processor_ms() - before) / 1000.0);
        say("slowest_batch_ms", ms(slowest));
        let start = Instant::now();
        self.leave_and_return(&store);
        say("leave_and_return_ms", ms(start.elapsed()) / 20.0);
        let start = Instant::now();
        store.upkeep().unwrap();
        say("upkeep_ms", ms(start.elapsed()));
        let stats = store.stats().unwrap();
        say("bytes_per_file", stats.bytes as f64 / stats.files as f64);
        say("words", stats.words as f64);
        say("fill_peak_mib", memory_mib("VmHWM"));
    }

    /// Some peers go for good and come back.
    fn leave_and_return(&self, store: &SqliteStore) {
        for peer in 0..self.peers.min(10) {
            let id = self.peer(peer).peer_id();
            commit(store, vec![Change::DropMember { network: self.network(), peer: id }]);
            let mut changes = vec![self.member(peer)];
            changes.extend(self.publish(peer).into_iter().map(|sent| self.check(sent)));
            commit(store, changes);
        }
    }

    fn ask(&self, path: &Path) {
        say("empty_mib", memory_mib("VmRSS"));
        let start = Instant::now();
        let store = SqliteStore::open(path).unwrap();
        let loaded = store.load().unwrap();
        say("start_ms", ms(start.elapsed()));
        let start = Instant::now();
        self.search(&store, "anything at all", 20);
        say("first_search_ms", ms(start.elapsed()));
        say("loaded_members", loaded.members.len() as f64);
        say("started_mib", memory_mib("VmRSS"));
        for (name, make) in KINDS {
            self.measure(&store, name, *make, 20);
        }
        self.measure(&store, "two_words_100", KINDS[1].1, 100);
        self.measure(&store, "typo", typo, 20);
        self.while_publishing(&store);
        say("asked_mib", memory_mib("VmRSS"));
        say("ask_peak_mib", memory_mib("VmHWM"));
        drop(loaded);
    }

    fn measure(&self, store: &SqliteStore, name: &str, make: Make, limit: u16) {
        let mut dice = Dice::new(name.bytes().map(u64::from).sum());
        let mut times = Vec::new();
        let mut found = 0;
        let before = processor_ms();
        for index in 0..QUERIES {
            let words = make(&mut dice, index, self.files);
            let start = Instant::now();
            found += usize::from(self.search(store, &words, limit) > 0);
            times.push(start.elapsed());
        }
        say_times(name, times);
        say(&format!("{name}_cpu_ms"), (processor_ms() - before) / QUERIES as f64);
        say(&format!("{name}_found"), found as f64 / QUERIES as f64);
    }

    /// Searches while another thread changes what is listed, file after file.
    fn while_publishing(&self, store: &SqliteStore) {
        let latest = store.load().unwrap().pages.iter().map(|page| page.sequence).max();
        let latest = latest.expect("there are pages");
        let done = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut times = Vec::new();
                for round in 1.. {
                    let peer = round % self.peers;
                    let mut page = self.publish_at(peer, latest + round).remove(1);
                    let start = Instant::now();
                    let Sent::Page(kept) = &mut page.1 else { unreachable!("a page") };
                    assert_eq!(kept.head.value.page, 0);
                    commit(store, vec![self.check(page)]);
                    times.push(start.elapsed());
                    if done.load(relaxed) {
                        return times;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                times
            });
            for (name, make) in KINDS {
                self.measure(store, &format!("busy_{name}"), *make, 20);
            }
            done.store(true, relaxed);
            say_times("busy_publish", writer.join().unwrap());
        });
    }

    /// How many groups fit.
    fn search(&self, store: &SqliteStore, words: &str, limit: u16) -> usize {
        let query = Query { words: words.to_owned(), limit, ..Query::default() };
        let question = Question::Search { network: self.network(), query };
        match store.ask(&question, &|_, peer| peer.0[0] & 1 == 0).unwrap() {
            Answer::Found(found) => found.groups.len() + usize::from(found.did_you_mean.is_some()),
            other => panic!("{other:?}"),
        }
    }

    fn record(&self) -> Signed<NetworkRecord> {
        let id = SecretKey::from_seed([2; 32]).peer_id();
        let record = NetworkRecord {
            network: self.network(),
            name: "bench".to_owned(),
            directory: DirectoryKind::Tracker {
                trackers: vec![PeerAddr { id, direct: vec![], relay: None }],
            },
            policy: Policy::Invite,
            relays: Vec::new(),
            sequence: 1,
            created_ms: NOW_MS,
        };
        record.sign(&self.key()).unwrap()
    }

    fn peer(&self, number: u64) -> SecretKey {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        SecretKey::from_seed(seed)
    }

    fn member(&self, number: u64) -> Change {
        let peer = self.peer(number).peer_id();
        Change::PutMember {
            network: self.network(),
            peer,
            nick: format!("peer-{number}"),
            role: Role::Owner,
            membership: Membership::owner(&self.key(), peer, NOW_MS),
            at_ms: NOW_MS,
        }
    }

    fn publish(&self, peer: u64) -> Vec<(PeerId, Sent)> {
        self.publish_at(peer, NOW_MS)
    }

    /// A folder with all files of a peer, signed: the head, then the pages.
    fn publish_at(&self, peer: u64, sequence: u64) -> Vec<(PeerId, Sent)> {
        let key = self.peer(peer);
        let (first, last) = (self.files * peer / self.peers, self.files * (peer + 1) / self.peers);
        let entries: Vec<Entry> = (first..last).map(|number| entry(number, sequence)).collect();
        let pages = pages_for(entries.len());
        let (network, share) = (self.network(), ShareKey([7; 16]));
        let head = ShareHead {
            network,
            peer: key.peer_id(),
            share,
            name: format!("{} {}", names::word(peer), names::word(peer / 7)),
            tags: Vec::new(),
            content: ContentId(key.peer_id().0),
            kind: EntryKind::Folder,
            size: entries.iter().map(|entry| entry.size).sum(),
            files: entries.len() as u32,
            partial: false,
            pages,
            sequence,
            expires_ms: EXPIRES_MS,
        };
        let mut sorted: Vec<Vec<Entry>> = vec![Vec::new(); usize::from(pages)];
        for entry in entries {
            sorted[usize::from(page_of(&entry.path, pages))].push(entry);
        }
        let mut sent = vec![(key.peer_id(), Sent::Head(Signed::sign(&key, head)))];
        for (page, entries) in sorted.into_iter().enumerate() {
            let page = page as u16;
            let place = Place { network, share, page, pages, sequence, expires_ms: EXPIRES_MS };
            sent.push((key.peer_id(), Sent::Page(Page::make(&key, place, entries).unwrap())));
        }
        sent
    }

    /// What a tracker does with what a peer sends.
    fn check(&self, (peer, sent): (PeerId, Sent)) -> Change {
        match sent {
            Sent::Head(head) => {
                ShareHead::check(&head, &self.network(), &peer).unwrap();
                Change::PutShare { head }
            }
            Sent::Page(page) => {
                let leaves = page.check(&self.network(), &peer).unwrap();
                Change::PutPage { page, leaves }
            }
        }
    }
}

/// One file in ten is also elsewhere; when published again, one in ten has changed.
fn entry(number: u64, sequence: u64) -> Entry {
    let mut dice = Dice::new(number ^ 0xc0_ffee);
    let changed = if dice.below(10) == 0 { sequence - NOW_MS } else { 0 };
    let content = if dice.below(10) == 0 { dice.below(1000) } else { 1000 + number + changed };
    let size = if content < 1000 { content * 1000 } else { dice.below(1 << (10 + number % 22)) };
    Entry {
        path: names::path(number),
        content: potluck_content::hash(&content.to_le_bytes()),
        size,
        kind: EntryKind::File,
        executable: false,
        modified_s: NOW_MS / 1000 - dice.below(100_000_000),
    }
}

fn commit(store: &SqliteStore, changes: Vec<Change>) {
    for result in store.write(changes) {
        assert_eq!(result, Ok(Written::Done));
    }
}

/// Makes a query: with which dice, the how-manieth, among how many files.
type Make = fn(&mut Dice, u64, u64) -> String;

const KINDS: &[(&str, Make)] = &[
    ("one_word", |dice, _, files| taken(dice, files, 1)),
    ("two_words", |dice, _, files| taken(dice, files, 2)),
    ("three_words", |dice, _, files| taken(dice, files, 3)),
    ("prefix", |dice, _, files| {
        let word = taken(dice, files, 1);
        word.chars().take(3 + dice.below(3) as usize).collect()
    }),
    ("letter", |dice, _, files| {
        taken(dice, files, 1).chars().take(1 + dice.below(2) as usize).collect()
    }),
    ("frequent", |_, index, _| names::word(index % 50)),
    ("two_frequent", |dice, index, _| {
        format!("{} {}", names::word(index % 50), names::word(dice.below(50)))
    }),
];

/// Words of the name of some file.
fn taken(dice: &mut Dice, files: u64, count: usize) -> String {
    let path = names::path(dice.below(files));
    let split = path.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2);
    split.take(count).collect::<Vec<_>>().join(" ")
}

/// A word with two letters swapped.
fn typo(dice: &mut Dice, _: u64, _: u64) -> String {
    let mut letters: Vec<char> = names::word(dice.word()).chars().collect();
    let at = dice.below(letters.len() as u64 - 1) as usize;
    letters.swap(at, at + 1);
    letters.push('q');
    letters.into_iter().collect()
}

fn say_times(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
    say(&format!("{name}_p50_ms"), at(0.5));
    say(&format!("{name}_p99_ms"), at(0.99));
    say(&format!("{name}_max_ms"), at(1.0));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// How long the first thread has used a processor: what a busy machine does not change.
fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

/// A line of the kernel's account of our memory; 0 where there is none.
fn memory_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
