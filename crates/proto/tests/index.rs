//! Pictures of what stands on the circle and of what is asked there, and limits at their edges.

use potluck_base::{ContentId, NetworkId, PeerId, ShareKey, limits};
use potluck_identity::{Capability, Redemption, Role, Signature, Signed};
use potluck_proto::directory::chord::index::{
    Answer, Deposit, Entries, Files, FoundHere, Gone, GroupHere, Heading, Path, Placed, Proved,
    Question, Record, Redeemed, Seen, Stored, Subject, Term, Told, Why,
};
use potluck_proto::directory::record::{
    Entry, EntryKind, PageHead, Presence, Proof, ShareHead, Withdrawal,
};
use potluck_proto::directory::tracker::{Group, Hit, HitProof, ProviderRecord, Query};
use serde::Serialize;
use serde::de::DeserializeOwned;

const NETWORK: NetworkId = NetworkId([0xaa; 32]);
const PEER: PeerId = PeerId([0xee; 32]);
const SHARE: ShareKey = ShareKey([0xcc; 16]);
const CONTENT: ContentId = ContentId([0xc0; 32]);
const ROOT: [u8; 32] = [0xdd; 32];

fn signed<T>(value: T) -> Signed<T> {
    Signed { value, signature: Signature([0x5f; 64]) }
}

fn hex(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let words = [("aa", 32, "NETWORK"), ("ee", 32, "PEER"), ("c0", 32, "CONTENT")];
    for (byte, count, word) in
        words.into_iter().chain([("dd", 32, "HASH"), ("cc", 16, "SHARE"), ("5f", 64, "SIGNED")])
    {
        text = text.replace(&byte.repeat(count), word);
    }
    text
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("writing to memory does not fail")
}

#[track_caller]
fn pictured<T>(value: &T, picture: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = bytes_of(value);
    assert_eq!(hex(&bytes), picture.replace(' ', ""));
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert!(postcard::from_bytes::<T>(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
    }
}

fn word() -> Term {
    Term::new(Subject::Word("ban".to_owned()))
}

const WORD: &str = "00 0362616e 00 00";

fn head() -> ShareHead {
    ShareHead {
        network: NETWORK,
        peer: PEER,
        share: SHARE,
        name: "f".to_owned(),
        tags: Vec::new(),
        content: CONTENT,
        kind: EntryKind::Folder,
        size: 300,
        files: 2,
        partial: false,
        pages: 1,
        sequence: 5,
        expires_ms: 9,
    }
}

const HEAD: &str = "NETWORK PEER SHARE 0166 00 CONTENT 01 ac02 02 00 01 05 09 SIGNED";

fn page_head() -> PageHead {
    PageHead {
        network: NETWORK,
        peer: PEER,
        share: SHARE,
        page: 0,
        pages: 1,
        entries: 2,
        root: ROOT,
        sequence: 5,
        expires_ms: 9,
    }
}

const PAGE_HEAD: &str = "NETWORK PEER SHARE 00 01 02 HASH 05 09 SIGNED";

fn entry() -> Entry {
    let (size, kind) = (300, EntryKind::File);
    Entry { path: "a".to_owned(), content: CONTENT, size, kind, executable: true, modified_s: 1 }
}

const ENTRY: &str = "0161 CONTENT ac02 00 01 01";

fn files(entries: Entries) -> Files {
    Files { term: word(), head: signed(head()), page: signed(page_head()), part: 1, entries }
}

fn proved() -> Proved {
    Proved { index: 1, siblings: vec![ROOT], entry: entry() }
}

fn presence() -> Signed<Presence> {
    signed(Presence {
        network: NETWORK,
        peer: PEER,
        nick: "ann".to_owned(),
        addresses: Vec::new(),
        relay: None,
        agent: "p".to_owned(),
        p2p_ci: None,
        sequence: 5,
        expires_ms: 9,
    })
}

const PRESENCE: &str = "NETWORK PEER 03616e6e 00 00 0170 00 05 09 SIGNED";

fn deposit() -> Signed<Deposit> {
    signed(Deposit {
        network: NETWORK,
        peer: PEER,
        content: CONTENT,
        name: "a".to_owned(),
        size: 300,
        kind: EntryKind::File,
        copies: 3,
        sequence: 5,
        expires_ms: 9,
        removed: true,
    })
}

const DEPOSIT: &str = "NETWORK PEER CONTENT 0161 ac02 00 03 05 09 01 SIGNED";

fn redeemed() -> Redeemed {
    let capability = Capability {
        network: NETWORK,
        key: PEER,
        role: Role::Member,
        uses: 2,
        issued_ms: 3,
        expires_ms: 4,
        issuer: PEER,
    };
    let redemption = Redemption { network: NETWORK, invite: PEER, peer: PEER, at_ms: 300 };
    let term = Term::new(Subject::Invite(PEER));
    Redeemed { term, capability: signed(capability), redemption: signed(redemption) }
}

const REDEEMED: &str = "07 PEER 00 00 NETWORK PEER 01 02 03 04 PEER SIGNED \
                        NETWORK PEER PEER ac02 SIGNED";

#[test]
fn terms_look_like_this() {
    pictured(&word(), WORD);
    let child = word().child(10).unwrap().child(1).unwrap();
    pictured(&child, "00 0362616e 02 a101");
    pictured(&Term::new(Subject::Content(CONTENT)), "01 CONTENT 00 00");
    pictured(&Term::new(Subject::Peer(PEER)), "02 PEER 00 00");
    pictured(&Term::new(Subject::Nick("ann".to_owned())), "03 03616e6e 00 00");
    pictured(&Term::new(Subject::Shares(PEER)), "04 PEER 00 00");
    pictured(&Term::new(Subject::pages(PEER, SHARE, 17)), "05 PEER SHARE 01 00 00");
    pictured(&Term::new(Subject::Deposit(CONTENT)), "06 CONTENT 00 00");
    pictured(&Term::new(Subject::Invite(PEER)), "07 PEER 00 00");
}

#[test]
fn records_look_like_this() {
    let all = Record::Files(Box::new(files(Entries::All(vec![entry()]))));
    pictured(&all, &format!("00 {WORD} {HEAD} {PAGE_HEAD} 01 00 01 {ENTRY}"));
    let some = Record::Files(Box::new(files(Entries::Some(vec![proved()]))));
    pictured(&some, &format!("00 {WORD} {HEAD} {PAGE_HEAD} 01 01 01 01 01 HASH {ENTRY}"));
    let share = Record::Share(Box::new(Heading { term: word(), head: signed(head()) }));
    pictured(&share, &format!("01 {WORD} {HEAD}"));
    let withdrawal = Withdrawal { network: NETWORK, peer: PEER, share: SHARE, sequence: 5 };
    let why = Why::Withdrawn(signed(withdrawal));
    let gone = Record::Gone(Box::new(Gone { term: word(), page: Some(300), part: 1, why }));
    pictured(&gone, &format!("02 {WORD} 01 ac02 01 00 NETWORK PEER SHARE 05 SIGNED"));
    let why = Why::Changed(signed(head()));
    let gone = Record::Gone(Box::new(Gone { term: word(), page: None, part: 0, why }));
    pictured(&gone, &format!("02 {WORD} 00 00 01 {HEAD}"));
    let placed = Placed { term: Term::new(Subject::Peer(PEER)), presence: presence() };
    pictured(&Record::Presence(Box::new(placed)), &format!("03 02 PEER 00 00 {PRESENCE}"));
    let stored = Stored { term: Term::new(Subject::Deposit(CONTENT)), deposit: deposit() };
    pictured(&Record::Deposit(Box::new(stored)), &format!("04 06 CONTENT 00 00 {DEPOSIT}"));
    pictured(&Record::Redeemed(Box::new(redeemed())), &format!("05 {REDEEMED}"));
}

#[test]
fn questions_look_like_this() {
    pictured(&Question::Count, "00");
    let query = Query { words: "a b".to_owned(), limit: 20, ..Query::default() };
    pictured(&Question::Search(query), "01 03612062 00 00 00 00 00 14");
    pictured(&Question::Providers { content: CONTENT, offset: 300 }, "02 CONTENT ac02");
    pictured(&Question::Presence, "03");
    pictured(&Question::Shares { after: Some(SHARE) }, "04 01 SHARE");
    pictured(&Question::Files { after: Some((300, 2)) }, "05 01 ac02 02");
    pictured(&Question::Deposits, "06");
    pictured(&Question::Redemptions { issuer: PEER }, "07 PEER");
}

#[test]
fn answers_look_like_this() {
    let answer = |told| Answer { told, full: true };
    pictured(&answer(Told::Count(300)), "00 ac02 01");
    let proof = Proof { head: signed(page_head()), index: 1, siblings: vec![ROOT] };
    let proof = HitProof::Page(proof);
    let hit =
        Hit { peer: PEER, share: SHARE, entry: entry(), proof, online: false, last_seen_ms: 0 };
    let one = format!("PEER SHARE {ENTRY} 00 {PAGE_HEAD} 01 01 HASH 00 00");
    let group = Group {
        content: CONTENT,
        size: 300,
        kind: EntryKind::File,
        online: 0,
        providers: 2,
        partial: 1,
        newest_s: 4,
        hits: vec![hit.clone()],
    };
    let seen = vec![Seen { page: 300, sequence: 5 }];
    let groups = vec![GroupHere { group, peers: vec![(PEER, true)] }];
    let found = FoundHere { groups, more: true, seen: seen.clone() };
    let picture = format!("01 01 CONTENT ac02 00 00 02 01 04 01 {one} 01 PEER 01 01 01 ac02 05 01");
    pictured(&answer(Told::Found(found)), &picture);
    let provider =
        ProviderRecord { peer: PEER, online: false, last_seen_ms: 0, presence: None, hit };
    let told = Told::Providers { providers: vec![provider], more: false, seen };
    pictured(&answer(told), &format!("02 01 PEER 00 00 00 {one} 00 01 ac02 05 01"));
    pictured(&answer(Told::Presences(vec![presence()])), &format!("03 01 {PRESENCE} 01"));
    let told = Told::Shares { shares: vec![signed(head())], more: false };
    pictured(&answer(told), &format!("04 01 {HEAD} 00 01"));
    let told = Told::Files { files: vec![files(Entries::Some(vec![]))], more: true };
    pictured(&answer(told), &format!("05 01 {WORD} {HEAD} {PAGE_HEAD} 01 01 00 01 01"));
    pictured(&answer(Told::Deposits(vec![deposit()])), &format!("06 01 {DEPOSIT} 01"));
    pictured(&answer(Told::Redemptions(vec![redeemed()])), &format!("07 01 {REDEEMED} 01"));
}

#[test]
fn lists_and_texts_beyond_their_limits_are_refused() {
    fn reads<T: Serialize + DeserializeOwned>(value: &T) -> bool {
        postcard::from_bytes::<T>(&bytes_of(value)).is_ok()
    }
    let told = |told| reads(&Answer { told, full: false });
    let all = |count| reads(&Record::Files(Box::new(files(Entries::All(vec![entry(); count])))));
    assert!(all(limits::PAGE_ENTRIES) && !all(limits::PAGE_ENTRIES + 1));
    let some = |count| reads(&files(Entries::Some(vec![proved(); count])));
    assert!(some(limits::PAGE_ENTRIES) && !some(limits::PAGE_ENTRIES + 1));
    let hashes = |count| {
        let proved = Proved { siblings: vec![ROOT; count], ..proved() };
        reads(&files(Entries::Some(vec![proved])))
    };
    assert!(hashes(limits::PROOF_HASHES) && !hashes(limits::PROOF_HASHES + 1));
    let word = |bytes| reads(&Term::new(Subject::Word("x".repeat(bytes))));
    assert!(word(32) && !word(33));
    let nick = |bytes| reads(&Term::new(Subject::Nick("x".repeat(bytes))));
    assert!(nick(limits::NICK_BYTES) && !nick(limits::NICK_BYTES + 1));
    let name = |bytes| reads(&signed(Deposit { name: "x".repeat(bytes), ..deposit().value }));
    assert!(name(limits::NAME_BYTES) && !name(limits::NAME_BYTES + 1));
    let seen = |count| {
        let seen = vec![Seen { page: 1, sequence: 1 }; count];
        told(Told::Found(FoundHere { seen, ..FoundHere::default() }))
    };
    assert!(seen(limits::RING_SEEN) && !seen(limits::RING_SEEN + 1));
    let presences = |count| told(Told::Presences(vec![presence(); count]));
    assert!(presences(limits::RING_PRESENCES) && !presences(limits::RING_PRESENCES + 1));
    let uses = |count| told(Told::Redemptions(vec![redeemed(); count]));
    assert!(uses(limits::RING_REDEMPTIONS) && !uses(limits::RING_REDEMPTIONS + 1));
    let heads = |count| told(Told::Shares { shares: vec![signed(head()); count], more: false });
    assert!(heads(limits::BROWSE_ENTRIES) && !heads(limits::BROWSE_ENTRIES + 1));
    let way =
        |steps: u8, bits: u16| postcard::from_bytes::<Path>(&bytes_of(&(steps, bits))).is_ok();
    assert!(way(4, u16::MAX) && !way(5, 0) && !way(1, 16));
}
