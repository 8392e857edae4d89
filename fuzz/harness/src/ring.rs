//! What stands on the circle of a Chord or ring network, what is asked there and what is answered.

use std::sync::OnceLock;

use potluck_base::{ContentId, NetworkId, ShareKey};
use potluck_identity::{Capability, Redemption, Role, SecretKey, Signed};
use potluck_proto::directory::chord::index::{
    Answer, Deposit, Listing, Plan, Providers, Puts, Question, Record, Rules, Search, Shares,
    There, deposit_put, presence_puts, redemption_put,
};
use potluck_proto::directory::chord::{Reject, RingId, Value};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, Place, Presence, ShareHead, Withdrawal,
};
use potluck_proto::directory::tracker::{FileType, Query, Sort};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// When everything happens, in unix milliseconds.
const NOW_MS: u64 = 1_700_000_000_000;
const SHARE: ShareKey = ShareKey([5; 16]);

/// A record: it is checked where it says to stand, kept beside others, and asked about.
pub fn record(bytes: &[u8]) -> bool {
    let Some(record) = read::<Record>(bytes) else { return false };
    let rules = Rules::new(network());
    let key = record.term().key(&rules.network);
    let good = Value::check(&record, &rules, key, NOW_MS).is_ok();
    let elsewhere = Value::check(&record, &rules, RingId(key.0 ^ 1), NOW_MS);
    assert_eq!(elsewhere, Err(Reject::Bad), "it stands under one key only");
    let _ = (Value::slot(&record), Value::version(&record), Value::expires_ms(&record));
    let said = Value::bytes(&record);
    assert!(said >= bytes.len() / 2, "{said} bytes instead of {}", bytes.len());
    for (key, part) in Value::split(&record, &rules) {
        assert_eq!(Value::check(&part, &rules, key, NOW_MS).is_ok(), good, "a part is as good");
    }
    let others: Vec<&Record> = puts().iter().map(|(_, record)| record).collect();
    let all = || others.iter().copied().chain([&record]);
    for question in all_questions() {
        let answer = Record::answer(all(), &question, false, NOW_MS);
        let written = write(&answer);
        assert!(!good || written.len() <= potluck_base::limits::REPLY_BYTES, "{}", written.len());
    }
    true
}

/// A question: whatever is asked, the answer fits into its frame.
pub fn question(bytes: &[u8]) -> bool {
    let Some(question) = read::<Question>(bytes) else { return false };
    let records = puts().iter().map(|(_, record)| record);
    let answer = Record::answer(records, &question, true, NOW_MS);
    assert!(read::<Answer>(&write(&answer)).is_some(), "what we answer can be read");
    true
}

/// An answer: it is told to everybody who might have asked.
pub fn answer(bytes: &[u8]) -> bool {
    let Some(answer) = read::<Answer>(bytes) else { return false };
    let query = Query { words: "film ünï".to_owned(), ..Query::default() };
    let mut search = Search::new(network(), query).expect("a query with words");
    for _ in 0..8 {
        let Some(asked) = search.next_ask() else { break };
        search.told(asked.id, Some(answer.clone()), NOW_MS);
    }
    let found = search.finish(&|_| There::default());
    for group in &found.groups {
        assert_eq!(group.check(&network(), NOW_MS), Ok(()), "only what was signed is found");
    }
    let mut providers = Providers::new(network(), ContentId([7; 32]));
    let mut shares = Shares::new(network(), member().peer_id());
    let mut listing = Listing::new(network(), &head().value);
    for _ in 0..4 {
        if let Some(asked) = providers.next_ask() {
            providers.told(asked.id, Some(answer.clone()), NOW_MS);
        }
        if let Some(asked) = shares.next_ask() {
            shares.told(asked.id, Some(answer.clone()), NOW_MS);
        }
        if let Some(asked) = listing.next_ask() {
            listing.told(asked.id, Some(answer.clone()), NOW_MS);
        }
    }
    for provider in providers.finish(&|_| There::default(), &|_| None) {
        assert_eq!(provider.hit.entry.content, ContentId([7; 32]));
    }
    for head in shares.finish() {
        assert!(ShareHead::check(&head, &network(), &member().peer_id()).is_ok());
    }
    for (entry, proof) in listing.finish() {
        assert!(proof.check(&network(), &member().peer_id(), &entry).is_ok());
    }
    true
}

/// Records of every kind, signed as they should be.
pub fn records() -> Vec<Vec<u8>> {
    puts().iter().map(|(_, record)| write(record)).collect()
}

/// Questions of every kind.
pub fn questions() -> Vec<Vec<u8>> {
    all_questions().iter().map(write).collect()
}

/// Answers to them.
pub fn answers() -> Vec<Vec<u8>> {
    let answer = |question: &Question| {
        let records = puts().iter().map(|(_, record)| record);
        write(&Record::answer(records, question, true, NOW_MS))
    };
    all_questions().iter().map(answer).collect()
}

/// Reads a value that takes all of the bytes and is written as it was read.
fn read<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let again = postcard::from_bytes::<T>(&write(&value)).expect("what we write can be read");
    assert_eq!(again, value, "it means the same");
    Some(value)
}

fn write<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("writing to memory does not fail")
}

fn all_questions() -> Vec<Question> {
    let query = Query {
        words: "film b".to_owned(),
        kinds: vec![FileType::Video, FileType::Folder],
        min_size: Some(1),
        max_size: None,
        sort: Sort::Providers,
        offset: 0,
        limit: 20,
    };
    vec![
        Question::Count,
        Question::Search(query),
        Question::Search(Query { words: "ünï".to_owned(), ..Query::default() }),
        Question::Providers { content: ContentId([7; 32]), offset: 0 },
        Question::Presence,
        Question::Shares { after: None },
        Question::Files { after: Some((0, 0)) },
        Question::Files { after: None },
        Question::Deposits,
        Question::Redemptions { issuer: member().peer_id() },
    ]
}

fn puts() -> &'static Puts {
    static PUTS: OnceLock<Puts> = OnceLock::new();
    PUTS.get_or_init(|| {
        let mut plan = Plan::new(network());
        let mut all = plan.head(&head()).0;
        all.extend(plan.page(&page()));
        let (peer, sequence) = (member().peer_id(), NOW_MS);
        let gone = Withdrawal { network: network(), peer, share: ShareKey([6; 16]), sequence };
        let mut other = Plan::new(network());
        let moved = ShareHead { share: ShareKey([6; 16]), ..head().value };
        other.head(&Signed::sign(member(), moved));
        all.extend(other.withdraw(&Signed::sign(member(), gone)).into_iter().take(2));
        all.extend(presence_puts(&network(), &Signed::sign(member(), presence())));
        all.push(deposit_put(&network(), Signed::sign(member(), deposit())));
        all.push(redeemed());
        all
    })
}

fn member() -> &'static SecretKey {
    static KEY: OnceLock<SecretKey> = OnceLock::new();
    KEY.get_or_init(|| SecretKey::from_seed([3; 32]))
}

fn network() -> NetworkId {
    NetworkId([9; 32])
}

fn head() -> Signed<ShareHead> {
    let head = ShareHead {
        network: network(),
        peer: member().peer_id(),
        share: SHARE,
        name: "films".to_owned(),
        tags: vec!["cinema".to_owned()],
        content: ContentId([8; 32]),
        kind: EntryKind::Folder,
        size: 900,
        files: 3,
        partial: false,
        pages: 1,
        sequence: NOW_MS,
        expires_ms: NOW_MS + 1000,
    };
    Signed::sign(member(), head)
}

fn page() -> Page {
    let (network, sequence, expires_ms) = (network(), NOW_MS, NOW_MS + 1000);
    let place = Place { network, share: SHARE, page: 0, pages: 1, sequence, expires_ms };
    let entries = ["a.mkv", "b/film.mkv", "ünï.txt"].map(|path| Entry {
        path: path.to_owned(),
        content: ContentId([7; 32]),
        size: 300,
        kind: EntryKind::File,
        executable: false,
        modified_s: 1_700_000_000,
    });
    Page::make(member(), place, entries.into()).expect("a good page")
}

fn presence() -> Presence {
    Presence {
        network: network(),
        peer: member().peer_id(),
        nick: "ann".to_owned(),
        addresses: vec![([192, 0, 2, 7], 4567).into()],
        relay: None,
        agent: "potluck/0.1.0".to_owned(),
        p2p_ci: None,
        sequence: 4,
        expires_ms: NOW_MS + 1000,
    }
}

fn deposit() -> Deposit {
    Deposit {
        network: network(),
        peer: member().peer_id(),
        content: ContentId([7; 32]),
        name: "a.mkv".to_owned(),
        size: 300,
        kind: EntryKind::File,
        copies: 3,
        sequence: 4,
        expires_ms: NOW_MS + 1000,
        removed: false,
    }
}

fn redeemed() -> (RingId, Record) {
    let invite = SecretKey::from_seed([50; 32]);
    let capability = Capability {
        network: network(),
        key: invite.peer_id(),
        role: Role::Member,
        uses: 2,
        issued_ms: NOW_MS,
        expires_ms: NOW_MS + 1000,
        issuer: member().peer_id(),
    };
    let redemption = Redemption {
        network: network(),
        invite: invite.peer_id(),
        peer: member().peer_id(),
        at_ms: NOW_MS,
    };
    let capability = Signed::sign(member(), capability);
    redemption_put(&network(), capability, Signed::sign(&invite, redemption))
}
