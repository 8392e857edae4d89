//! Scenes of one client among trackers that the test plays: what goes in, what comes out.

mod asking;
mod entering;
mod publishing;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use potluck_base::{ContentId, PeerAddr, PeerId, ShareKey, Time};
use potluck_identity::{
    DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role, SecretKey, Signed,
};

use super::{
    About, Client, Command, Effect, Event, Nick, Outcome, PageRoot, Published, Setup, Timer, Why,
};
use crate::directory::record::{EntryKind, ShareHead, share_digest};
use crate::directory::tracker::message::{Denial, Message, Notice, Reply, Request, ShareState};
use crate::machine::{Input, Machine, Outbox, Output};

/// Unix time at which the scenes begin, in milliseconds.
const EPOCH: u64 = 1_800_000_000_000;

/// A tracker, by its place in the record: 0, 1, ….
type Peer = u8;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn network_key() -> SecretKey {
    key(100)
}

fn tracker_key(tracker: Peer) -> SecretKey {
    key(200 + tracker)
}

fn me() -> PeerId {
    key(1).peer_id()
}

fn addr(id: PeerId) -> PeerAddr {
    PeerAddr { id, direct: Vec::new(), relay: None }
}

fn record(trackers: u8, sequence: u64) -> Signed<NetworkRecord> {
    let trackers = (0..trackers).map(|n| addr(tracker_key(n).peer_id())).collect();
    let record = NetworkRecord {
        network: network_key().network_id(),
        name: "friends".into(),
        directory: DirectoryKind::Tracker { trackers },
        policy: Policy::Invite,
        relays: Vec::new(),
        sequence,
        created_ms: EPOCH,
    };
    record.sign(&network_key()).unwrap()
}

fn owner() -> Membership {
    Membership::owner(&network_key(), key(50).peer_id(), EPOCH)
}

/// What this peer becomes with an invite, before that is counted.
fn redeemed() -> Membership {
    let expires = EPOCH + 1_000_000_000;
    let invite =
        Invite::make(record(1, 1), &key(50), owner(), Role::Member, 1, EPOCH, expires, [9; 32]);
    invite.unwrap().redeem(me(), EPOCH)
}

fn admitted(by: &SecretKey) -> Membership {
    let membership = redeemed();
    let invite = membership.capability().unwrap().key;
    let network = network_key().network_id();
    let admission =
        potluck_identity::Admission { network, invite, peer: me(), number: 1, at_ms: EPOCH };
    membership.with_admission(Signed::sign(by, admission))
}

/// A share whose pages have these roots; its sequence number is that of its newest page.
fn share(number: u8, pages: &[(u64, u8)]) -> Published {
    let sequence = pages.iter().map(|(sequence, _)| *sequence).max().unwrap();
    let head = ShareHead {
        network: network_key().network_id(),
        peer: me(),
        share: ShareKey([number; 16]),
        name: format!("share {number}"),
        tags: Vec::new(),
        content: ContentId([number; 32]),
        kind: EntryKind::Folder,
        size: 1,
        files: 1,
        partial: false,
        pages: pages.len() as u16,
        sequence,
        expires_ms: EPOCH + 1_000_000,
    };
    let roots = pages.iter().enumerate().map(|(page, (sequence, root))| {
        (page as u16, PageRoot { sequence: *sequence, root: [*root; 32] })
    });
    Published { head: Signed::sign(&key(1), head), pages: roots.collect() }
}

/// What a tracker that has a share says of it.
fn state(published: &Published) -> ShareState {
    ShareState {
        share: published.head.value.share,
        sequence: published.head.value.sequence,
        digest: share_digest(published.pages.iter().map(|(page, root)| (*page, root.root))),
    }
}

fn setup(trackers: u8) -> Setup<Peer> {
    let all: BTreeMap<PeerId, Peer> =
        (0..9).map(|tracker| (tracker_key(tracker).peer_id(), tracker)).collect();
    Setup {
        key: key(1),
        record: record(trackers, 1),
        revocations: Revocations::none(network_key().network_id()),
        membership: admitted(&tracker_key(0)),
        token: None,
        nick: Nick::Any,
        about: About::default(),
        shares: Vec::new(),
        withdrawn: Vec::new(),
        epoch_ms: EPOCH,
        seed: 1,
        peer_of: Box::new(move |id| all.get(id).copied()),
    }
}

/// A client, its time, the timers that are set, and the outputs of the last input.
struct Stage {
    client: Client<Peer>,
    now: Time,
    timers: BTreeMap<Timer, Time>,
    out: Vec<Output<Client<Peer>>>,
}

impl Stage {
    /// A client that has done nothing yet.
    fn new(setup: Setup<Peer>) -> Self {
        let client = Client::new(setup);
        Self { client, now: Time(1_000_000), timers: BTreeMap::new(), out: Vec::new() }
    }

    /// One that tracker 0 has let in; nothing but that was answered.
    fn inside(setup: Setup<Peer>) -> Self {
        let mut stage = Self::new(setup);
        stage.start().link_up(0).let_in();
        stage
    }

    /// One that agrees with the tracker on everything: there is nothing.
    fn settled() -> Self {
        let mut stage = Self::inside(setup(1));
        stage.reply(is_announce, Ok(Reply::Done));
        stage.reply(is_states, Ok(Reply::States { shares: Vec::new() }));
        assert_eq!(stage.events(), [Event::InStep]);
        stage
    }

    fn put(&mut self, input: Input<Client<Peer>>) -> &mut Self {
        let mut out = Outbox::new();
        self.client.handle(self.now, input, &mut out);
        self.out = out.drain().collect();
        for output in &self.out {
            match output {
                Output::SetTimer { at, timer } => _ = self.timers.insert(*timer, *at),
                Output::CancelTimer(timer) => _ = self.timers.remove(timer),
                _ => {}
            }
        }
        self
    }

    fn start(&mut self) -> &mut Self {
        self.put(Input::Command(Command::Hurry))
    }

    fn command(&mut self, command: Command) -> &mut Self {
        self.put(Input::Command(command))
    }

    fn link_up(&mut self, peer: Peer) -> &mut Self {
        self.put(Input::LinkUp(peer))
    }

    fn link_down(&mut self, peer: Peer) -> &mut Self {
        self.put(Input::LinkDown(peer))
    }

    fn dial_failed(&mut self, peer: Peer) -> &mut Self {
        self.put(Input::Done(Outcome::DialFailed { peer, why: "refused".into() }))
    }

    /// Lets time pass; timers fire. What comes out on the way is kept.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let (end, mut all) = (self.now + time, Vec::new());
        while let Some((timer, at)) =
            self.timers.iter().map(|(timer, at)| (*timer, *at)).min_by_key(|(_, at)| *at)
        {
            if at > end {
                break;
            }
            self.timers.remove(&timer);
            self.now = self.now.max(at);
            self.put(Input::TimerFired(timer));
            all.append(&mut self.out);
        }
        self.now = end;
        self.out = all;
        self
    }

    /// The requests of the last input, with their numbers and to whom they go.
    fn requests(&self) -> Vec<(Peer, u32, Request)> {
        let requests = self.out.iter().filter_map(|output| match output {
            Output::Send { to, message: Message::Request { id, body, .. } } => {
                Some((*to, *id, body.clone()))
            }
            _ => None,
        });
        requests.collect()
    }

    /// The number of the first such request that was made by the last input.
    fn id_of(&self, is_it: impl Fn(&Request) -> bool) -> u32 {
        let all = self.requests();
        let found = all.iter().find(|(_, _, body)| is_it(body));
        found.unwrap_or_else(|| panic!("not among {all:?}")).1
    }

    /// Answers a request of the last input, and keeps the other requests for later answers.
    fn reply(
        &mut self,
        is_it: impl Fn(&Request) -> bool,
        result: Result<Reply, Denial>,
    ) -> &mut Self {
        let id = self.id_of(&is_it);
        let mut rest = std::mem::take(&mut self.out);
        rest.retain(|output| match output {
            Output::Send { message: Message::Request { id: other, .. }, .. } => *other != id,
            _ => false,
        });
        self.answer(id, result);
        self.out.splice(0..0, rest);
        self
    }

    fn answer(&mut self, id: u32, result: Result<Reply, Denial>) -> &mut Self {
        let from = self.client.counterpart().unwrap();
        self.hear(from, Message::Reply { id, result })
    }

    fn hear(&mut self, from: Peer, message: Message) -> &mut Self {
        self.put(Input::Received { from, message })
    }

    fn notice(&mut self, notice: Notice) -> &mut Self {
        let (from, network) = (self.client.counterpart().unwrap(), self.client.network());
        self.hear(from, Message::Notice { network, notice })
    }

    /// The tracker answers the request to register.
    fn let_in(&mut self) -> &mut Self {
        let welcome = registered("peer-7", self.client.revocations().number());
        self.reply(is_register, Ok(welcome))
    }

    fn dials(&self) -> Vec<Peer> {
        let dials = self.out.iter().filter_map(|output| match output {
            Output::Perform(Effect::Dial { peer, .. }) => Some(*peer),
            _ => None,
        });
        dials.collect()
    }

    /// The pages that were sent, with the numbers of their requests.
    fn pages(&self) -> Vec<(u32, u8, u16)> {
        let pages = self.out.iter().filter_map(|output| match output {
            Output::Perform(Effect::SendPage { id, share, page, .. }) => {
                Some((*id, share.0[0], *page))
            }
            _ => None,
        });
        pages.collect()
    }

    fn events(&self) -> Vec<Event<Peer>> {
        let events = self.out.iter().filter_map(|output| match output {
            Output::Emit(event) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    }

    fn hung_up(&self) -> bool {
        self.out.iter().any(|output| matches!(output, Output::Hangup(_)))
    }
}

fn registered(nick: &str, revocations: u64) -> Reply {
    Reply::Registered {
        nick: nick.into(),
        returning: None,
        lease_ms: 20_000,
        record: record(1, 1),
        revocations,
    }
}

fn is_register(request: &Request) -> bool {
    matches!(request, Request::Register { .. })
}

fn is_join(request: &Request) -> bool {
    matches!(request, Request::Join { .. })
}

fn is_announce(request: &Request) -> bool {
    matches!(request, Request::Announce { .. })
}

fn is_states(request: &Request) -> bool {
    matches!(request, Request::States)
}

fn is_head(request: &Request) -> bool {
    matches!(request, Request::PutShare { .. })
}

fn is_roots(request: &Request) -> bool {
    matches!(request, Request::PageRoots { .. })
}

fn is_withdraw(request: &Request) -> bool {
    matches!(request, Request::Withdraw { .. })
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
