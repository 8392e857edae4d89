//! Tracker messages: what they say, and what a tracker and a searcher make of them.

use std::sync::OnceLock;

use potluck_base::{ContentId, NetworkId, PeerAddr, PeerId, ShareKey, Time};
use potluck_identity::{
    DirectoryKind, Invite, Membership, NetworkRecord, Policy, Revocations, Role, SecretKey, Signed,
};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, Place, Presence, ShareHead, Withdrawal,
};
use potluck_proto::directory::tracker::registry::{Config, Effect, Outcome, Setup};
use potluck_proto::directory::tracker::{
    Change, Claim, Denial, FileType, Found, Group, Hit, HitProof, Ledger, MemberInfo, Message,
    Notice, PageState, ProviderRecord, Query, Registry, Reply, Request, ShareState, Sort,
};
use potluck_proto::{Frame, Input, Machine, Outbox, Output};

/// When everything happens, in unix milliseconds.
const NOW_MS: u64 = 1_700_000_000_000;
const SHARE: ShareKey = ShareKey([5; 16]);

/// A tracker message, as it stands in a frame.
pub fn check(bytes: &[u8]) -> bool {
    let Ok(Frame::Tracker(message)) = Frame::decode(&framed(bytes)) else {
        return false;
    };
    let message = *message;
    let written = Frame::Tracker(Box::new(message.clone())).encode();
    let again = Frame::decode(&written).expect("what we write is a frame");
    assert_eq!(again, Frame::Tracker(Box::new(message.clone())), "the message means the same");
    searched(&message);
    if let Message::Reply { result: Err(denial), .. } = &message {
        let told = denial.to_string();
        assert!(!told.chars().any(char::is_control), "it acts on the screen: {told:?}");
    }
    played(message);
    true
}

/// The frame with these bytes of a message.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = Frame::Tracker(Box::new(request(Request::Renew))).encode();
    frame.truncate(1);
    frame.extend_from_slice(bytes);
    frame
}

/// A searcher checks what it is told, and believes nothing that a member did not sign.
fn searched(message: &Message) {
    let Message::Reply { result: Ok(reply), .. } = message else { return };
    let network = network();
    match reply {
        Reply::Found(found) => {
            let mut kept = found.clone();
            let lies = kept.drop_lies(&network, NOW_MS);
            assert_eq!(kept.groups.len() + lies, found.groups.len());
        }
        Reply::Providers { providers, .. } => {
            for provider in providers {
                let _ = provider.check(&network, &provider.hit.entry.content, NOW_MS);
            }
        }
        Reply::Entries { entries, .. } => {
            for (entry, proof) in entries {
                let _ = proof.check(&network, &member_key().peer_id(), entry);
            }
        }
        Reply::Admitted { membership } => {
            let _ = membership.verify(&record().value, &Revocations::none(network));
        }
        _ => {}
    }
}

/// A tracker hears it from a member and from a stranger.
fn played(message: Message) {
    let mut ledger = Ledger::default();
    ledger.write(Change::PutNetwork { record: record().clone() }).expect("the first network");
    let setup = Setup {
        key: tracker_key(),
        epoch_ms: NOW_MS,
        config: Config { token: Some([9; 16]), ..Config::default() },
        identify: Box::new(|link: u8| key(if link == 0 { 3 } else { 66 }).peer_id()),
    };
    let mut registry = Registry::new(setup);
    registry.load(ledger.load());
    let open = Membership::open(member_key().peer_id());
    let register = Request::Register { membership: open, nick: None, revocations: 0 };
    let share = Request::PutShare { head: head() };
    let inputs = [
        Input::LinkUp(0),
        Input::LinkUp(1),
        Input::Received { from: 0, message: request(register) },
        Input::Received { from: 0, message: request(share) },
        Input::Received { from: 1, message: message.clone() },
        Input::Received { from: 0, message },
    ];
    for input in inputs {
        play(&mut registry, &mut ledger, input);
    }
    let stats = registry.stats();
    assert_eq!(stats.waiting, 0, "whatever was asked has ended");
    assert!(stats.members <= 2);
}

fn play(registry: &mut Registry<u8>, ledger: &mut Ledger, input: Input<Registry<u8>>) {
    let mut inputs = vec![input];
    while let Some(input) = inputs.pop() {
        let mut out = Outbox::new();
        registry.handle(Time::ZERO, input, &mut out);
        for output in out.drain() {
            match output {
                Output::Perform(Effect::Write { job, change }) => {
                    let result = ledger.write(change);
                    inputs.insert(0, Input::Done(Outcome::Written { job, result }));
                }
                Output::Perform(Effect::Ask { job, question }) => {
                    let answer = ledger.ask(&question, &|_, _| true);
                    inputs.insert(0, Input::Done(Outcome::Answered { job, answer }));
                }
                Output::Send { message, .. } => {
                    // Whatever a tracker says fits into a frame.
                    Frame::Tracker(Box::new(message)).encode();
                }
                _ => {}
            }
        }
    }
}

/// Messages of every kind; the records in them are signed as they should be.
pub fn messages() -> Vec<Vec<u8>> {
    let list = requests().into_iter().map(request);
    let list = list.chain(replies().into_iter().map(|reply| answer(Ok(reply))));
    let list = list.chain(denials().into_iter().map(|denial| answer(Err(denial))));
    let list = list.chain(notices().into_iter().map(|notice| {
        let network = network();
        Message::Notice { network, notice }
    }));
    list.map(|message| Frame::Tracker(Box::new(message)).encode()[1..].to_vec()).collect()
}

/// Frames about memberships, beside the tracker's.
pub fn frames() -> Vec<Frame> {
    let claim = |membership| Claim { network: network(), membership };
    vec![
        Frame::Claims(vec![claim(invited()), claim(owner())]),
        Frame::Claims(Vec::new()),
        Frame::Admitted(vec![network()]),
        Frame::Tracker(Box::new(request(Request::States))),
    ]
}

fn requests() -> Vec<Request> {
    let peer = member_key().peer_id();
    let gone = Withdrawal { network: network(), peer, share: SHARE, sequence: 9 };
    let query = Query {
        words: "film ünï".to_owned(),
        kinds: vec![FileType::Video, FileType::Folder],
        min_size: Some(1),
        max_size: None,
        sort: Sort::Newest,
        offset: 3,
        limit: 20,
    };
    vec![
        Request::Host { token: [9; 16], record: record().clone(), owner: owner() },
        Request::Join { membership: invited() },
        Request::Register {
            membership: Membership::open(peer),
            nick: Some("ann".to_owned()),
            revocations: 0,
        },
        Request::Announce { presence: presence() },
        Request::Renew,
        Request::States,
        Request::PageRoots { share: SHARE, from: 0 },
        Request::PutShare { head: head() },
        Request::PutPage { page: page() },
        Request::Withdraw { withdrawal: Signed::sign(member_key(), gone) },
        Request::Search { query },
        Request::Search { query: Query::default() },
        Request::Providers { content: ContentId([8; 32]), offset: 1 },
        Request::Resolve { peer },
        Request::Browse { peer, share: None, after: None },
        Request::Browse { peer, share: Some(SHARE), after: Some("a".to_owned()) },
        Request::Members { after: Some(peer) },
        Request::Find { nick: "peer-1".to_owned() },
        Request::Revoke { revocations: revocations() },
        Request::Revocations,
        Request::Record,
        Request::Leave { forget: true },
    ]
}

fn replies() -> Vec<Reply> {
    let root = page().head.value.root;
    let member = MemberInfo {
        peer: member_key().peer_id(),
        nick: "ann".to_owned(),
        role: Role::Admin,
        online: false,
        last_seen_ms: NOW_MS,
        agent: "potluck/0.1.0".to_owned(),
        shares: 1,
        files: 2,
        bytes: 3,
    };
    let state = ShareState { share: SHARE, sequence: 4, digest: [1; 32] };
    let resolved = Reply::Resolved { presence: Some(presence()), online: true, last_seen_ms: 7 };
    let mut replies = vec![
        Reply::Done,
        Reply::Hosted,
        Reply::Admitted { membership: invited() },
        Reply::Registered {
            nick: "ann".to_owned(),
            returning: Some(NOW_MS),
            lease_ms: 20_000,
            record: record().clone(),
            revocations: 1,
        },
        Reply::States { shares: vec![state] },
        Reply::PageRoots { roots: vec![PageState { page: 0, sequence: 4, root }], more: false },
        resolved,
        Reply::Shares { shares: vec![head()], more: false },
        Reply::Members { members: vec![member], more: false },
        Reply::Revocations(revocations()),
        Reply::Record(record().clone()),
    ];
    replies.extend(results());
    replies
}

/// Answers with entries and proofs.
fn results() -> Vec<Reply> {
    let (page, peer) = (page(), member_key().peer_id());
    let leaves = page.check(&network(), &peer).expect("a good page");
    let (entry, proof) = (page.entries[1].clone(), page.proof(&leaves, 1));
    let hit =
        |entry, proof| Hit { peer, share: SHARE, entry, proof, online: true, last_seen_ms: 7 };
    let of_page = hit(entry.clone(), HitProof::Page(proof.clone()));
    let of_head = hit(head().value.entry(), HitProof::Head(head()));
    let (source, host) = ("p2p-ci".to_owned(), "192.0.2.1".to_owned());
    let foreign = HitProof::Unverified { source, host, port: 7734, number: 2616 };
    let foreign = hit(self::entry("RFC 2616"), foreign);
    let provider = ProviderRecord {
        peer,
        online: true,
        last_seen_ms: 7,
        presence: Some(presence()),
        hit: of_page.clone(),
    };
    let found = Found {
        groups: [of_page, of_head, foreign].map(group).into(),
        more: true,
        did_you_mean: Some("film".to_owned()),
        revision: 9,
    };
    vec![
        Reply::Found(found),
        Reply::Providers { providers: vec![provider], more: false },
        Reply::Entries { entries: vec![(entry, proof)], more: true },
    ]
}

fn group(hit: Hit) -> Group {
    Group {
        content: hit.entry.content,
        size: hit.entry.size,
        kind: hit.entry.kind,
        online: 1,
        providers: 2,
        partial: 0,
        newest_s: 7,
        hits: vec![hit],
    }
}

fn denials() -> Vec<Denial> {
    vec![
        Denial::Stranger,
        Denial::Busy { retry_ms: 7 },
        Denial::NickTaken { free: "ann-2".to_owned() },
        Denial::UsedUp,
        Denial::Expired,
        Denial::Stale { have: 3 },
        Denial::NotYours,
        Denial::BadRecord("a\u{1b}[2J".to_owned()),
        Denial::TooMuch("files".to_owned()),
        Denial::Role { needed: Role::Member },
        Denial::Unknown,
        Denial::Unavailable { retry_ms: 1000 },
    ]
}

fn notices() -> Vec<Notice> {
    vec![Notice::Revoked(revocations()), Notice::Record(record().clone()), Notice::Closing]
}

fn request(body: Request) -> Message {
    Message::Request { id: 7, network: network(), body }
}

fn answer(result: Result<Reply, Denial>) -> Message {
    Message::Reply { id: 7, result }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn tracker_key() -> SecretKey {
    key(201)
}

fn member_key() -> &'static SecretKey {
    static KEY: OnceLock<SecretKey> = OnceLock::new();
    KEY.get_or_init(|| key(3))
}

fn network() -> NetworkId {
    static NETWORK: OnceLock<NetworkId> = OnceLock::new();
    *NETWORK.get_or_init(|| key(200).network_id())
}

fn record() -> &'static Signed<NetworkRecord> {
    static RECORD: OnceLock<Signed<NetworkRecord>> = OnceLock::new();
    RECORD.get_or_init(|| {
        let record = NetworkRecord {
            network: network(),
            name: "lab".to_owned(),
            directory: DirectoryKind::Tracker {
                trackers: vec![PeerAddr::unknown(tracker_key().peer_id())],
            },
            policy: Policy::Open,
            relays: Vec::new(),
            sequence: 1,
            created_ms: NOW_MS,
        };
        record.sign(&key(200)).expect("a good record")
    })
}

fn owner() -> Membership {
    Membership::owner(&key(200), key(1).peer_id(), NOW_MS)
}

fn invited() -> Membership {
    let (record, until) = (record().clone(), NOW_MS + 1000);
    let invite = Invite::make(record, &key(1), owner(), Role::Guest, 2, NOW_MS, until, [50; 32]);
    invite.expect("the owner may invite").redeem(member_key().peer_id(), NOW_MS)
}

fn revocations() -> Revocations {
    let none = Revocations::none(network());
    let next = none.next(&key(1), owner(), [PeerId([4; 32])], NOW_MS);
    next.expect("there is room")
}

fn presence() -> Signed<Presence> {
    let presence = Presence {
        network: network(),
        peer: member_key().peer_id(),
        nick: "peer-1".to_owned(),
        addresses: vec![([192, 0, 2, 7], 4567).into()],
        relay: Some("https://relay.example".to_owned()),
        agent: "potluck/0.1.0".to_owned(),
        p2p_ci: Some(([192, 0, 2, 7], 7735).into()),
        sequence: 4,
        expires_ms: NOW_MS + 1000,
    };
    Signed::sign(member_key(), presence)
}

fn head() -> Signed<ShareHead> {
    let head = ShareHead {
        network: network(),
        peer: member_key().peer_id(),
        share: SHARE,
        name: "films".to_owned(),
        tags: vec!["cinema".to_owned()],
        content: ContentId([8; 32]),
        kind: EntryKind::Folder,
        size: 1000,
        files: 3,
        partial: false,
        pages: 1,
        sequence: 4,
        expires_ms: NOW_MS + 1000,
    };
    Signed::sign(member_key(), head)
}

fn page() -> Page {
    let (network, expires_ms) = (network(), NOW_MS + 1000);
    let place = Place { network, share: SHARE, page: 0, pages: 1, sequence: 4, expires_ms };
    let entries = ["a.mkv", "b/film.mkv", "ünï.txt"].map(entry).into();
    Page::make(member_key(), place, entries).expect("a good page")
}

fn entry(path: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        content: ContentId([7; 32]),
        size: 300,
        kind: EntryKind::File,
        executable: false,
        modified_s: 1_700_000_000,
    }
}
