//! Scenes of one tracker among members that the test plays, on a store that only remembers.

mod coming;
mod joining;
mod limits;
mod listing;
mod revoking;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey, Time};
use potluck_identity::{
    Admission, DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role,
    SecretKey, Signed,
};

use super::{Command, Config, Effect, Event, Outcome, Registry, Setup, Timer, Why};
use crate::directory::record::{
    Entry, EntryKind, Page, Place, Presence, ShareHead, Withdrawal, page_of,
};
use crate::directory::tracker::change::{Change, Loaded};
use crate::directory::tracker::ledger::Ledger;
use crate::directory::tracker::message::{Denial, Message, Notice, Reply, Request};
use crate::machine::{Input, Machine, Outbox, Output};

/// A link on stage. The last digit says whose it is: 1 is the owner, 2 an admin, 3 a member, 4 a
/// guest; links 3 and 13 are of the same peer.
type LinkName = u8;

/// Unix time at the start of a scene.
const EPOCH_MS: u64 = 1_700_000_000_000;
const TOKEN: [u8; 16] = [9; 16];
const SHARE: ShareKey = ShareKey([5; 16]);
const LEASE: Duration = Duration::from_secs(20);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A tracker, its store, its time, and what has come out since the last look.
struct Stage {
    registry: Registry<LinkName>,
    ledger: Ledger,
    now: Time,
    out: Vec<Output<Registry<LinkName>>>,
    /// Whether work waits until it is asked for.
    held: bool,
    /// Whether nobody else writes: then what is remembered is what is kept.
    alone: bool,
    waiting: Vec<Effect>,
    timers: BTreeMap<Timer, Time>,
    next_id: u32,
}

fn key(peer: u8) -> SecretKey {
    SecretKey::from_seed([peer % 10; 32])
}

fn id(peer: u8) -> PeerId {
    key(peer).peer_id()
}

fn tracker_key() -> SecretKey {
    SecretKey::from_seed([201; 32])
}

fn network_key() -> SecretKey {
    SecretKey::from_seed([200; 32])
}

fn network() -> NetworkId {
    network_key().network_id()
}

/// The network's record, at its `sequence`.
fn record(sequence: u64) -> Signed<NetworkRecord> {
    let tracker = PeerAddr::unknown(tracker_key().peer_id());
    let record = NetworkRecord {
        network: network(),
        name: "lab".to_owned(),
        directory: DirectoryKind::Tracker { trackers: vec![tracker] },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence,
        created_ms: EPOCH_MS,
    };
    record.sign(&network_key()).unwrap()
}

fn owner() -> Membership {
    Membership::owner(&network_key(), id(1), EPOCH_MS)
}

/// An invite of the owner; each seed makes another.
fn invite(role: Role, uses: u32, seed: u8) -> Invite {
    let until = EPOCH_MS + 7 * DAY_MS;
    Invite::make(record(1), &key(1), owner(), role, uses, EPOCH_MS, until, [seed; 32]).unwrap()
}

/// A membership whose invite was counted.
fn admitted(membership: Membership) -> Membership {
    let invite = membership.capability().unwrap().key;
    let peer = membership.peer;
    let admission = Admission { network: network(), invite, peer, number: 1, at_ms: EPOCH_MS };
    membership.with_admission(Signed::sign(&tracker_key(), admission))
}

/// Who a peer is: 1 is the owner, 2 an admin, 4 a guest, all others members.
fn membership(peer: u8) -> Membership {
    let role = match peer % 10 {
        1 => return owner(),
        2 => Role::Admin,
        4 => Role::Guest,
        _ => Role::Member,
    };
    admitted(invite(role, 1, 100 + peer % 10).redeem(id(peer), EPOCH_MS))
}

/// A list of revoked members, signed by the admin.
fn revoking(peers: &[u8], before: &Revocations) -> Revocations {
    let peers = peers.iter().map(|peer| id(*peer));
    before.next(&key(2), membership(2), peers, EPOCH_MS).unwrap()
}

fn presence(peer: u8, nick: &str, sequence: u64, expires_ms: u64) -> Signed<Presence> {
    let presence = Presence {
        network: network(),
        peer: id(peer),
        nick: nick.to_owned(),
        addresses: vec!["192.0.2.7:4567".parse().unwrap()],
        relay: None,
        agent: "potluck/0.1.0".to_owned(),
        p2p_ci: None,
        sequence,
        expires_ms,
    };
    Signed::sign(&key(peer), presence)
}

fn head(peer: u8, pages: u16, sequence: u64) -> Signed<ShareHead> {
    Signed::sign(&key(peer), head_value(peer, pages, sequence))
}

fn head_value(peer: u8, pages: u16, sequence: u64) -> ShareHead {
    ShareHead {
        network: network(),
        peer: id(peer),
        share: SHARE,
        name: "films".to_owned(),
        tags: vec!["cinema".to_owned()],
        content: ContentId([8; 32]),
        kind: EntryKind::Folder,
        size: 1000,
        files: 2,
        partial: false,
        pages,
        sequence,
        expires_ms: EPOCH_MS + 30 * DAY_MS,
    }
}

fn entry(path: &str) -> Entry {
    let content = potluck_content::hash(path.as_bytes());
    let (kind, size) = (EntryKind::File, path.len() as u64);
    Entry { path: path.to_owned(), content, size, kind, executable: false, modified_s: 1 }
}

/// The page of a share of one page.
fn page(peer: u8, sequence: u64, paths: &[&str]) -> Page {
    page_at(peer, 0, 1, sequence, paths)
}

/// A page with those of these paths that belong to it.
fn page_at(peer: u8, number: u16, pages: u16, sequence: u64, paths: &[&str]) -> Page {
    let expires_ms = EPOCH_MS + 30 * DAY_MS;
    let place =
        Place { network: network(), share: SHARE, page: number, pages, sequence, expires_ms };
    let theirs = paths.iter().filter(|path| page_of(path, pages) == number);
    Page::make(&key(peer), place, theirs.map(|path| entry(path)).collect()).unwrap()
}

fn withdrawal(peer: u8, sequence: u64) -> Signed<Withdrawal> {
    let gone = Withdrawal { network: network(), peer: id(peer), share: SHARE, sequence };
    Signed::sign(&key(peer), gone)
}

impl Stage {
    /// A tracker that keeps the network already.
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut ledger = Ledger::default();
        ledger.write(Change::PutNetwork { record: record(1) }).unwrap();
        let loaded = ledger.load();
        Self::on(ledger, config, loaded)
    }

    /// A tracker that keeps nothing.
    fn empty() -> Self {
        Self::on(Ledger::default(), Config::default(), Loaded::default())
    }

    fn on(ledger: Ledger, config: Config, loaded: Loaded) -> Self {
        let setup = Setup {
            key: tracker_key(),
            epoch_ms: EPOCH_MS,
            config: Config { token: Some(TOKEN), ..config },
            identify: Box::new(id),
        };
        let mut registry = Registry::new(setup);
        registry.load(loaded);
        Self {
            registry,
            ledger,
            now: Time(1_000_000),
            out: Vec::new(),
            held: false,
            alone: true,
            waiting: Vec::new(),
            timers: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// The tracker dies and starts again on what was committed.
    fn restart(&mut self) {
        let loaded = self.ledger.load();
        let mut next = Self::on(self.ledger.clone(), Config::default(), loaded);
        next.now = self.now;
        *self = next;
    }

    fn now_ms(&self) -> u64 {
        EPOCH_MS + self.now.0 / 1000
    }

    fn put(&mut self, input: Input<Registry<LinkName>>) -> &mut Self {
        let mut out = Outbox::new();
        self.registry.handle(self.now, input, &mut out);
        for output in out.drain() {
            match output {
                Output::Perform(effect) => self.waiting.push(effect),
                Output::SetTimer { at, timer } => {
                    self.timers.insert(timer, at);
                }
                other => self.out.push(other),
            }
        }
        if !self.held {
            self.work();
        }
        self
    }

    /// Does all that waits for the store, in order.
    fn work(&mut self) -> &mut Self {
        self.held = false;
        while !self.waiting.is_empty() {
            let outcome = match self.waiting.remove(0) {
                Effect::Write { job, change } => {
                    Outcome::Written { job, result: self.ledger.write(change) }
                }
                Effect::Ask { job, question } => {
                    let registry = &self.registry;
                    let online =
                        |network: &NetworkId, peer: &PeerId| registry.is_online(network, peer);
                    Outcome::Answered { job, answer: self.ledger.ask(&question, &online) }
                }
            };
            self.put(Input::Done(outcome));
        }
        if self.alone {
            self.compare();
        }
        self
    }

    /// What the tracker remembers is what it would remember after a restart.
    fn compare(&self) {
        let anew = Self::on(self.ledger.clone(), Config::default(), self.ledger.load());
        let (these, those) = (&self.registry.networks, &anew.registry.networks);
        assert!(these.keys().eq(those.keys()));
        for (one, other) in these.values().zip(those.values()) {
            assert_eq!((&one.record, &one.revocations), (&other.record, &other.revocations));
            assert!(one.members.keys().eq(other.members.keys()));
            for (member, same) in one.members.values().zip(other.members.values()) {
                assert!(member.agrees(same), "{} is remembered in another way", member.nick);
            }
        }
        assert_eq!(self.registry.banned, anew.registry.banned);
        assert!(self.registry.jobs.is_empty() && self.registry.heads_on_the_way.is_empty());
    }

    fn command(&mut self, command: Command) -> &mut Self {
        self.put(Input::Command(command))
    }

    /// Time passes; timers come when they are due.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        loop {
            let due = self.timers.iter().map(|(timer, at)| (*at, *timer)).min();
            let Some((at, timer)) = due.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.timers.remove(&timer);
            self.put(Input::TimerFired(timer));
        }
        self.now = end;
        self
    }

    /// Sends a request and returns its number.
    fn send(&mut self, link: LinkName, body: Request) -> u32 {
        self.next_id += 1;
        let (id, network) = (self.next_id, network());
        self.put(Input::Received { from: link, message: Message::Request { id, network, body } });
        id
    }

    /// The answer to a request, if it has come.
    fn answer(&self, link: LinkName, number: u32) -> Option<Result<Reply, Denial>> {
        self.out.iter().find_map(|output| match output {
            Output::Send { to, message: Message::Reply { id, result } }
                if (*to, *id) == (link, number) =>
            {
                Some(result.clone())
            }
            _ => None,
        })
    }

    /// Sends a request and returns its answer.
    #[track_caller]
    fn ask(&mut self, link: LinkName, body: Request) -> Result<Reply, Denial> {
        self.out.clear();
        let id = self.send(link, body);
        self.answer(link, id).expect("every request is answered")
    }

    /// A link comes up and the peer registers on it.
    #[track_caller]
    fn register(&mut self, link: LinkName, nick: Option<&str>) -> Result<Reply, Denial> {
        self.put(Input::LinkUp(link));
        self.register_again(link, nick)
    }

    #[track_caller]
    fn register_again(&mut self, link: LinkName, nick: Option<&str>) -> Result<Reply, Denial> {
        let nick = nick.map(str::to_owned);
        let body = Request::Register { membership: membership(link), nick, revocations: 0 };
        self.ask(link, body)
    }

    /// Registers peers under the names `p1`, `p2`, ….
    #[track_caller]
    fn registered(links: &[LinkName]) -> Self {
        let mut stage = Self::new();
        for link in links {
            let nick = format!("p{link}");
            assert!(stage.register(*link, Some(&nick)).is_ok(), "{nick} is not let in");
        }
        stage
    }

    fn events(&self) -> Vec<Event> {
        let events = self.out.iter().filter_map(|output| match output {
            Output::Emit(event) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    }

    fn notices(&self, link: LinkName) -> Vec<Notice> {
        let notices = self.out.iter().filter_map(|output| match output {
            Output::Send { to, message: Message::Notice { notice, .. } } if *to == link => {
                Some(notice.clone())
            }
            _ => None,
        });
        notices.collect()
    }

    fn hung_up_on(&self, link: LinkName) -> bool {
        self.out.iter().any(|output| matches!(output, Output::Hangup(who) if *who == link))
    }

    fn is_online(&self, peer: u8) -> bool {
        self.registry.is_online(&network(), &id(peer))
    }

    fn refused(&self, why: Why) -> u64 {
        self.registry.stats().refusals.get(&why).copied().unwrap_or(0)
    }

    fn looks_for_films(&mut self, link: LinkName) -> usize {
        let query = super::super::Query { words: "film".to_owned(), ..Default::default() };
        match self.ask(link, Request::Search { query }) {
            Ok(Reply::Found(found)) => found.groups.len(),
            other => panic!("{other:?}"),
        }
    }
}
